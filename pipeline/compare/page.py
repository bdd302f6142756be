"""The page of a comparison: the same report as visualize writes, with differences in the large type."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.compare import tables as telling
from pipeline.compare.judge import Found
from pipeline.look.numbers import factor_of
from pipeline.look.report import Cell, Headline, Records, Report, render
from schemas.comparison import Comparison, Mover
from schemas.rows import Figure

MAX_HEADLINES = 6
MAX_SLICE_TABLES = 12


def page(found: Found, moved: Sequence[Mover], figures: Sequence[Figure], folder: Path) -> str:
    """The whole page as HTML. ``moved`` are the movers with the ids of their pictures."""
    judge, rows, joined = found.judge, found.comparisons, found.judge.joined
    whole = [*telling.whole_tables(rows), *telling.other_tables(rows, by_step=bool(judge.steps))]
    slices = telling.slice_tables(rows)
    missing = list(found.notes)
    if len(slices) > MAX_SLICE_TABLES:
        missing.append(f"{len(slices) - MAX_SLICE_TABLES:,} more tables by slice stand in table.md.")
    names = {metric.name for metric in judge.metrics}
    return render(
        Report(
            title=f"{judge.task.name}: {_title(rows)}",
            subtitle="Paired comparison: every file answers the same records.",
            folder=folder,
            figures=figures,
            facts={
                "records": f"{len(joined.ids):,}",
                **{f"model of {label}": ", ".join(records.models) for label, records in joined.files.items()},
            },
            headlines=headlines(rows),
            tables=[*whole, *slices[:MAX_SLICE_TABLES]],
            footnotes=telling.footnotes(rows),
            meanings={name.replace("_", " "): judge.definitions[name].definition for name in sorted(names)},
            records=_records(moved),
            missing=missing,
        )
    )


def headlines(rows: Sequence[Comparison]) -> list[Headline]:
    """The difference of the main metric for each pair; of one pair, of each metric."""
    whole = [row for row in rows if row.kind == "paired" and row.slice_by == "all"]
    several = len({(row.label, row.baseline) for row in whole}) > 1
    chosen = [row for row in whole if not several or (row.name, row.statistic) == (whole[0].name, whole[0].statistic)]
    return [_headline(row, named=several) for row in chosen[-MAX_HEADLINES:]]


def _headline(row: Comparison, *, named: bool) -> Headline:
    ends = [0.0, *(row.difference if end is None else end for end in (row.low, row.high))]
    unit = telling.unit_text(row)
    pair = f"{row.label} - {row.baseline}"
    return Headline(
        heading=pair if named else f"{telling.metric_text(row)}: {pair}",
        number=replace(telling.difference_of(row), suffix=f" {unit}" if unit else ""),
        confidence=row.confidence,
        against=f"{telling.verdict_text(row)}, p {telling.p_text(row.p_adjusted)}",
        bar=0.0,
        limits=(min(ends), max(ends)),
    )


def _title(rows: Sequence[Comparison]) -> str:
    pairs = list(dict.fromkeys((row.label, row.baseline) for row in rows if row.kind == "paired"))
    labels, baselines = ({pair[side] for pair in pairs} for side in (0, 1))
    if len(pairs) == 1:
        return f"{pairs[0][0]} against {pairs[0][1]}"
    if len(baselines) == 1:
        return f"{len(labels)} files against {pairs[0][1]}"
    return f"{len(labels | baselines)} files against each other"


def _records(moved: Sequence[Mover]) -> Records:
    """All movers as a table that can be searched and sorted; ids lead to pictures."""
    columns: list[tuple[str, Callable[[Mover], Cell]]] = [
        ("id", lambda m: m.record_id),
        ("metric", telling.metric_text),
        ("file", lambda m: m.label),
        ("baseline", lambda m: m.baseline),
        ("place", lambda m: m.place),
        ("change", lambda m: factor_of(m.unit) * m.change),
        ("value", lambda m: m.value),
        ("baseline value", lambda m: m.baseline_value),
        ("line", lambda m: m.line),
        ("baseline line", lambda m: m.baseline_line),
    ]
    return Records([name for name, _ in columns], [[value(m) for _, value in columns] for m in moved])
