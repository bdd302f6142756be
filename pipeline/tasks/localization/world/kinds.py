"""What times of arrival suffer besides their stated errors: reflected paths, wrong clocks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.recipe import Kind

_LATE_NS = 3000.0
_ONE_NS: Mapping[Kind, float] = {"one_late_3us": 3000.0, "one_early_3us": -3000.0, "one_late_30us": 30_000.0}
_EACH_LATE = 0.1  # chance of a receiver
_OFF_FOR_GOOD = 2  # the receiver whose clock is wrong in every record


def draw_kinds(
    kinds: Sequence[Kind] | Mapping[Kind, float], num: int, generator: np.random.Generator
) -> NDArray[np.str_]:
    """A kind for each of ``num`` records: of all alike, or by share."""
    weights = np.array([*kinds.values()] if isinstance(kinds, Mapping) else [1.0] * len(kinds))
    return generator.choice(np.array([*kinds]), num, p=weights / weights.sum())


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
