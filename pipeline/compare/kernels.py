"""Compiled loop of the swap test. Imported only where it is used: numba takes a while to load."""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.stats import Floats


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
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits ^= bits >> np.uint64(31)
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
