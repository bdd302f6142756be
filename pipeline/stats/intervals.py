"""Intervals wrap metrics: the bootstrap for any metric, Wilson's interval for rates.

A resample of N records draws N of them with replacement (Efron 1979). How it is drawn depends on what is asked:

- Mean, median and interquartile mean are trimmed means: of a sorted resample, only the middle counts. N sorted uniform
  variates are the running sums of N + 1 exponential ones over their total (Devroye 1986, V.3), so where the
  middle begins and ends are gamma variates, and between these two the draws of the middle are uniform, in any
  order. Nothing is sorted, and what would be cut is never drawn.
- In strata the same metrics walk over how often each value was drawn (`pipeline.stats.kernels`); medians of many
  records over the values near the middle alone (`pipeline.stats.medians`).
- Means of many columns over the same records share their resamples (`pipeline.stats.means`).
- Any other metric is computed on the drawn values.
- Of `NUM_LINEAR` records or more, mean and interquartile mean are resampled by weights instead of counts. Their error
  is a mean of one term a record, for the interquartile mean but for a remainder that falls with the number of records.
  A resample counts each term 0, 1, 2, ... times, with mean 1, variance 1 and skewness 1; weights of two values with
  mean 1, variance 1 and skewness 1.15 do as well (Mammen 1993; Praestgaard and Wellner 1993) and cost two random bits.

Work is done in chunks, so memory does not grow with the number of resamples. Every function takes a
`numpy.random.Generator` and draws from nothing else: the same generator state, the same interval.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import metrics
from pipeline.stats.medians import NUM_WINDOW, resample_medians
from pipeline.stats.metrics import Floats

Metric = Callable[[Floats], Any]
Strata = NDArray[np.integer[Any]]

CHUNK_ELEMENTS = 2**18  # values drawn at a time: 2 MiB of float64
PRODUCT_ELEMENTS = 2**21  # counts at a time in a matrix product, which reads all columns anew for each chunk
NUM_LINEAR = 2**16  # records; by then the two ways differ by less than 2,000 resamples can tell
_WEIGHT_DIGITS = (False, True)  # 1/4 in binary: the probability of the upper of the two weights
NUM_CUT: dict[Metric, Callable[[int], int]] = {
    metrics.mean: metrics.num_cut_by_mean,
    metrics.median: metrics.num_cut_by_median,
    metrics.interquartile_mean: metrics.num_cut_by_interquartile_mean,
}


@dataclass(frozen=True, kw_only=True)
class Interval:
    """``value`` with the ``confidence`` interval [``low``, ``high``] found by ``method``; low <= value <= high."""

    value: float
    low: float
    high: float
    confidence: float
    method: str


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How to bootstrap. "percentile" takes quantiles of the resampled values; "bca" corrects them for bias and
    acceleration (Efron 1987); "studentized" takes quantiles of each resample's error in its own standard errors (Efron
    1982, bootstrap-t), which is what covers for few records (docs/statistics.md has the figures). The last two are
    defined here for the mean and the interquartile mean of unstratified records."""

    num_resamples: int = 2000
    confidence: float = 0.95
    method: Literal["percentile", "bca", "studentized"] = "percentile"

    def __post_init__(self) -> None:
        if self.num_resamples < 1:
            raise ValueError(f"num_resamples must be at least 1, not {self.num_resamples}")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence must be between 0 and 1, not {self.confidence}")


DEFAULTS = Bootstrap()


def bootstrap(
    values: Floats,
    metric: Metric,
    generator: np.random.Generator,
    options: Bootstrap = DEFAULTS,
    strata: Strata | None = None,
) -> Interval:
    """The metric of ``values[n]`` (the score of record n) with its bootstrap interval.

    ``strata[n]`` names the stratum of record n; each stratum is resampled by itself and keeps its size. Raises
    ValueError for no values, for values that are not finite, and where the method is not defined.
    """
    values = check_values(values)
    if options.method != "percentile" and strata is not None:
        raise ValueError(f"the {options.method} interval is defined here for unstratified records only")
    if options.method == "studentized":
        return _studentized_interval(values, metric, generator, options)
    resampled = resample(values, metric, generator, options.num_resamples, strata)
    value = float(metric(values))
    if options.method == "percentile":
        return percentile_interval(value, resampled, options)
    return _bca_interval(value, resampled, _jackknife(values, metric), options)


def resample(
    values: Floats, metric: Metric, generator: np.random.Generator, num: int, strata: Strata | None = None
) -> Floats:
    """The metric of ``num`` resamples of ``values[n]``: [num]."""
    if len(values) >= NUM_LINEAR and metric in (metrics.mean, metrics.interquartile_mean):
        return resample_linear(float(metric(values)), linear_terms(values, metric), generator, num, strata)
    if metric in NUM_CUT:
        num_cut = NUM_CUT[metric](len(values))
        if strata is None:
            return _resample_trimmed_mean(values, num_cut, generator, num)
        if metric is metrics.median and len(values) >= NUM_WINDOW:
            return resample_medians(values[:, None], generator, num, strata)[:, 0]
        return _resample_stratified(values, num_cut, generator, num, strata)
    chunks = draw_records(len(values), generator, num, strata)
    return np.concatenate([np.asarray(metric(values[drawn]), dtype=np.float64) for drawn in chunks])


