"""What is counted of each image, and the ratios of such counts: precision, recall, F1, duplicates, errors by type."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.dataset import Dataset
from pipeline.tasks.detection.evaluate.errors import MATCH_IOU, MISSED, Errors, find_errors
from pipeline.tasks.detection.evaluate.kernels import FALSE, IGNORED, KINDS, TRUE, Ints, Weights
from pipeline.tasks.detection.evaluate.matching import Cells, Matches, box_ious, counted_truths, make_cells, match

IOUS = (0.3, 0.5)  # at which precision, recall and F1 are taken
REPEAT_IOU = 0.9  # a prediction that overlaps an earlier one of its class so much says the same again


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One look at a dataset: matches in the order of rows at `IOUS` (classes told apart, and left aside), errors and
    duplicates. Predictions below the lowest score are IGNORED in all of them."""

    dataset: Dataset
    by_class: Matches
    agnostic: Matches
    errors: Errors
    is_duplicate: NDArray[np.bool_]


def look(dataset: Dataset, min_score: float | None = None) -> Looked:
    """Match boxes, and say what every prediction is."""
    lowest = -np.inf if min_score is None else min_score
    by_class, agnostic = (_matches(dataset, make_cells(dataset, by_class=by), lowest) for by in (True, False))
    at_match = IOUS.index(MATCH_IOU)
    errors = find_errors(
        dataset, Matches(states=by_class.states[at_match, None], matched=by_class.matched[at_match, None])
    )
    repeats = np.zeros(len(dataset.predictions), np.bool_)
    starts = np.searchsorted(dataset.predictions.image, np.arange(len(dataset.rows) + 1)).astype(np.int64)
    kernels.find_repeats(starts, dataset.predictions.boxes, dataset.predictions.label, REPEAT_IOU, repeats)
    repeats &= dataset.predictions.scores >= lowest
    return Looked(dataset=dataset, by_class=by_class, agnostic=agnostic, errors=errors, is_duplicate=repeats)


def _matches(dataset: Dataset, cells: Cells, min_score: float) -> Matches:
    """Taking the low scores away afterwards is the same as before: who scores higher chose earlier."""
    matches = match(dataset, cells, box_ious(dataset, cells), np.array(IOUS)).in_order_of_rows(cells)
    low = dataset.predictions.scores < min_score
    matches.states[:, low] = IGNORED
    matches.matched[:, low] = -1
    return matches


def matched_ious(looked: Looked, at: int) -> Floats:
    """IoU of each prediction with its match at ``IOUS[at]``, 0 for one without: [M]."""
    predictions, truths = looked.dataset.predictions, looked.dataset.truths
    hits = np.flatnonzero(looked.by_class.states[at] == TRUE)
    a, b = predictions.boxes[hits], truths.boxes[looked.by_class.matched[at, hits]]
    near, far = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    both = np.prod(far - near, axis=1)
    result = np.zeros(len(predictions))
    result[hits] = both / (np.prod(a[:, 2:], axis=1) + np.prod(b[:, 2:], axis=1) - both)
    return result


def count_images(looked: Looked) -> dict[str, Floats]:
    """Sums over the objects of each image, by name: [N] each."""
    dataset, num_images = looked.dataset, len(looked.dataset.rows)
    image, true_image = dataset.predictions.image, dataset.truths.image

    def count(which: Ints, values: Floats | None = None) -> Floats:
        return np.bincount(which, values, minlength=num_images).astype(np.float64)

    counts = {"num_gt": count(true_image[counted_truths(dataset.truths)])}
    for prefix, matches in (("", looked.by_class), ("agnostic_", looked.agnostic)):
        for at, iou in enumerate(IOUS):
            for name, state in (("true", TRUE), ("false", FALSE)):
                counts[f"{prefix}{name}_{percent(iou)}"] = count(image[matches.states[at] == state])
    for kind, name in enumerate(KINDS):
        if kind > 0:
            counts[name] = count(image[looked.errors.kinds == kind])
    counts[MISSED] = count(true_image[looked.errors.missed])
    counts["num_duplicates"] = count(image[looked.is_duplicate])
    counts["iou_sum"] = count(image, matched_ious(looked, IOUS.index(MATCH_IOU)))
    counts["num_unknown_labels"] = count(image[dataset.predictions.label >= dataset.num_true_classes])
    counts["num_preds"] = count(image)
    return counts


def percent(iou: float) -> str:
    """0.5 as it stands in names: "50"."""
    return f"{100 * iou:.0f}"


def ratios(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """Precision, recall, F1, mean IoU and duplicate rate of sums of `count_images`, NaN where there is nothing to
    divide by.

    F1 is 2 * true / (predicted + true objects): 0 where all is missed or all is wrong, and undefined only without any
    object on either side.
    """
    found: dict[str, Floats] = {}
    for prefix in ("", "agnostic_"):
        for iou in map(percent, IOUS):
            true, false = sums[f"{prefix}true_{iou}"], sums[f"{prefix}false_{iou}"]
            found[f"{prefix}precision_{iou}"] = _divide(true, true + false)
            found[f"{prefix}recall_{iou}"] = _divide(true, sums["num_gt"])
            found[f"{prefix}f1_{iou}"] = _divide(2.0 * true, true + false + sums["num_gt"])
    found["mean_iou"] = _divide(sums["iou_sum"], sums[f"true_{percent(MATCH_IOU)}"])
    found["duplicate_rate"] = _divide(sums["num_duplicates"], sums["num_preds"])
    return found


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) > 0)
    return result


class ClassCounts:
    """True and false predictions at IoU 0.5 and true objects of each class, for any weights of the images."""

    def __init__(self, looked: Looked) -> None:
        dataset = looked.dataset
        num_classes = dataset.num_true_classes
        states, labels = looked.by_class.states[IOUS.index(MATCH_IOU)], dataset.predictions.label
        known = (labels < num_classes) & (states != IGNORED)
        self._num_classes = num_classes
        self._image, self._true_image = dataset.predictions.image, dataset.truths.image
        self._group = np.where(known, 2 * labels + (states == TRUE), -1)
        self._true_group = np.where(counted_truths(dataset.truths), dataset.truths.label, -1)

    def ratios(self, weights: Weights) -> dict[str, Floats]:
        """Precision, recall and F1 at IoU 0.5, numbers of objects: [B, K] each."""
        both = np.zeros((len(weights), 2 * self._num_classes))
        num_gt = np.zeros((len(weights), self._num_classes))
        kernels.sum_by_group(weights, self._image, self._group, both)
        kernels.sum_by_group(weights, self._true_image, self._true_group, num_gt)
        false, true = both[:, ::2], both[:, 1::2]
        iou = percent(MATCH_IOU)
        return {
            f"precision_{iou}": _divide(true, true + false),
            f"recall_{iou}": _divide(true, num_gt),
            f"f1_{iou}": _divide(2.0 * true, true + false + num_gt),
            "num_gt": num_gt,
            "num_preds": true + false,
        }
