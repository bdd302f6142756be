"""COCO's twelve figures, for boxes or masks, as functions of the weights of images.

With all weights 1 they are pycocotools' to 1e-9; with how often a resample drew each image they are the bootstrap's
(copies of an image stand next to each other in the ranking). See `kernels` for the loops.

What an error costs (delta AP, after TIDE) is the AP50 with all errors of its kind mended, less the AP50: localisation
and classification by making the best such prediction of each unmatched true object right, and taking the others away;
duplicate, background and both by taking them away; missed by no longer asking for the object. TIDE cuts costs off at 0;
here they stand as they come out.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.processors import num_processors
from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.dataset import Dataset
from pipeline.tasks.detection.evaluate.explain import MISSED, Errors
from pipeline.tasks.detection.evaluate.kernels import FALSE, IGNORED, KINDS, TRUE, Ints, States, Weights
from pipeline.tasks.detection.evaluate.matching import (
    ALL,
    COCO_IOUS,
    Cells,
    Matches,
    counted_truths,
    match,
    sort_stably,
)
from pipeline.tasks.detection.recipe import SizeRanges

# COCOeval's own expression, to the last bit.
RECALLS: Floats = np.linspace(0.0, 1.00, int(np.round((1.00 - 0.0) / 0.01)) + 1, endpoint=True)
OF_COCO = SizeRanges()
MAX_DETECTIONS = 100  # of one class in one image; the rest does not count (COCO)
MIN_CASES = 1  # of a thread
_MENDED_BY_MOVING = ("localisation", "classification")
AT_50, AT_75 = 0, 5  # indices of COCO_IOUS

_AP = (
    "mean over the classes of the ground truth of the precision, interpolated at 101 recalls, of predictions ranked by "
    "score, equal scores by image id and then by order of generation"
)
_SIZES = {
    "small": "of true objects of at most 32 x 32 square pixels, or of the range evaluate.size_ranges.small",
    "medium": "of true objects between 32 x 32 and 96 x 96 square pixels, or of the range evaluate.size_ranges.medium",
    "large": "of true objects of at least 96 x 96 square pixels, or of the range evaluate.size_ranges.large",
}
FIGURES = {
    "average_precision": f"COCO AP: {_AP}; mean over IoU thresholds .50, .55 to .95. Records without an answer that "
    f"could be read count as empty. At most {MAX_DETECTIONS} predictions a class and image.",
    "average_precision_50": "COCO AP at IoU .50.",
    "average_precision_75": "COCO AP at IoU .75.",
    **{f"average_precision_{size}": f"COCO AP {which}." for size, which in _SIZES.items()},
    "average_recall_1": "COCO AR with 1 prediction a class and image: highest recall, mean over IoU and classes.",
    "average_recall_10": "COCO AR with 10 predictions a class and image.",
    f"average_recall_{MAX_DETECTIONS}": f"COCO AR with {MAX_DETECTIONS} predictions a class and image.",
    **{f"average_recall_{size}": f"COCO AR {which}." for size, which in _SIZES.items()},
}
"""What each means, in the order of `COCOeval.stats`."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Ranked predictions and, of each true object that is to be found, its image and class (-1 for the others)."""

    line: kernels.Line
    true_image: Ints
    true_group: kernels.Indices

    def curves(self, weights: Weights) -> tuple[Floats, Floats]:
        """Average precision and highest recall, both [B, K, T], NaN for a class without true objects.

        ``weights[b, n]`` is how often image n counts in case b.
        """
        num_true = self._num_true(weights)
        precision = np.empty((*num_true.shape, len(self.line.states)))
        recall = np.empty_like(precision)

        def fill(cases: slice) -> None:
            into = precision[cases], recall[cases]
            scratch = np.empty((3, len(self.line.image) + 1))
            kernels.average_precisions(weights[cases], num_true[cases], self.line, RECALLS, scratch, into)

        in_threads(fill, len(weights))
        return precision, recall

    def recalls(self, weights: Weights, counted: NDArray[np.bool_]) -> Floats:
        """Recall of those predictions d alone that are ``counted[d]``: [B, K, T], NaN as in `curves`."""
        num_true = self._num_true(weights)
        shares = np.full((*num_true.shape, len(self.line.states)), np.nan)
        sums = np.empty_like(shares)
        in_threads(lambda cases: kernels.sum_hits(weights[cases], self.line, counted, sums[cases]), len(weights))
        np.divide(sums, num_true[:, :, None], out=shares, where=num_true[:, :, None] > 0)
        return shares

    def _num_true(self, weights: Weights) -> Floats:
        num_true = np.zeros((len(weights), len(self.line.starts) - 1))
        images, groups = self.true_image, self.true_group
        in_threads(lambda cases: kernels.sum_by_group(weights[cases], images, groups, num_true[cases]), len(weights))
        return num_true


