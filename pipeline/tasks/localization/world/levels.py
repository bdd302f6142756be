"""Transmissions, who heard them, and at which level."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.recipe import World
from pipeline.tasks.localization.world import propagation
from pipeline.tasks.localization.world.receivers import SITES, places_m, ranges_m

_PLACES = places_m(SITES)
_ALTITUDES = np.array([site.altitude_m for site in SITES])
_SHADOWING_FACTOR = np.linalg.cholesky(propagation.shadowing_correlation(SITES))


@dataclass(frozen=True)
class Events:
    """A batch of B transmissions at the R receivers of `SITES`.

    latitude, longitude  degrees, float64 [B]
    frequency_mhz        float64 [B]
    range_m              to the receivers, float64 [B, R]
    heard                bool [B, R]: true in 3 or more a row
    level_dbm            float64 [B, R]; 0 where not heard
    """

    latitude: Floats
    longitude: Floats
    frequency_mhz: Floats
    range_m: Floats
    heard: NDArray[np.bool_]
    level_dbm: Floats

    def __len__(self) -> int:
        return len(self.latitude)


def draw_events(num: int, world: World, generator: np.random.Generator) -> Events:
    """Transmissions that at least three receivers heard."""
    batches, missing = [], num
    while missing > 0:
        batch = _draw(round(missing * 1.3) + 16, world, generator)  # about 85 in 100 are heard by three
        audible = np.flatnonzero(batch.heard.sum(1) >= propagation.LEAST_HEARD)[:missing]
        batches.append([getattr(batch, field.name)[audible] for field in fields(Events)])
        missing -= len(audible)
    return Events(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True)))


def _draw(num: int, world: World, generator: np.random.Generator) -> Events:
    latitude = generator.uniform(*propagation.LATITUDES, num)
    longitude = generator.uniform(*propagation.LONGITUDES, num)
    bands = np.array(propagation.BANDS_MHZ)[generator.integers(0, len(propagation.BANDS_MHZ), num)]
    frequency_mhz = generator.uniform(bands[:, 0], bands[:, 1])
    range_m = ranges_m(np.stack([latitude, longitude], 1), propagation.ALTITUDE_M, _PLACES)
    exponent = generator.uniform(*world.path_loss_exponent, (num, 1))
    loss = propagation.path_loss_db(range_m, frequency_mhz[:, None], exponent, _ALTITUDES)
    eirp = generator.normal(*propagation.EIRP_DBM, (num, 1))
    spread = generator.uniform(*world.shadowing_db, (num, 1))
    shadowing = spread * (generator.standard_normal(range_m.shape) @ _SHADOWING_FACTOR.T)
    noise = generator.normal(0.0, propagation.LEVEL_NOISE_DB, range_m.shape)
    level = eirp - loss + shadowing + noise
    heard = (level >= propagation.SENSITIVITY_DBM) & (generator.random(level.shape) >= propagation.DROPOUT)
    return Events(latitude, longitude, frequency_mhz, range_m, heard, np.where(heard, level, 0.0))
