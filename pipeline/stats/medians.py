"""Resampled medians of many records, from the few near the middle.

The median of a resample is near that of the records: of N draws, the number below a value that has a share q of the
records below it is binomial, with a standard deviation of at most sqrt(N) / 2. So of the records that are further than
`NUM_ERRORS` of these from the middle, only how many are drawn below and above matters, which is one multinomial draw
for all of them; the others, some 8 sqrt(N), are drawn one by one. That is the bootstrap itself, not an approximation
of it, but for resamples whose median leaves that window: one in 10^14.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.metrics import Floats, num_cut_by_median

NUM_WINDOW = 2**12  # records: of fewer, all of them are drawn in a few milliseconds
NUM_ERRORS = 8.0
CHUNK_ELEMENTS = 2**20  # cells drawn at a time: 8 MiB


def resample_medians(
    columns: Floats, generator: np.random.Generator, num: int, strata: NDArray[np.integer[Any]] | None = None
) -> Floats:
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
            (num_cut_by_median(num_records), num_records),
            result[done : done + len(num_inside)],
        )
        done += len(num_inside)
    return result


def middle(num_values: int, num_errors: float) -> tuple[int, int]:
    """The ranks from and to (not included) which so many standard deviations sqrt(N) / 2 around the middle reach."""
    width = math.ceil(num_errors * math.sqrt(num_values) / 2.0) + 1
    return max(0, num_values // 2 - width), min(num_values, num_values // 2 + width)


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
    rows = max(1, CHUNK_ELEMENTS // (len(sizes) + 1))
    for start in range(0, num, rows):
        count = min(rows, num - start)
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
