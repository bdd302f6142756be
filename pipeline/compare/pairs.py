"""Metrics of values by record, of several files over the same records: intervals from shared resamples, and tests.

How resamples are drawn is up to `pipeline.stats`; what makes them shared is that each is drawn from the same state of a
generator, and that what is drawn depends on that state and on the number of records alone, never on the values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.records.measured import STATISTICS, Ints
from pipeline.stats import Floats
from pipeline.stats.intervals import NUM_CUT, NUM_ERRORS, NUM_LINEAR, NUM_WINDOW, Metric, middle, resample_medians

NUM_MANY_PERMUTATIONS = 2_000  # from `NUM_LINEAR` records on: of a million, 0.25 ms each
ROUNDING = 1e-12  # relative: a permuted difference this close to the observed one ties with it
FLIPS, SWAPS = "sign_flips", "swaps"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How intervals and tests are drawn. ``seed`` fixes all of them."""

    num_resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    num_permutations: int = 10_000
    num_pooled_permutations: int = 2_000

    @property
    def bootstrap(self) -> stats.Bootstrap:
        """As `pipeline.stats` takes them."""
        return stats.Bootstrap(num_resamples=self.num_resamples, confidence=self.confidence)

    def generator(self, purpose: str) -> np.random.Generator:
        """Made anew each time, so that all files, and all slices of the same records, have the same resamples."""
        return np.random.default_rng([self.seed, *purpose.encode()])


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def once(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that finds each answer once: the object keeps it, by what was asked."""

    @wraps(method)
    def ask(self: S, /, *asked: P.args, **named: P.kwargs) -> R:
        kept: dict[object, R] = vars(self).setdefault(f"_{method.__name__}_kept", {})
        key = (asked, *named.items())
        if key not in kept:
            kept[key] = method(self, *asked, **named)
        return kept[key]

    return ask


def statistic_of(values: Floats, statistic: str) -> float:
    """The aggregate of ``values[n]``."""
    return float(STATISTICS[statistic](values))


@dataclass
class PairedColumns:
    """Values of all files over the same N records: ``columns[label][name]`` is float64 [N]."""

    columns: Mapping[str, Mapping[str, Floats]]
    strata: Ints | None
    settings: Settings

    @property
    def num_records(self) -> int:
        """N."""
        return len(next(iter(next(iter(self.columns.values())).values())))

    @once
    def value(self, label: str, name: str, statistic: str) -> float:
        """The aggregate of one file."""
        return statistic_of(self.columns[label][name], statistic)

    def resampled(self, label: str, name: str, statistic: str) -> Floats:
        """The aggregate of one file over each resample, which all files and metrics of a kind share: [B]."""
        metric = STATISTICS[statistic]
        if metric is stats.mean and self.num_records < NUM_LINEAR:
            return self._means()[label, name]
        if metric is stats.median and self.num_records >= NUM_WINDOW:
            return self._medians(name)[label]
        return self._drawn(label, name, metric)

    @once
    def chance_to_beat(self, pair: tuple[str, str], name: str) -> stats.Interval:
        """How often any record of the first file has more than any of the second, whatever the statistic."""
        ours, theirs = (self.columns[label][name] for label in pair)
        generator, bootstrap = self.settings.generator("chances"), self.settings.bootstrap
        return stats.paired_probability_of_improvement_interval(ours, theirs, generator, bootstrap, self.strata)

    @once
    def _drawn(self, label: str, name: str, metric: Metric) -> Floats:
        """One column. Given strata (one, if there are none) a resample is drawn record by record, not by rank."""
        strata = np.zeros(self.num_records, np.int64) if self.strata is None else self.strata
        generator = self.settings.generator("records")
        return stats.resample(self.columns[label][name], metric, generator, self.settings.num_resamples, strata)

    @once
    def _means(self) -> dict[tuple[str, str], Floats]:
        """Means of all columns at once, by file and metric."""
        keys = [(label, name) for label, by_name in self.columns.items() for name in by_name]
        stacked = np.stack([self.columns[label][name] for label, name in keys], axis=1)
        generator = self.settings.generator("means")
        means = stats.resample_means(stacked, generator, self.settings.num_resamples, self.strata)
        return {key: means[:, column] for column, key in enumerate(keys)}

    @once
    def _medians(self, name: str) -> dict[str, Floats]:
        """Medians of one metric of all files at once."""
        stacked = np.stack([by_name[name] for by_name in self.columns.values()], axis=1)
        generator = self.settings.generator("medians")
        medians = resample_medians(stacked, generator, self.settings.num_resamples, self.strata)
        return {label: medians[:, column] for column, label in enumerate(self.columns)}


def permutation_test(ours: Floats, theirs: Floats, statistic: str, settings: Settings) -> tuple[float, str]:
    """Two-sided p-value of "the files are exchangeable on every record", for the difference of the aggregates, and how
    it was found. Files that are equal on every record give 1.

    Of very many records, an interquartile mean is tested as the mean of its terms over both files.
    """
    if np.array_equal(ours, theirs):
        return 1.0, FLIPS if STATISTICS[statistic] is stats.mean else SWAPS
    generator, num = settings.generator("permutations"), settings.num_permutations
    if len(ours) >= NUM_LINEAR:
        num = min(num, NUM_MANY_PERMUTATIONS)
    if statistic == "iqm" and len(ours) >= NUM_LINEAR:
        both = stats.interquartile_mean_terms(np.concatenate([ours, theirs]))
        return stats.paired_permutation_test(both[: len(ours)], both[len(ours) :], generator, num), FLIPS
    if STATISTICS[statistic] is stats.mean:
        return stats.paired_permutation_test(ours, theirs, generator, num), FLIPS
    observed = statistic_of(ours, statistic) - statistic_of(theirs, statistic)
    return share_as_large(observed, _swapped(ours, theirs, statistic, generator, num)), SWAPS


def _swapped(ours: Floats, theirs: Floats, statistic: str, generator: np.random.Generator, num: int) -> Floats:
    """Differences of the aggregates after random swaps of records: [num]."""
    from pipeline.stats import kernels  # here: loading numba costs more than small tests

    num_records, below = len(ours), np.zeros((num, 2), np.int64)
    ranks = NUM_CUT[STATISTICS[statistic]](num_records), num_records
    seeds = generator.integers(2**64, size=num, dtype=np.uint64)
    if statistic == "median" and num_records >= NUM_WINDOW:
        ours, theirs, below = _near_middle(ours, theirs, generator, num)
    both = np.concatenate([ours, theirs])
    order = np.argsort(both, kind="stable")
    result = np.empty(num)
    kernels.swapped_differences(both[order], order % len(ours), order >= len(ours), ranks, (seeds, below), result)
    return result


def _near_middle(
    ours: Floats, theirs: Floats, generator: np.random.Generator, num: int
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The pairs with a value near the median of both files, and how many values of each file lie below these in each of
    ``num`` random swaps [num, 2]: of pairs with a value on either side, a binomial number. As
    `pipeline.stats.intervals.resample_medians`.
    """
    both = np.stack([ours, theirs])
    low, high = middle(both.size, NUM_ERRORS * 2.0**0.5)  # swaps move the median of N values, not that of all 2 N
    order = np.argpartition(both.ravel(), sorted({low, high - 1}))
    below, near = np.zeros(both.shape, np.bool_), np.zeros(both.shape, np.bool_)
    below.flat[order[:low]], near.flat[order[low:high]] = True, True
    inside = near.any(axis=0)
    num_either = int(np.count_nonzero(~inside & (below[0] != below[1])))
    num_both = int(np.count_nonzero(~inside & below[0] & below[1]))
    first = generator.binomial(num_either, 0.5, size=num)
    return ours[inside], theirs[inside], num_both + np.stack([first, num_either - first], axis=1)


def share_as_large(observed: float, permuted: Floats) -> float:
    """The share of permuted differences as large as the observed one, which is counted among them (Phipson and Smyth
    2010). What is undefined counts as large."""
    limit = abs(float(observed)) * (1.0 - ROUNDING)
    num_extreme = int(np.count_nonzero(~(np.abs(permuted) < limit)))
    return (num_extreme + 1) / (len(permuted) + 1)
