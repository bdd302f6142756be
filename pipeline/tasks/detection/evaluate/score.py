"""Predictions to scores and metrics: COCO's figures, precision and recall, errors by type, and how texts were read.

Everything is a function of the weights of images (`figures.Figures`): all 1 for the value, 0 outside a slice, and how
often a resample drew each image for the interval. All metrics of a slice share their resamples. A record with an error
counts as an answer without objects. The subject is "model"; where some text was cut, a second one says what the first
would be with its salvaged objects counted in (or left out, where ``use_salvaged`` counts them in).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.contract.metrics import (
    Evaluation,
    Measurements,
    RecordMetric,
    RecordSlice,
    TableColumn,
    TableLayout,
    TableNote,
    metric_row,
    refuse_mixed,
)
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.files import Lines, encode
from pipeline.stats import Floats, Interval
from pipeline.stats.intervals import PRODUCT_ELEMENTS, draw_records
from pipeline.tasks.detection.evaluate.dataset import Dataset, collect
from pipeline.tasks.detection.evaluate.explain import ERROR_TYPES, MATCH_IOU, percent
from pipeline.tasks.detection.evaluate.figures import Figures, ratios
from pipeline.tasks.detection.evaluate.glossary import BY_NAME, GLOSSARY, MASK, STATUSES, UNPARSED
from pipeline.tasks.detection.evaluate.kernels import Ints, Weights
from pipeline.tasks.detection.evaluate.reading import reading_of
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionPrediction, DetectionScore
from schemas.rows import Metric

MODEL, WITH_SALVAGED, WITHOUT_SALVAGED = "model", "with_salvaged", "without_salvaged"
POOLED = "pooled"  # the statistic of what is taken over the objects of all records together
_AT = percent(MATCH_IOU)
_MAIN_FIGURES = ("average_precision", "average_precision_50", "average_precision_75")
_MAIN_RATIOS = (f"precision_{_AT}", f"recall_{_AT}", f"f1_{_AT}", "mean_iou", "duplicate_rate")

TABLE = TableLayout(
    columns=(
        TableColumn(metric="average_precision", statistic=POOLED, heading="AP"),
        TableColumn(metric="average_precision_50", statistic=POOLED, heading="AP50"),
        TableColumn(metric="average_precision_75", statistic=POOLED, heading="AP75"),
        TableColumn(metric=f"{MASK}average_precision", statistic=POOLED, heading="mask AP"),
        TableColumn(metric=f"precision_{_AT}", statistic=POOLED, heading="precision"),
        TableColumn(metric=f"recall_{_AT}", statistic=POOLED, heading="recall"),
        TableColumn(metric=f"f1_{_AT}", statistic=POOLED, heading="F1"),
        TableColumn(metric="duplicate_rate", statistic=POOLED, heading="duplicates"),
        TableColumn(metric="unparsed_rate", statistic="rate", heading="unparsed"),
    ),
    notes=(
        TableNote(metric="num_errors", text="WARNING: {value} of {num_records} records have an error ({parts}); they "
                  "count as answers without objects.", by="error"),
        TableNote(metric="num_salvaged", text="{value} objects were complete before their texts were cut."),
        TableNote(metric="num_dropped", text="{value} objects of the texts were no valid ones and are dropped "
                  "({parts}).", by="dropped_code"),
        TableNote(metric="num_unknown_labels", text="{value} predictions have a label that no true object has."),
        TableNote(metric="num_logprob_scores", text="{value} predictions are ranked by their log probabilities."),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class _Slice:
    """Records of a subset; ``chosen`` are indices of the rows of a dataset."""

    by: str
    value: str
    chosen: Ints


def evaluate(predictions: Sequence[DetectionPrediction], options: Evaluate) -> Evaluation:
    """One score row an image, in the order given, and all metrics of the glossary that are defined.

    Raises UserError when there is nothing to score, an id occurs twice, the predictions are of several models, or the
    options ask for what the rows do not have.
    """
    main = collect(predictions, reading_of(options))
    _check([main.rows[n] for n in main.in_order_of_file()], options)
    figures = Figures(main, options, with_costs=True)
    slices = list(_slices(main.rows, options.slice_by))
    metrics: list[Metric] = []
    for part in slices:
        metrics += _resampled(figures, part, MODEL, options)
        metrics += _reading_metrics(main, part, options)
    if any(row.salvaged for row in main.rows):
        other = collect(predictions, reading_of(options, use_salvaged=not options.use_salvaged))
        subject = WITHOUT_SALVAGED if options.use_salvaged else WITH_SALVAGED
        metrics += _resampled(Figures(other, options, with_costs=True), slices[0], subject, options)
    metrics += _by_class(figures, options)
    scores = Lines(lambda: map(encode, score_rows(figures)), DetectionScore)
    return Evaluation(scores=scores, metrics=metrics)


def measure_records(predictions: Sequence[DetectionPrediction], options: Evaluate) -> Measurements:
    """COCO's figures, precision and recall of all objects together, and the share of texts that were not read.

    Every record is scored: one with an error counts as an answer without objects. Raises UserError when the options ask
    for what the rows do not have.
    """
    figures = Figures(collect(predictions, reading_of(options)), options)
    names = [*(prefix + name for prefix in figures.kinds for name in _MAIN_FIGURES), *_MAIN_RATIOS]

    def pooled(weights: NDArray[np.int32]) -> dict[str, Floats]:
        by_image = np.ascontiguousarray(weights[:, figures.dataset.positions], dtype=np.uint8)
        found = figures.pooled(by_image)
        return {name: found[name] for name in names}

    return Measurements(
        values={"unparsed_rate": np.array([row.status in UNPARSED for row in predictions], np.float64)},
        scored=np.ones(len(predictions), np.bool_),
        metrics=[*(RecordMetric(name, POOLED) for name in names), RecordMetric("unparsed_rate", "rate")],
        slices={key: [_value(row, key) for row in predictions] for key in options.slice_by},
        pooled=pooled,
        bounds={"unparsed_rate": (0.0, 1.0)},
    )


def _value(row: DetectionPrediction, key: str) -> str | None:
    """By what a record belongs to a slice; None, in no slice, where its metadata do not say or say null."""
    value = (row.metadata or {}).get(key)
    return None if value is None else str(value)


def files(options: Evaluate) -> dict[str, str]:
    """Files that the options name, by what they are for: they are inputs of the stage like the predictions."""
    return {"synonyms": options.synonyms} if options.synonyms is not None else {}


def _check(predictions: Sequence[DetectionPrediction], options: Evaluate) -> None:
    if not predictions:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` first")
    refuse_mixed((p.id for p in predictions), {p.model for p in predictions})
    if all(p.status == "not_run" for p in predictions):
        raise UserError(
            f"the model answered none of {len(predictions)} records",
            where=f"record {predictions[0].id}: {predictions[0].error}",
            remedy="mend that and run `baton infer` again",
        )
    for key in options.slice_by:
        if all(_value(row, key) is None for row in predictions):
            raise UserError(f"no record has {key!r} in its metadata", where="evaluate.slice_by")


def _slices(rows: Sequence[DetectionPrediction], keys: Sequence[str]) -> Iterator[_Slice]:
    """All records; then those of each value of each key of the metadata, in order of the values as texts."""
    yield _all_records(len(rows))
    for key in keys:
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            if (value := _value(row, key)) is not None:
                groups.setdefault(value, []).append(index)
        for value in sorted(groups):
            yield _Slice(key, value, np.array(groups[value]))


def _all_records(number: int) -> _Slice:
    return _Slice("all", "all", np.arange(number))


def _weights(part: _Slice, num_images: int) -> Weights:
    weights = np.zeros((1, num_images), np.uint8)
    weights[0, part.chosen] = 1
    return weights


def _draws(part: _Slice, num_images: int, options: Evaluate) -> Iterator[Weights]:
    """How often each of ``num_resamples`` resamples of the slice drew each image, in chunks."""
    generator = np.random.default_rng(options.seed)
    for drawn in draw_records(len(part.chosen), generator, options.num_resamples, None, PRODUCT_ELEMENTS):
        weights = np.empty((len(drawn), num_images), np.uint8)
        for resample, members in zip(weights, drawn, strict=True):
            resample[:] = np.bincount(part.chosen[members], minlength=num_images)
        yield weights


def _resampled(figures: Figures, part: _Slice, subject: str, options: Evaluate) -> Iterator[Metric]:
    """Figures of a slice with their intervals, and its counts."""
    num_images = len(figures.dataset.rows)
    value, spread = _with_resamples(figures.pooled, part, num_images, options)
    for name in [definition.name for definition in GLOSSARY if definition.name in value]:
        if np.isfinite(value[name][0]):
            yield _metric(part, (name, POOLED, subject), _interval(float(value[name][0]), spread[name], options))
    for name, count in figures.counts(_weights(part, num_images)).items():
        yield _metric(part, (name, "count", subject), count)


def _with_resamples(
    figures_of: Callable[[Weights], Mapping[str, Floats]], part: _Slice, num_images: int, options: Evaluate
) -> tuple[Mapping[str, Floats], dict[str, Floats]]:
    """Figures of a slice ([1, ...] each), and the same of its resamples ([B, ...] each)."""
    value = figures_of(_weights(part, num_images))
    drawn = [figures_of(weights) for weights in _draws(part, num_images, options)]
    return value, {name: np.concatenate([one[:0], *(found[name] for found in drawn)]) for name, one in value.items()}


def main_figures(predictions: Sequence[DetectionPrediction], options: Evaluate) -> dict[str, Interval | float]:
    """AP, AP50 and AP75 of boxes with their intervals, as `evaluate` gives them; NaN where there is nothing to find."""
    figures = Figures(collect(predictions, reading_of(options)), options)
    num_images = len(figures.dataset.rows)
    value, spread = _with_resamples(figures.boxes.main, _all_records(num_images), num_images, options)
    return {name: _interval(float(one[0]), spread[name], options) for name, one in value.items()}


def _interval(value: float, spread: Floats, options: Evaluate) -> Interval | float:
    """Resamples in which the figure is undefined (they drew no true object) are left out."""
    spread = spread[np.isfinite(spread)]
    if not len(spread) or np.isnan(value):
        return value
    bootstrap = stats.Bootstrap(num_resamples=options.num_resamples, confidence=options.confidence)
    return stats.percentile_interval(value, spread, bootstrap)


def _reading_metrics(dataset: Dataset, part: _Slice, options: Evaluate) -> Iterator[Metric]:
    """How the texts of a slice were read."""
    rows = [dataset.rows[n] for n in part.chosen]
    statuses = Counter(row.status for row in rows)
    unparsed = sum(statuses[status] for status in UNPARSED)
    num_predicted = int(np.bincount(dataset.predictions.image, minlength=len(dataset.rows))[part.chosen].sum())
    counts = {
        "num_records": len(rows),
        "num_errors": sum(row.error is not None for row in rows),
        **{f"num_status_{status}": statuses[status] for status in STATUSES},
        "num_repaired": sum(bool(row.repairs) for row in rows),
        "num_dropped": sum(len(row.dropped) for row in rows),
        "num_salvaged": sum(len(row.salvaged) for row in rows),
        "num_logprob_scores": num_predicted if options.score_from == "logprobs" else 0,
    }
    for name, count in counts.items():
        yield _metric(part, (name, "count", MODEL), float(count))
    yield _metric(part, ("unparsed_rate", "rate", MODEL), stats.wilson(unparsed, len(rows), options.confidence))
    if part.by == "all":
        for by, name, found in (
            ("error", "num_errors", Counter(row.error for row in rows if row.error is not None)),
            ("dropped_code", "num_dropped", Counter(one.code for row in rows for one in row.dropped)),
            ("repair", "num_repaired", Counter(repair for row in rows for repair in {*row.repairs})),
        ):
            for value, count in sorted(found.items()):
                yield _metric(_Slice(by, value, part.chosen), (name, "count", MODEL), float(count))


def _by_class(figures: Figures, options: Evaluate) -> Iterator[Metric]:
    """Figures of every class of the ground truth, with intervals. Their records are the images that have the class."""
    dataset = figures.dataset
    num_images = len(dataset.rows)
    value, spread = _with_resamples(figures.by_class, _all_records(num_images), num_images, options)
    counts = ("num_gt", "num_preds")
    for k, name in enumerate(dataset.classes[: dataset.num_true_classes]):
        sides = dataset.truths, dataset.predictions
        images = np.unique(np.concatenate([side.image[side.label == k] for side in sides]))
        part = _Slice("class", name, images)
        yield _metric(part, ("num_records", "count", MODEL), float(len(images)))
        for metric, values in value.items():
            if metric in counts:
                yield _metric(part, (metric, "count", MODEL), float(values[0, k]))
            elif np.isfinite(values[0, k]):
                interval = _interval(float(values[0, k]), spread[metric][:, k], options)
                yield _metric(part, (metric, POOLED, MODEL), interval)


_SHARES = {"precision": f"precision_{_AT}", "recall": f"recall_{_AT}", "f1": f"f1_{_AT}", "mean_iou": "mean_iou"}
_COUNTS = {
    "num_gt": "num_gt",
    "num_preds": "num_preds",
    "num_matched": f"true_{_AT}",
    "num_false": f"false_{_AT}",
    "num_repeats": "num_duplicates",
    **{f"num_{kind}": kind for kind in ERROR_TYPES},
}


def score_rows(figures: Figures) -> Iterator[DetectionScore]:
    """One row an image, in the order of the file."""
    counts, shares = figures.by_image, ratios(figures.by_image)
    for n in figures.dataset.in_order_of_file():
        row = figures.dataset.rows[n]
        plain: dict[str, Any] = {name: int(counts[key][n]) for name, key in _COUNTS.items()}
        for name, key in _SHARES.items():
            plain[name] = float(shares[key][n]) if np.isfinite(shares[key][n]) else None
        yield DetectionScore(
            id=f"{row.id}/{MODEL}",
            subject=MODEL,
            image_id=row.image_id,
            status=row.status,
            error=row.error,
            iou=MATCH_IOU,
            num_dropped=len(row.dropped),
            num_salvaged=len(row.salvaged),
            **plain,
        )


def _metric(part: _Slice, what: tuple[str, str, str], value: Interval | float) -> Metric:
    name, statistic, subject = what
    records = RecordSlice(part.by, part.value, len(part.chosen))
    return metric_row("detection", BY_NAME[name], (statistic, subject), records, value)


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate, measure_records=measure_records, table=TABLE, files=files)
