"""What the gate stage does: an input and a baseline to verdicts, and a new baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.contract.metrics import MetricDefinition
from pipeline.errors import UserError
from pipeline.gate.baseline import NOW, by_key, kind_of, open_baseline, plain_options, read_metrics, records_to_keep
from pipeline.gate.change import compare_metrics, compare_pairs, keys_of, pair, refuse_missing_columns, values_alone
from pipeline.gate.rule import Change, judge, judge_bound
from pipeline.gate.spec import Checked, Key, resolve
from pipeline.records.measured import POOLED, Task
from pipeline.records.read import read_records
from schemas.gate import Baseline, Check, GateSpec, Kind, Outcome, Verdict

LEFT_OUT = Checked(
    key=Key("records_left_out", "count"),
    check=Check(metric="records_left_out"),
    definition=MetricDefinition("records_left_out", "records", "lower", "records that count in no metric"),
)


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

    @property
    def is_metrics(self) -> bool:
        """Whether the input are metrics, not predictions. Raises UserError for anything else."""
        return kind_of(self.input, self.spec.task) == "metric_v1"


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


def run_gate(job: GateJob) -> GateReport:
    """Judge every check. Raises UserError when input, baseline and gate do not fit together."""
    if job.is_metrics:
        return _gate_metrics(job)
    opened = open_baseline(job.task, job.baseline)
    now, before = pair(job.task, read_records(job.task, NOW, job.input), opened)
    checks = resolve(job.spec, keys_of(now), job.where)
    refuse_missing_columns(before, checks)
    changes, sizes = compare_pairs(now, before, checks, job.spec)
    report = _report(job.spec, checks, changes, sizes, paired=True)
    was, are = (int((~side.measured.scored).sum()) for side in (before, now))
    errors = [_errors(job.spec, was, are, len(now.ids))] if was or are else []
    return replace(report, verdicts=[*report.verdicts, *errors], num_records=len(now.ids))


def _gate_metrics(job: GateJob) -> GateReport:
    opened = open_baseline(job.task, job.baseline)
    if not opened.document.metrics:
        raise UserError(
            "the baseline holds predictions and the input metrics",
            where=f"{job.input}, {job.baseline}",
            remedy="give the predictions behind the metrics: pairs see more",
        )
    now, before = read_metrics(job.task, job.input), by_key(opened.document.metrics)
    checks = resolve(job.spec, [key for key in now if job.spec.checks or key in before], job.where)
    changes = compare_metrics(now, before, checks, job.spec.confidence, str(job.baseline))
    sizes = [now[checked.key].num_records for checked in checks]
    return _report(job.spec, checks, changes, sizes, paired=False)


def _report(
    spec: GateSpec, checks: Sequence[Checked], changes: Sequence[Change], sizes: Sequence[int], *, paired: bool
) -> GateReport:
    """``sizes`` are numbers of records."""
    found = zip(checks, changes, sizes, strict=True)
    verdicts = [verdict for one in found for verdict in _verdicts(spec, *one, paired=paired)]
    return GateReport(spec, verdicts, paired, max(sizes))


def _verdicts(spec: GateSpec, checked: Checked, change: Change, num_records: int, *, paired: bool) -> Iterator[Verdict]:
    """Of one check: what the rule says of the change, then what bounds say of the value itself."""
    row = partial(_verdict, spec, checked, num_records=num_records, paired=paired)
    rule = checked.rule(spec, change.baseline)
    if checked.compares:
        yield row("change", change, (rule.tolerance, rule.min_effect), judge(change, rule))
    bounds: tuple[Kind, Kind] = ("at_least", "at_most")
    for kind in bounds:
        bound: float | None = getattr(checked.check, kind)
        if bound is not None:
            alone = Change(baseline=None, now=change.now)
            yield row(kind, alone, (bound, 0.0), judge_bound(change.now, kind, bound))


def _verdict(
    spec: GateSpec,
    checked: Checked,
    kind: Kind,
    change: Change,
    limits: tuple[float, float],
    judged: tuple[Outcome, str],
    **more: Any,
) -> Verdict:
    """``limits`` are the tolerance, or the bound, and the minimum effect; ``more`` are other fields."""
    return Verdict(
        task=spec.task,
        id=f"{checked.key.place}/{checked.key.metric}/{checked.key.statistic}/{kind}",
        kind=kind,
        **checked.key._asdict(),
        unit=checked.definition.unit,
        better=checked.definition.better,
        watch=checked.check.watch,
        baseline=change.baseline,
        now=change.now,
        change=change.value,
        low=change.low,
        high=change.high,
        confidence=None if change.low is None else spec.confidence,
        tolerance=limits[0],
        min_effect=limits[1],
        outcome=judged[0],
        reason=judged[1],
        **more,
    )


def _errors(spec: GateSpec, before: int, after: int, num_records: int) -> Verdict:
    """Records that count in no metric are not allowed to become more: nothing else would see them."""
    judged: tuple[Outcome, str] = ("passes", "no more errors")
    if after > before:
        judged = ("fails", "more records have an error")
    change = Change(baseline=float(before), now=float(after))
    return _verdict(spec, LEFT_OUT, "errors", change, (0.0, 0.0), judged, num_records=num_records, paired=True)


def new_baseline(job: GateJob) -> tuple[Baseline, Sequence[Any]]:
    """The baseline that the input would be, and the predictions that have to be kept beside it (none: empty).

    Raises UserError.
    """
    spec = job.spec
    if job.is_metrics:
        metrics = read_metrics(job.task, job.input)
        kept = {checked.key for checked in resolve(spec, metrics, job.where)}
        rows = tuple(metric for key, metric in metrics.items() if key in kept)
        return Baseline(task=spec.task, name=spec.name, metrics=rows), ()
    now = read_records(job.task, NOW, job.input)
    if not now.measured.scored.any():
        raise UserError("no record counts in any metric: all have errors", where=str(now.path))
    checks = resolve(spec, keys_of(now), job.where)
    is_pooled = any(checked.key.statistic == POOLED for checked in checks)
    columns = () if is_pooled else tuple(dict.fromkeys(checked.key.metric for checked in checks))
    document = Baseline(
        task=spec.task,
        name=spec.name,
        models=now.models,
        num_records=len(now.ids),
        options=dict(plain_options(job.options)),
        metrics=tuple(values_alone(now, checks, spec)),
        columns=columns,
        records=() if is_pooled else tuple(records_to_keep(now, columns)),
    )
    return document, (now.rows or ()) if is_pooled else ()