def linear_terms(values: Floats, metric: Metric) -> Floats:
    """The terms [..., N] of which the error of a mean or an interquartile mean is the mean."""
    if metric is metrics.mean:
        centred: Floats = values - values.mean(axis=-1, keepdims=True)
        return centred
    return metrics.interquartile_mean_terms(values)


def resample_linear(
    value: float, terms: Floats, generator: np.random.Generator, num: int, strata: Strata | None = None
) -> Floats:
    """``num`` resamples of a figure of many records whose error is the mean of ``terms[n]``: [num]."""
    from pipeline.stats import kernels  # here: loading numba costs more than most intervals

    means = np.full(1, terms.mean())
    labels = np.zeros(len(terms), np.int64)
    if strata is not None:
        labels = np.unique(strata, return_inverse=True)[1]
        means = np.bincount(labels, terms) / np.bincount(labels)
    chance = float(sum(2.0 ** -(place + 1) for place, digit in enumerate(_WEIGHT_DIGITS) if digit))
    sums = np.zeros(num)
    seeds = generator.integers(2**64, size=num, dtype=np.uint64)
    kernels.sums_of_random_subsets(terms - means[labels], np.array(_WEIGHT_DIGITS), seeds, sums)
    resampled: Floats = value + sums / np.sqrt(chance * (1.0 - chance)) / len(terms)
    return resampled


def draw_records(
    num_records: int,
    generator: np.random.Generator,
    num: int,
    strata: Strata | None = None,
    num_elements: int = CHUNK_ELEMENTS,
) -> Iterator[NDArray[np.int64]]:
    """Indices of the records of ``num`` resamples, in chunks [rows, N] whose rows add up to ``num``."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)] if strata is not None else None
    for rows in _chunks(num, num_records, num_elements):
        if members is None or len(members) == 1:
            yield generator.integers(num_records, size=(rows, num_records))
        else:
            yield np.concatenate([m[generator.integers(len(m), size=(rows, len(m)))] for m in members], axis=1)


def draw_counts(
    num_records: int,
    generator: np.random.Generator,
    num: int,
    strata: Strata | None = None,
    num_elements: int = CHUNK_ELEMENTS,
) -> Iterator[NDArray[np.int32]]:
    """How often each record is in each of ``num`` resamples, in chunks [rows, N] whose rows add up to ``num``."""
    for drawn in draw_records(num_records, generator, num, strata, num_elements):
        places = drawn + np.arange(len(drawn))[:, None] * num_records
        counts = np.bincount(places.ravel(), minlength=len(drawn) * num_records)
        yield counts.reshape(len(drawn), num_records).astype(np.int32)


def percentile_interval(value: float, resampled: Floats, options: Bootstrap) -> Interval:
    """Interval between the quantiles of ``resampled[b]`` (the metric of resample b) (Efron 1979)."""
    tail = (1.0 - options.confidence) / 2.0
    return _interval_between(value, resampled, (tail, 1.0 - tail), options, "bootstrap_percentile")


def wilson(num_events: int, num_records: int, confidence: float = 0.95) -> Interval:
    """The rate num_events / num_records with its score interval (Wilson 1927), which stays inside [0, 1] and does
    not collapse when no record, or every record, has the event. Raises ValueError for no records."""
    if not 0 <= num_events <= num_records or num_records == 0:
        raise ValueError(f"{num_events} events of {num_records} records is no rate")
    value = num_events / num_records
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    centre = (num_events + z * z / 2.0) / (num_records + z * z)
    half = z / (num_records + z * z) * (num_events * (1.0 - value) + z * z / 4.0) ** 0.5
    low, high = min(max(0.0, centre - half), value), max(min(1.0, centre + half), value)
    return Interval(value=value, low=low, high=high, confidence=confidence, method="wilson")


def check_values(values: Floats) -> Floats:
    """The values as float64 [N]. Raises ValueError when they are none, not one-dimensional or not finite."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"an interval needs one value a record and at least one record, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"value of record {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite")
    return values


