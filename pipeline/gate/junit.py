"""Verdicts as a JUnit XML report, which every CI system shows: one test case a check."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from pipeline.files.atomic import write_atomically
from pipeline.gate.report import explain
from pipeline.gate.run import GateReport
from schemas.gate import Verdict

# What XML 1.0 cannot hold, not even escaped: control characters, lone surrogates and two others (section 2.2).
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


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
