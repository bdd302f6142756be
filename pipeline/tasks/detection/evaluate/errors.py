"""Why predictions are false and true objects are missed, in the manner of TIDE (Bolya et al. 2020).

Every false prediction has one kind (`kernels.explain_errors`); a true object is missed when it is neither matched nor
would be found by mending a prediction's class or place. What a kind costs (delta AP) is the AP50 with all errors of
that kind mended, less the AP50: localisation and classification by making the best such prediction of each unmatched
true object right, and taking the others away; duplicate, background and both by taking them away; missed by no longer
asking for the object. TIDE cuts costs off at 0; here they stand as they come out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.average_precision import (
    MAX_DETECTIONS,
    Ranking,
    line_up,
    mean_over_classes,
    rank,
)
from pipeline.tasks.detection.evaluate.dataset import Dataset
from pipeline.tasks.detection.evaluate.kernels import FALSE, IGNORED, KINDS, TRUE, Ints, States, Weights
from pipeline.tasks.detection.evaluate.matching import Cells, Matches, counted_truths

MISSED = "missed"
ERROR_TYPES = (*KINDS[1:], MISSED)
MATCH_IOU = 0.5
BACKGROUND_IOU = 0.1
_MENDED_BY_MOVING = ("localisation", "classification")


@dataclass(frozen=True, kw_only=True)
class Errors:
    """``kinds[m]`` are indices of `kernels.KINDS`, by prediction of the dataset; ``mends[m]`` is the true object that
    the prediction would be the match of if it were mended, or -1; ``missed[g]`` by true object."""

    kinds: States
    mends: Ints
    missed: NDArray[np.bool_]


def find_errors(dataset: Dataset, matches: Matches) -> Errors:
    """The kind of every error. ``matches`` are in the order of rows, at one threshold, `MATCH_IOU`."""
    predictions, truths = dataset.predictions, dataset.truths
    states, matched = np.ascontiguousarray(matches.states[0]), matches.matched[0]
    is_matched = np.zeros(len(truths), np.bool_)
    is_matched[matched[states == TRUE]] = True
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
    edges = np.arange(len(dataset.rows) + 1)
    starts, true_starts = (np.searchsorted(side.image, edges) for side in (dataset.predictions, dataset.truths))
    columns = [starts[:-1], starts[1:], true_starts[:-1], true_starts[1:], np.zeros(len(dataset.rows), np.int64)]
    return np.stack(columns, axis=1).astype(np.int64)


def _best_of_each(targets: Ints, is_matched: NDArray[np.bool_], scores: Floats) -> Ints:
    """``targets`` of the first prediction of the highest score for each unmatched true object; -1 elsewhere."""
    aimed = np.flatnonzero(targets >= 0)
    aimed = aimed[~is_matched[targets[aimed]]]
    aimed = aimed[np.argsort(-scores[aimed], kind="stable")]
    best = aimed[np.unique(targets[aimed], return_index=True)[1]]
    result = np.full_like(targets, -1)
    result[best] = targets[best]
    return result


class ErrorCosts:
    """AP50 as it is and with each kind of error mended, for any weights of the images."""

    def __init__(self, dataset: Dataset, cells: Cells, matches: Matches, errors: Errors) -> None:
        """``matches`` are in the order of rows, at one threshold, `MATCH_IOU`."""
        self._dataset, self._best_first = dataset, cells.best_first
        counted = counted_truths(dataset.truths)
        states = matches.states[0].copy()
        states[cells.order[cells.rank >= MAX_DETECTIONS]] = IGNORED
        self._before = self._rank(dataset.predictions.label, states, counted)
        self._after = dict(self._mended(states, errors, counted))

    def delta(self, weights: Weights) -> dict[str, Floats]:
        """How much higher AP50 would be without the errors of each type: [B] each."""
        before = _average(self._before, weights)
        return {name: _average(ranking, weights) - before for name, ranking in self._after.items()}

    def _mended(self, states: States, errors: Errors, counted: NDArray[np.bool_]) -> Iterator[tuple[str, Ranking]]:
        labels = self._dataset.predictions.label
        for kind, name in enumerate(KINDS):
            if kind > 0:
                of_kind = (errors.kinds == kind) & (states == FALSE)
                right = of_kind & (errors.mends >= 0) & (name in _MENDED_BY_MOVING)
                mended = np.where(right, np.uint8(TRUE), np.where(of_kind, np.uint8(IGNORED), states))
                moved = labels.copy()
                moved[right] = self._dataset.truths.label[errors.mends[right]]
                yield name, self._rank(moved, mended, counted)
        yield MISSED, self._rank(labels, states, counted & ~errors.missed)

    def _rank(self, labels: Ints, states: States, counted: NDArray[np.bool_]) -> Ranking:
        order = line_up(self._best_first, labels, len(self._dataset.classes))
        return rank(self._dataset, order, labels[order], np.ascontiguousarray(states[None, order]), counted)


def _average(ranking: Ranking, weights: Weights) -> Floats:
    return mean_over_classes(ranking.curves(weights)[0][:, :, 0])
