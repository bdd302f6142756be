"""When the receivers heard a transmission, by clocks that agree."""

from dataclasses import dataclass

import numpy as np

from pipeline.stats import Floats
from pipeline.tasks.localization.recipe import World
from pipeline.tasks.localization.world.levels import Events
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

_LATEST_NS = 1e6  # after the moment that arrivals count from


@dataclass(frozen=True)
class Times:
    """arrival_ns and its stated standard deviation sigma_ns: float64 [B, R], 0 and 1 where not heard."""

    arrival_ns: Floats
    sigma_ns: Floats


def draw_times(events: Events, world: World, generator: np.random.Generator) -> Times:
    """Arrivals with Gaussian errors of what is stated times ``world.jitter_factor``, from an unknown moment on."""
    shape = events.heard.shape
    low, high = np.log(world.sigma_ns)
    sigma_ns = np.exp(generator.uniform(low, high, shape))
    emission_ns = generator.uniform(0.0, _LATEST_NS, (shape[0], 1))
    error_ns = world.jitter_factor * sigma_ns * generator.standard_normal(shape)
    arrival_ns = emission_ns + events.range_m / SPEED_M_PER_NS + error_ns
    return Times(np.where(events.heard, arrival_ns, 0.0), np.where(events.heard, sigma_ns, 1.0))