def _chunks(num: int, num_drawn: int, num_elements: int) -> Iterator[int]:
    """Sizes of chunks of resamples that add up to ``num``, each of about ``num_elements`` draws in all."""
    rows = max(1, num_elements // num_drawn)
    for start in range(0, num, rows):
        yield min(rows, num - start)


def _resample_trimmed_mean(values: Floats, num_cut: int, generator: np.random.Generator, num: int) -> Floats:
    """Trimmed means of ``num`` resamples: [num]. The draws at ranks ``num_cut`` + 1 to N - ``num_cut`` are made."""
    ordered = np.sort(values)
    num_kept = len(ordered) - 2 * num_cut
    parts = []
    for rows in _chunks(num, num_kept, CHUNK_ELEMENTS):
        below, kept, above = (generator.standard_gamma(size, (rows, 1)) for size in (num_cut, num_kept + 1, num_cut))
        scale = len(ordered) / (below + kept + above)
        draws = generator.random((rows, num_kept))
        draws *= kept * scale
        draws += below * scale
        parts.append(ordered.take(draws.astype(np.int64), mode="clip").mean(axis=1))
    return np.concatenate(parts)


def _resample_stratified(
    values: Floats, num_cut: int, generator: np.random.Generator, num: int, strata: Strata
) -> Floats:
    """Trimmed means of ``num`` stratified resamples: [num]."""
    from pipeline.stats import kernels  # here: loading numba costs more than most intervals

    order = np.argsort(values, kind="stable")
    position = np.empty_like(order)
    position[order] = np.arange(len(values))
    by_stratum = np.argsort(strata, kind="stable")
    sizes = np.unique(strata, return_counts=True)[1]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    seeds = generator.integers(2**64, size=num, dtype=np.uint64)
    result = np.empty(num)
    kernels.trimmed_means_of_strata(values[order], position[by_stratum], starts, num_cut, seeds, result)
    return result


def _jackknife(values: Floats, metric: Metric) -> Floats:
    """The metric without record n, in the order of the sorted values: [N]."""
    if metric not in (metrics.mean, metrics.interquartile_mean):
        raise ValueError(f"the BCa interval is not defined here for {getattr(metric, '__name__', metric)}")
    num_left = len(values) - 1
    num_cut = NUM_CUT[metric](num_left)
    sums = np.concatenate([[0.0], np.cumsum(np.sort(values))])
    removed = np.arange(len(values))
    # Without record n, the kept ranks [cut, left - cut) of the rest are these ranks of the whole, less record n.
    low = num_cut + (removed < num_cut)
    high = num_left - num_cut + (removed < num_left - num_cut)
    inside = np.where((removed >= low) & (removed < high), np.diff(sums), 0.0)
    kept: Floats = (sums[high] - sums[low] - inside) / max(1, num_left - 2 * num_cut)
    return kept


def _bca_interval(value: float, resampled: Floats, jackknife: Floats, options: Bootstrap) -> Interval:
    normal = NormalDist()
    num = len(resampled)
    below = (np.count_nonzero(resampled < value) + np.count_nonzero(resampled <= value)) / (2 * num)
    bias = normal.inv_cdf(min(max(below, 0.5 / num), 1.0 - 0.5 / num))
    deviations = jackknife.mean() - jackknife
    largest = float(np.abs(deviations).max())
    deviations = deviations / largest if largest > 0.0 else deviations  # else cubes of small numbers underflow to 0 / 0
    spread = float((deviations**2).sum())
    acceleration = float((deviations**3).sum()) / (6.0 * spread**1.5) if spread > 0.0 else 0.0
    tail = (1.0 - options.confidence) / 2.0
    shifted = [bias + normal.inv_cdf(quantile) for quantile in (tail, 1.0 - tail)]
    low, high = (normal.cdf(bias + z / (1.0 - acceleration * z)) for z in shifted)
    return _interval_between(value, resampled, (low, high), options, "bootstrap_bca")


def _studentized_interval(
    values: Floats, metric: Metric, generator: np.random.Generator, options: Bootstrap
) -> Interval:
    if metric not in (metrics.mean, metrics.interquartile_mean):
        raise ValueError(f"the studentized interval is not defined here for {getattr(metric, '__name__', metric)}")
    value, spread = float(metric(values)), float(linear_terms(values, metric).std())
    parts = []
    for rows in draw_records(len(values), generator, options.num_resamples):
        drawn = values[rows]
        spreads = linear_terms(drawn, metric).std(axis=-1)
        usable = spreads > 1e-12 * spread  # a resample of equal records has no standard error
        parts.append((metric(drawn)[usable] - value) / spreads[usable])
    errors = np.concatenate(parts)
    resampled = value - spread * errors if len(errors) else np.array([value])
    tail = (1.0 - options.confidence) / 2.0
    return _interval_between(value, resampled, (tail, 1.0 - tail), options, "bootstrap_studentized")


def _interval_between(
    value: float, resampled: Floats, quantiles: tuple[float, float], options: Bootstrap, method: str
) -> Interval:
    """Widened to hold the value where rounding, or an extreme skew, would leave it outside: whoever draws error bars
    from the interval needs both lengths to be positive."""
    low, high = (float(edge) for edge in np.quantile(resampled, quantiles))
    return Interval(
        value=value, low=min(low, value), high=max(high, value), confidence=options.confidence, method=method
    )
