"""Predictions as compare, gate and `evaluate --follow` take them: figures of any weighting of images."""

from collections.abc import Sequence

import numpy as np

from pipeline.contract.metrics import Measurements, RecordMetric
from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate.average_precision import AveragePrecision
from pipeline.tasks.detection.evaluate.counts import count_images, look, ratios
from pipeline.tasks.detection.evaluate.dataset import collect, has_masks
from pipeline.tasks.detection.evaluate.explain import reading_of
from pipeline.tasks.detection.evaluate.glossary import MASK, UNPARSED
from pipeline.tasks.detection.evaluate.kernels import Weights
from pipeline.tasks.detection.evaluate.matching import box_ious, make_cells, mask_ious
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionPrediction

_FIGURES = ("average_precision", "average_precision_50", "average_precision_75")
_RATIOS = ("precision_50", "recall_50", "f1_50", "mean_iou", "duplicate_rate")


def measure_records(predictions: Sequence[DetectionPrediction], options: Evaluate) -> Measurements:
    """COCO's figures, precision and recall of all objects together, and the share of texts that were not read.

    Every record is scored: one with an error counts as an answer without objects. Raises UserError when the options ask
    for what the rows do not have.
    """
    pooled = _Pooled(predictions, options)
    names = [name for name in pooled.names if not name.startswith(MASK)]
    masks = [name for name in pooled.names if name.startswith(MASK)]
    unparsed = np.array([row.status in UNPARSED for row in predictions], np.float64)
    return Measurements(
        values={"unparsed_rate": unparsed},
        scored=np.ones(len(predictions), np.bool_),
        metrics=[
            *(RecordMetric(name, "pooled") for name in (*names[:3], *masks, *names[3:])),
            RecordMetric("unparsed_rate", "rate"),
        ],
        slices={key: [_text((row.metadata or {}).get(key)) for row in predictions] for key in options.slice_by},
        pooled=pooled,
        bounds={"unparsed_rate": (0.0, 1.0)},
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


class _Pooled:
    """Figures [B] by name, of weights int32 [B, N] in the order of the predictions; NaN where undefined."""

    def __init__(self, predictions: Sequence[DetectionPrediction], options: Evaluate) -> None:
        dataset = collect(predictions, reading_of(options))
        self._order = dataset.positions
        counts = count_images(look(dataset, options.min_score))
        self._names, self._counts = list(counts), np.stack(list(counts.values()), axis=1)
        cells = make_cells(dataset)
        self._kinds = {"": AveragePrecision(dataset, cells, box_ious(dataset, cells))}
        answers = dataset.predicted
        if has_masks([row.gt for row in dataset.rows]) and (has_masks(answers) or not any(answers)):
            self._kinds[MASK] = AveragePrecision(dataset, cells, mask_ious(dataset, cells))

    @property
    def names(self) -> list[str]:
        """What `__call__` returns, masks after boxes."""
        return [*_FIGURES, *_RATIOS, *(f"{MASK}{name}" for name in _FIGURES if MASK in self._kinds)]

    def __call__(self, weights: Weights) -> dict[str, Floats]:
        weights = np.ascontiguousarray(weights[:, self._order], dtype=np.int32)
        found: dict[str, Floats] = {}
        for prefix, average_precision in self._kinds.items():
            figures = average_precision.figures(weights)
            found |= {prefix + name: figures[name] for name in _FIGURES}
        shares = ratios(dict(zip(self._names, (weights @ self._counts).T, strict=True)))
        return {**found, **{name: shares[name] for name in _RATIOS}}
