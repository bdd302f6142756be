"""Metrics: pure functions of one to three lines from an array of values to a number.

Every metric reduces the LAST axis and keeps the others, so that it takes the values of one sample, ``values[n]``
(the score of record n), as well as many resamples of it, ``values[b, n]`` (record n of resample b).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def trimmed_mean(values: Floats, num_cut: int) -> Any:
    """Mean without the ``num_cut`` lowest and the ``num_cut`` highest values: [..., N] -> [...]."""
    kept = np.sort(values, axis=-1)[..., num_cut : values.shape[-1] - num_cut]
    return kept.mean(axis=-1)


def mean(values: Floats) -> Any:
    """Arithmetic mean: [..., N] -> [...]."""
    return values.mean(axis=-1)


def median(values: Floats) -> Any:
    """Middle value, or the mean of the two middle ones: [..., N] -> [...]."""
    return trimmed_mean(values, num_cut_by_median(values.shape[-1]))


def interquartile_mean(values: Floats) -> Any:
    """Mean of the middle half, [..., N] -> [...]: robust like the median, with less variance (Agarwal et al. 2021).

    A quarter of the values, rounded down, is cut on either side, as `scipy.stats.trim_mean(values, 0.25)` does.
    """
    return trimmed_mean(values, num_cut_by_interquartile_mean(values.shape[-1]))


def interquartile_mean_terms(values: Floats) -> Floats:
    """The terms [..., N] of which the error of the interquartile mean of ``values[..., n]`` is asymptotically the mean
    (Huber and Ronchetti 2009): winsorised values, less their mean, over the share that is kept."""
    num = values.shape[-1]
    cut = num_cut_by_interquartile_mean(num)
    ordered = np.sort(values, axis=-1)
    kept = np.clip(values, ordered[..., cut, None], ordered[..., num - 1 - cut, None])
    terms: Floats = (kept - kept.mean(axis=-1, keepdims=True)) / (1.0 - 2.0 * cut / num)
    return terms


def num_cut_by_mean(num_records: int) -> int:
    """The mean is a trimmed mean that cuts nothing."""
    return 0 * num_records


def num_cut_by_median(num_records: int) -> int:
    """The median is a trimmed mean that leaves one value, or two."""
    return (num_records - 1) // 2


def num_cut_by_interquartile_mean(num_records: int) -> int:
    """The interquartile mean cuts a quarter on either side, rounded down."""
    return num_records // 4
