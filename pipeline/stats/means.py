"""Resampled means of many columns over the same records, which share their resamples.

A resample is the number of times each record was drawn, and the means of all columns are one matrix product. Of many
records the columns are looked at first: equal ones are added up once, and those of whole numbers (counts, truth
values), whose sums are exact in any order, many resamples at a time, for a product reads all columns anew. The others
stay in the products in which the resamples were drawn: in another order of addition their last digits would be others.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.processors import num_processors
from pipeline.stats.intervals import NUM_LINEAR, PRODUCT_ELEMENTS, Strata, draw_counts, draw_records
from pipeline.stats.metrics import Floats

NUM_MANY = NUM_LINEAR  # records, from which on columns are looked at and products are spread over the processors
_NUM_ROWS = 8  # resamples of many records at a time


def resample_means(columns: Floats, generator: np.random.Generator, num: int, strata: Strata | None = None) -> Floats:
    """`resample_columns` of a matrix: ``columns[n, c]`` is column c of record n."""
    return resample_columns(list(columns.T), generator, num, strata)


def resample_columns(
    columns: Sequence[NDArray[Any]], generator: np.random.Generator, num: int, strata: Strata | None = None
) -> Floats:
    """Means of ``columns[c][n]`` (column c of record n, of any real type) over ``num`` resamples: [num, C].

    The columns share each resample, so that differences and ratios of their means are those of paired records.
    """
    num_records = len(columns[0])
    if num_records < NUM_MANY:
        matrix = _stacked(columns, np.ones(len(columns), np.bool_), np.float64)
        draws = draw_counts(num_records, generator, num, strata, PRODUCT_ELEMENTS)
        sums = np.concatenate([counts.astype(np.float64) @ matrix for counts in draws])
    else:
        distinct, places = _distinct(columns)
        if len(distinct) == 1 < len(columns):
            distinct *= 2  # a product with one column is added up in another order than one with several
        sums = _sums_of_many(distinct, draw_records(num_records, generator, num, strata, PRODUCT_ELEMENTS), num)
        sums = sums[:, places]
    sums /= num_records
    return sums


def _stacked(columns: Sequence[NDArray[Any]], which: NDArray[np.bool_], dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """Some of the columns [N] side by side, as they are multiplied: [N, number of ``which``]."""
    matrix = np.empty((len(columns[0]), np.count_nonzero(which)), dtype)
    for place, c in enumerate(np.flatnonzero(which).tolist()):
        matrix[:, place] = columns[c]
    return matrix


def _distinct(columns: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[int]]:
    """The columns without those that are the same as an earlier one, and which of them each column is."""
    number: dict[tuple[str, bytes], int] = {}
    kept: list[NDArray[Any]] = []
    places: list[int] = []
    for column in columns:
        key = column.dtype.str, hashlib.blake2b(column.tobytes()).digest()
        if key not in number:
            number[key] = len(kept)
            kept.append(column)
        places.append(number[key])
    return kept, places


def _sums_of_many(columns: Sequence[NDArray[Any]], draws: Iterator[NDArray[np.int64]], num: int) -> Floats:
    """Sums of the columns over ``num`` resamples of many records, in threads: [num, C]."""
    whole = np.array([column.dtype.kind in "biu" for column in columns], dtype=np.bool_)
    if len(columns) > 1 and np.count_nonzero(~whole) == 1:
        whole[np.argmax(whole)] = False  # for the same reason
    exact = _stacked(columns, whole, np.float32)
    rounded = _stacked(columns, ~whole, np.float64)
    sums = np.empty((num, len(columns)))

    def add(start: int, counts: NDArray[np.uint16], edges: list[int]) -> None:
        sums[start : start + len(counts), whole] = _exact_sums(counts, exact)
        if edges[1] > 1 and any(edge % 2 for edge in edges):  # the last of an odd number of rows is added up otherwise
            parts = list(pairwise(edges))
        else:
            parts = [(0, len(counts))]
        for first, stop in parts:
            sums[start + first : start + stop, ~whole] = counts[first:stop].astype(np.float64) @ rounded

    with ThreadPoolExecutor(num_processors()) as threads:
        waiting: deque[Future[None]] = deque()
        for work in _counted_together(draws):
            if len(waiting) > num_processors():  # what is counted ahead takes memory
                waiting.popleft().result()
            waiting.append(threads.submit(add, *work))
        for future in waiting:
            future.result()
    return sums


def _exact_sums(counts: NDArray[np.uint16], columns: NDArray[np.float32]) -> Floats:
    """Sums of columns [N, C] of whole numbers, each counted ``counts[b, n]`` times: [B, C].

    So few records at a time that the sums stay below 2**24, up to where 32 bits tell whole numbers apart: they would be
    if each record was counted four times.
    """
    sums = np.zeros((len(counts), columns.shape[1]))
    step = max(1, int(2**22 // max(1.0, columns.max(initial=0.0))))
    for first in range(0, len(columns), step):
        sums += counts[:, first : first + step].astype(np.float32) @ columns[first : first + step]
    return sums


def _counted_together(draws: Iterator[NDArray[np.int64]]) -> Iterator[tuple[int, NDArray[np.uint16], list[int]]]:
    """How often `_NUM_ROWS` resamples, or more, drew each record, [B, N]; before it the number of the first of them,
    behind it the edges of what was drawn at once."""
    from pipeline.stats import kernels  # here: loading numba costs more than most intervals

    start, gathered = 0, list[NDArray[np.uint16]]()
    for drawn in draws:
        gathered.append(kernels.count_drawn(drawn, np.zeros(drawn.shape, np.uint16)))
        if sum(map(len, gathered)) >= _NUM_ROWS:
            yield start, np.concatenate(gathered), [0, *accumulate(map(len, gathered))]
            start, gathered = start + sum(map(len, gathered)), []
    if gathered:
        yield start, np.concatenate(gathered), [0, *accumulate(map(len, gathered))]
