"""The judge of what is generated: a small classifier and its features, and what the training images looked like.

Both are frozen in the model's file with the network: what they say of an image does not depend on who asks.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.layers import Conv, GroupNorm, Linear, num_groups

NUM_FEATURES = 32
NUM_COMPONENTS = 32  # of digits 8x8 97 % of the variance, of MNIST 83 %
_WIDTHS = (16, 32, 64)
_MOST_PLACES = 4  # along a side, where features are taken


class Judge(nn.Module):
    """Images float32 [B, C, H, W] from -1 to 1 -> features [B, F], and from them the logits [B, K] of classes."""

    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        super().__init__()
        inputs = (channels, *_WIDTHS[:-1])
        self.convs = nn.ModuleList(
            Conv(a, b, 3, stride=1 if i == 0 else 2) for i, (a, b) in enumerate(zip(inputs, _WIDTHS, strict=True))
        )
        self.norms = nn.ModuleList(GroupNorm(num_groups(width), width) for width in _WIDTHS)
        self.places = min((size + 3) // 4, _MOST_PLACES)
        self.to_features = Linear(_WIDTHS[-1] * self.places**2, NUM_FEATURES)
        self.to_logits = Linear(NUM_FEATURES, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            images = F.silu(norm(conv(images)))
        out: Tensor = self.to_features(F.adaptive_avg_pool2d(images, self.places).flatten(1))
        return out

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images)
        return features, self.to_logits(F.silu(features))


class TrainingImages(nn.Module):
    """The training images in their first principal components: enough to tell whether an image is one of them.

    ``mean`` [D] and ``components`` [K, D] of images as vectors, ``coordinates`` [N, K] of the training images.
    """

    mean: Tensor
    components: Tensor
    coordinates: Tensor

    def __init__(self, num_images: int, num_values: int) -> None:
        super().__init__()
        num_components = min(NUM_COMPONENTS, num_values, num_images)
        self.register_buffer("mean", torch.zeros(num_values))
        self.register_buffer("components", torch.zeros(num_components, num_values))
        self.register_buffer("coordinates", torch.zeros(num_images, num_components))

    @torch.no_grad()
    def remember(self, images: Tensor) -> None:
        """Take images [N, C, H, W] for the training images."""
        flat = images.flatten(1).double()
        mean = flat.mean(0)
        _, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean))
        components = vectors.T.flip(0)[: len(self.components)]
        # The sign of an eigenvector is arbitrary: its largest entry is positive.
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        components = components * largest.sign()
        self.mean.copy_(mean)
        self.components.copy_(components)
        self.coordinates.copy_((flat - mean) @ components.T)

    def nearest(self, image: Tensor) -> tuple[int, float]:
        """Number and distance (root mean square over values) of the training image nearest to one [C, H, W]."""
        place = self.components @ (image.flatten() - self.mean)
        squared = ((self.coordinates - place) ** 2).sum(1)
        number = int(squared.argmin())
        return number, float((squared[number] / image.numel()).sqrt())
