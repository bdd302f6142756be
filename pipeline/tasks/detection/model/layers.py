"""Building blocks of the vision-text network. Nothing here initialises itself: `pipeline.model.layers.initialise` does.

Shapes: B images or texts, T tokens, N places of the image, C channels or width, H heads, D = C / H.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.layers import Conv, GroupNorm, Linear, num_groups


class ConvNorm(nn.Module):
    """Convolution, GroupNorm, ReLU: [B, C, height, width] -> [B, C', height / stride, width / stride]."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, size: int = 3) -> None:
        super().__init__()
        self.conv = Conv(in_channels, out_channels, size, stride, gain=math.sqrt(2.0))
        self.norm = GroupNorm(num_groups(out_channels), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """x + two convolutions of x (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(channels, channels), Conv(channels, channels, 3, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return x + y


class Attention(nn.Module):
    """Attention with several heads (Vaswani et al. 2017); keys and values are made once and kept by the caller."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = Linear(width, width)
        self.keys_values = Linear(width, 2 * width)
        self.out = Linear(width, width, gain=0.5)

    def split(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, H, T, D]."""
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def remember(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, T, D] of x [B, T, C]."""
        keys, values = self.keys_values(x).chunk(2, -1)
        return self.split(keys), self.split(values)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """x [B, T, C] over keys and values [B, H, S, D]; ``bias`` [T, S] is added to the scores: -inf hides."""
        query = self.split(self.query(x)) * (keys.shape[-1] ** -0.5)
        scores = torch.matmul(query, keys.transpose(-1, -2))
        if bias is not None:
            scores = scores + bias
        mixed = torch.matmul(torch.softmax(scores, -1), values)
        y: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y


class Mlp(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.narrow = Linear(width, 4 * width), Linear(4 * width, width, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.narrow(F.gelu(self.wide(x)))
        return y


def fourier_features(num_features: int, positions: Tensor) -> Tensor:
    """Sines and cosines of positions in [0, 1): [...] -> float32 [..., num_features].

    Periods from 2 (the whole image is half of one) down to 1/64, in equal ratios: neighbours among 1,000 coordinates
    are alike, those far apart are not.
    """
    half = num_features // 2
    rates = torch.logspace(0.0, math.log10(128.0), half, dtype=torch.float64, device="cpu") * math.pi
    angles = positions.to(torch.float32).unsqueeze(-1) * rates.to(positions.device, torch.float32)
    return torch.cat((angles.sin(), angles.cos()), -1)


def channels_last(module: nn.Module) -> None:
    """Lay the convolutions' weights out with channels last, as the images are: in bfloat16 that is a tenth faster."""
    for part in module.modules():
        if isinstance(part, Conv):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
