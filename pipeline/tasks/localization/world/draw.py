"""Whole batches of a tier: transmissions with what their receivers measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.localization.recipe import Kind, World
from pipeline.tasks.localization.world.kinds import contamination_ns, draw_kinds
from pipeline.tasks.localization.world.levels import Events, draw_events
from pipeline.tasks.localization.world.times import Times, draw_times


@dataclass(frozen=True)
class Batch:
    """Transmissions and what they suffer; ``times`` is None where levels alone are measured."""

    events: Events
    kinds: NDArray[np.str_]
    times: Times | None


def draw_batch(
    num: int, world: World, kinds: Sequence[Kind] | Mapping[Kind, float], generator: np.random.Generator
) -> Batch:
    """``num`` transmissions of ``world.tier``; levels suffer none of the kinds."""
    events = draw_events(num, world, generator)
    if world.tier == "levels":
        return Batch(events, np.full(num, "clean"), None)
    drawn, times = draw_kinds(kinds, num, generator), draw_times(events, world, generator)
    late = contamination_ns(drawn, events.heard, generator)
    return Batch(events, drawn, Times(times.arrival_ns + late, times.sigma_ns))
