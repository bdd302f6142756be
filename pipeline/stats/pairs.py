"""Two subjects on the same records: tests of their difference, and how often one beats the other.

"Paired" means that ``first[n]`` and ``second[n]`` are scores on the same record n, so that whatever makes a record
hard or easy cancels out. Raises ValueError for arrays of different lengths.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from pipeline.stats.intervals import (
    CHUNK_ELEMENTS,
    DEFAULTS,
    Bootstrap,
    Interval,
    Strata,
    check_values,
    chunks,
    percentile_interval,
    resample_linear,
)
from pipeline.stats.means import resample_means
from pipeline.stats.metrics import Floats

MAX_EXACT_RECORDS = 14  # 2**14 sign patterns are fewer than the draws that would be made instead
MIN_TABLE_RECORDS = 2**12  # from so many on, flips are summed by table: `kernels.sums_of_random_subsets`
ROUNDING = 1e-12  # relative: a permuted sum this close to the observed one ties with it


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
    sums = differences.sum() - 2.0 * _sums_of_random_halves(differences, generator, num_permutations)
    return (int(np.count_nonzero(np.abs(sums) >= limit)) + 1) / (num_permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for having looked at all of them, in their order (Holm 1979): an adjusted value below
    alpha keeps the chance of any false finding among them below alpha."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values, dtype=np.float64)[order]))
    result = np.empty(len(p_values))
    result[order] = adjusted
    return [float(p) for p in result]


def paired_probability_of_improvement_interval(
    first: Floats,
    second: Floats,
    generator: np.random.Generator,
    options: Bootstrap = DEFAULTS,
    strata: Strata | None = None,
) -> Interval:
    """How often any score of ``first`` beats any of ``second``, ties counting half (Mann and Whitney 1947; Agarwal et
    al. 2021), of scores on the same records, with the percentile bootstrap interval over records.

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


def _sums_of_random_halves(values: Floats, generator: np.random.Generator, num: int) -> Floats:
    """Sums of ``num`` subsets of ``values[n]`` in which each is with probability 1/2: [num]."""
    if len(values) < MIN_TABLE_RECORDS:
        drawn = (
            generator.integers(256, size=(rows, -(-len(values) // 8)), dtype=np.uint8)
            for rows in chunks(num, len(values), CHUNK_ELEMENTS)
        )
        bits = (np.unpackbits(octets, axis=1, count=len(values)) for octets in drawn)
        return np.concatenate([chosen.astype(np.float64) @ values for chosen in bits])
    from pipeline.stats import kernels  # here: loading numba costs more than a test of few records

    sums = np.zeros(num)
    seeds = generator.integers(2**64, size=num, dtype=np.uint64)
    kernels.sums_of_random_subsets(values, np.array([True]), seeds, sums)
    return sums


def _twice_beaten(own: Floats, other: Floats) -> Floats:
    """Twice how many of ``other`` each of ``own[n]`` beats, ties counting half: [N]."""
    order, other = np.argsort(own), np.sort(other)
    ordered = own[order]  # in order the searches are quick
    counts = np.empty(len(own))
    counts[order] = np.searchsorted(other, ordered, "left") + np.searchsorted(other, ordered, "right")
    return counts


def _pairs(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    first, second = check_values(first), check_values(second)
    if len(first) != len(second):
        raise ValueError(f"pairs need as many records on both sides, not {len(first)} and {len(second)}")
    return first, second
