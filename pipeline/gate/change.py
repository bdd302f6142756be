"""Predictions against a baseline, record by record: the change of every check with intervals that hold together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.gate.baseline import UPDATE, Opened
from pipeline.gate.checks import ALL, Checked
from pipeline.gate.inputs import Predictions, measure_predictions
from pipeline.gate.resample import (
    MEANS,
    POOLED,
    Column,
    Side,
    Spread,
    draw_weights,
    simultaneous,
    skewness,
    studentized,
)
from pipeline.gate.rule import Change
from pipeline.records.measured import Task
from pipeline.stats import Floats
from schemas.gate import BaselineMetric, GateSpec

NUM_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """N records that both sides answer, in the order of the baseline. ``scored`` bool [N]: on both sides.

    ``num_unscored`` are the records of baseline and now that count in no metric, for they have an error.
    """

    now: Predictions
    baseline: Side
    columns: Sequence[str] | None
    scored: NDArray[np.bool_]
    num_unscored: tuple[int, int]

    @property
    def slices(self) -> dict[str, list[str]]:
        """Values of each key that records can be sliced by, sorted."""
        found = self.now.measured.slices
        return {key: sorted({value for value in values if value is not None}) for key, values in found.items()}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was found for each check, in their order. ``sizes`` are numbers of records."""

    changes: Sequence[Change]
    sizes: Sequence[int]


def pair(task: Task, now: Predictions, opened: Opened) -> Pairs:
    """The predictions beside the baseline's. Raises UserError, with the list, where records or their truth differ."""
    before = opened.predictions
    records = opened.document.records
    if before is None and not records:
        raise UserError(
            "this baseline was taken from metrics, and holds no records to pair with",
            where=str(opened.path),
            remedy=f"give metrics.jsonl as the input; or: {UPDATE}",
        )
    ids = before.ids if before else [record.id for record in records]
    truth = before.truth if before else [record.truth for record in records]
    _refuse_other_records(now, ids, truth, opened)
    if list(now.ids) != list(ids):
        place = {id: n for n, id in enumerate(now.ids)}
        now = measure_predictions(task, now.path, [now.rows[place[id]] for id in ids])
    if before is not None:
        side, scored, columns = (
            Side(values=dict(before.measured.values), measured=before.measured),
            (before.measured.scored),
            None,
        )
    else:
        values = np.array([record.values for record in records], np.float64).reshape(len(records), -1)
        columns = opened.document.columns
        side = Side(values={name: values[:, index] for index, name in enumerate(columns)})
        scored = np.array([record.scored for record in records], np.bool_)
    both = scored & now.measured.scored
    if not both.any():
        raise UserError("no record counts in any metric: all have errors", where=str(now.path))
    unscored = (int((~scored).sum()), int((~now.measured.scored).sum()))
    return Pairs(now=now, baseline=side, columns=columns, scored=both, num_unscored=unscored)


def _refuse_other_records(now: Predictions, ids: Sequence[str], truth: Sequence[str], opened: Opened) -> None:
    known, here = dict(zip(ids, truth, strict=True)), dict(zip(now.ids, now.truth, strict=True))
    missing = [id for id in ids if id not in here]
    unknown = [id for id in now.ids if id not in known]
    other = [id for id in ids if id in here and here[id] != known[id]]
    lines = [
        f"{len(found):,} {what}: {', '.join(found[:NUM_SHOWN])}" + (", ..." if len(found) > NUM_SHOWN else "")
        for what, found in (
            ("of the baseline are not among the predictions", missing),
            ("of the predictions are not in the baseline", unknown),
            ("have another truth than in the baseline", other),
        )
        if found
    ]
    if lines:
        raise UserError(
            "these predictions and the baseline are not about the same records:\n    " + "\n    ".join(lines),
            where=f"{now.path}, {opened.path}",
            remedy=f"run `baton infer` over the examples of the baseline; or: {UPDATE}",
        )


