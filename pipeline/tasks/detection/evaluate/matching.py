"""Matching predicted with true objects, one to one, as COCO does it; all counts and figures of evaluate rest on it.

Within an image (and a class, unless classes are left aside) predictions take turns, the highest score first and equal
scores in order of generation; each takes the free true object it overlaps most, if the IoU reaches the threshold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.detection import geometry
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.dataset import Dataset, Objects
from pipeline.tasks.detection.evaluate.kernels import Ints, States

# COCOeval's own expressions, to the last bit.
COCO_IOUS: Floats = np.linspace(0.5, 0.95, int(np.round((0.95 - 0.5) / 0.05)) + 1, endpoint=True)
AreaRange = tuple[float, float]  # least and most, in square pixels
ALL: AreaRange = (0.0, 1e5**2)


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Objects that may be matched with each other: those of one image and class, or of one image.

    ``order[d]`` and ``true_order[g]`` are indices of the dataset's objects, cell by cell (classes first, then images),
    predictions best first; ``rank[d]`` counts the better ones of the cell. ``table`` is as `kernels.fill_ious` says.
    Cells without predictions are left out of it. ``best_first`` are all predictions by score.
    """

    table: Ints
    order: Ints
    true_order: Ints
    rank: Ints
    best_first: Ints
    num_ious: int


@dataclass(frozen=True, kw_only=True)
class Matches:
    """``states[t, d]`` (`kernels.FALSE`, TRUE, IGNORED) and ``matched[t, d]`` (index of the true object, or -1), in the
    order of the cells or, from `in_order_of_rows`, of the dataset."""

    states: States
    matched: Ints

    def at(self, index: int) -> "Matches":
        """Those at one threshold."""
        return Matches(states=self.states[index, None], matched=self.matched[index, None])

    def in_order_of_rows(self, cells: Cells) -> "Matches":
        """The same with d and the true objects as indices of the dataset."""
        states, matched = np.empty_like(self.states), np.empty_like(self.matched)
        states[:, cells.order] = self.states
        if len(cells.true_order):
            matched[:, cells.order] = np.where(self.matched >= 0, cells.true_order[self.matched], -1)
        else:
            matched.fill(-1)
        return Matches(states=states, matched=matched)


def make_cells(dataset: Dataset, *, by_class: bool = True) -> Cells:
    """Line predictions and true objects up by what may be matched."""
    num_images, num_classes = len(dataset.rows), len(dataset.classes)
    predictions, truths = dataset.predictions, dataset.truths
    best = best_first(predictions.scores)
    order = best[sort_stably(predictions.image[best], num_images)]
    true_order = np.arange(len(truths))
    key, true_key = predictions.image[order], truths.image
    if by_class:
        by_label, true_by_label = (
            sort_stably(label, num_classes) for label in (predictions.label[order], truths.label)
        )
        order, true_order = order[by_label], true_by_label
        key = num_images * predictions.label[order] + predictions.image[order]
        true_key = num_images * truths.label[true_order] + truths.image[true_order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    stops = np.append(starts, len(key))[1:]
    true_starts, true_stops = (np.searchsorted(true_key, key[starts], side) for side in ("left", "right"))
    sizes = (stops - starts) * (true_stops - true_starts)
    offsets = np.cumsum(sizes) - sizes
    rank = np.arange(len(key)) - np.repeat(starts, stops - starts)
    table = np.stack([starts, stops, true_starts, true_stops, offsets], axis=1).astype(np.int64)
    num_ious = int(sizes.sum())
    return Cells(table=table, order=order, true_order=true_order, rank=rank, best_first=best, num_ious=num_ious)


def best_first(scores: Floats) -> Ints:
    """The order of falling scores; equal ones stay as they stand."""
    if len(scores) and scores.min() == scores.max():  # text models: all 1.0
        return np.arange(len(scores))
    return np.argsort(-scores, kind="stable")


def sort_stably(values: Ints, bound: int) -> Ints:
    """The stable order of values from 0 to below ``bound``. numpy sorts 16 bits by radix: 40,000 in .1 ms, not 2.4."""
    return np.argsort(values.astype(np.uint16) if bound <= 2**16 else values, kind="stable")


def box_ious(dataset: Dataset, cells: Cells) -> Floats:
    """IoU of the boxes of each cell, flat, as `Cells.table` says."""
    ious = np.empty(cells.num_ious)
    truths = dataset.truths
    boxes, true_boxes = dataset.predictions.boxes[cells.order], truths.boxes[cells.true_order]
    kernels.fill_ious(cells.table, boxes, true_boxes, truths.crowd[cells.true_order], ious)
    return ious


def mask_ious(dataset: Dataset, cells: Cells) -> Floats:
    """IoU of the masks of each cell, flat. An object that has only a box stands for the rectangle of it."""
    from hotcoco import mask  # here: most evaluations compare boxes only, and loading it takes time

    found = [one for row in dataset.predicted for one in row]
    truths = [one for row in dataset.rows for one in row.gt]
    crowd = dataset.truths.crowd[cells.true_order]
    parts = []
    for start, stop, true_start, true_stop, _ in cells.table.tolist():
        if true_start == true_stop:
            continue
        members = cells.order[start:stop].tolist()
        true_members = cells.true_order[true_start:true_stop].tolist()
        row = dataset.rows[int(dataset.predictions.image[members[0]])]
        size = row.width, row.height
        masks = [geometry.encode(geometry.segmentation(found[d], row.coord_mode, *size), *size) for d in members]
        true_masks = [
            geometry.encode(geometry.segmentation(truths[g], row.gt_coord_mode, *size), *size) for g in true_members
        ]
        parts.append(mask.iou(masks, true_masks, crowd[true_start:true_stop].tolist()).ravel())
    return np.concatenate(parts) if parts else np.empty(0)


def match(
    dataset: Dataset,
    cells: Cells,
    ious: Floats,
    thresholds: Floats,
    area: AreaRange = ALL,
    *,
    keep_matched: bool = True,
) -> Matches:
    """Match every cell at every threshold. Objects outside the range ``area`` are ignored as COCO ignores them.

    ``matched`` is empty where it is not to be kept.
    """
    predictions, truths = dataset.predictions, dataset.truths
    outside = _outside(predictions, area)[cells.order]
    states = np.tile(np.where(outside, np.uint8(kernels.IGNORED), np.uint8(kernels.FALSE)), (len(thresholds), 1))
    matched = np.full((len(thresholds), len(cells.order)) if keep_matched else (0, 0), -1, np.int64)
    crowd = truths.crowd[cells.true_order]
    kernels.match_cells(
        cells.table,
        ious,
        kernels.Ignored(crowd, crowd | _outside(truths, area)[cells.true_order]),
        np.asarray(thresholds, dtype=np.float64),
        np.empty(len(truths), np.bool_),
        (states, matched),
    )
    return Matches(states=states, matched=matched)


def found_truths(matches: Matches, at: int, num_true: int) -> NDArray[np.bool_]:
    """Which true objects are matched at threshold ``at``; ``matches`` are in the order of rows."""
    is_found = np.zeros(num_true, np.bool_)
    is_found[matches.matched[at][matches.states[at] == kernels.TRUE]] = True
    return is_found


def _outside(objects: Objects, area: AreaRange) -> NDArray[np.bool_]:
    low, high = area
    return (objects.areas < low) | (objects.areas > high)


def counted_truths(truths: Objects, area: AreaRange = ALL) -> NDArray[np.bool_]:
    """Which true objects are to be found: no crowds, and none outside the range of areas."""
    return ~(truths.crowd | _outside(truths, area))
