"""What the gate stage does: an input and a baseline to verdicts, and a new baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.gate import change as paired
from pipeline.gate import unpaired
from pipeline.gate.baseline import (
    Opened,
    keep_predictions,
    open_baseline,
    read_document,
    remove_former,
    write_baseline,
)
from pipeline.gate.checks import ALL, Checked, resolve
from pipeline.gate.inputs import Predictions, kind_of, plain_options, read_metrics, read_predictions
from pipeline.gate.resample import POOLED, Side
from pipeline.gate.rule import Change, judge, judge_bound
from pipeline.records.measured import Task
from schemas.gate import Baseline, BaselineFile, BaselineRecord, GateSpec, Kind, Outcome, Verdict


@dataclass(frozen=True)
class GateJob:
    """``options`` is the recipe's section ``evaluate``. ``where`` names the gate in errors."""

    spec: GateSpec
    options: Any
    input: Path
    baseline: Path
    where: str

    @property
    def task(self) -> Task:
        """The parts of the task that are worked with."""
        return Task(self.spec.task, self.options)


@dataclass(frozen=True)
class GateReport:
    """Verdicts in the order of the checks. ``paired``: record by record."""

    spec: GateSpec
    verdicts: Sequence[Verdict]
    paired: bool
    num_records: int

    def having(self, outcome: Outcome) -> list[Verdict]:
        """The verdicts with that outcome."""
        return [verdict for verdict in self.verdicts if verdict.outcome == outcome]

    @property
    def failed(self) -> bool:
        """Whether any check fails."""
        return bool(self.having("fails"))


@dataclass(frozen=True)
class _Found:
    """One check with what was found for it."""

    checked: Checked
    change: Change
    num_records: int


def run_gate(job: GateJob) -> GateReport:
    """Judge every check. Raises UserError when input, baseline and gate do not fit together."""
    is_metrics = kind_of(job.input, job.spec.task) == "metric_v1"
    opened = open_baseline(job.task, job.baseline)
    if is_metrics:
        return _gate_metrics(job, opened)
    now = read_predictions(job.task, job.input)
    return _gate_predictions(job, now, opened)


def _gate_predictions(job: GateJob, now: Predictions, opened: Opened) -> GateReport:
    pairs = paired.pair(job.task, now, opened)
    checks = resolve(job.spec, _available(pairs.now), pairs.slices, job.where)
    paired.refuse_missing_columns(pairs, checks, str(opened.path))
    compared = paired.compare_pairs(pairs, checks, job.spec)
    found = [_Found(*one) for one in zip(checks, compared.changes, compared.sizes, strict=True)]
    verdicts = list(_verdicts(job.spec, found, is_paired=True))
    before, after = pairs.num_unscored
    if before or after:
        verdicts.append(_errors(job.spec, before, after, len(pairs.scored)))
    return GateReport(job.spec, verdicts, True, len(pairs.scored))


def _gate_metrics(job: GateJob, opened: Opened) -> GateReport:
    if not opened.document.metrics:
        raise UserError(
            "the baseline holds predictions and the input metrics",
            where=f"{job.input}, {job.baseline}",
            remedy="give the predictions behind the metrics: pairs see more",
        )
    now, before = unpaired.index(read_metrics(job.task, job.input)), unpaired.index(opened.document.metrics)
    shared = [pair for pair in now.available if pair in before.available] if not job.spec.checks else now.available
    checks = resolve(job.spec, shared, now.slices, job.where)
    changes = unpaired.compare_metrics(now, before, checks, job.spec.confidence, str(job.baseline))
    sizes = [now.by_key[checked.key].num_records for checked in checks]
    found = [_Found(*one) for one in zip(checks, changes, sizes, strict=True)]
    return GateReport(job.spec, list(_verdicts(job.spec, found, is_paired=False)), False, max(sizes))


def _available(predictions: Predictions) -> list[tuple[str, str]]:
    return [(metric.name, metric.statistic) for metric in predictions.measured.metrics]


def _verdicts(spec: GateSpec, found: Sequence[_Found], *, is_paired: bool) -> Iterator[Verdict]:
    bounds: tuple[Kind, Kind] = ("at_least", "at_most")
    for one in found:
        checked = one.checked
        rule = checked.rule(spec, one.change.baseline)
        if checked.compares:
            judged = judge(one.change, rule)
            yield _verdict(spec, one, "change", (rule.tolerance, rule.min_effect), judged, is_paired)
        for kind in bounds:
            bound: float | None = getattr(checked.check, kind)
            if bound is not None:
                yield _verdict(spec, one, kind, (bound, 0.0), judge_bound(one.change.now, kind, bound), is_paired)


