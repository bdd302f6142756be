"""Metrics against metrics: the change of two values that each have an interval, and nothing else is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from statistics import NormalDist

from pipeline.errors import UserError
from pipeline.gate.baseline import UPDATE
from pipeline.gate.checks import ALL, Checked
from pipeline.gate.inputs import key_of
from pipeline.gate.rule import Change
from schemas.gate import BaselineMetric


@dataclass(frozen=True)
class Metrics:
    """The metrics of one evaluation by (metric, statistic, slice_by, slice_value)."""

    by_key: dict[tuple[str, str, str, str], BaselineMetric]

    @property
    def available(self) -> list[tuple[str, str]]:
        """(metric, statistic) over all records."""
        return [(metric, statistic) for metric, statistic, by, _ in self.by_key if by == ALL]

    @property
    def slices(self) -> dict[str, list[str]]:
        """Values of each key that metrics are sliced by."""
        found: dict[str, dict[str, None]] = {}
        for _, _, by, value in self.by_key:
            if by != ALL:
                found.setdefault(by, {})[value] = None
        return {key: list(values) for key, values in found.items()}


def index(metrics: Sequence[BaselineMetric]) -> Metrics:
    """Metrics by what tells them apart."""
    return Metrics({key_of(metric): metric for metric in metrics})


def compare_metrics(
    now: Metrics, before: Metrics, checks: Sequence[Checked], confidence: float, where: str
) -> list[Change]:
    """The change of each check, [low, high] from both intervals, which need not have been taken at one confidence.

    The difference of two independent estimates has the interval d - sqrt((a - a_low)^2 + (b_high - b)^2), and upwards
    alike (Newcombe 1998; Zou and Donner 2008); over the same records it is wider than need be. ``confidence`` is that
    of all checks together (Dunn 1961). Raises UserError where the baseline lacks a check.
    """
    changes = []
    for checked in checks:
        one = now.by_key.get(checked.key)
        other = before.by_key.get(checked.key)
        if other is None:
            raise UserError(f"the baseline does not hold {checked.name}", where=where, remedy=UPDATE)
        if one is None:
            raise UserError(f"{checked.name} was not measured", where=where, remedy="evaluate it as the baseline was")
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
