"""What receivers measured, as arrays: what all solvers work on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.rows import Example, Measurement, Prediction


@dataclass(frozen=True)
class Heard:
    """What N records of up to R receivers measured, float64, NaN where there is nothing.

    ``places`` [N, R, 2] are degrees and ``altitude_m`` [N, R] heights of the receivers, ``level_dbm``, ``arrival_ns``
    and ``sigma_ns`` [N, R] what they measured, ``source_altitude_m`` and ``frequency_mhz`` [N] what is known of the
    transmitter.
    """

    places: Floats
    altitude_m: Floats
    level_dbm: Floats
    arrival_ns: Floats
    sigma_ns: Floats
    source_altitude_m: Floats
    frequency_mhz: Floats

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, which: Any) -> "Heard":
        """The records of a slice, a mask or an array of indices."""
        return Heard(*(column[which] for column in vars(self).values()))

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Which receivers have a place: [N, R]."""
        return np.asarray(np.isfinite(self.places).all(axis=-1))

    @property
    def timed(self) -> NDArray[np.bool_]:
        """Which of them have a place and a time with its standard deviation: [N, R]."""
        return np.asarray(self.placed & np.isfinite(self.arrival_ns) & (self.sigma_ns > 0))

    def as_if_timed(self) -> "Heard":
        """The same receivers, all of which measure times to 1 ns."""
        return replace(self, arrival_ns=np.zeros_like(self.arrival_ns), sigma_ns=np.ones_like(self.sigma_ns))


def heard_of(rows: Sequence[Example | Prediction]) -> Heard:
    """The measurements of rows as arrays. A receiver without a height counts as one on the ellipsoid."""
    num = max([1, *(len(row.measurements) for row in rows)])  # one column at least, where nobody heard anything
    values = np.full((len(rows), num, 6), np.nan)
    for n, row in enumerate(rows):
        if row.measurements:
            values[n, : len(row.measurements)] = [_values(one) for one in row.measurements]
    return Heard(
        places=values[..., :2],
        altitude_m=values[..., 2],
        level_dbm=values[..., 3],
        arrival_ns=values[..., 4],
        sigma_ns=values[..., 5],
        source_altitude_m=_column([row.altitude_m for row in rows]),
        frequency_mhz=_column([row.frequency_mhz for row in rows]),
    )


def _values(one: Measurement) -> list[float]:
    height = 0.0 if one.altitude_m is None else one.altitude_m
    found = (one.latitude, one.longitude, height, one.level_dbm, one.arrival_ns, one.sigma_ns)
    return [math.nan if value is None else value for value in found]


def _column(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values])
