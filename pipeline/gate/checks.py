"""From what a gate says to single checks: one metric, one statistic, one slice, one rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.contract.load import load_part
from pipeline.contract.metrics import MetricDefinition
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.gate.rule import Rule
from pipeline.gate.spec import find_metric, limit_of, nearest
from schemas.gate import Check, GateSpec

ALL = "all"
NUM_DEFAULT = 3  # checks where neither the gate nor the task's table names any


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One metric over the records of one slice, and what the gate says of it."""

    metric: str
    statistic: str
    slice_by: str
    slice_value: str
    check: Check
    definition: MetricDefinition

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from other checks."""
        return self.metric, self.statistic, self.slice_by, self.slice_value

    @property
    def compares(self) -> bool:
        """Not so where there is nothing to call worse: a bound of the value is all that is asked for then."""
        return self.definition.better != "neither" or self.check.watch == "both"

    @property
    def name(self) -> str:
        """As ids and tables have it: ``wellbeing/mean``, ``wellbeing/mean (level full)``."""
        where = "" if self.slice_by == ALL else f" ({self.slice_by} {self.slice_value})"
        return f"{self.metric}/{self.statistic}{where}"

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


def resolve(
    spec: GateSpec, available: Sequence[tuple[str, str]], slices: Mapping[str, Sequence[str]], where: str
) -> list[Checked]:
    """The checks of a gate over what there is: ``available`` are (metric, statistic), ``slices`` the values by key.

    Raises UserError for a metric, statistic or slice that there is not, with the nearest; for a metric without a
    direction that is not watched both ways; and for one that is checked twice.
    """
    found: dict[tuple[str, str, str, str], Checked] = {}
    for check in spec.checks or _usual(spec.task, available):
        definition = find_metric(spec.task, check.metric, where)
        statistic = _statistic(check, available, where)
        bounded = check.at_least is not None or check.at_most is not None
        if definition.better == "neither" and check.watch != "both" and not bounded:
            what = f"{check.metric} is neither better higher nor lower: nothing to call worse"
            raise UserError(what, where=where, remedy="write `watch: both` to forbid a change either way")
        for value in _slice_values(check, slices, where):
            one = Checked(
                metric=check.metric,
                statistic=statistic,
                slice_by=check.slice_by,
                slice_value=value,
                check=check,
                definition=definition,
            )
            if one.key in found:
                raise UserError(f"{one.name} is checked twice", where=where, remedy="put both into one check")
            found[one.key] = one
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


def _slice_values(check: Check, slices: Mapping[str, Sequence[str]], where: str) -> Sequence[str]:
    if check.slice_by == ALL:
        return [ALL]
    if check.slice_by not in slices:
        raise UserError(
            f"records are not sliced by {check.slice_by!r}", where=where, remedy=nearest(check.slice_by, list(slices))
        )
    values = slices[check.slice_by]
    if check.slice_value is None:
        return values
    if check.slice_value not in values:
        what = f"no record has {check.slice_by} {check.slice_value!r}"
        raise UserError(what, where=where, remedy=nearest(check.slice_value, values))
    return [check.slice_value]


def _usual(task: str, available: Sequence[tuple[str, str]]) -> list[Check]:
    """The columns of the task's table that say better or worse; without a table, the first few metrics that do."""
    part = load_part(task, EvaluatePart)
    better = {one.name: one.better for one in part.glossary}
    told = [pair for pair in available if better.get(pair[0], "neither") != "neither"]
    columns = [(column.metric, column.statistic) for column in part.table.columns]
    chosen = [pair for pair in columns if pair in told] or told[:NUM_DEFAULT]
    return [Check(metric=metric, statistic=statistic) for metric, statistic in chosen]