def refuse_missing_columns(pairs: Pairs, checks: Sequence[Checked], path: str) -> None:
    """Raises UserError where the baseline does not hold what a check needs."""
    if pairs.columns is None:
        return
    for checked in checks:
        if checked.statistic == POOLED or checked.metric not in pairs.columns:
            raise UserError(f"the baseline does not hold {checked.metric}", where=path, remedy=UPDATE)


def compare_pairs(pairs: Pairs, checks: Sequence[Checked], spec: GateSpec) -> Compared:
    """The change of each check, over resamples that all checks and both sides share."""
    measured = pairs.now.measured
    now = Side(values=dict(measured.values), measured=measured)
    columns = columns_of(pairs, checks)
    ones = np.ones((1, len(pairs.scored)), np.int32)
    before_value, now_value = pairs.baseline.take(columns, ones)[0], now.take(columns, ones)[0]
    differences, members = _differences(pairs, now, columns)
    parts, errors = [], []
    for weights in _weights(pairs, spec):
        parts.append(now.take(columns, weights) - pairs.baseline.take(columns, weights))
        errors.append(studentized(differences, members, weights))
    sizes = [int(column.members.sum()) for column in columns]
    change, skewed = now_value - before_value, skewness(differences, members)
    spread = simultaneous(change, np.concatenate(parts), sizes, spec.confidence, np.concatenate(errors), skewed)
    return Compared(changes=_changes(before_value, now_value, spread), sizes=sizes)


def values_alone(pairs: Pairs, checks: Sequence[Checked], spec: GateSpec) -> list[BaselineMetric]:
    """The value of each check now with its own percentile interval: what a baseline tells people, and metrics."""
    measured = pairs.now.measured
    now = Side(values=dict(measured.values), measured=measured)
    columns = columns_of(pairs, checks)
    points = now.take(columns, np.ones((1, len(pairs.scored)), np.int32))[0]
    resampled = np.concatenate([now.take(columns, weights) for weights in _weights(pairs, spec)])
    tail = (1.0 - spec.confidence) / 2.0
    found = []
    for index, checked in enumerate(checks):
        column = resampled[np.isfinite(resampled[:, index]), index]
        if not np.isfinite(points[index]):
            continue
        low, high = (float(edge) for edge in np.quantile(column, (tail, 1.0 - tail)))
        value = float(points[index])
        found.append(
            BaselineMetric(
                metric=checked.metric,
                statistic=checked.statistic,
                slice_by=checked.slice_by,
                slice_value=checked.slice_value,
                value=value,
                low=min(low, value),
                high=max(high, value),
                confidence=spec.confidence,
                num_records=int(columns[index].members.sum()),
            )
        )
    return found


def columns_of(pairs: Pairs, checks: Sequence[Checked]) -> list[Column]:
    """Which records each check is over."""
    columns = []
    for checked in checks:
        members = pairs.scored
        if checked.slice_by != ALL:
            values = pairs.now.measured.slices[checked.slice_by]
            members = members & np.array([value == checked.slice_value for value in values], np.bool_)
        columns.append(Column(metric=checked.metric, statistic=checked.statistic, members=members))
    return columns


def _differences(pairs: Pairs, now: Side, columns: Sequence[Column]) -> tuple[Floats, NDArray[np.bool_]]:
    """What each record changed by, and whether it counts, for each column that is a mean: [N, C]; 0 for the others."""
    shape = (len(pairs.scored), len(columns))
    differences, members = np.zeros(shape), np.zeros(shape, np.bool_)
    for index, column in enumerate(columns):
        if column.statistic in MEANS:
            differences[:, index] = now.values[column.metric] - pairs.baseline.values[column.metric]
            members[:, index] = column.members
    return differences, members


def _weights(pairs: Pairs, spec: GateSpec) -> Iterator[NDArray[np.int32]]:
    generator = np.random.default_rng(spec.seed)
    return draw_weights(len(pairs.scored), spec.num_resamples, generator, pairs.now.measured.strata)


def _changes(before: Floats, now: Floats, spread: Spread) -> list[Change]:
    return [
        Change(baseline=_or_none(b), now=_or_none(n), low=_or_none(low), high=_or_none(high))
        for b, n, low, high in zip(before, now, spread.low, spread.high, strict=True)
    ]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
