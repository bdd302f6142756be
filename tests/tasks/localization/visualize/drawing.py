"""Predictions to draw: seeded rows about a few receivers, some wrong, some without a truth."""

from typing import Any

import numpy as np

from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import ellipses
from pipeline.tasks.localization.mixture import told
from pipeline.tasks.localization.rows import Measurement, Prediction

SITES = {"north": (45.5, 7.6), "south": (44.6, 7.9), "east": (45.0, 8.6), "west": (45.1, 7.0), "hill": (45.2, 7.3)}


def measurements(num: int) -> tuple[Measurement, ...]:
    """Of the first ``num`` receivers, levels alone."""
    return tuple(
        Measurement(receiver=name, latitude=latitude, longitude=longitude, altitude_m=300.0, level_dbm=-80.0 - n)
        for n, (name, (latitude, longitude)) in enumerate(list(SITES.items())[:num])
    )


def row(id: str, truth: tuple[float, float] | None, fix: tuple[float, float], **changes: Any) -> Prediction:
    """A fix with an ellipse of 2 km by 1 km, by three receivers."""
    covariance = (4e6, 5e5, 1e6)
    fields: dict[str, Any] = {
        "id": id,
        "model": "m",
        "measurements": measurements(3),
        "frequency_mhz": 145.0,
        "fix_latitude": fix[0],
        "fix_longitude": fix[1],
        "covariance_m2": covariance,
        "ellipses": ellipses(covariance),
    }
    known = {} if truth is None else {"latitude": truth[0], "longitude": truth[1]}
    return Prediction(**(fields | known | changes))


def rows(num: int, seed: int = 0) -> list[Prediction]:
    """``num`` records whose truths lie about their fixes as the ellipses say, heard by three to five receivers."""
    chance = np.random.default_rng(seed)
    made = []
    for n in range(num):
        fix = np.array([chance.uniform(44.6, 45.4), chance.uniform(7.1, 8.5)])
        off = chance.multivariate_normal([0, 0], [[4e6, 5e5], [5e5, 1e6]])
        truth = geo.to_degrees(off, fix)
        heard = measurements(3 + n % 3)
        made.append(
            row(f"r{n}", (float(truth[0]), float(truth[1])), (float(fix[0]), float(fix[1])), measurements=heard)
        )
    return made


def two_branches(id: str) -> Prediction:
    """A mixture of two Gaussians far apart, the truth at the lesser one."""
    parts = [(0.4, -9e3, 2e3, 4e6, 1e6, 1e6), (0.6, 6e3, -3e3, 1e6, -5e5, 2e6)]
    (said,) = told([parts], [(0.0, -1e3)], [(45.0, 7.8)])
    truth = geo.to_degrees([-8.5e3, 2.5e3], (45.0, 7.8))
    return row(id, (float(truth[0]), float(truth[1])), (0, 0), **said)