def in_threads(work: Callable[[slice], None], num_cases: int) -> None:
    """``work`` on all cases, in parts, one for each processor. No case depends on another."""
    num_parts = max(1, min(num_processors(), num_cases))
    limits = [num_cases * part // num_parts for part in range(num_parts + 1)]
    parts = [slice(first, last) for first, last in itertools.pairwise(limits)]
    if num_parts == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(num_parts) as threads:
        list(threads.map(work, parts))


def rank(dataset: Dataset, order: Ints, labels: Ints, states: States, counted: NDArray[np.bool_]) -> Ranking:
    """Line predictions up for their curves.

    ``order[d]`` are predictions of the dataset as `line_up` gives them; ``labels[d]`` and ``states[t, d]`` theirs.
    ``counted[g]`` says which true objects are to be found.
    """
    truths, num_classes = dataset.truths, dataset.num_true_classes
    line = kernels.Line(
        starts=np.searchsorted(labels, np.arange(num_classes + 1)).astype(np.int64),
        image=dataset.predictions.image[order].astype(np.int32),
        states=states,
        hit_starts=np.zeros((num_classes, len(states) + 1), np.int64),
        hits=np.empty(np.count_nonzero(states == TRUE), np.int32),
        has_ignored=np.zeros((num_classes, len(states)), np.bool_),
    )
    kernels.list_hits(line)
    return Ranking(line=line, true_image=truths.image, true_group=np.where(counted, truths.label, -1).astype(np.int32))


def line_up(best_first: Ints, labels: Ints, num_classes: int) -> Ints:
    """Predictions by class (``labels``), best first, and equal scores by image and order of generation."""
    return best_first[sort_stably(labels[best_first], num_classes)]


class AveragePrecision:
    """The figures of one kind of IoU (boxes or masks), matched once, for any weights of the images.

    ``sizes`` are the areas of small, medium and large objects; ``rankings`` are of the true objects of each area.
    """

    def __init__(self, dataset: Dataset, cells: Cells, ious: Floats, sizes: SizeRanges = OF_COCO) -> None:
        self.rankings: dict[str, Ranking] = {}
        label = dataset.predictions.label
        order = line_up(cells.best_first, label, len(dataset.classes))
        place = np.empty_like(order)
        place[cells.order] = np.arange(len(order))
        line = place[order]
        ranks = cells.rank[line]
        areas = {"all": ALL, **msgspec.structs.asdict(sizes)}
        for name, area in areas.items():
            states = match(dataset, cells, ious, COCO_IOUS, area, keep_matched=False).states[:, line]
            if ranks.max(initial=0) >= MAX_DETECTIONS:
                states = np.where(ranks < MAX_DETECTIONS, states, np.uint8(IGNORED))
            counted = counted_truths(dataset.truths, area)
            self.rankings[name] = rank(dataset, order, label[order], np.ascontiguousarray(states), counted)
        self._ranks = ranks

    def by_class(self, weights: Weights) -> dict[str, Floats]:
        """Average precision by class: [B, K] each, NaN for a class that the weighted images do not have."""
        return _precisions(self.rankings["all"].curves(weights)[0])

    def main(self, weights: Weights) -> dict[str, Floats]:
        """AP, AP50 and AP75: [B] each."""
        return {name: mean_over_classes(values) for name, values in self.by_class(weights).items()}

    def figures(self, weights: Weights) -> dict[str, Floats]:
        """All of `FIGURES`: [B] each, NaN where there is nothing to find."""
        found: dict[str, Floats] = {}
        for area, ranking in self.rankings.items():
            precision, recall = ranking.curves(weights)
            recalls = mean_over_classes(recall.mean(axis=2))
            if area == "all":
                found |= {name: mean_over_classes(values) for name, values in _precisions(precision).items()}
                found[f"average_recall_{MAX_DETECTIONS}"] = recalls
                for most in (1, 10):
                    found[f"average_recall_{most}"] = mean_over_classes(
                        ranking.recalls(weights, self._ranks < most).mean(axis=2)
                    )
            else:
                found[f"average_precision_{area}"] = mean_over_classes(precision.mean(axis=2))
                found[f"average_recall_{area}"] = recalls
        return {name: found[name] for name in FIGURES}


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


def _precisions(precision: Floats) -> dict[str, Floats]:
    return {
        "average_precision": precision.mean(axis=2),
        "average_precision_50": precision[:, :, AT_50],
        "average_precision_75": precision[:, :, AT_75],
    }


def mean_over_classes(values: Floats) -> Floats:
    """Mean of ``values[b, k]`` over the classes that are not NaN: [B], NaN where all are."""
    there = ~np.isnan(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
