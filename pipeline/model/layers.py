"""What the networks of all tasks are built from: layers without a hidden random draw, and how they are computed.

Nothing here initialises itself. A task does, from a generator, so that building a network to load weights into it costs
nothing and draws nothing.
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
