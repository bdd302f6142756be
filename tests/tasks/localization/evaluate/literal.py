"""Predictions for tests of evaluate, from a few numbers."""

from collections.abc import Sequence

import numpy as np

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.mixture import told
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from pipeline.tasks.localization.world.propagation import ALTITUDE_M, path_loss_db
from pipeline.tasks.localization.world.receivers import SITES, places_m, ranges_m

CENTRE = (45.0, 8.0)


def predictions(offsets: Floats, sigma_m: float, prefix: str = "r") -> list[Prediction]:
    """Circular Gaussians of ``sigma_m`` about the centre, whose truths lie at ``offsets`` [N, 2] from it."""
    (fields,) = told([[(1.0, 0.0, 0.0, sigma_m**2, 0.0, sigma_m**2)]], [(0.0, 0.0)], [CENTRE])
    return [
        Prediction(
            id=f"{prefix}{n}",
            model="m",
            measurements=(),
            latitude=float(truth[0]),
            longitude=float(truth[1]),
            **fields,
        )
        for n, truth in enumerate(geo.to_degrees(offsets, CENTRE))
    ]


def drawn(num: int, spread_m: float, seed: int) -> Floats:
    """Offsets [num, 2] of a circular Gaussian."""
    return np.random.default_rng(seed).normal(0, spread_m, (num, 2))


def heard_levels(source: tuple[float, float], exponent: float = 3.0, power_dbm: float = 43.0) -> Example:
    """A transmission whose levels at all sites of the world are those of the path loss alone."""
    ranges = ranges_m(source, ALTITUDE_M, places_m(SITES))
    altitudes = np.array([site.altitude_m for site in SITES])
    levels = power_dbm - path_loss_db(ranges, 145.0, exponent, altitudes)
    measurements: Sequence[Measurement] = [
        Measurement(
            receiver=site.name,
            latitude=site.latitude,
            longitude=site.longitude,
            altitude_m=site.altitude_m,
            level_dbm=float(level),
        )
        for site, level in zip(SITES, levels, strict=True)
    ]
    return Example(
        id="a",
        measurements=tuple(measurements),
        frequency_mhz=145.0,
        altitude_m=ALTITUDE_M,
        latitude=source[0],
        longitude=source[1],
    )
