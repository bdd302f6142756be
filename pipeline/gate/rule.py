"""The rule: when a change fails, when it passes, and when nobody can tell."""

from dataclasses import dataclass

from schemas.gate import Outcome, Watch
from schemas.rows import Better

# Relative to the larger value: other machines sum in another order, and what that changes is no change.
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Change:
    """``now`` less ``baseline``, and its interval where there is one (None: the values are all there is to know)."""

    baseline: float | None
    now: float | None
    low: float | None = None
    high: float | None = None
    exact: bool = False  # a count: it has no interval, and needs none

    @property
    def value(self) -> float | None:
        """The change itself; None where either value is undefined."""
        return None if self.baseline is None or self.now is None else self.now - self.baseline


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How much worse a metric may become. ``tolerance`` and ``min_effect`` are in the metric's unit."""

    better: Better
    tolerance: float
    min_effect: float
    watch: Watch = "worse"
    strict: bool = False
    undecided_fails: bool = False


def judge(change: Change, rule: Rule) -> tuple[Outcome, str]:
    """Whether a check passes, fails, or cannot tell, and why in a few words.

    - The whole interval lies beyond the tolerance, and the change itself is larger than ``min_effect``: it fails.
    - The whole interval lies within the tolerance, or within ``min_effect``: it passes.
    - The interval holds the tolerance: it cannot tell, and passes unless ``undecided_fails``.

    ``strict``, and values without sampling error (``exact``): the change itself takes the place of its interval.
    """
    if change.value is None:
        return _undefined(change)
    slack = ROUNDING * max(abs(change.baseline or 0.0), abs(change.now or 0.0))
    worst = [_judge_one_way(way, change, rule, slack) for way in _ways(rule)]
    outcome, reason = min(worst, key=lambda found: ("fails", "cannot_tell", "passes").index(found[0]))
    if outcome == "cannot_tell" and rule.undecided_fails:
        return "fails", f"{reason}; undecided: fail"
    return outcome, reason


def judge_bound(value: float | None, kind: str, bound: float) -> tuple[Outcome, str]:
    """Whether the value itself keeps a hard bound, whatever its interval: fixed records, a fixed promise."""
    if value is None:
        return "fails", "undefined now"
    slack = ROUNDING * max(abs(value), abs(bound))
    if kind == "at_least":
        return ("passes", "not below the floor") if value >= bound - slack else ("fails", "below the floor")
    return ("passes", "not above the ceiling") if value <= bound + slack else ("fails", "above the ceiling")


def _ways(rule: Rule) -> list[int]:
    """Signs that turn a change into "worse by"."""
    worse = {"higher": [-1], "lower": [1], "neither": [-1, 1]}[rule.better]
    return [-1, 1] if rule.watch == "both" else worse


def _judge_one_way(sign: int, change: Change, rule: Rule, slack: float) -> tuple[Outcome, str]:
    value = change.value
    assert value is not None
    worse = sign * value
    word = "changed" if rule.watch == "both" or rule.better == "neither" else "worse"
    tolerance, least = rule.tolerance + slack, rule.min_effect + slack
    if rule.strict or change.exact:
        return _by_the_point(worse, tolerance, least, word)
    if change.low is None or change.high is None:
        return ("passes", "no worse") if worse <= slack else ("cannot_tell", "too few records for an interval")
    lowest, highest = sorted((sign * change.low, sign * change.high))
    if lowest > tolerance:
        if worse > least:
            return "fails", f"{word} beyond doubt" if rule.tolerance == 0.0 else f"{word} beyond the tolerance"
        return "passes", f"{word}, but by less than the minimum effect"
    if highest <= max(tolerance, least):
        return "passes", "within what is allowed" if worse > slack else "no worse"
    return "cannot_tell", "noise, or a little worse" if worse <= tolerance else "beyond the tolerance, or noise"


def _by_the_point(worse: float, tolerance: float, least: float, word: str) -> tuple[Outcome, str]:
    if worse > tolerance and worse > least:
        return "fails", f"{word} (judged by the values alone)"
    return "passes", "within what is allowed (judged by the values alone)"


def _undefined(change: Change) -> tuple[Outcome, str]:
    if change.now is None and change.baseline is None:
        return "passes", "undefined before and now"
    if change.now is None:
        return "fails", "undefined now"
    return "passes", "undefined in the baseline"
