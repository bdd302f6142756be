"""Verdicts as people read them in the log of a build: one sentence, one table, and what the numbers mean; and as a
JUnit XML report, which every CI system shows: one test case a check."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from pipeline.files.atomic import write_atomically
from pipeline.gate.run import GateReport
from pipeline.look.numbers import decimal, decimals_of_interval, decimals_of_value, plural
from pipeline.look.tables import Cell, Table, to_text
from schemas.gate import Verdict

WORDS = {"passes": "passes", "fails": "FAILS", "cannot_tell": "cannot tell"}
COLOURS = {"fails": "31", "cannot_tell": "33", "passes": "32"}  # ANSI: red, yellow, green
NUM_NAMED = 3  # failing checks in the first line
LEAST = 1e-9  # a length or a change below is rounding

# What XML 1.0 cannot hold, not even escaped: control characters, lone surrogates and two others (section 2.2).
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def lines(report: GateReport, *, colour: bool = False) -> list[str]:
    """The whole text. The first line says PASS or FAIL, and why."""
    heads, *rows = to_text(_table(report.verdicts), sys.maxsize).split("\n")
    head = headline(report)
    if colour:
        head = _painted(head, COLOURS["fails" if report.failed else "passes"])
        rows = [
            row if verdict.outcome == "passes" else _painted(row, COLOURS[verdict.outcome])
            for verdict, row in zip(report.verdicts, rows, strict=True)
        ]
    return [head, "", heads, *rows, "", *_notes(report)]


def _table(verdicts: Sequence[Verdict]) -> Table:
    columns: dict[str, list[Cell]] = {
        "baseline": [_number(v.baseline, v) if v.kind in ("change", "errors") else "" for v in verdicts],
        "now": [_number(v.now, v) for v in verdicts],
        "change": [_change(v) for v in verdicts],
        "allowed": [_allowed(v) for v in verdicts],
        "verdict": [f"{WORDS[v.outcome]}: {v.reason}" for v in verdicts],
    }
    return Table(heading="metric", names=[_name(v) for v in verdicts], columns=columns, left=("verdict",))


def headline(report: GateReport) -> str:
    """PASS or FAIL, and why."""
    failing, unsure = report.having("fails"), report.having("cannot_tell")
    num = len(report.verdicts)
    checks = plural(num, "check")
    gate = f"{report.spec.task}/{report.spec.name}"
    if failing:
        named = "; ".join(explain(verdict) for verdict in failing[:NUM_NAMED])
        more = f"; and {len(failing) - NUM_NAMED} more" if len(failing) > NUM_NAMED else ""
        return f"FAIL {gate}: {len(failing)} of {checks} fail{'s' if len(failing) == 1 else ''}: {named}{more}"
    if unsure:
        return f"PASS {gate}: none of {checks} fails; warning: {len(unsure)} cannot tell (too few records)"
    return f"PASS {gate}: {'the one check holds' if num == 1 else f'all {num} checks hold'}"


def explain(verdict: Verdict) -> str:
    """One failing check in a few words."""
    name = _name(verdict)
    if verdict.change is None:
        shown = "undefined" if verdict.now is None else _number(verdict.now, verdict)
        return f"{name} {shown}, {_allowed(verdict)} asked" if verdict.kind != "change" else f"{name} {verdict.reason}"
    return f"{name} {_change(verdict)}, {_allowed(verdict)} allowed"


def _name(verdict: Verdict) -> str:
    statistic = "" if verdict.statistic in ("pooled", "count", "rate") else f"/{verdict.statistic}"
    where = "" if verdict.slice_by == "all" else f" ({verdict.slice_by} {verdict.slice_value})"
    return f"{verdict.metric}{statistic}{where}"


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
    text = decimal(value, _decimals(verdict), sign)
    return f"+{text}" if sign and text[0] not in "+-" else text


def _decimals(verdict: Verdict) -> int:
    """As many as the interval supports; else two digits of the change or the tolerance, or four of the value."""
    if verdict.statistic == "count":
        return 0
    half = (verdict.high - verdict.low) / 2.0 if verdict.high is not None and verdict.low is not None else 0.0
    if half > LEAST:
        return decimals_of_interval(half)
    scales = (verdict.change or 0.0, verdict.tolerance, (verdict.now or 0.0) / 100.0)
    return decimals_of_value(next((scale for scale in scales if abs(scale) > LEAST), 1.0), 2)


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


def write_junit(path: Path, report: GateReport) -> None:
    """Write the report in one step. A check that cannot tell is a test case that was skipped, and says why."""
    write_atomically(path, [to_xml(report).encode()])


def to_xml(report: GateReport) -> str:
    """The whole document."""
    name = _attribute(f"baton.gate.{report.spec.task}.{report.spec.name}")
    counts = (
        f'tests="{len(report.verdicts)}" failures="{len(report.having("fails"))}" errors="0" '
        f'skipped="{len(report.having("cannot_tell"))}"'
    )
    cases = "\n".join(line for verdict in report.verdicts for line in _case(verdict, name))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites {counts}>\n<testsuite name={name} {counts}>\n{cases}\n</testsuite>\n</testsuites>\n"
    )


def _case(verdict: Verdict, suite: str) -> Iterator[str]:
    head = f"  <testcase classname={suite} name={_attribute(verdict.id)}"
    message = _attribute(explain(verdict))
    if verdict.outcome == "passes":
        yield f"{head}/>"
    elif verdict.outcome == "cannot_tell":
        yield f"{head}><skipped message={_attribute(f'cannot tell: {explain(verdict)}')}/></testcase>"
    else:
        failure = f"<failure message={message} type={_attribute(verdict.kind)}>{_text(verdict.reason)}</failure>"
        yield f"{head}>{failure}</testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _text(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
