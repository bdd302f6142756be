"""What became of every object: what it was matched with, why it is false or missed, and whether it was said before.

The kinds of errors are TIDE's (Bolya et al. 2020). Every false prediction has one (`kernels.explain_errors`); a true
object is missed when it is neither matched nor would be found by mending a prediction's class or place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.dataset import Dataset
from pipeline.tasks.detection.evaluate.kernels import FALSE, KINDS, TRUE, Ints, States
from pipeline.tasks.detection.evaluate.matching import (
    Cells,
    Matches,
    box_ious,
    counted_truths,
    found_truths,
    make_cells,
    match,
)

IOUS = (0.3, 0.5)  # at which precision, recall and F1 are taken
MATCH_IOU = 0.5
AT_MATCH = IOUS.index(MATCH_IOU)
BACKGROUND_IOU = 0.1
REPEAT_IOU = 0.9  # a prediction that overlaps an earlier one of its class so much says the same again
MISSED = "missed"
ERROR_TYPES = (*KINDS[1:], MISSED)


def percent(iou: float) -> str:
    """0.5 as it stands in names: "50"."""
    return f"{100 * iou:.0f}"


@dataclass(frozen=True, kw_only=True)
class Errors:
    """``kinds[m]`` are indices of `kernels.KINDS`, by prediction of the dataset; ``mends[m]`` is the true object that
    the prediction would be the match of if it were mended, or -1; ``missed[g]`` by true object."""

    kinds: States
    mends: Ints
    missed: NDArray[np.bool_]


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
    errors = find_errors(dataset, by_class.at(AT_MATCH))
    repeats = np.zeros(len(dataset.predictions), np.bool_)
    starts = dataset.predictions.starts(len(dataset.rows))
    kernels.find_repeats(starts, dataset.predictions.boxes, dataset.predictions.label, REPEAT_IOU, repeats)
    repeats &= dataset.predictions.scores >= lowest
    return Looked(dataset=dataset, by_class=by_class, agnostic=agnostic, errors=errors, is_duplicate=repeats)


def _matches(dataset: Dataset, cells: Cells, min_score: float) -> Matches:
    """Taking the low scores away afterwards is the same as before: who scores higher chose earlier."""
    matches = match(dataset, cells, box_ious(dataset, cells), np.array(IOUS)).in_order_of_rows(cells)
    low = dataset.predictions.scores < min_score
    matches.states[:, low] = kernels.IGNORED
    matches.matched[:, low] = -1
    return matches


def matched_ious(looked: Looked) -> Floats:
    """IoU of each prediction with its match at `MATCH_IOU`, 0 for one without: [M]."""
    predictions, truths = looked.dataset.predictions, looked.dataset.truths
    hits = np.flatnonzero(looked.by_class.states[AT_MATCH] == TRUE)
    a, b = predictions.boxes[hits], truths.boxes[looked.by_class.matched[AT_MATCH, hits]]
    near, far = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    both = np.prod(far - near, axis=1)
    result = np.zeros(len(predictions))
    result[hits] = both / (np.prod(a[:, 2:], axis=1) + np.prod(b[:, 2:], axis=1) - both)
    return result


def find_errors(dataset: Dataset, matches: Matches) -> Errors:
    """The kind of every error. ``matches`` are in the order of rows, at one threshold, `MATCH_IOU`."""
    predictions, truths = dataset.predictions, dataset.truths
    states = np.ascontiguousarray(matches.states[0])
    is_matched = found_truths(matches, 0, len(truths))
    kinds, targets = np.zeros(len(predictions), np.uint8), np.full(len(predictions), -1, np.int64)
    kernels.explain_errors(
        _images(dataset),
        kernels.Side(predictions.boxes, predictions.label),
        kernels.Side(truths.boxes, truths.label),
        kernels.Outcome(states, is_matched, truths.crowd),
        (BACKGROUND_IOU, MATCH_IOU),
        (kinds, targets),
    )
    mends = _best_of_each(targets, is_matched, predictions.scores)
    found = is_matched.copy()
    found[mends[mends >= 0]] = True
    return Errors(kinds=kinds, mends=mends, missed=counted_truths(truths) & ~found)


def _images(dataset: Dataset) -> Ints:
    """Cells that are whole images, as `kernels.fill_ious` describes them."""
    starts, true_starts = (side.starts(len(dataset.rows)) for side in (dataset.predictions, dataset.truths))
    columns = [starts[:-1], starts[1:], true_starts[:-1], true_starts[1:], np.zeros(len(dataset.rows), np.int64)]
    return np.stack(columns, axis=1)


def _best_of_each(targets: Ints, is_matched: NDArray[np.bool_], scores: Floats) -> Ints:
    """``targets`` of the first prediction of the highest score for each unmatched true object; -1 elsewhere."""
    aimed = np.flatnonzero(targets >= 0)
    aimed = aimed[~is_matched[targets[aimed]]]
    aimed = aimed[np.argsort(-scores[aimed], kind="stable")]
    best = aimed[np.unique(targets[aimed], return_index=True)[1]]
    result = np.full_like(targets, -1)
    result[best] = targets[best]
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
    counts["iou_sum"] = count(image, matched_ious(looked))
    counts["num_unknown_labels"] = count(image[dataset.predictions.label >= dataset.num_true_classes])
    counts["num_preds"] = count(image)
    return counts
