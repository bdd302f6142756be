"""Predictions or metrics against a baseline: the change of every check with intervals that hold together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import hypot
from statistics import NormalDist

import numpy as np

from pipeline.errors import UserError
from pipeline.gate.baseline import UPDATE, Opened
from pipeline.gate.resample import MEANS, WEIGHT_ELEMENTS, Bools, Counts, simultaneous, skewness, studentized, take
from pipeline.gate.rule import Change
from pipeline.gate.spec import ALL, Checked, Key
from pipeline.records.join import only_in, positions_of, refuse_other_truth
from pipeline.records.measured import POOLED, Ints, Task
from pipeline.records.read import Records
from pipeline.stats.intervals import draw_counts
from schemas.gate import BaselineMetric, GateSpec


def pair(task: Task, now: Records, opened: Opened) -> tuple[Records, Records]:
    """The predictions and the baseline's records, both in the order of the baseline.

    Raises UserError, with the list, where records or their truth differ.
    """
    before = opened.records
    if before is None:
        raise UserError(
            "this baseline was taken from metrics, and holds no records to pair with",
            where=str(opened.path),
            remedy=f"give metrics.jsonl as the input; or: {UPDATE}",
        )
    if lines := only_in(before, now):
        raise UserError(
            "the files do not hold the same records:\n    " + "\n    ".join(lines),
            where=f"{now.path}, {opened.path}",
            remedy=f"run `baton infer` over the examples of the baseline; or: {UPDATE}",
        )
    places = positions_of(before.ids, now)
    refuse_other_truth(task, (now, places), (before, np.arange(len(places))))
    if not (before.measured.scored & now.measured.scored[places]).any():
        raise UserError("no record counts in any metric: all have errors", where=str(now.path))
    return _in_order(now, places), before


def _in_order(records: Records, places: Ints) -> Records:
    """What the records at ``places``, which are all of them, measured."""
    if np.array_equal(places, np.arange(len(places))):
        return records
    measured = records.measured
    return replace(
        records,
        ids=[records.ids[place] for place in places],
        strata=None if records.strata is None else records.strata[places],
        measured=replace(
            measured,
            values={name: column[places] for name, column in measured.values.items()},
            scored=measured.scored[places],
            slices={key: [column[place] for place in places] for key, column in measured.slices.items()},
            pooled=None if measured.pooled is None else lambda weights: records.figures(weights, places),
        ),
    )


def keys_of(now: Records) -> list[Key]:
    """All that can be asked for of records: each metric over all of them, then over the slices by each key, sorted."""
    places = [(ALL, ALL)]
    for by, column in now.measured.slices.items():
        places += [(by, value) for value in sorted({value for value in column if value is not None})]
    return [Key(metric.name, metric.statistic, *place) for metric in now.measured.metrics for place in places]


def refuse_missing_columns(before: Records, checks: Sequence[Checked]) -> None:
    """Raises UserError where the baseline does not hold what a check needs."""
    pooled = {metric.name for metric in before.measured.metrics if metric.statistic == POOLED}
    for checked in checks:
        metric = checked.key.metric
        if metric not in (pooled if checked.key.statistic == POOLED else before.measured.values):
            what = f"the baseline does not hold {metric}"
            raise UserError(what, where=str(before.path), remedy=UPDATE)


def compare_pairs(
    now: Records, before: Records, checks: Sequence[Checked], spec: GateSpec
) -> tuple[list[Change], list[int]]:
    """The change of each check, over resamples that all checks and both sides share; and numbers of records."""
    scored = now.measured.scored & before.measured.scored
    members = _members(now, scored, checks)
    ones = np.ones((1, len(scored)), np.int32)
    before_value = take(before.measured, checks, members, ones)[0]
    now_value = take(now.measured, checks, members, ones)[0]
    differences = np.zeros(members.shape)
    means = np.array([checked.key.statistic in MEANS for checked in checks])
    for index in np.flatnonzero(means).tolist():
        name = checks[index].key.metric
        differences[:, index] = now.measured.values[name] - before.measured.values[name]
    parts, errors = [], []
    for weights in _weights(now, spec):
        sides = (take(side.measured, checks, members, weights) for side in (now, before))
        parts.append(np.subtract(*sides))
        errors.append(studentized(differences, members & means, weights))
    sizes = [int(size) for size in members.sum(axis=0)]
    change, skewed = now_value - before_value, skewness(differences, members & means)
    low, high = simultaneous(change, np.concatenate(parts), sizes, spec.confidence, np.concatenate(errors), skewed)
    found = zip(*(map(_or_none, edge) for edge in (before_value, now_value, low, high)), strict=True)
    return [Change(baseline=b, now=n, low=below, high=above) for b, n, below, above in found], sizes


def values_alone(now: Records, checks: Sequence[Checked], spec: GateSpec) -> Iterator[BaselineMetric]:
    """The value of each check now with its own percentile interval: what a baseline tells people, and metrics."""
    measured = now.measured
    members = _members(now, measured.scored, checks)
    points = take(measured, checks, members, np.ones((1, len(now.ids)), np.int32))[0]
    resampled = np.concatenate([take(measured, checks, members, weights) for weights in _weights(now, spec)])
    tail = (1.0 - spec.confidence) / 2.0
    for index, checked in enumerate(checks):
        column = resampled[np.isfinite(resampled[:, index]), index]
        if not np.isfinite(points[index]):
            continue
        low, high = (float(edge) for edge in np.quantile(column, (tail, 1.0 - tail)))
        value = float(points[index])
        yield BaselineMetric(
            **checked.key._asdict(),
            value=value,
            low=min(low, value),
            high=max(high, value),
            confidence=spec.confidence,
            num_records=int(members[:, index].sum()),
        )


def _members(now: Records, scored: Bools, checks: Sequence[Checked]) -> Bools:
    """Which of the ``scored`` records each check is over: [N, C]."""
    columns = []
    for checked in checks:
        within = np.ones(len(scored), np.bool_)
        if checked.key.slice_by != ALL:
            values = now.measured.slices[checked.key.slice_by]
            within = np.array([value == checked.key.slice_value for value in values], np.bool_)
        columns.append(scored & within)
    return np.stack(columns, axis=1)


def _weights(now: Records, spec: GateSpec) -> Iterator[Counts]:
    generator = np.random.default_rng(spec.seed)
    return draw_counts(len(now.ids), generator, spec.num_resamples, now.strata, WEIGHT_ELEMENTS)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def compare_metrics(
    now: Mapping[Key, BaselineMetric],
    before: Mapping[Key, BaselineMetric],
    checks: Sequence[Checked],
    confidence: float,
    where: str,
) -> list[Change]:
    """The change of each check, [low, high] from both intervals, which need not have been taken at one confidence.

    The difference of two independent estimates has the interval d - sqrt((a - a_low)^2 + (b_high - b)^2), and upwards
    alike (Newcombe 1998; Zou and Donner 2008); over the same records it is wider than need be. ``confidence`` is that
    of all checks together (Dunn 1961). Raises UserError where the baseline lacks a check.
    """
    changes = []
    for checked in checks:
        one, other, name = now.get(checked.key), before.get(checked.key), checked.key.name
        if other is None:
            raise UserError(f"the baseline does not hold {name}", where=where, remedy=UPDATE)
        if one is None:
            raise UserError(f"{name} was not measured", where=where, remedy="evaluate it as the baseline was")
        changes.append(_change(one, other, confidence, len(checks)))
    return changes


def _change(now: BaselineMetric, before: BaselineMetric, confidence: float, num_checks: int) -> Change:
    arms = [_arms(metric, confidence, num_checks) for metric in (now, before)]
    change = now.value - before.value
    if arms[0] is None or arms[1] is None:
        return Change(baseline=before.value, now=now.value, exact=True)
    (now_below, now_above), (before_below, before_above) = arms[0], arms[1]
    return Change(
        baseline=before.value,
        now=now.value,
        low=change - hypot(now_below, before_above),
        high=change + hypot(now_above, before_below),
    )


def _arms(metric: BaselineMetric, confidence: float, num_checks: int) -> tuple[float, float] | None:
    """How far the interval reaches below and above the value, for ``num_checks`` to hold at once."""
    if metric.low is None or metric.high is None or metric.confidence is None:
        return None
    normal = NormalDist()
    wanted = normal.inv_cdf(1.0 - (1.0 - confidence) / 2.0 / num_checks)
    factor = wanted / normal.inv_cdf(0.5 + metric.confidence / 2.0)
    return (metric.value - metric.low) * factor, (metric.high - metric.value) * factor
