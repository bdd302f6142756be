"""What samplers ask of a model, whoever made it, and its layers looked at and changed while it works."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.errors import UserError


class Denoiser(Protocol):
    """A model that says what image lies behind a noisy one.

    ``shape`` is that of an image [C, H, W]; labels count from 0, and ``num_classes`` is no class.
    ``sigma_range`` are the noise levels that it knows. ``layers`` can be looked at, from the input to the output.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def sigma_range(self) -> tuple[float, float]: ...
    @property
    def layers(self) -> Mapping[str, nn.Module]: ...
    @property
    def device(self) -> torch.device: ...

    def forward(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """x float32 [B, C, H, W] = image + sigma * noise, labels int64 [B] -> images float32 [B, C, H, W]."""
        ...


def check_layers(denoiser: Denoiser, names: Sequence[str], where: str) -> None:
    """Raises UserError where the network has no such layer."""
    for name in names:
        if name not in denoiser.layers:
            known = ", ".join(denoiser.layers)
            raise UserError(f"the network has no layer {name!r}", where=where, remedy=f"one of: {known}")


@contextmanager
def _hooked(denoiser: Denoiser, hooks: Mapping[str, Callable[..., Tensor | None]]) -> Iterator[None]:
    """Within, a hook is called after each of the layers, by name."""
    handles = [denoiser.layers[name].register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recorded(denoiser: Denoiser, names: Sequence[str], *, first: bool = False) -> Iterator[dict[str, Tensor]]:
    """Within, what the layers gave last (or ``first``) is in the dict, by name: [B, C, H, W] each."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if not (first and name in found):
                found[name] = output.detach()

        return hook

    with _hooked(denoiser, {name: keep(name) for name in names}):
        yield found


def replaced(denoiser: Denoiser, values: Mapping[str, Tensor], strength: float = 1.0) -> AbstractContextManager[None]:
    """Within, the layers give these values [B, C, H, W] (or [1, C, H, W]) instead of their own.

    ``strength`` is how far they go from their own to these: 1 all the way, above 1 beyond.
    """

    def put(value: Tensor) -> Callable[..., Tensor]:
        return lambda module, inputs, output: torch.lerp(output, value.to(output), strength)

    return _hooked(denoiser, {name: put(value) for name, value in values.items()})
