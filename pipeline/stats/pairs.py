"""Two subjects on the same records, or on their own: differences, ratios, tests, effect sizes.

"Paired" means that ``first[n]`` and ``second[n]`` are scores on the same record n, so that whatever makes a record
hard or easy cancels out. All functions raise ValueError for arrays of different lengths where pairs are needed.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from pipeline.stats import metrics
from pipeline.stats.intervals import (
    CHUNK_ELEMENTS,
    DEFAULTS,
    NUM_CUT,
    NUM_LINEAR,
    Bootstrap,
    Interval,
    Metric,
    Strata,
    bootstrap,
    check_values,
    draw_records,
    linear_terms,
    percentile_interval,
    resample_linear,
)
from pipeline.stats.means import resample_means
from pipeline.stats.medians import NUM_WINDOW, resample_medians
from pipeline.stats.metrics import Floats

MAX_EXACT_RECORDS = 14  # 2**14 sign patterns are fewer than the draws that would be made instead
MIN_TABLE_RECORDS = 2**12  # from so many on, flips are summed by table: `kernels.sums_of_random_subsets`
ROUNDING = 1e-12  # relative: a permuted sum this close to the observed one ties with it


def paired_difference(
    first: Floats,
    second: Floats,
    generator: np.random.Generator,
    options: Bootstrap = DEFAULTS,
    metric: Metric = metrics.mean,
    strata: Strata | None = None,
) -> Interval:
    """metric(first) - metric(second) with the bootstrap interval over resampled pairs: percentile, for the mean any."""
    first, second = _pairs(first, second)
    if metric is metrics.mean:
        return bootstrap(first - second, metrics.mean, generator, options, strata)
    if options.method != "percentile":
        raise ValueError(f"the {options.method} interval of a paired difference is defined here for the mean only")
    if metric in NUM_CUT:
        resampled = _resample_trimmed(first, second, metric, generator, options, strata)
        return percentile_interval(float(metric(first) - metric(second)), resampled, options)
    drawn = draw_records(len(first), generator, options.num_resamples, strata)
    resampled = np.concatenate([metric(first[rows]) - metric(second[rows]) for rows in drawn])
    return percentile_interval(float(metric(first) - metric(second)), resampled, options)


def paired_ratio_of_means(
    first: Floats,
    second: Floats,
    generator: np.random.Generator,
    options: Bootstrap = DEFAULTS,
    strata: Strata | None = None,
) -> Interval:
    """mean(first) / mean(second) with the percentile bootstrap interval over resampled pairs.

    Raises ValueError unless all of ``second`` is positive: a ratio to a mean that may be zero has no interval.
    """
    first, second = _pairs(first, second)
    if second.min() <= 0.0:
        raise ValueError("a ratio of means needs a positive denominator on every record")
    means = resample_means(np.stack([first, second], axis=1), generator, options.num_resamples, strata)
    return percentile_interval(float(first.mean() / second.mean()), means[:, 0] / means[:, 1], options)


def paired_permutation_test(
    first: Floats, second: Floats, generator: np.random.Generator, num_permutations: int = 10_000
) -> float:
    """Two-sided p-value of "the subjects are exchangeable on every record", for the mean difference.

    Flips the signs of the differences (Fisher 1935): all patterns for up to `MAX_EXACT_RECORDS` records, else
    ``num_permutations`` random ones, with the observed one counted among them, so that p is never 0 (Phipson and
    Smyth 2010).
    """
    first, second = _pairs(first, second)
    differences = first - second
    limit = abs(float(differences.sum())) - ROUNDING * float(np.abs(differences).sum())
    if len(differences) <= MAX_EXACT_RECORDS:
        signs = np.array(list(product((1.0, -1.0), repeat=len(differences))))
        return float((np.abs(signs @ differences) >= limit).mean())
    if len(differences) >= MIN_TABLE_RECORDS:
        from pipeline.stats import kernels  # here: loading numba costs more than a test of few records

        sums = np.zeros(num_permutations)
        seeds = generator.integers(2**64, size=num_permutations, dtype=np.uint64)
        kernels.sums_of_random_subsets(differences, np.array([True]), seeds, sums)
        sums = differences.sum() - 2.0 * sums
        return (int(np.count_nonzero(np.abs(sums) >= limit)) + 1) / (num_permutations + 1)
    rows = max(1, CHUNK_ELEMENTS // len(differences))
    num_extreme = 0
    for start in range(0, num_permutations, rows):
        shape = (min(rows, num_permutations - start), -(-len(differences) // 8))
        bits = np.unpackbits(generator.integers(256, size=shape, dtype=np.uint8), axis=1, count=len(differences))
        sums = differences.sum() - 2.0 * (bits.astype(np.float64) @ differences)
        num_extreme += int(np.count_nonzero(np.abs(sums) >= limit))
    return (num_extreme + 1) / (num_permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for having looked at all of them, in their order (Holm 1979): an adjusted value below
    alpha keeps the chance of any false finding among them below alpha."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values, dtype=np.float64)[order]))
    result = np.empty(len(p_values))
    result[order] = adjusted
    return [float(p) for p in result]


def paired_effect_size(first: Floats, second: Floats) -> float:
    """Mean difference in standard deviations of the differences (Cohen 1988, d_z). Raises ValueError when the
    differences do not vary."""
    first, second = _pairs(first, second)
    differences = first - second
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread == 0.0:
        raise ValueError("the effect size is not defined where every record has the same difference")
    return float(differences.mean()) / spread


def probability_of_improvement(first: Floats, second: Floats) -> float:
    """Chance that a random score of ``first[n]`` beats a random one of ``second[m]``, ties counting half (Agarwal et
    al. 2021; Mann and Whitney 1947). Not paired: the lengths may differ."""
    return _chance_to_beat(check_values(first), np.sort(check_values(second)))


def probability_of_improvement_interval(
    first: Floats, second: Floats, generator: np.random.Generator, options: Bootstrap = DEFAULTS
) -> Interval:
    """`probability_of_improvement` with the percentile bootstrap interval, each side resampled by itself."""
    first, second = check_values(first), check_values(second)
    if len(first) + len(second) >= 2 * NUM_LINEAR:
        return _interval_of_many(first, second, generator, options)
    return mean_probability_of_improvement_interval(first[:, None], second[:, None], generator, options)


def mean_probability_of_improvement_interval(
    first: Floats, second: Floats, generator: np.random.Generator, options: Bootstrap = DEFAULTS
) -> Interval:
    """`probability_of_improvement` averaged over tasks, with its percentile bootstrap interval (Agarwal et al. 2021).

    ``first[n, t]`` is the score of run n on task t, ``second[m, t]`` likewise; within each task, each side's runs are
    resampled by themselves. Raises ValueError for no scores, scores that are not finite, and different tasks.
    """
    from pipeline.stats import kernels  # here: loading numba costs more than most intervals

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"two matrices of runs and as many tasks are needed, not shapes {first.shape}, {second.shape}")
    both = check_values(np.concatenate([first, second]).ravel()).reshape(-1, first.shape[1])
    ranks = np.stack([np.unique(scores, return_inverse=True)[1] for scores in both.T])
    resampled = np.empty(options.num_resamples)
    seeds = generator.integers(2**64, size=options.num_resamples, dtype=np.uint64)
    ours, theirs = (np.ascontiguousarray(side) for side in np.split(ranks, [len(first)], axis=1))
    kernels.chances_to_beat(ours, theirs, ranks.max(axis=1) + 1, seeds, resampled)
    value = np.mean([_chance_to_beat(*pair) for pair in zip(first.T, np.sort(second.T), strict=True)])
    return percentile_interval(float(value), resampled, options)


def paired_probability_of_improvement_interval(
    first: Floats,
    second: Floats,
    generator: np.random.Generator,
    options: Bootstrap = DEFAULTS,
    strata: Strata | None = None,
) -> Interval:
    """`probability_of_improvement` of scores on the same records, with the percentile bootstrap interval over records.

    Its error is the mean of a term a record: how often the record's first score beats all second ones, and how often
    its second score is beaten by all first ones (Hoeffding 1948). So what makes a record hard or easy cancels out;
    resampling each side by itself would count it twice. The terms are resampled and added to the log-odds, where the
    interval of few records covers (docs/statistics.md), and which keep it between 0 and 1. Where all scores of one side
    beat all of the other, the interval has no length.
    """
    first, second = _pairs(first, second)
    wins, lost = _twice_beaten(first, second), _twice_beaten(second, first)
    value = float(wins.sum()) / (2.0 * len(first) ** 2)
    if not 0.0 < value < 1.0:
        return percentile_interval(value, np.array([value]), options)
    terms = 1.0 + (wins - lost) / (2.0 * len(first)) - 2.0 * value
    if len(terms) >= MIN_TABLE_RECORDS:
        errors = resample_linear(0.0, terms, generator, options.num_resamples, strata)
    else:
        errors = resample_means(terms[:, None], generator, options.num_resamples, strata)[:, 0]
    log_odds = np.log(value / (1.0 - value)) + errors / (value * (1.0 - value))
    return percentile_interval(value, 0.5 + 0.5 * np.tanh(log_odds / 2.0), options)


def paired_win_rate(first: Floats, second: Floats) -> float:
    """Share of records on which ``first[n]`` beats ``second[n]``, ties counting half."""
    first, second = _pairs(first, second)
    return float((first > second).mean() + 0.5 * (first == second).mean())


def _interval_of_many(first: Floats, second: Floats, generator: np.random.Generator, options: Bootstrap) -> Interval:
    """Of many records the chance to beat is, but for a remainder that falls with their number, the sum of two means:
    over the first side, of the chance to beat the second, and the other way round (Hoeffding 1948)."""
    first, second = np.sort(first), np.sort(second)  # in order the searches are quick
    resampled = np.zeros(options.num_resamples)
    for own, other in ((-second[::-1], -first[::-1]), (first, second)):
        chances = (np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right")) / (2.0 * len(other))
        value = float(chances.mean())
        resampled += resample_linear(0.0, chances - value, generator, options.num_resamples)
    return percentile_interval(value, value + resampled, options)


def _resample_trimmed(
    first: Floats,
    second: Floats,
    metric: Metric,
    generator: np.random.Generator,
    options: Bootstrap,
    strata: Strata | None,
) -> Floats:
    """Differences of trimmed means over resampled pairs: [num_resamples]."""
    from pipeline.stats import kernels  # here: loading numba costs more than most intervals

    if len(first) >= NUM_LINEAR and metric is metrics.interquartile_mean:
        terms = linear_terms(first, metric) - linear_terms(second, metric)
        return resample_linear(float(metric(first) - metric(second)), terms, generator, options.num_resamples, strata)
    if len(first) >= NUM_WINDOW and metric is metrics.median:
        medians = resample_medians(np.stack([first, second], axis=1), generator, options.num_resamples, strata)
        return medians[:, 0] - medians[:, 1]
    values = np.stack([first, second])
    labels = np.zeros(len(first), np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    starts = np.concatenate([[0], np.cumsum(np.bincount(labels))]).astype(np.int64)
    seeds = generator.integers(2**64, size=options.num_resamples, dtype=np.uint64)
    result: Floats = kernels.paired_trimmed_means(
        values,
        np.argsort(values, axis=1, kind="stable"),
        np.argsort(labels, kind="stable"),
        starts,
        NUM_CUT[metric](len(first)),
        seeds,
    )
    return result


def _twice_beaten(own: Floats, other: Floats) -> Floats:
    """Twice how many of ``other`` each of ``own[n]`` beats, ties counting half: [N]."""
    order, other = np.argsort(own), np.sort(other)
    ordered = own[order]  # in order the searches are quick
    counts = np.empty(len(own))
    counts[order] = np.searchsorted(other, ordered, "left") + np.searchsorted(other, ordered, "right")
    return counts


def _chance_to_beat(first: Floats, ordered: Floats) -> float:
    wins_and_ties = np.searchsorted(ordered, first, "left").sum() + np.searchsorted(ordered, first, "right").sum()
    return float(wins_and_ties) / (2.0 * len(first) * len(ordered))


def _pairs(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    first, second = check_values(first), check_values(second)
    if len(first) != len(second):
        raise ValueError(f"pairs need as many records on both sides, not {len(first)} and {len(second)}")
    return first, second


__all__ = [
    "holm",
    "mean_probability_of_improvement_interval",
    "paired_difference",
    "paired_effect_size",
    "paired_permutation_test",
    "paired_probability_of_improvement_interval",
    "paired_ratio_of_means",
    "paired_win_rate",
    "probability_of_improvement",
    "probability_of_improvement_interval",
]
