"""Compiled loops of the bootstrap. Imported only where they are used: numba takes a while to load."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.stats.metrics import Floats


@njit(cache=True, error_model="numpy")
def trimmed_means_of_strata(
    ordered: Floats,
    position: NDArray[np.int64],
    starts: NDArray[np.int64],
    num_cut: int,
    seeds: NDArray[np.uint64],
    result: Floats,
) -> None:
    """Fill ``result[b]`` with the trimmed mean of a stratified resample, all drawn from ``seeds[b]``.

    ``ordered[n]`` are all values in rising order. ``position[k]`` is where in it the k-th record stands, with the
    records lined up by stratum: stratum s has those from ``starts[s]`` to before ``starts[s + 1]``. A resample is how
    often each value was drawn, and a walk over the counts adds up those that are not cut: no sorting.

    SplitMix64 (Steele, Lea and Flood 2014) draws; each of its numbers is split into two of 32 bits, which are scaled to
    the stratum's size M. That favours some records by at most M / 2**32.
    """
    num_records = len(ordered)
    counts = np.zeros(num_records, dtype=np.int64)
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    for b in range(len(result)):
        state = seeds[b]
        for s in range(len(starts) - 1):
            start, size = starts[s], np.uint64(starts[s + 1] - starts[s])
            for draw in range(0, starts[s + 1] - start, 2):
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits ^= bits >> np.uint64(31)
                counts[position[start + np.int64(((bits & mask) * size) >> half)]] += 1
                if draw + 1 < starts[s + 1] - start:
                    counts[position[start + np.int64(((bits >> half) * size) >> half)]] += 1
        total, rank = 0.0, 0
        for i in range(num_records):
            after = rank + counts[i]
            total += ordered[i] * max(0, min(after, num_records - num_cut) - max(rank, num_cut))
            rank = after
            counts[i] = 0
        result[b] = total / (num_records - 2 * num_cut)


@njit(cache=True, error_model="numpy")
def bet_on_means(values: Floats, stakes: Floats, means: Floats, capital: Floats, needed: float) -> int:
    """Bet ``stakes[k, n]`` that ``values[n]`` is above each of the rising ``means[g]``; how many of them are refuted.

    A mean is refuted as soon as the average over k of ``capital[k, g]`` (1 before the first record; changed in place)
    is ``needed``. At most half of a capital is at stake, so it stays positive: the truncation c = 1/2 of Waudby-Smith
    and Ramdas (2024). It falls as the mean rises, so that the lowest mean that stands is the next one to fall.
    """
    num_bets, num_means = capital.shape
    first = 0
    most = 0.5 / means
    for n in range(len(values)):
        for k in range(num_bets):
            own, stake = capital[k], stakes[k, n]
            for g in range(first, num_means):
                own[g] *= 1.0 + min(stake, most[g]) * (values[n] - means[g])
        while first < num_means and capital[:, first].mean() >= needed:
            first += 1
    return first
