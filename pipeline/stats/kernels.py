"""Compiled loops of the bootstrap. Imported only where they are used: numba takes a while to load."""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.stats.metrics import Floats

_STEP = np.uint64(0x9E3779B97F4A7C15)  # from one state of SplitMix64 (Steele, Lea and Flood 2014) to the next


@compiled(inline="always")
def _mix(state: np.uint64) -> np.uint64:
    """The number that SplitMix64 gives for a state."""
    bits = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled()
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

    Each number of SplitMix64 is split into two of 32 bits, which are scaled to the stratum's size M. That favours some
    records by at most M / 2**32.
    """
    num_records = len(ordered)
    counts = np.zeros(num_records, dtype=np.int64)
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    for b in range(len(result)):
        state = seeds[b]
        for s in range(len(starts) - 1):
            start, size = starts[s], np.uint64(starts[s + 1] - starts[s])
            for draw in range(0, starts[s + 1] - start, 2):
                state += _STEP
                bits = _mix(state)
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


@compiled()
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


@compiled()
def sums_of_random_subsets(
    values: Floats, digits: NDArray[np.bool_], seeds: NDArray[np.uint64], result: Floats
) -> None:
    """Fill ``result[b]`` with the sum of the ``values[n]`` of a subset in which each is with the same probability.

    ``digits`` are that probability in binary, the last one set: (1,) is 1/2. Each digit takes a random bit a record.
    Bits are made for 64 records at a time, and the sum of 8 of these is looked up in a table of all 256 subsets, which
    serves all results: that is what makes a sum cost a fraction of an addition a record.
    """
    tables = np.empty((8, 256))
    for block in range(0, len(values), 64):
        for byte in range(8):
            table = tables[byte]
            table[0] = 0.0
            for bit in range(8):
                n = block + 8 * byte + bit
                value = values[n] if n < len(values) else 0.0
                for subset in range(1 << bit):
                    table[subset | (1 << bit)] = table[subset] + value
        for b in range(len(result)):
            state = seeds[b]
            bits = np.uint64(0)
            for digit in range(len(digits) - 1, -1, -1):
                state += _STEP
                bits = bits | _mix(state) if digits[digit] else bits & _mix(state)
            seeds[b] = state
            total = 0.0
            for byte in range(8):
                total += tables[byte, np.int64((bits >> np.uint64(8 * byte)) & np.uint64(0xFF))]
            result[b] += total


@compiled()
def medians_of_middle(
    values: Floats,
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    drawn: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]],
    ranks: tuple[int, int],
    result: Floats,
) -> None:
    """Fill ``result[b, c]`` with the median of column c of a resample, of which the values near the middle are known.

    ``values[c, m]`` are those of M records, stratum s from ``starts[s]`` to before ``starts[s + 1]``; ``order[c]``
    sorts them. ``drawn`` are seeds [B], how many of the M are drawn of each stratum [B, S], and how many of all other
    records lie below them [B, C]. ``ranks``: how many values the median cuts at either end, of how many.
    """
    seeds, num_inside, num_below = drawn
    num_cut, num_records = ranks
    last = num_records - num_cut
    counts = np.zeros(values.shape[1], dtype=np.int64)
    for b in range(len(seeds)):
        state = seeds[b]
        counts[:] = 0
        for s in range(len(starts) - 1):
            size = np.uint64(starts[s + 1] - starts[s])
            for _ in range(num_inside[b, s]):
                state += _STEP
                counts[starts[s] + np.int64(((_mix(state) >> np.uint64(32)) * size) >> np.uint64(32))] += 1
        for c in range(len(values)):
            rank, place = num_below[b, c], order[c, 0]
            total = values[c, place] * max(0, min(rank, last) - num_cut)
            for place in order[c]:
                after = rank + counts[place]
                total += values[c, place] * max(0, min(after, last) - max(rank, num_cut))
                rank = after
                if rank >= last:
                    break
            total += values[c, place] * max(0, last - max(rank, num_cut))
            result[b, c] = total / (num_records - 2 * num_cut)


@compiled()
def swapped_differences(
    ordered: Floats,
    record: NDArray[np.int64],
    is_second: NDArray[np.bool_],
    ranks: tuple[int, int],
    drawn: tuple[NDArray[np.uint64], NDArray[np.int64]],
    result: Floats,
) -> None:
    """Fill ``result[p]`` with the difference of two trimmed means after swapping the answers of random records.

    ``ordered[i]`` are the values of both subjects in rising order; ``record[i]`` is whose value it is, 0 to M - 1, and
    ``is_second[i]`` whether it is the second subject's. ``drawn`` are seeds [P] and counts [P, 2]. From a seed comes
    one bit a record (SplitMix64, 64 bits a number): whether its two answers are swapped. Where only the M records near
    the middle are given, the counts are how many values of each subject lie below them; else 0. ``ranks``: how many
    values are cut at either end of each subject's, of how many in all.
    """
    num_cut, num_records = ranks
    seeds, below = drawn
    swapped = np.zeros(len(ordered) // 2, dtype=np.bool_)
    last = num_records - num_cut
    for p in range(len(seeds)):
        state, bits = seeds[p], np.uint64(0)
        for n in range(len(swapped)):
            if n % 64 == 0:
                state += _STEP
                bits = _mix(state)
            swapped[n] = bits & np.uint64(1)
            bits >>= np.uint64(1)
        first_rank, second_rank = below[p, 0], below[p, 1]
        first_total, second_total = 0.0, 0.0
        for i in range(len(ordered)):
            if is_second[i] != swapped[record[i]]:
                if num_cut <= second_rank < last:
                    second_total += ordered[i]
                second_rank += 1
            else:
                if num_cut <= first_rank < last:
                    first_total += ordered[i]
                first_rank += 1
        result[p] = (first_total - second_total) / (num_records - 2 * num_cut)


@compiled(nogil=True)
def count_drawn(drawn: NDArray[np.int64], counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Add to ``counts[b, n]`` how often ``drawn[b]`` [N] has record n; returns it.

    In 16 bits a million counts stay in the cache of one processor: 2.2 ms, not 3.7 with floats.
    """
    for b in range(len(drawn)):
        for n in drawn[b]:
            counts[b, n] += 1
    return counts
