"""Intervals wrap metrics: the bootstrap for mean, median and interquartile mean, Wilson's interval for rates.

A resample of N records draws N of them with replacement (Efron 1979). How it is drawn depends on what is asked:

- Mean, median and interquartile mean are trimmed means: of a sorted resample, only the middle counts. N sorted uniform
  variates are the running sums of N + 1 exponential ones over their total (Devroye 1986, V.3), so where the
  middle begins and ends are gamma variates, and between these two the draws of the middle are uniform, in any
  order. Nothing is sorted, and what would be cut is never drawn.
- In strata the same metrics walk over how often each value was drawn (`pipeline.stats.kernels`).
- Of `NUM_WINDOW` records or more, medians in strata, and those of several columns, walk over the values near the middle
  alone. The median of a resample is near that of the records: of N draws, the number below a value that has a share q
  of the records below it is binomial, with a standard deviation of at most sqrt(N) / 2. So of the records that are
  further than `NUM_ERRORS` of these from the middle, only how many are drawn below and above matters, which is one
  multinomial draw for all of them; the others, some 8 sqrt(N), are drawn one by one. That is the bootstrap itself, not
  an approximation of it, but for resamples whose median leaves that window: one in 10^14.
- Means of many columns over the same records share their resamples (`pipeline.stats.means`).
- Of `NUM_LINEAR` records or more, mean and interquartile mean are resampled by weights instead of counts. Their error
  is a mean of one term a record, for the interquartile mean but for a remainder that falls with the number of records.
  A resample counts each term 0, 1, 2, ... times, with mean 1, variance 1 and skewness 1; weights of two values with
  mean 1, variance 1 and skewness 1.15 do as well (Mammen 1993; Praestgaard and Wellner 1993) and cost two random bits.

Work is done in chunks, so memory does not grow with the number of resamples. Every function takes a
`numpy.random.Generator` and draws from nothing else: the same generator state, the same interval.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import metrics
from pipeline.stats.metrics import Floats

Metric = Callable[[Floats], Any]
Strata = NDArray[np.integer[Any]]

CHUNK_ELEMENTS = 2**18  # values drawn at a time: 2 MiB of float64
PRODUCT_ELEMENTS = 2**21  # counts at a time in a matrix product, which reads all columns anew for each chunk
CELL_ELEMENTS = 2**20  # numbers of draws from a cell at a time (`_draw_cells`): 8 MiB
NUM_WINDOW = 2**12  # records: of fewer, all of them are drawn in a few milliseconds
NUM_ERRORS = 8.0  # standard deviations of a resample's median from the middle to either end of the window
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

    @classmethod
    def around(cls, value: float, low: float, high: float, confidence: float, method: str) -> Self:
        """Widened to hold the value where rounding, or an extreme skew, would leave it outside: whoever draws error
        bars from the interval needs both lengths to be positive, and wider stays right."""
        return cls(value=value, low=min(low, value), high=max(high, value), confidence=confidence, method=method)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How many resamples, and of which ``confidence`` the interval between their quantiles is."""

    num_resamples: int = 2000
    confidence: float = 0.95

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
    ValueError for no values and for values that are not finite.
    """
    values = check_values(values)
    resampled = resample(values, metric, generator, options.num_resamples, strata)
    return percentile_interval(float(metric(values)), resampled, options)


def percentile_interval(value: float, resampled: Floats, options: Bootstrap) -> Interval:
    """Interval between the quantiles of ``resampled[b]`` (the metric of resample b) (Efron 1979)."""
    tail = (1.0 - options.confidence) / 2.0
    low, high = (float(edge) for edge in np.quantile(resampled, (tail, 1.0 - tail)))
    return Interval.around(value, low, high, options.confidence, "bootstrap_percentile")


def wilson(num_events: int, num_records: int, confidence: float = 0.95) -> Interval:
    """The rate num_events / num_records with its score interval (Wilson 1927), which stays inside [0, 1] and does
    not collapse when no record, or every record, has the event. Raises ValueError for no records."""
    if not 0 <= num_events <= num_records or num_records == 0:
        raise ValueError(f"{num_events} events of {num_records} records is no rate")
    value = num_events / num_records
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    centre = (num_events + z * z / 2.0) / (num_records + z * z)
    half = z / (num_records + z * z) * (num_events * (1.0 - value) + z * z / 4.0) ** 0.5
    return Interval.around(value, max(0.0, centre - half), min(1.0, centre + half), confidence, "wilson")


def quantile(values: Floats, share: float, confidence: float = 0.95) -> Interval:
    """The least of ``values`` [N] that at least ``share`` of them do not exceed; the bounds are two other values.

    How many values lie below the true quantile is binomial, here in its normal limit (Conover, Practical Nonparametric
    Statistics, 1999, chapter 3.2). Where there are too few values for a bound, it is the least or the largest of them.
    Raises ValueError for no values.
    """
    ordered = np.sort(check_values(values))
    num = len(ordered)
    half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * (num * share * (1.0 - share)) ** 0.5
    ranks = (math.ceil(num * share + offset) for offset in (0.0, -half, half))
    value, low, high = (float(ordered[min(max(rank, 1), num) - 1]) for rank in ranks)
    return Interval.around(value, low, high, confidence, "order_statistics")


def check_values(values: Floats) -> Floats:
    """The values as float64 [N]. Raises ValueError when they are none, not one-dimensional or not finite."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"an interval needs one value a record and at least one record, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"value of record {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite")
    return values


