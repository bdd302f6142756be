"""Curves over all records at once: performance profiles and survival curves, each with a band."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.intervals import DEFAULTS, Bootstrap, Strata, check_values
from pipeline.stats.metrics import Floats


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Arrays [T]: ``share[t]`` of the scores lie above ``thresholds[t]``; ``low`` and ``high`` bound it pointwise."""

    thresholds: Floats
    share: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, kw_only=True)
class SurvivalCurve:
    """Arrays [T]: ``share[t]`` live longer than ``times[t]``, of whom ``num_at_risk[t]`` were watched just before it.

    ``times`` begins with 0 and holds every time at which someone died and the last time anyone was watched;
    between two times the curve is flat. ``low`` and ``high`` bound it pointwise.
    """

    times: Floats
    share: Floats
    low: Floats
    high: Floats
    num_at_risk: NDArray[np.int64]


def performance_profile(
    scores: Floats,
    thresholds: Sequence[float] | Floats,
    generator: np.random.Generator,
    options: Bootstrap = DEFAULTS,
    strata: Strata | None = None,
) -> Profile:
    """Share of ``scores[n]`` above each threshold with percentile bootstrap bands (Agarwal et al. 2021).

    A resampled share is a binomial variate, so the bands need no draws of records: one variate for each resample,
    threshold and stratum.
    """
    scores = check_values(scores)
    limits = np.asarray(thresholds, dtype=np.float64)
    labels = np.zeros(len(scores), dtype=np.int64) if strata is None else strata
    resampled = np.zeros((options.num_resamples, len(limits)))
    for stratum in np.unique(labels):
        members = scores[labels == stratum]
        resampled += generator.binomial(len(members), _share_above(members, limits), size=resampled.shape)
    share = _share_above(scores, limits)
    tail = (1.0 - options.confidence) / 2.0
    low, high = np.quantile(resampled / len(scores), (tail, 1.0 - tail), axis=0)
    return Profile(thresholds=limits, share=share, low=np.minimum(low, share), high=np.maximum(high, share))


def survival_curve(durations: Floats, died: NDArray[np.bool_], confidence: float = 0.95) -> SurvivalCurve:
    """Share that lives longer than each time (Kaplan and Meier 1958).

    ``durations[n]`` is how long record n was watched and ``died[n]`` whether that ended in death; who did not die
    lives for at least that long. The band is pointwise, from Greenwood's variance on the scale log(-log share)
    (Kalbfleisch and Prentice 2002), which keeps it in [0, 1]; where the share is 1 or 0 that scale has no
    band, and the share itself stands for it.
    """
    durations = check_values(durations)
    died = np.asarray(died, dtype=np.bool_)
    if len(died) != len(durations) or durations.min() < 0.0:
        raise ValueError("a survival curve needs a duration of at least 0, and died or not, for every record")
    times = np.unique(np.concatenate([[0.0], durations[died], [durations.max()]]))
    num_at_risk = len(durations) - np.searchsorted(np.sort(durations), times, "left")
    deaths = np.sort(durations[died])
    num_died = np.searchsorted(deaths, times, "right") - np.searchsorted(deaths, times, "left")
    share: Floats = np.cumprod(1.0 - num_died / num_at_risk).astype(np.float64)
    low, high = _log_log_band(share, num_died, num_at_risk, confidence)
    return SurvivalCurve(times=times, share=share, low=low, high=high, num_at_risk=num_at_risk.astype(np.int64))


def _share_above(scores: Floats, thresholds: Floats) -> Floats:
    return 1.0 - np.searchsorted(np.sort(scores), thresholds, "right") / len(scores)


def _log_log_band(
    share: Floats, num_died: NDArray[Any], num_at_risk: NDArray[Any], confidence: float
) -> tuple[Floats, Floats]:
    inner = (share > 0.0) & (share < 1.0)
    left = np.where(inner, num_at_risk - num_died, 1)  # 0 only where the share is 0
    variance = np.cumsum(np.where(inner, num_died / (num_at_risk * left), 0.0))
    logarithm = np.log(np.where(inner, share, 0.5))
    half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * np.sqrt(variance) / np.abs(logarithm)
    low = np.where(inner, np.exp(logarithm * np.exp(half)), share)
    high = np.where(inner, np.exp(logarithm * np.exp(-half)), share)
    return low, high
