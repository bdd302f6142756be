"""Predictions to scores and metrics: how far off, how sure, and how rightly so, beside the classical solvers.

Subjects are the model and those of `glossary.SUBJECTS` that have an answer. Records with an error, and records whose
true place nobody said, are scored for no subject; they are counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from pipeline.stats import Floats, Interval
from pipeline.tasks.localization.evaluate.conformal import Calibration, calibrate
from pipeline.tasks.localization.evaluate.ellipses import needed_factors
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
)
from pipeline.tasks.localization.recipe import Evaluate
from pipeline.tasks.localization.rows import Prediction, Score
from schemas.rows import Metric

CONFORMAL = "conformal"
POOLED = "pooled"
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


def evaluate(predictions: Sequence[Prediction], options: Evaluate) -> Evaluation:
    """Scores of every subject on each record with a truth, and all metrics of the glossary that are defined.

    Raises UserError when there is nothing to score, an id occurs twice, the predictions are of several models, a row
    means nothing, or the calibration rows or training examples do not fit.
    """
    predictions = list(predictions)
    scored = _scored(predictions)
    _check(predictions, scored)
    rows, truths = [predictions[n] for n in np.flatnonzero(scored)], _truths(predictions)[scored]
    needed = needed_factors(rows, truths)
    subjects = {MODEL: score_model(rows, truths)}
    ellipses = {MODEL: needed <= 1}
    calibration = None
    if options.conformal is not None:
        calibration = calibrate(Path(options.conformal), predictions)
        subjects[CONFORMAL] = _rescaled(subjects[MODEL], calibration)
        ellipses[CONFORMAL] = needed <= calibration.factors
    subjects |= score_solvers(rows, truths, options)
    metrics: list[Metric] = []
    for part in _slices(predictions):
        kept = part.chosen[scored]
        metrics += _counts(part, predictions, subjects)
        for name, one in subjects.items():
            if name == MODEL or part.by in _OF_ALL_SUBJECTS:
                metrics += _metrics(part, name, _kept(one, kept), options)
            if name in ellipses and kept.any():
                metrics += _ellipse_metrics(part, name, ellipses[name][kept], options)
    for name, one in subjects.items():
        metrics += _curve(name, one.region, options)
    if calibration is not None:
        metrics += _factors(calibration, scored)
    scores = Lines(lambda: map(encode, _score_rows(rows, subjects)), Score)
    return Evaluation(scores=scores, metrics=metrics, remarks=_remarks(options, calibration, ellipses))


def measure_records(predictions: Sequence[Prediction], options: Evaluate) -> Measurements:
    """Errors, likelihoods, and the truths in regions and ellipses. Records with an error or no truth are not scored."""
    scored = _scored(predictions)
    rows, truths = [p for p, good in zip(predictions, scored, strict=True) if good], _truths(predictions)
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


def _scored(predictions: Sequence[Prediction]) -> NDArray[np.bool_]:
    return np.array([p.error is None and p.latitude is not None and p.longitude is not None for p in predictions])


def _truths(predictions: Sequence[Prediction]) -> Floats:
    """True places [N, 2]; NaN where nobody said one."""
    found = np.full((len(predictions), 2), np.nan)
    for n, p in enumerate(predictions):
        if p.latitude is not None and p.longitude is not None:
            found[n] = p.latitude, p.longitude
    return found


def _check(predictions: Sequence[Prediction], scored: NDArray[np.bool_]) -> None:
    if not predictions:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` first")
    refuse_mixed((p.id for p in predictions), {p.model for p in predictions})
    if scored.any():
        return
    failed = next((p for p in predictions if p.error is not None), None)
    if failed is not None and all(p.error is not None for p in predictions):
        raise UserError(
            f"all {len(predictions)} predictions are errors",
            where=f"record {failed.id}: {failed.error}",
            remedy="mend that and run `baton infer` again",
        )
    raise UserError(
        "no record has a true place to be scored against",
        where="fields latitude and longitude",
        remedy="predict examples that say where the transmitters were",
    )


def _rescaled(model: Scored, calibration: Calibration) -> Scored:
    """What the model scored with the regions of the calibration: a density is not rescaled level by level."""
    growth = float(calibration.factors[list(ELLIPSE_COVERAGES.values()).index(0.9)])
    nothing = np.full_like(model.error_m, np.nan)
    return replace(
        model,
        negative_log_likelihood=nothing,
        region=calibration.region(model),
        area_km2=model.area_km2 * growth**2,
    )


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


def _slices(predictions: Sequence[Prediction]) -> Iterator[_Slice]:
    """All records; then those of each value of each key that has several, in the order of the values."""
    yield _Slice("all", "all", np.ones(len(predictions), np.bool_))
    for key, values in slices_of(predictions, _truths(predictions)).items():
        known = sorted({value for value in values if value is not None}, key=lambda value: (len(value), value))
        for value in known if len(known) > 1 else ():
            yield _Slice(key, value, np.array([one == value for one in values]))


def _kept(one: Scored, which: NDArray[np.bool_]) -> Scored:
    return Scored(*(column[which] for column in vars(one).values()))


def _counts(part: _Slice, predictions: Sequence[Prediction], subjects: Subjects) -> Iterator[Metric]:
    chosen = [p for p, own in zip(predictions, part.chosen, strict=True) if own]
    counts = {
        "num_records": len(chosen),
        "num_errors": sum(p.error is not None for p in chosen),
        "num_without_truth": sum(p.error is None and (p.latitude is None or p.longitude is None) for p in chosen),
    }
    if part.by == "all" and POSTERIOR in subjects:
        counts["num_posterior"] = int(np.isfinite(subjects[POSTERIOR].error_m).sum())
    for name, count in counts.items():
        yield _metric(part, (name, "count", MODEL), float(count), len(chosen))


def _metrics(part: _Slice, subject: str, one: Scored, options: Evaluate) -> Iterator[Metric]:
    """Metrics of a subject over a slice: those whose values are there."""
    error, likelihood, regions, area = (column[np.isfinite(column)] for column in vars(one).values())
    bootstrap = stats.Bootstrap(num_resamples=options.num_resamples, confidence=options.confidence)
    found: list[tuple[str, str, Interval | float, int]] = []
    if len(error):
        found.append(("error_m", "median", _bootstrap(error, stats.median, options, bootstrap), len(error)))
        for name, share in QUANTILES.items():
            found.append((name, POOLED, stats.quantile(error, share, options.confidence), len(error)))
    if len(likelihood):
        interval = _bootstrap(likelihood, stats.mean, options, bootstrap)
        found.append(("negative_log_likelihood", "mean", interval, len(likelihood)))
    if len(regions):
        for name, p in COVERAGES.items():
            interval = stats.wilson(int((regions < p).sum()), len(regions), options.confidence)
            found.append((name, "rate", interval, len(regions)))
        off = np.abs([(regions < p).mean() - p for p in CURVE])
        found.append(("calibration_error", POOLED, float(off.mean()), len(regions)))
    if len(area):
        found.append(("area_90_km2", "median", _bootstrap(area, stats.median, options, bootstrap), len(area)))
    for name, statistic, value, num in found:
        yield _metric(part, (name, statistic, subject), value, num)


def _bootstrap(
    values: Floats, metric: stats.intervals.Metric, options: Evaluate, bootstrap: stats.Bootstrap
) -> Interval:
    return stats.bootstrap(values, metric, np.random.default_rng(options.seed), bootstrap)


def _ellipse_metrics(part: _Slice, subject: str, within: NDArray[np.bool_], options: Evaluate) -> Iterator[Metric]:
    for name, own in zip(ELLIPSE_COVERAGES, within.T, strict=True):
        interval = stats.wilson(int(own.sum()), len(own), options.confidence)
        yield _metric(part, (name, "rate", subject), interval, len(own))


def _curve(subject: str, regions: Floats, options: Evaluate) -> Iterator[Metric]:
    """The calibration curve: a slice for each probability."""
    known = regions[np.isfinite(regions)]
    for p in CURVE if len(known) else ():
        part = _Slice("probability", f"{p:.2f}", np.isfinite(regions))
        interval = stats.wilson(int((known < p).sum()), len(known), options.confidence)
        yield _metric(part, ("coverage", "rate", subject), interval, len(known))


def _factors(calibration: Calibration, scored: NDArray[np.bool_]) -> Iterator[Metric]:
    """By how much each ellipse grew, of the calibration records."""
    for name, factor in zip(ELLIPSE_FACTORS, calibration.factors.tolist(), strict=True):
        yield _metric(_Slice("all", "all", scored), (name, POOLED, CONFORMAL), factor, len(calibration))


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


def _metric(part: _Slice, what: tuple[str, str, str], value: Interval | float, num_records: int) -> Metric:
    name, statistic, subject = what
    records = RecordSlice(part.by, part.value, num_records)
    return metric_row("localization", BY_NAME[name], (statistic, subject), records, value)


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate, measure_records=measure_records, table=TABLE, files=files)
