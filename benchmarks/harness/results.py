"""Reports as Markdown: what benchmarks/RESULTS.md holds."""

from collections.abc import Mapping, Sequence

from benchmarks.harness import Claim, Report, Samples

_HEAD = """\
# Benchmarks

Written by `{command}`; nothing here is written by hand. Candidates of one benchmark take turns in the same run, so that
whatever slows the machine down slows all of them. Values are medians; in brackets stand the lowest and the highest of
the rounds. A ratio is the median of the ratios of each round.

{machine}

"""


def markdown(reports: Mapping[str, Report | str], command: str, machine: Sequence[str]) -> str:
    """The whole file. A string instead of a report says why that benchmark has none."""
    parts = [_HEAD.format(command=command, machine="\n".join(f"- {line}" for line in machine))]
    parts.append(_table(("benchmark", "what", "measured", "target", "met"), _claims(reports)))
    for name, report in reports.items():
        parts.append(f"\n## {name}\n\nDid not run: {report}\n" if isinstance(report, str) else section(name, report))
    return "".join(parts)


def section(name: str, report: Report) -> str:
    """One benchmark: what was done, what each candidate showed, notes."""
    rows = [_sample_row(samples) for samples in report.samples]
    table = _table(("candidate", "median", "lowest", "highest", "rounds"), rows)
    notes = "".join(f"\n- {note}" for note in report.notes)
    return f"\n## {name}: {report.title}\n\n{report.method}\n\n{table}" + (f"{notes}\n" if notes else "")


def claim_line(claim: Claim) -> str:
    """One claim in one line, for the terminal."""
    return f"{'met   ' if claim.met else 'MISSED'} {claim.what}: {_measured(claim)}, target {claim.target}"


def _claims(reports: Mapping[str, Report | str]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, report in reports.items():
        if isinstance(report, str):
            rows.append((name, "did not run", "-", "-", "**no**"))
            continue
        rows += [
            (name, claim.what, _measured(claim), claim.target, "yes" if claim.met else "**no**")
            for claim in report.claims
        ]
    return rows


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
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
