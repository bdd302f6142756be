"""Reports as Markdown: benchmarks/RESULTS.md, a section a benchmark, each replaced when it is measured anew."""

import re
from collections.abc import Mapping, Sequence

from benchmarks.harness import Claim, Report, Samples

_HEAD = """\
# Benchmarks

Written by `make bench`, or `make bench ONLY=NAME` for one of them; nothing here is written by hand. Candidates of one
benchmark take turns in the same run, so that whatever slows the machine down slows all of them. Values are medians; in
brackets stand the lowest and the highest of the rounds. A ratio is the median of the ratios of each round. What each
was measured on stands in its section.

"""
_CANDIDATES = ("candidate", "median", "lowest", "highest", "rounds")
_CLAIMS = ("what", "measured", "target", "met")
_SECTION = re.compile(r"^## ([\w.]+)(?:.(?!^## ))*.", re.MULTILINE | re.DOTALL)


def markdown(sections: Mapping[str, str]) -> str:
    """The whole file: all claims, then the section of each benchmark by its name."""
    rows = [(name, *cells) for name, text in sections.items() for cells in _claims_of(text)]
    return _HEAD + _table(("benchmark", *_CLAIMS), rows) + "".join(f"\n{text.strip()}\n" for text in sections.values())


def read_sections(text: str) -> dict[str, str]:
    """The sections of a file that `markdown` wrote, by the name of the benchmark."""
    return {found[1]: found[0].strip() + "\n" for found in _SECTION.finditer(text)}


def section(name: str, report: Report | str, machine: Sequence[str]) -> str:
    """One benchmark: what was done, on which machine, claims, what each candidate showed, notes.

    A string instead of a report says why there is none.
    """
    measured = "".join(f"- {line}\n" for line in machine)
    if isinstance(report, str):
        claims = _table(_CLAIMS, [("did not run", "-", "-", "**no**")])
        return f"## {name}\n\nDid not run: {report}\n\n{measured}\n{claims}"
    claims = _table(_CLAIMS, [_claim_row(claim) for claim in report.claims])
    table = _table(_CANDIDATES, [_sample_row(samples) for samples in report.samples])
    notes = "".join(f"\n- {note}" for note in report.notes)
    head = f"## {name}: {report.title}\n\n{report.method}\n\n{measured}\n{claims}\n{table}"
    return head + (f"{notes}\n" if notes else "")


def claim_line(claim: Claim) -> str:
    """One claim in one line, for the terminal."""
    return f"{'met   ' if claim.met else 'MISSED'} {claim.what}: {_measured(claim)}, target {claim.target}"


def _claim_row(claim: Claim) -> tuple[str, ...]:
    return claim.what, _measured(claim), claim.target, "yes" if claim.met else "**no**"


def _claims_of(text: str) -> list[tuple[str, ...]]:
    """The rows of claims in a section."""
    table = text.partition(_row(_CLAIMS))[2].partition("\n\n")[0].partition("|\n")[2]
    return [tuple(line.strip("| ").split(" | ")) for line in table.splitlines()]


def _measured(claim: Claim) -> str:
    value = f"{_number(claim.value)} {claim.unit}"
    return value if claim.low == claim.high else f"{value} ({_number(claim.low)} to {_number(claim.high)})"


def _sample_row(samples: Samples) -> tuple[str, ...]:
    low, high = min(samples.values), max(samples.values)
    figures = (_number(samples.median), _number(low), _number(high))
    return (f"{samples.label}, {samples.unit}", *figures, str(len(samples.values)))


def _number(value: float) -> str:
    """Three digits, and never an exponent."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(map(_row, lines))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
