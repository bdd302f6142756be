"""What the networks of all tasks are built from: layers without a hidden random draw, and how they are computed.

Nothing here initialises itself. A task does, from a generator (`initialise`, for one), so that building a network to
load weights into it costs nothing and draws nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Uninitialised:
    """Before a layer of torch: its parameters are whatever lies in memory."""

    def reset_parameters(self) -> None:
        """Do nothing."""


class Linear(Uninitialised, nn.Linear):
    """`torch.nn.Linear` with uninitialised parameters; ``gain`` is what a task scales its first weights by."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True, gain: float = 1.0) -> None:
        self.gain = gain
        super().__init__(in_features, out_features, bias)


class LayerNorm(Uninitialised, nn.LayerNorm):
    """`torch.nn.LayerNorm` with uninitialised parameters."""


class Conv(Uninitialised, nn.Conv2d):
    """A convolution that keeps the size (or divides it by ``stride``), with uninitialised parameters."""

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int = 1, gain: float = 1.0) -> None:
        self.gain = gain
        super().__init__(in_channels, out_channels, size, stride, padding=size // 2)


class GroupNorm(Uninitialised, nn.GroupNorm):
    """`torch.nn.GroupNorm` with uninitialised parameters: an image is normalised by itself, never by its batch."""


def num_groups(channels: int) -> int:
    """Groups of 8 channels; all in one where they do not divide."""
    return channels // 8 if channels % 8 == 0 else 1


def initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """Normal weights of variance gain^2 / inputs, zero biases; norms begin as the identity; tables at 0.02."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if isinstance(part, LayerNorm | GroupNorm) and name == "weight":
                nn.init.ones_(parameter)
            elif name == "bias":
                nn.init.zeros_(parameter)
            elif isinstance(part, Linear | Conv):
                nn.init.normal_(parameter, std=part.gain * parameter[0].numel() ** -0.5, generator=generator)
            else:
                nn.init.normal_(parameter, std=0.02, generator=generator)


@contextmanager
def one_thread() -> Iterator[None]:
    """How many threads share a product changes the order of its sums, so within here it is one."""
    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            torch.set_num_threads(before)
