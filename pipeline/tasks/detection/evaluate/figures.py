"""All figures of a dataset as functions of the weights of images: average precision, and ratios of what is counted."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.average_precision import OF_COCO, AveragePrecision, ErrorCosts
from pipeline.tasks.detection.evaluate.dataset import Dataset, has_masks
from pipeline.tasks.detection.evaluate.explain import (
    AT_MATCH,
    ERROR_TYPES,
    IOUS,
    MATCH_IOU,
    Looked,
    count_images,
    look,
    percent,
)
from pipeline.tasks.detection.evaluate.glossary import MASK
from pipeline.tasks.detection.evaluate.kernels import IGNORED, TRUE, Weights
from pipeline.tasks.detection.evaluate.matching import Cells, box_ious, counted_truths, make_cells, mask_ious
from pipeline.tasks.detection.recipe import Evaluate


class Figures:
    """All that depends on how often images count, of one dataset: by name, [B] each, NaN where undefined. Each part is
    computed when it is first asked for.

    ``by_image`` are the counts of each image, [N] by name. What errors cost is left out unless ``with_costs``.
    """

    def __init__(self, dataset: Dataset, options: Evaluate, *, with_costs: bool = False) -> None:
        self.dataset = dataset
        self.looked = look(dataset, options.min_score)
        self._options, self._with_costs = options, with_costs
        counts = count_images(self.looked)
        self._counts = np.stack(list(counts.values()), axis=1)
        self.by_image = dict(zip(counts, self._counts.T, strict=True))

    @cached_property
    def _cells(self) -> Cells:
        return make_cells(self.dataset)

    @cached_property
    def boxes(self) -> AveragePrecision:
        """Average precision of boxes."""
        return self._average_precision(box_ious(self.dataset, self._cells))

    @cached_property
    def kinds(self) -> dict[str, AveragePrecision]:
        """By what stands before their names: nothing for boxes, `MASK` where masks are compared."""
        answers = self.dataset.predicted
        masks = has_masks([row.gt for row in self.dataset.rows]) and (has_masks(answers) or not any(answers))
        if not masks:
            return {"": self.boxes}
        return {"": self.boxes, MASK: self._average_precision(mask_ious(self.dataset, self._cells))}

    def _average_precision(self, ious: Floats) -> AveragePrecision:
        return AveragePrecision(self.dataset, self._cells, ious, self._options.size_ranges or OF_COCO)

    @cached_property
    def costs(self) -> ErrorCosts:
        """What errors cost: told of all predictions, whatever the lowest score."""
        whole = self.looked if self._options.min_score is None else look(self.dataset)
        return ErrorCosts(self.dataset, self._cells, whole.by_class.at(AT_MATCH), whole.errors)

    def pooled(self, weights: Weights) -> dict[str, Floats]:
        """Figures of all classes together. ``weights[b, n]``: how often image n counts in case b."""
        found: dict[str, Floats] = {}
        for prefix, average_precision in self.kinds.items():
            found |= {prefix + name: value for name, value in average_precision.figures(weights).items()}
        found |= ratios(dict(zip(self.by_image, (weights @ self._counts).T, strict=True)))
        if self._with_costs:
            found |= {f"{name}_cost": value for name, value in self.costs.delta(weights).items()}
        return found

    def by_class(self, weights: Weights) -> dict[str, Floats]:
        """Figures of every class of the ground truth: [B, K] each."""
        found: dict[str, Floats] = {}
        for prefix, average_precision in self.kinds.items():
            found |= {prefix + name: value for name, value in average_precision.by_class(weights).items()}
        return found | class_figures(self.looked, weights)

    def counts(self, weights: Weights) -> dict[str, float]:
        """Sums of counts over the images, with their names in the glossary."""
        sums = dict(zip(self.by_image, (weights @ self._counts)[0].tolist(), strict=True))
        found = {f"{name}_errors": sums[name] for name in ERROR_TYPES}
        return found | {name: sums[name] for name in ("num_gt", "num_preds", "num_unknown_labels")}


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


def class_figures(looked: Looked, weights: Weights) -> dict[str, Floats]:
    """Precision, recall and F1 at IoU 0.5, and numbers of objects, of every class of the ground truth: [B, K] each."""
    dataset = looked.dataset
    truths, labels, num_classes = dataset.truths, dataset.predictions.label, dataset.num_true_classes
    states = looked.by_class.states[AT_MATCH]
    known = (labels < num_classes) & (states != IGNORED)
    both, num_gt = np.zeros((len(weights), 2 * num_classes)), np.zeros((len(weights), num_classes))
    group, true_group = 2 * labels + (states == TRUE), truths.label
    kernels.sum_by_group(weights, dataset.predictions.image, np.where(known, group, -1), both)
    kernels.sum_by_group(weights, truths.image, np.where(counted_truths(truths), true_group, -1), num_gt)
    false, true = both[:, ::2], both[:, 1::2]
    iou = percent(MATCH_IOU)
    return {
        f"precision_{iou}": _divide(true, true + false),
        f"recall_{iou}": _divide(true, num_gt),
        f"f1_{iou}": _divide(2.0 * true, true + false + num_gt),
        "num_gt": num_gt,
        "num_preds": true + false,
    }
