"""The U-Net between noisy and denoised images, and its layers by name.

Shapes: B images, C channels, H height, W width, E the width of the condition (noise level and class).
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.layers import Conv, GroupNorm, Linear, num_groups
from pipeline.tasks.diffusion.recipe import UNet

_NUM_FREQUENCIES = 16  # of the noise level, as sines and cosines


class Block(nn.Module):
    """A residual block that is told the noise level and the class: [B, C, H, W], [B, E] -> [B, C', H, W]."""

    def __init__(self, in_channels: int, out_channels: int, condition: int) -> None:
        super().__init__()
        self.first_norm = GroupNorm(num_groups(in_channels), in_channels)
        self.first = Conv(in_channels, out_channels, 3)
        self.told = Linear(condition, 2 * out_channels, gain=0.5)
        self.second_norm = GroupNorm(num_groups(out_channels), out_channels)
        self.second = Conv(out_channels, out_channels, 3, gain=0.5)
        self.skip = Conv(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.first(F.silu(self.first_norm(x)))
        scale, shift = self.told(condition)[:, :, None, None].chunk(2, 1)
        y = self.second(F.silu(self.second_norm(y) * (1.0 + scale) + shift))
        out: Tensor = self.skip(x) + y
        return out


class Attention(nn.Module):
    """All places of an image look at each other: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(num_groups(channels), channels)
        self.query_key_value = Conv(channels, 3 * channels, 1)
        self.out = Conv(channels, channels, 1, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.norm(x)).flatten(2).chunk(3, 1)
        weights = torch.softmax(query.transpose(1, 2) @ key / math.sqrt(x.shape[1]), -1)
        seen = (value @ weights.transpose(1, 2)).reshape(x.shape)
        out: Tensor = x + self.out(seen)
        return out


class Level(nn.Module):
    """Residual blocks on one size of the image, and attention behind them where it is asked for."""

    def __init__(self, in_channels: int, out_channels: int, condition: int, num_blocks: int, attention: bool) -> None:
        super().__init__()
        sizes = [in_channels, *[out_channels] * num_blocks]
        self.blocks = nn.ModuleList(Block(a, b, condition) for a, b in pairwise(sizes))
        self.attention = Attention(out_channels) if attention else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        out: Tensor = self.attention(x)
        return out


class UNetModule(nn.Module):
    """x float32 [B, C, H, W], noise float32 [B] (ln(sigma) / 4), labels int64 [B] -> [B, C, H, W].

    Labels count from 0; the number of classes is that of no class.
    """

    def __init__(self, options: UNet, channels: int, num_classes: int) -> None:
        super().__init__()
        widths = [options.width * one for one in options.multipliers]
        condition, lowest = 4 * options.width, len(widths) - 1
        self.classes = nn.Embedding(num_classes + 1, condition, _weight=torch.empty(num_classes + 1, condition))
        self.noise = Linear(2 * _NUM_FREQUENCIES, condition)
        self.told = Linear(condition, condition)
        self.stem = Conv(channels, widths[0], 3)
        inputs = [widths[0], *widths[:-1]]

        def level(in_channels: int, i: int) -> Level:
            attention = options.attention and i == lowest
            return Level(in_channels, widths[i], condition, options.num_blocks, attention)

        self.down = nn.ModuleList(level(inputs[i], i) for i in range(len(widths)))
        self.middle = Block(widths[-1], widths[-1], condition)
        above = [*widths[1:], widths[-1]]
        self.up = nn.ModuleList(level(above[i] + widths[i], i) for i in range(len(widths)))
        self.out_norm = GroupNorm(num_groups(widths[0]), widths[0])
        self.out = Conv(widths[0], channels, 3, gain=0.0)  # begins as what preconditioning says without a network

    @property
    def layers(self) -> Mapping[str, nn.Module]:
        """The layers that can be looked at, from the input to the output."""
        down = {f"down_{i}": level for i, level in enumerate(self.down)}
        up = {f"up_{i}": level for i, level in reversed(list(enumerate(self.up)))}
        return {"stem": self.stem, **down, "middle": self.middle, **up}

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        condition = F.silu(self.told(F.silu(self.noise(frequencies(noise)) + self.classes(labels))))
        x = self.stem(x)
        kept = []
        for i, level in enumerate(self.down):
            x = level(x if i == 0 else F.avg_pool2d(x, 2), condition)
            kept.append(x)
        x = self.middle(x, condition)
        for i, level in reversed(list(enumerate(self.up))):
            if i < len(kept) - 1:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = level(torch.cat((x, kept[i]), 1), condition)
        out: Tensor = self.out(F.silu(self.out_norm(x)))
        return out


def frequencies(noise: Tensor) -> Tensor:
    """[B] -> sines and cosines float32 [B, 2 F], of periods from 8 down in equal ratios."""
    rates = torch.logspace(-2.0, 3.0, _NUM_FREQUENCIES, base=2.0, device=noise.device) * math.pi
    angles = noise.unsqueeze(1) * rates
    return torch.cat((angles.sin(), angles.cos()), 1)
