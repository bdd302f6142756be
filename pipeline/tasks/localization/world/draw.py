"""Whole batches of a tier: transmissions, when receivers heard them by clocks that agree, and what times suffer besides
their stated errors: reflected paths, wrong clocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.recipe import Kind, World
from pipeline.tasks.localization.world.levels import Events, draw_events
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

_LATEST_NS = 1e6  # after the moment that arrivals count from
_LATE_NS = 3000.0
_ONE_NS: Mapping[Kind, float] = {"one_late_3us": 3000.0, "one_early_3us": -3000.0, "one_late_30us": 30_000.0}
_EACH_LATE = 0.1  # chance of a receiver
_OFF_FOR_GOOD = 2  # the receiver whose clock is wrong in every record


@dataclass(frozen=True)
class Times:
    """arrival_ns and its stated standard deviation sigma_ns: float64 [B, R], 0 and 1 where not heard."""

    arrival_ns: Floats
    sigma_ns: Floats


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


def draw_kinds(
    kinds: Sequence[Kind] | Mapping[Kind, float], num: int, generator: np.random.Generator
) -> NDArray[np.str_]:
    """A kind for each of ``num`` records: of all alike, or by share."""
    weights = np.array([*kinds.values()] if isinstance(kinds, Mapping) else [1.0] * len(kinds))
    return generator.choice(np.array([*kinds]), num, p=weights / weights.sum())


def draw_times(events: Events, world: World, generator: np.random.Generator) -> Times:
    """Arrivals with Gaussian errors of what is stated times ``world.jitter_factor``, from an unknown moment on."""
    shape = events.heard.shape
    low, high = np.log(world.sigma_ns)
    sigma_ns = np.exp(generator.uniform(low, high, shape))
    emission_ns = generator.uniform(0.0, _LATEST_NS, (shape[0], 1))
    error_ns = world.jitter_factor * sigma_ns * generator.standard_normal(shape)
    arrival_ns = emission_ns + events.range_m / SPEED_M_PER_NS + error_ns
    return Times(np.where(events.heard, arrival_ns, 0.0), np.where(events.heard, sigma_ns, 1.0))


def contamination_ns(kinds: NDArray[np.str_], heard: NDArray[np.bool_], generator: np.random.Generator) -> Floats:
    """What is added to the arrivals of records of ``kinds`` [B], heard bool [B, R]: float64 [B, R]."""
    draws = generator.random(heard.shape)
    first = np.argmax(np.where(heard, draws, -1.0), axis=1)
    one = np.arange(heard.shape[1]) == first[:, None]
    added = np.zeros(heard.shape)
    for kind, shift in _ONE_NS.items():
        added += shift * (one & (kinds == kind)[:, None])
    added += _LATE_NS * ((draws < _EACH_LATE) & (kinds == "each_late")[:, None])
    added[:, _OFF_FOR_GOOD] += _LATE_NS * (kinds == "one_clock")
    return np.where(heard, added, 0.0)
