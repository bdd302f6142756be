"""Verdicts as people read them in the log of a build: one sentence, one table, and what the numbers mean."""

from collections.abc import Sequence

from pipeline.gate.run import GateReport
from pipeline.look.numbers import decimals_of_interval, decimals_of_value
from schemas.gate import Verdict

HEADS = ("metric", "baseline", "now", "change", "allowed", "verdict")
WORDS = {"passes": "passes", "fails": "FAILS", "cannot_tell": "cannot tell"}
COLOURS = {"fails": "31", "cannot_tell": "33", "passes": "32"}  # ANSI: red, yellow, green
NUM_NAMED = 3  # failing checks in the first line
LEAST = 1e-9  # a length or a change below is rounding


def lines(report: GateReport, *, colour: bool = False) -> list[str]:
    """The whole text. The first line says PASS or FAIL, and why."""
    rows = [_cells(verdict) for verdict in report.verdicts]
    widths = [max(len(row[column]) for row in [HEADS, *rows]) for column in range(len(HEADS))]
    text = [_line(HEADS, widths).rstrip()]
    for verdict, row in zip(report.verdicts, rows, strict=True):
        line = f"{_line(row, widths).rstrip()}: {verdict.reason}"
        text.append(_painted(line, COLOURS[verdict.outcome]) if colour and verdict.outcome != "passes" else line)
    head = headline(report)
    return [
        _painted(head, COLOURS["fails" if report.failed else "passes"]) if colour else head,
        "",
        *text,
        "",
        *_notes(report),
    ]


def headline(report: GateReport) -> str:
    """PASS or FAIL, and why."""
    failing, unsure = report.having("fails"), report.having("cannot_tell")
    num = len(report.verdicts)
    gate = f"{report.spec.task}/{report.spec.name}"
    if failing:
        named = "; ".join(explain(verdict) for verdict in failing[:NUM_NAMED])
        more = f"; and {len(failing) - NUM_NAMED} more" if len(failing) > NUM_NAMED else ""
        return f"FAIL {gate}: {len(failing)} of {_checks(num)} fail{'s' if len(failing) == 1 else ''}: {named}{more}"
    if unsure:
        return f"PASS {gate}: none of {_checks(num)} fails; warning: {len(unsure)} cannot tell (too few records)"
    return f"PASS {gate}: {'the one check holds' if num == 1 else f'all {num} checks hold'}"


def explain(verdict: Verdict) -> str:
    """One failing check in a few words."""
    name = _name(verdict)
    if verdict.change is None:
        shown = "undefined" if verdict.now is None else _number(verdict.now, verdict)
        return f"{name} {shown}, {_allowed(verdict)} asked" if verdict.kind != "change" else f"{name} {verdict.reason}"
    return f"{name} {_change(verdict)}, {_allowed(verdict)} allowed"


def _checks(num: int) -> str:
    return f"{num} check{'s' if num != 1 else ''}"


def _name(verdict: Verdict) -> str:
    statistic = "" if verdict.statistic in ("pooled", "count", "rate") else f"/{verdict.statistic}"
    where = "" if verdict.slice_by == "all" else f" ({verdict.slice_by} {verdict.slice_value})"
    return f"{verdict.metric}{statistic}{where}"


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        _name(verdict),
        _number(verdict.baseline, verdict) if verdict.kind in ("change", "errors") else "",
        _number(verdict.now, verdict),
        _change(verdict),
        _allowed(verdict),
        WORDS[verdict.outcome],
    )


def _change(verdict: Verdict) -> str:
    if verdict.change is None:
        return ""
    text = _number(verdict.change, verdict, sign="+")
    if verdict.low is None or verdict.high is None:
        return text
    low, high = (_number(edge, verdict, sign="+") for edge in (verdict.low, verdict.high))
    return f"{text} [{low}, {high}]"


def _allowed(verdict: Verdict) -> str:
    """What the change may be at worst; of a bound, the bound."""
    limit = _limit(verdict.tolerance)
    if verdict.kind == "at_least":
        return f">= {limit}"
    if verdict.kind == "at_most":
        return f"<= {limit}"
    way = "neither" if verdict.watch == "both" else verdict.better
    sign = {"higher": "-", "lower": "+", "neither": "+-"}[way] if verdict.tolerance else ""
    least = f" (min. effect {_limit(verdict.min_effect)})" if verdict.min_effect > verdict.tolerance else ""
    return f"{sign}{limit}{least}"


def _limit(value: float) -> str:
    """A limit with three digits of meaning."""
    text = f"{value:,.{decimals_of_value(value, 3)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _number(value: float | None, verdict: Verdict, sign: str = "") -> str:
    if value is None:
        return "undefined"
    text = f"{value:{sign},.{_decimals(verdict)}f}"
    return text.replace("-", "+") if sign and float(text.replace(",", "")) == 0.0 else text


def _decimals(verdict: Verdict) -> int:
    """As many as the interval supports; else two digits of the change or the tolerance, or four of the value."""
    if verdict.statistic == "count":
        return 0
    half = (verdict.high - verdict.low) / 2.0 if verdict.high is not None and verdict.low is not None else 0.0
    if half > LEAST:
        return decimals_of_interval(half)
    scales = (verdict.change or 0.0, verdict.tolerance, (verdict.now or 0.0) / 100.0)
    return decimals_of_value(next((scale for scale in scales if abs(scale) > LEAST), 1.0), 2)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = (0, len(HEADS) - 1)
    parts = [f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
    return "  ".join(parts)


def _notes(report: GateReport) -> list[str]:
    percent = f"{100 * report.spec.confidence:g} %"
    if report.paired:
        return [
            f"[low, high]: {percent} interval of the change, for all checks together; {report.num_records:,} records, "
            f"each compared with itself, {report.spec.num_resamples:,} resamples.",
        ]
    return [
        f"[low, high]: {percent} interval of the change, for all checks together, NOT PAIRED: from the two intervals "
        "alone.",
        "Give predictions.jsonl instead of metrics.jsonl to compare each record with itself, which sees far more.",
    ]


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