def resample(
    values: Floats, metric: Metric, generator: np.random.Generator, num: int, strata: Strata | None = None
) -> Floats:
    """A mean, median or interquartile mean of ``num`` resamples of ``values[n]``: [num]."""
    if len(values) >= NUM_LINEAR and metric is not metrics.median:
        terms = values - values.mean() if metric is metrics.mean else metrics.interquartile_mean_terms(values)
        return resample_linear(float(metric(values)), terms, generator, num, strata)
    num_cut = NUM_CUT[metric](len(values))
    if strata is None:
        return _resample_trimmed_mean(values, num_cut, generator, num)
    if metric is metrics.median and len(values) >= NUM_WINDOW:
        return resample_medians(values[:, None], generator, num, strata)[:, 0]
    return _resample_stratified(values, num_cut, generator, num, strata)


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


def resample_medians(columns: Floats, generator: np.random.Generator, num: int, strata: Strata | None = None) -> Floats:
    """Medians of ``columns[n, c]`` (column c of record n) over ``num`` resamples of the records: [num, C].

    The columns share each resample, so that differences of their medians are those of paired records. Each stratum is
    resampled by itself and keeps its size.
    """
    from pipeline.stats import kernels  # here: loading numba costs more than most intervals

    num_records, num_columns = columns.shape
    labels = np.zeros(num_records, np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    below, near = _places(columns)
    inside = np.flatnonzero(near.any(axis=1))
    inside = inside[np.argsort(labels[inside], kind="stable")]
    outside = np.flatnonzero(~near.any(axis=1))
    cells, sizes = np.unique(np.column_stack([labels[outside], below[outside]]), axis=0, return_counts=True)
    values = np.ascontiguousarray(columns[inside].T)
    starts = np.searchsorted(labels[inside], np.arange(labels.max() + 2))
    result = np.empty((num, num_columns))
    done = 0
    for num_inside, num_below in _draw_cells(labels, cells, sizes, generator, num):
        seeds = generator.integers(2**64, size=len(num_inside), dtype=np.uint64)
        kernels.medians_of_middle(
            values,
            np.argsort(values, axis=1, kind="stable"),
            starts,
            (seeds, num_inside, num_below),
            (metrics.num_cut_by_median(num_records), num_records),
            result[done : done + len(num_inside)],
        )
        done += len(num_inside)
    return result


def middle(num_values: int, num_errors: float) -> tuple[int, int]:
    """The ranks from and to (not included) which so many standard deviations sqrt(N) / 2 around the middle reach."""
    width = math.ceil(num_errors * math.sqrt(num_values) / 2.0) + 1
    return max(0, num_values // 2 - width), min(num_values, num_values // 2 + width)


def draw_records(
    num_records: int,
    generator: np.random.Generator,
    num: int,
    strata: Strata | None = None,
    num_elements: int = CHUNK_ELEMENTS,
) -> Iterator[NDArray[np.int64]]:
    """Indices of the records of ``num`` resamples, in chunks [rows, N] whose rows add up to ``num``."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)] if strata is not None else None
    for rows in chunks(num, num_records, num_elements):
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


def chunks(num: int, num_drawn: int, num_elements: int) -> Iterator[int]:
    """Sizes of chunks of resamples that add up to ``num``, each of about ``num_elements`` draws in all."""
    rows = max(1, num_elements // num_drawn)
    for start in range(0, num, rows):
        yield min(rows, num - start)


def _resample_trimmed_mean(values: Floats, num_cut: int, generator: np.random.Generator, num: int) -> Floats:
    """Trimmed means of ``num`` resamples: [num]. The draws at ranks ``num_cut`` + 1 to N - ``num_cut`` are made."""
    ordered = np.sort(values)
    num_kept = len(ordered) - 2 * num_cut
    parts = []
    for rows in chunks(num, num_kept, CHUNK_ELEMENTS):
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


def _places(columns: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which values [N, C] lie below the window around the median of their column, and which in it."""
    low, high = middle(len(columns), NUM_ERRORS)
    below, near = np.zeros(columns.shape, np.bool_), np.zeros(columns.shape, np.bool_)
    for column in range(columns.shape[1]):
        order = np.argpartition(columns[:, column], sorted({low, high - 1}))
        below[order[:low], column] = True
        near[order[low:high], column] = True
    return below, near


def _draw_cells(
    labels: NDArray[np.int64],
    cells: NDArray[np.int64],
    sizes: NDArray[np.int64],
    generator: np.random.Generator,
    num: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of resamples, in chunks: how many records near the middle are drawn of each stratum [rows, S], and how many of
    the others lie below the window of each column [rows, C].

    ``cells[k]`` are a stratum and, for each column, whether the ``sizes[k]`` records of the cell lie below its window.
    """
    totals = np.bincount(labels)
    for count in chunks(num, len(sizes) + 1, CELL_ELEMENTS):
        num_inside = np.empty((count, len(totals)), np.int64)
        num_below = np.zeros((count, cells.shape[1] - 1), np.int64)
        for stratum, total in enumerate(totals):
            own = cells[:, 0] == stratum
            # Those near the middle first: what rounding leaves over falls to the last cell, and they may be none.
            shares = np.append(total - sizes[own].sum(), sizes[own]) / total
            drawn = generator.multinomial(total, shares, size=count)
            num_inside[:, stratum] = drawn[:, 0]
            num_below += drawn[:, 1:] @ cells[own, 1:]
        yield num_inside, num_below