def _verdict(
    spec: GateSpec,
    one: _Found,
    kind: Kind,
    limits: tuple[float, float],
    judged: tuple[Outcome, str],
    is_paired: bool,
) -> Verdict:
    """``limits`` are the tolerance, or the bound, and the minimum effect."""
    checked, change, changes = one.checked, one.change, kind == "change"
    where = ALL if checked.slice_by == ALL else f"{checked.slice_by}={checked.slice_value}"
    has_interval = changes and change.low is not None
    return Verdict(
        task=spec.task,
        id=f"{where}/{checked.metric}/{checked.statistic}/{kind}",
        kind=kind,
        metric=checked.metric,
        statistic=checked.statistic,
        slice_by=checked.slice_by,
        slice_value=checked.slice_value,
        unit=checked.definition.unit,
        better=checked.definition.better,
        watch=checked.check.watch,
        baseline=change.baseline if changes else None,
        now=change.now,
        change=change.value if changes else None,
        low=change.low if changes else None,
        high=change.high if changes else None,
        confidence=spec.confidence if has_interval else None,
        paired=is_paired,
        tolerance=limits[0],
        min_effect=limits[1],
        num_records=one.num_records,
        outcome=judged[0],
        reason=judged[1],
    )


def _errors(spec: GateSpec, before: int, after: int, num_records: int) -> Verdict:
    """Records that count in no metric are not allowed to become more: nothing else would see them."""
    return Verdict(
        task=spec.task,
        id="all/records_left_out/count/errors",
        kind="errors",
        metric="records_left_out",
        statistic="count",
        slice_by=ALL,
        slice_value=ALL,
        unit="records",
        better="lower",
        watch="worse",
        baseline=float(before),
        now=float(after),
        change=float(after - before),
        low=None,
        high=None,
        confidence=None,
        paired=True,
        tolerance=0.0,
        min_effect=0.0,
        num_records=num_records,
        outcome="fails" if after > before else "passes",
        reason="more records have an error" if after > before else "no more errors",
    )


def new_baseline(job: GateJob) -> tuple[Baseline, Sequence[Any]]:
    """The baseline that the input would be, and the predictions that have to be kept beside it (none: empty).

    Raises UserError.
    """
    spec = job.spec
    if kind_of(job.input, spec.task) == "metric_v1":
        metrics = unpaired.index(read_metrics(job.task, job.input))
        kept = {checked.key for checked in resolve(spec, metrics.available, metrics.slices, job.where)}
        rows = tuple(metric for key, metric in metrics.by_key.items() if key in kept)
        return Baseline(task=spec.task, name=spec.name, metrics=rows), ()
    now = read_predictions(job.task, job.input)
    scored = now.measured.scored
    if not scored.any():
        raise UserError("no record counts in any metric: all have errors", where=str(now.path))
    side = Side(values=dict(now.measured.values), measured=now.measured)
    pairs = paired.Pairs(now=now, baseline=side, columns=None, scored=scored, num_unscored=(0, 0))
    checks = resolve(spec, _available(now), pairs.slices, job.where)
    is_pooled = any(checked.statistic == POOLED for checked in checks)
    columns = () if is_pooled else tuple(dict.fromkeys(checked.metric for checked in checks))
    document = Baseline(
        task=spec.task,
        name=spec.name,
        models=now.models,
        num_records=len(now.ids),
        options=dict(plain_options(job.options)),
        metrics=tuple(paired.values_alone(pairs, checks, spec)),
        columns=columns,
        records=() if is_pooled else tuple(_records(now, columns)),
    )
    return document, now.rows if is_pooled else ()


def _records(now: Predictions, columns: Sequence[str]) -> Iterator[BaselineRecord]:
    for index, id in enumerate(now.ids):
        yield BaselineRecord(
            id=id,
            truth=now.truth[index],
            scored=bool(now.measured.scored[index]),
            values=[float(now.measured.values[name][index]) for name in columns],
        )


def update_baseline(path: Path, document: Baseline, predictions: Sequence[Any]) -> Baseline:
    """Write the baseline, its predictions first; remove what only the former one named. Returns what was written."""

    former = None
    if path.exists():
        try:
            former = read_document(path, document.task)
        except UserError:
            former = None  # damaged, or of another kind: it is replaced, and names nothing that could be removed
    if predictions:
        kept: BaselineFile = keep_predictions(path, predictions)
        document = msgspec.structs.replace(document, predictions=kept)
    write_baseline(path, document)
    remove_former(path, former, document)
    return document
