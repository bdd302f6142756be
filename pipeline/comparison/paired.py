"""Metrics of values by record, of several files over the same records: intervals from shared resamples, and tests.

Up to `MAX_DRAWN` records every resample draws records. Beyond, a mean is resampled by groups of records
(`pipeline.comparison.grouped`), and a median or interquartile mean as the mean of its influence values: what each
record adds to it, to first order in 1 / N (Huber 1981; for trimmed means: the value cut to the kept range).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline import stats
from pipeline.comparison import grouped
from pipeline.comparison.reading import Ints
from pipeline.stats import Floats
from pipeline.stats.intervals import NUM_CUT, Metric

MAX_DRAWN = 50_000
STATISTICS: Mapping[str, Metric] = {
    "mean": stats.mean,
    "rate": stats.mean,
    "median": stats.median,
    "iqm": stats.interquartile_mean,
}
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


def statistic_of(values: Floats, statistic: str) -> float:
    """The aggregate of ``values[n]``."""
    return float(STATISTICS[statistic](values))


@dataclass
class PairedColumns:
    """Values of all files over the same N records: ``columns[label][name]`` is float64 [N].

    `resampled` and `difference` share their resamples for all files and metrics.
    """

    columns: Mapping[str, Mapping[str, Floats]]
    strata: Ints | None
    settings: Settings
    _resampled: dict[tuple[str, str, str], Floats] = field(default_factory=dict)
    _values: dict[tuple[str, str, str], float] = field(default_factory=dict)

    @property
    def num_records(self) -> int:
        """N."""
        return len(next(iter(next(iter(self.columns.values())).values())))

    def value(self, label: str, name: str, statistic: str) -> float:
        """The aggregate of one file."""
        key = (label, name, statistic)
        if key not in self._values:
            self._values[key] = statistic_of(self.columns[label][name], statistic)
        return self._values[key]

    def resampled(self, label: str, name: str, statistic: str) -> Floats:
        """The aggregate of one file over each resample: [B]."""
        key = (label, name, statistic)
        if key not in self._resampled:
            self._draw(name, statistic)
        return self._resampled[key]

    def difference(self, label: str, baseline: str, name: str, statistic: str) -> Floats:
        """The difference of two files' aggregates over each resample: [B]."""
        if self.num_records <= MAX_DRAWN:
            return self.resampled(label, name, statistic) - self.resampled(baseline, name, statistic)
        ours, theirs = self.columns[label][name], self.columns[baseline][name]
        values = influence(ours, statistic) - influence(theirs, statistic)
        return self._grouped(values)

    def _draw(self, name: str, statistic: str) -> None:
        """Resample a metric of every file."""
        if self.num_records > MAX_DRAWN:
            for label, by_name in self.columns.items():
                self._resampled[label, name, statistic] = self._grouped(influence(by_name[name], statistic))
        elif STATISTICS[statistic] is stats.mean:
            self._draw_means()
        else:
            strata = np.zeros(self.num_records, np.int64) if self.strata is None else self.strata
            for label, by_name in self.columns.items():
                # In strata, what is drawn depends on the generator and not on the values: the same records each time.
                generator = self.settings.generator("records")
                metric, num = STATISTICS[statistic], self.settings.num_resamples
                self._resampled[label, name, statistic] = stats.resample(by_name[name], metric, generator, num, strata)

    def _draw_means(self) -> None:
        """Means of all columns at once, over the same resamples."""
        keys = [(label, name) for label, by_name in self.columns.items() for name in by_name]
        stacked = np.stack([self.columns[label][name] for label, name in keys], axis=1)
        generator = self.settings.generator("means")
        means = stats.resample_means(stacked, generator, self.settings.num_resamples, self.strata)
        for column, (label, name) in enumerate(keys):
            for statistic in ("mean", "rate"):
                self._resampled[label, name, statistic] = means[:, column]

    def _grouped(self, values: Floats) -> Floats:
        generator = self.settings.generator("groups")
        return grouped.resample_mean(values, generator, self.settings.num_resamples, self.strata)


def influence(values: Floats, statistic: str) -> Floats:
    """Values whose mean is the aggregate, and that vary over records as the aggregate does over resamples: [N].

    The mean's are the values. A trimmed mean's are the values cut to the range of those that are kept, over the share
    that is kept; a median keeps one or two of N and has no such range: it is taken as the trimmed mean that keeps the
    middle N ** -0.5 of the records.
    """
    num_records = len(values)
    num_cut = NUM_CUT[STATISTICS[statistic]](num_records)
    if num_cut == 0:
        return values
    if statistic == "median":
        num_cut = min(num_cut, int((num_records - num_records**0.5) / 2))
    ordered = np.partition(values, [num_cut, num_records - 1 - num_cut])
    cut = np.clip(values, ordered[num_cut], ordered[num_records - 1 - num_cut])
    kept = 1.0 - 2.0 * num_cut / num_records
    centred: Floats = (cut - cut.mean()) / kept
    return centred + statistic_of(values, statistic)


def permutation_test(ours: Floats, theirs: Floats, statistic: str, settings: Settings) -> tuple[float, str]:
    """Two-sided p-value of "the files are exchangeable on every record", for the difference of the aggregates, and how
    it was found. Files that are equal on every record give 1."""
    if np.array_equal(ours, theirs):
        return 1.0, FLIPS if STATISTICS[statistic] is stats.mean else SWAPS
    generator, num = settings.generator("permutations"), settings.num_permutations
    if len(ours) > MAX_DRAWN:
        both = influence(np.concatenate([ours, theirs]), statistic)
        differences = both[: len(ours)] - both[len(ours) :]
        return share_as_large(differences.sum(), grouped.flip_signs(differences, generator, num)), FLIPS
    if STATISTICS[statistic] is stats.mean:
        return stats.paired_permutation_test(ours, theirs, generator, num), FLIPS
    observed = statistic_of(ours, statistic) - statistic_of(theirs, statistic)
    return share_as_large(observed, _swapped(ours, theirs, statistic, generator, num)), SWAPS


def _swapped(ours: Floats, theirs: Floats, statistic: str, generator: np.random.Generator, num: int) -> Floats:
    """Differences of the aggregates after random swaps of records: [num]."""
    from pipeline.comparison.kernels import swapped_differences  # here: loading numba costs more than small tests

    both = np.concatenate([ours, theirs])
    order = np.argsort(both, kind="stable")
    result = np.empty(num)
    seeds = generator.integers(2**64, size=num, dtype=np.uint64)
    num_cut = NUM_CUT[STATISTICS[statistic]](len(ours))
    swapped_differences(both[order], order % len(ours), order >= len(ours), num_cut, seeds, result)
    return result


def share_as_large(observed: float, permuted: Floats) -> float:
    """The share of permuted differences as large as the observed one, which is counted among them (Phipson and Smyth
    2010). What is undefined counts as large."""
    limit = abs(float(observed)) * (1.0 - ROUNDING)
    num_extreme = int(np.count_nonzero(~(np.abs(permuted) < limit)))
    return (num_extreme + 1) / (len(permuted) + 1)
