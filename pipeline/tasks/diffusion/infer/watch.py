"""What is done and seen while images are generated: masks of references put in, and the way on the map."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from pipeline.tasks.diffusion.model.denoiser import Denoiser, recorded, replaced
from pipeline.tasks.diffusion.model.map import ActivationMap
from pipeline.tasks.diffusion.rows import Position

_DIGITS = 3

Masks = Mapping[str, Tensor]
"""What layers are to say, [1, C, H, W] by name."""


class Watch:
    """Around the steps of several draws: ``masks[n]`` are put in for the first ``num_masked`` steps of draw n.

    ``strength`` is how far layers go to their masks (`replaced`). Where draw n lies on the map is kept for each step,
    before and after the mask."""

    def __init__(
        self,
        denoiser: Denoiser,
        activation_map: ActivationMap | None,
        masks: Sequence[Masks],
        num_masked: int,
        strength: float = 1.0,
    ) -> None:
        self.denoiser, self.map, self.masks = denoiser, activation_map, masks
        self.num_masked, self.strength = num_masked, strength
        self.before: dict[int, list[Tensor]] = {}
        self.after: dict[int, list[Tensor]] = {}

    @contextmanager
    def __call__(self, step: int, tile: Sequence[int]) -> Iterator[None]:
        """Around one step of the draws of a tile."""
        layers = (self.map.config.layer,) if self.map is not None else ()
        is_masked = step < self.num_masked
        with ExitStack() as stack:
            # Hooks are called in this order: what is recorded first is what the layer itself says.
            before = stack.enter_context(recorded(self.denoiser, layers, first=True))
            if is_masked:
                values = {name: torch.cat([self.masks[n][name] for n in tile]) for name in self.masks[tile[0]]}
                stack.enter_context(replaced(self.denoiser, values, self.strength))
            after = stack.enter_context(recorded(self.denoiser, layers, first=True))
            yield
        for name in layers:
            for row, n in enumerate(dict.fromkeys(tile)):
                self.before.setdefault(n, []).append(before[name][row])
                if is_masked:
                    self.after.setdefault(n, []).append(after[name][row])

    def positions(self, n: int, sigmas: Sequence[float]) -> dict[str, tuple[Position, ...]]:
        """The fields of a row that tell the way of draw n on the map."""
        if self.map is None:
            return {}
        return {
            "positions": self._placed(self.before.get(n, []), sigmas),
            "masked_positions": self._placed(self.after.get(n, []), sigmas),
        }

    def _placed(self, said: Sequence[Tensor], sigmas: Sequence[float]) -> tuple[Position, ...]:
        assert self.map is not None
        return tuple(map(rounded, self.map.place(said, sigmas[: len(said)]) if said else ()))


def rounded(place: tuple[float, float]) -> Position:
    """Where a point lies on the map, as a row says it."""
    x, y = place
    return round(x, _DIGITS), round(y, _DIGITS)
