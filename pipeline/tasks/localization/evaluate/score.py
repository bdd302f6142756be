"""Predictions to scores and metrics: how far off, how sure, and how rightly so, beside the classical solvers.

Subjects are the model and those of `glossary.SUBJECTS` that have an answer. Records with an error, and records whose
true place nobody said, are scored for no subject; they are counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.contract.metrics import (
    ERRORS_LEFT_OUT,
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
from pipeline.records.measured import POOLED, STATISTICS
from pipeline.stats import Floats, Interval
from pipeline.tasks.localization.evaluate.conformal import Calibration, calibrate, needed_factors
from pipeline.tasks.localization.evaluate.glossary import (
    BY_NAME,
    COVERAGES,
    CURVE,
    ELLIPSE_COVERAGES,
    ELLIPSE_FACTORS,
    GLOSSARY,
    QUANTILES,
)
from pipeline.tasks.localization.evaluate.slices import slices_of
from pipeline.tasks.localization.evaluate.subjects import (
    MODEL,
    POSTERIOR,
    Scored,
    Subjects,
    score_model,
    score_solvers,
    truths_of,
)
from pipeline.tasks.localization.recipe import Evaluate
from pipeline.tasks.localization.rows import Prediction, Score
from schemas.rows import Metric

CONFORMAL = "conformal"
_OF_ALL_SUBJECTS = ("all", "receivers", "kind")  # slices in which the solvers are told, too

TABLE = TableLayout(
    slice_subjects=(MODEL,),  # the solvers in slices are in metrics.jsonl
    columns=(
        TableColumn(metric="error_m", statistic="median", heading="median m"),
        TableColumn(metric="error_68_m", statistic=POOLED, heading="68 % m"),
        TableColumn(metric="error_95_m", statistic=POOLED, heading="95 % m"),
        TableColumn(metric="negative_log_likelihood", statistic="mean", heading="NLL"),
        TableColumn(metric="coverage_50", statistic="rate", heading="in 50 %"),
        TableColumn(metric="coverage_90", statistic="rate", heading="in 90 %"),
        TableColumn(metric="area_90_km2", statistic="median", heading="km2 of 90 %"),
    ),
    notes=(
        ERRORS_LEFT_OUT,
        TableNote(
            metric="num_without_truth",
            text="{value} of {num_records} records have no true place and are left out of every other metric.",
        ),
        TableNote(metric="num_posterior", text="The posterior is that of {value} records: evaluate.posterior_records."),
    ),
)


@dataclass(frozen=True)
class _Slice:
    """Records of a subset: ``chosen`` is bool [N], over all predictions."""

    by: str
    value: str
    chosen: NDArray[np.bool_]

    def metric(self, name: str, statistic: str, subject: str, value: Interval | float, num: int) -> Metric:
        """The row of a metric over ``num`` of its records."""
        records = RecordSlice(self.by, self.value, num)
        return metric_row("localization", BY_NAME[name], (statistic, subject), records, value)


def evaluate(predictions: Sequence[Prediction], options: Evaluate) -> Evaluation:
    """Scores of every subject on each record with a truth, and all metrics of the glossary that are defined.

    Raises UserError when there is nothing to score, an id occurs twice, the predictions are of several models, a row
    means nothing, or the calibration rows or training examples do not fit.
    """
    predictions, truths = list(predictions), truths_of(predictions)
    scored = _scored(predictions, truths)
    _check(predictions, scored)
    rows, whole = [predictions[n] for n in np.flatnonzero(scored)], _Slice("all", "all", np.ones(len(scored), np.bool_))
    needed = needed_factors(rows, truths[scored])
    subjects = {MODEL: score_model(rows, truths[scored])}
    ellipses, calibration = {MODEL: needed <= 1}, None
    if options.conformal is not None:
        calibration = calibrate(Path(options.conformal), predictions)
        subjects[CONFORMAL] = calibration.rescaled(subjects[MODEL])
        ellipses[CONFORMAL] = needed <= calibration.factors
    subjects |= score_solvers(rows, truths[scored], options)
    metrics: list[Metric] = []
    for part in (whole, *_slices(slices_of(predictions, truths))):
        kept = part.chosen[scored]
        metrics += _counts(part, predictions, scored, subjects)
        for name, one in subjects.items():
            if name == MODEL or part.by in _OF_ALL_SUBJECTS:
                metrics += _metrics(part, name, Scored(*(column[kept] for column in vars(one).values())), options)
            if name in ellipses:
                for metric, within in zip(ELLIPSE_COVERAGES, ellipses[name][kept].T, strict=True):
                    metrics += _rate(part, metric, name, within, options)
    for name, one in subjects.items():
        known = np.isfinite(one.region)
        for p in CURVE:
            part = _Slice("probability", f"{p:.2f}", known)
            metrics += _rate(part, "coverage", name, one.region[known] < p, options)
    if calibration is not None:
        for name, factor in zip(ELLIPSE_FACTORS, calibration.factors.tolist(), strict=True):
            metrics.append(whole.metric(name, POOLED, CONFORMAL, factor, len(calibration)))
    scores = Lines(lambda: map(encode, _score_rows(rows, subjects)), Score)
    return Evaluation(scores=scores, metrics=metrics, remarks=_remarks(options, calibration, ellipses))


def measure_records(predictions: Sequence[Prediction], options: Evaluate) -> Measurements:
    """Errors, likelihoods, and the truths in regions and ellipses. Records with an error or no truth are not scored."""
    truths = truths_of(predictions)
    scored = _scored(predictions, truths)
    rows = [p for p, good in zip(predictions, scored, strict=True) if good]
    found = score_model(rows, truths[scored])
    needed = needed_factors(rows, truths[scored])
    values = {
        "error_m": found.error_m,
        "negative_log_likelihood": found.negative_log_likelihood,
        "area_90_km2": found.area_km2,
        **{name: (found.region < p).astype(np.float64) for name, p in COVERAGES.items()},
        **{name: (column <= 1).astype(np.float64) for name, column in zip(ELLIPSE_COVERAGES, needed.T, strict=True)},
    }
    columns = {name: np.zeros(len(predictions)) for name in values}
    for name, column in columns.items():
        column[scored] = values[name]
    rates = [*COVERAGES, *ELLIPSE_COVERAGES]
    return Measurements(
        values=columns,
        scored=scored,
        metrics=[
            RecordMetric("error_m", "median"),
            RecordMetric("negative_log_likelihood", "mean"),
            *(RecordMetric(name, POOLED) for name in QUANTILES),
            *(RecordMetric(name, "rate") for name in rates),
            RecordMetric("area_90_km2", "median"),
        ],
        slices=slices_of(predictions, truths),
        pooled=lambda weights: _quantiles(columns["error_m"], weights * scored),
        bounds=dict.fromkeys(rates, (0.0, 1.0)),
    )


def _quantiles(errors: Floats, weights: NDArray[np.integer[Any]]) -> dict[str, Floats]:
    """The quantiles [B] of errors [N] that count as often as ``weights`` [B, N] say; NaN where none does."""
    order = np.argsort(errors, kind="stable")
    heights = weights[:, order].cumsum(axis=1)
    total = heights[:, -1]
    ordered = np.append(errors[order], np.nan)  # beyond the last where nothing counts
    return {
        name: np.where(total > 0, ordered[(heights < np.ceil(share * total)[:, None]).sum(axis=1)], np.nan)
        for name, share in QUANTILES.items()
    }


def files(options: Evaluate) -> dict[str, str]:
    """Files that the options name: they are inputs of the stage like the predictions."""
    named = {"training": options.training, "conformal": options.conformal}
    return {name: path for name, path in named.items() if path is not None}


def _scored(predictions: Sequence[Prediction], truths: Floats) -> NDArray[np.bool_]:
    return np.array([p.error is None for p in predictions], np.bool_) & np.isfinite(truths).all(axis=1)


def _check(predictions: Sequence[Prediction], scored: NDArray[np.bool_]) -> None:
    if not predictions:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` first")
    refuse_mixed((p.id for p in predictions), {p.model for p in predictions})
    if scored.any():
        return
    if all(p.error is not None for p in predictions):
        what, where = f"all {len(predictions)} predictions are errors", f"record {predictions[0].id}"
        raise UserError(what, where=f"{where}: {predictions[0].error}", remedy="mend that and run `baton infer` again")
    what, remedy = "no record has a true place to be scored against", "predict examples that say where they were"
    raise UserError(what, where="fields latitude and longitude", remedy=remedy)


def _remarks(
    options: Evaluate, calibration: Calibration | None, ellipses: Mapping[str, NDArray[np.bool_]]
) -> list[str]:
    if calibration is None:
        return []
    before, after = ellipses[MODEL].mean(axis=0), ellipses[CONFORMAL].mean(axis=0)
    parts = [
        f"{100 * p:g} % x {factor:.2f} ({100 * one:.1f} -> {100 * other:.1f} %)"
        for p, factor, one, other in zip(COVERAGES.values(), calibration.factors, before, after, strict=True)
    ]
    return [
        f"Ellipses rescaled by {len(calibration):,} records of {options.conformal}, and the truths in them "
        f"before and after: {', '.join(parts)}."
    ]


def _slices(values_by_key: Mapping[str, Sequence[str | None]]) -> Iterator[_Slice]:
    """The records of each value of each key that has several, in the order of the values."""
    for key, values in values_by_key.items():
        known = sorted({value for value in values if value is not None}, key=lambda value: (len(value), value))
        for value in known if len(known) > 1 else ():
            yield _Slice(key, value, np.array([one == value for one in values]))


def _counts(
    part: _Slice, predictions: Sequence[Prediction], scored: NDArray[np.bool_], subjects: Subjects
) -> Iterator[Metric]:
    chosen, failed = int(part.chosen.sum()), np.array([p.error is not None for p in predictions]) & part.chosen
    counts = {
        "num_records": chosen,
        "num_errors": int(failed.sum()),
        "num_without_truth": int((part.chosen & ~failed & ~scored).sum()),
    }
    if part.by == "all" and POSTERIOR in subjects:
        counts["num_posterior"] = int(np.isfinite(subjects[POSTERIOR].error_m).sum())
    for name, count in counts.items():
        yield part.metric(name, "count", MODEL, float(count), chosen)


def _metrics(part: _Slice, subject: str, one: Scored, options: Evaluate) -> Iterator[Metric]:
    """Metrics of a subject over a slice: those whose values are there."""
    error, likelihood, regions, area = (column[np.isfinite(column)] for column in vars(one).values())
    yield from _bootstrap(part, ("error_m", "median", subject), error, options)
    for name, share in QUANTILES.items() if len(error) else ():
        yield part.metric(name, POOLED, subject, stats.quantile(error, share, options.confidence), len(error))
    yield from _bootstrap(part, ("negative_log_likelihood", "mean", subject), likelihood, options)
    for name, p in COVERAGES.items():
        yield from _rate(part, name, subject, regions < p, options)
    if len(regions):
        off = np.abs([(regions < p).mean() - p for p in CURVE])
        yield part.metric("calibration_error", POOLED, subject, float(off.mean()), len(regions))
    yield from _bootstrap(part, ("area_90_km2", "median", subject), area, options)


def _bootstrap(part: _Slice, what: tuple[str, str, str], values: Floats, options: Evaluate) -> Iterator[Metric]:
    """A metric (its name, statistic and subject) with its interval; nothing of no values."""
    if len(values):
        drawn = stats.Bootstrap(num_resamples=options.num_resamples, confidence=options.confidence)
        chance = np.random.default_rng(options.seed)
        interval = stats.bootstrap(values, STATISTICS[what[1]], chance, drawn)
        yield part.metric(*what, interval, len(values))


def _rate(part: _Slice, name: str, subject: str, within: NDArray[np.bool_], options: Evaluate) -> Iterator[Metric]:
    if len(within):
        interval = stats.wilson(int(within.sum()), len(within), options.confidence)
        yield part.metric(name, "rate", subject, interval, len(within))


def _score_rows(rows: Sequence[Prediction], subjects: Subjects) -> Iterator[Score]:
    """Of each record the row of the model, then those of the others that have an answer."""
    columns = {
        name: [
            [None if np.isnan(value) else value for value in column.tolist()]
            for column in (one.error_m, one.negative_log_likelihood, one.region)
        ]
        for name, one in subjects.items()
    }
    for n, row in enumerate(rows):
        for name, (errors, likelihoods, regions) in columns.items():
            if errors[n] is not None:
                yield Score(
                    id=f"{row.id}/{name}",
                    subject=name,
                    error_m=errors[n],
                    negative_log_likelihood=likelihoods[n],
                    region=regions[n],
                )


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate, measure_records=measure_records, table=TABLE, files=files)
