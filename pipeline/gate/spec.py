"""What exactly is checked: the gate's own file, flags, and what there is to check, one metric and slice at a time."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipeline.contract.load import check_task
from pipeline.contract.metrics import MetricDefinition
from pipeline.errors import UserError, nearest
from pipeline.gate.rule import Rule
from pipeline.recipe.named import find_named, load_named
from pipeline.records.measured import Task
from schemas.gate import Check, GateSpec

ALL = "all"
NUM_DEFAULT = 3  # checks where neither the gate nor the task's table names any
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")


class Key(NamedTuple):
    """What a value is of: a metric, how it was aggregated, and over which records."""

    metric: str
    statistic: str
    slice_by: str = ALL
    slice_value: str = ALL

    @property
    def place(self) -> str:
        """The slice as ids have it: ``all``, ``level=full``."""
        return ALL if self.slice_by == ALL else f"{self.slice_by}={self.slice_value}"

    @property
    def name(self) -> str:
        """As errors have it: ``wellbeing/mean``, ``wellbeing/mean (level full)``."""
        where = "" if self.slice_by == ALL else f" ({self.slice_by} {self.slice_value})"
        return f"{self.metric}/{self.statistic}{where}"


def load_gate(path_or_name: str | None, task: str) -> tuple[GateSpec, Path | None]:
    """A gate by path or by name, as `pipeline.recipe.named` finds and checks it, and its file; None: the gate of all
    defaults, which has none."""
    check_task(task)
    if path_or_name is None:
        return GateSpec(schema="gate_v1", task=task, name="gate"), None
    path = find_named("gate", path_or_name, task)
    return load_named("gate", path, task, GateSpec)[0], path


def with_flags(spec: GateSpec, tolerances: Sequence[str], min_effects: Sequence[str]) -> GateSpec:
    """The gate with what ``--tolerance metric=limit`` and ``--min-effect metric=limit`` say, over all its slices.

    A metric that no check names gets one: whoever gives a metric without a direction a tolerance asks for it to be
    watched both ways. Raises UserError.
    """
    for field, flag, texts in (("tolerance", "--tolerance", tolerances), ("min_effect", "--min-effect", min_effects)):
        for text in texts:
            spec = _with_flag(spec, field, flag, text)
    return spec


def _with_flag(spec: GateSpec, field: str, flag: str, text: str) -> GateSpec:
    name, separator, value = text.rpartition("=")
    if not separator or not name:
        raise UserError(f"{flag} takes metric=limit, not {text!r}", remedy=f"for example: {flag} wellbeing=2%")
    limit: float | str = float(value) if _NUMBER.fullmatch(value.strip()) else value
    where = f"{flag} {text}"
    definition = Task(spec.task).definition(name, where)
    asked = Check(metric=name, watch="both" if definition.better == "neither" else "worse")
    checks = spec.checks if any(check.metric == name for check in spec.checks) else (*spec.checks, asked)
    changed = []
    for check in checks:
        data = msgspec.to_builtins(check) | ({field: limit} if check.metric == name else {})
        try:
            changed.append(msgspec.convert(data, Check))
        except msgspec.ValidationError as error:
            what = f"a limit is a number of at least 0, or a share such as 2%, not {value!r}"
            raise UserError(what, where=where) from error
    return msgspec.structs.replace(spec, checks=tuple(changed))


def limit_of(limit: float | str, baseline: float | None) -> float:
    """A tolerance in the metric's unit; a share is one of the baseline's value."""
    if isinstance(limit, str):
        return abs(baseline or 0.0) * float(limit.strip().removesuffix("%")) / 100.0
    return float(limit)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One metric over the records of one slice, and what the gate says of it."""

    key: Key
    check: Check
    definition: MetricDefinition

    @property
    def compares(self) -> bool:
        """Not so where there is nothing to call worse: a bound of the value is all that is asked for then."""
        return self.definition.better != "neither" or self.check.watch == "both"

    def rule(self, spec: GateSpec, baseline: float | None) -> Rule:
        """The rule with limits in the metric's unit."""
        return Rule(
            better=self.definition.better,
            tolerance=limit_of(self.check.tolerance, baseline),
            min_effect=limit_of(self.check.min_effect, baseline),
            watch=self.check.watch,
            strict=spec.strict if self.check.strict is None else self.check.strict,
            undecided_fails=spec.undecided == "fail",
        )


def resolve(spec: GateSpec, known: Collection[Key], where: str) -> list[Checked]:
    """The checks of a gate over what there is: ``known`` are the values that can be asked for, the main ones first.

    Raises UserError for a metric, statistic or slice that there is not, with the nearest; for a metric without a
    direction that is not watched both ways; and for one that is checked twice.
    """
    task = Task(spec.task)
    available = [(key.metric, key.statistic) for key in known if key.slice_by == ALL]
    found: dict[Key, Checked] = {}
    for check in spec.checks or _usual(task, available):
        definition = task.definition(check.metric, where)
        statistic = _statistic(check, available, where)
        bounded = check.at_least is not None or check.at_most is not None
        if definition.better == "neither" and check.watch != "both" and not bounded:
            what = f"{check.metric} is neither better higher nor lower: nothing to call worse"
            raise UserError(what, where=where, remedy="write `watch: both` to forbid a change either way")
        for value in _slice_values(check, known, where):
            key = Key(check.metric, statistic, check.slice_by, value)
            if key in found:
                raise UserError(f"{key.name} is checked twice", where=where, remedy="put both into one check")
            found[key] = Checked(key=key, check=check, definition=definition)
    if not found:
        raise UserError("there is nothing to check", where=where, remedy="name metrics under `checks:` of a gate")
    return list(found.values())


def _statistic(check: Check, available: Sequence[tuple[str, str]], where: str) -> str:
    statistics = [statistic for metric, statistic in available if metric == check.metric]
    if not statistics:
        known = list(dict.fromkeys(metric for metric, _ in available))
        what = f"{check.metric} was not measured there"
        raise UserError(what, where=where, remedy=nearest(check.metric, known))
    if check.statistic is None:
        return statistics[0]
    if check.statistic not in statistics:
        remedy = nearest(check.statistic, statistics)
        raise UserError(f"{check.metric} has no statistic {check.statistic!r}", where=where, remedy=remedy)
    return check.statistic


def _slice_values(check: Check, known: Collection[Key], where: str) -> Sequence[str]:
    if check.slice_by == ALL:
        return [ALL]
    slices = list(dict.fromkeys(key.slice_by for key in known if key.slice_by != ALL))
    if check.slice_by not in slices:
        what = f"records are not sliced by {check.slice_by!r}"
        raise UserError(what, where=where, remedy=nearest(check.slice_by, slices))
    values = list(dict.fromkeys(key.slice_value for key in known if key.slice_by == check.slice_by))
    if check.slice_value is None:
        return values
    if check.slice_value not in values:
        what = f"no record has {check.slice_by} {check.slice_value!r}"
        raise UserError(what, where=where, remedy=nearest(check.slice_value, values))
    return [check.slice_value]


def _usual(task: Task, available: Sequence[tuple[str, str]]) -> list[Check]:
    """The columns of the task's table that say better or worse; without a table, the first few metrics that do."""
    glossary = task.glossary
    told = [pair for pair in available if pair[0] in glossary and glossary[pair[0]].better != "neither"]
    columns = [(column.metric, column.statistic) for column in task.part.table.columns]
    chosen = [pair for pair in columns if pair in told] or told[:NUM_DEFAULT]
    return [Check(metric=metric, statistic=statistic) for metric, statistic in chosen]
