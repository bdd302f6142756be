"""The one table that people see, as numbers: its text, its markdown; and metrics to such tables.

Subjects are rows, the model first; the main metrics of the task are columns.
"""

import os
import shutil
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from pipeline.contract.metrics import TableColumn, TableLayout, TableNote
from pipeline.contract.parts import EvaluatePart
from pipeline.look.numbers import Number, decimals_of_value, decimals_supported, factor_of, shortened, words
from schemas.rows import Metric

MODEL = "model"
WIDTH, NARROWEST = 100, 40  # columns of a terminal, at most and at least
GAP = "  "
NUM_DEFAULT_COLUMNS = 5
MAX_ROWS = 20  # of a table of many, on the terminal
Cell = Number | str


@dataclass(frozen=True, kw_only=True)
class Table:
    """``columns`` are a cell a row, by heading; ``heading`` stands above the ``names`` of the rows.

    ``kinds`` are one of each row, or none: the report sets off the rows of kind "model" and "bar". Columns whose
    heading is in ``left`` are texts that stand to the left.
    """

    heading: str
    names: Sequence[str]
    columns: Mapping[str, Sequence[Cell]]
    title: str = ""
    kinds: Sequence[str] = ()
    left: Container[str] = ()

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells of each row."""
        return [[cells[n] for cells in self.columns.values()] for n in range(len(self.names))]


@dataclass(frozen=True)
class Checkpoint:
    """One input: ``step`` is the training step of its model, where it is known."""

    label: str
    step: int | None
    metrics: Sequence[Metric]


def layout_of(part: EvaluatePart, metrics: Sequence[Metric]) -> TableLayout:
    """The task's table; without one, a column for each of the first metrics of the glossary that has a value."""
    if part.table.columns:
        return part.table
    statistic = {m.name: m.statistic for m in reversed(metrics)}
    names = [definition.name for definition in part.glossary if definition.name in statistic][:NUM_DEFAULT_COLUMNS]
    columns = [TableColumn(metric=name, statistic=statistic[name], heading=words(name)) for name in names]
    return replace(part.table, columns=columns)


def main_table(
    metrics: Iterable[Metric],
    layout: TableLayout,
    title: str = "all records",
    where: tuple[str, str] = ("all", "all"),
) -> Table:
    """Subjects by main metrics, over the records whose slice and value are ``where``."""
    chosen = [m for m in metrics if (m.slice_by, m.slice_value) == where]
    subjects = sorted({m.subject: None for m in chosen if layout.shows(m)}, key=lambda name: name != MODEL)
    return Table(
        heading="subject",
        names=[_bar_name(layout) if name == layout.bar else name for name in subjects],
        columns=columns_of([[m for m in chosen if m.subject == name] for name in subjects], layout),
        title=title,
        kinds=["bar" if name == layout.bar else "model" if name == MODEL else "" for name in subjects],
    )


def _bar_name(layout: TableLayout) -> str:
    return f"{layout.bar} (bar)"


def side_by_side(checkpoints: Sequence[Checkpoint], layout: TableLayout, *, one_training: bool) -> Table:
    """Inputs by main metrics of the model, in the order given, and the bar in the last row."""
    rows: list[list[Metric]] = []
    bar: list[Metric] = []
    for checkpoint in checkpoints:
        chosen = [m for m in checkpoint.metrics if m.slice_by == "all"]
        rows.append([m for m in chosen if m.subject == MODEL])
        bar = [m for m in chosen if m.subject == layout.bar] or bar
    last = [bar] if bar else []
    steps: list[Cell] = [f"{c.step:,}" if c.step is not None else "" for c in checkpoints]
    has_steps = any(checkpoint.step is not None for checkpoint in checkpoints)
    return Table(
        heading="checkpoint" if one_training else "file",
        names=[*(checkpoint.label for checkpoint in checkpoints), *(_bar_name(layout) for _ in last)],
        columns=({"step": [*steps, *("" for _ in last)]} if has_steps else {}) | columns_of([*rows, *last], layout),
        title="Learning curve" if one_training else "The files beside each other, in the order given",
    )


def slice_tables(metrics: Sequence[Metric], layout: TableLayout) -> list[Table]:
    """The tables of all slices that split the records.

    A table for each value of a slice; where the model is the only subject, one for all values, a row each. What splits
    into one value only, or has none of the columns, is left out.
    """
    found: list[Table] = []
    by_value: dict[str, dict[str, list[Metric]]] = {}
    shown = layout.slice_subjects
    for m in metrics:
        if m.slice_by != "all" and layout.shows(m) and (shown is None or m.subject in shown):
            by_value.setdefault(m.slice_by, {}).setdefault(m.slice_value, []).append(m)
    for by, values in by_value.items():
        name = words(by)
        if len(values) > 1 and all(m.subject == MODEL for rows in values.values() for m in rows):
            columns = columns_of(list(values.values()), layout)
            found.append(Table(heading=name, names=list(values), columns=columns, title=f"by {name}"))
        elif len(values) > 1:
            found += [main_table(metrics, layout, f"{name} {value}", (by, value)) for value in values]
    return found


def all_metrics(metrics: Iterable[Metric], subject: str = MODEL) -> Table:
    """Every metric of one subject over all records, a row each."""
    chosen = [m for m in metrics if m.subject == subject and m.slice_by == "all"]
    columns: dict[str, list[Cell]] = {
        "statistic": [m.statistic for m in chosen],
        "value": [_number(m, _decimals(m)) for m in chosen],
        "unit": ["%" if m.unit == "share" else m.unit for m in chosen],
        "records": [f"{m.num_records:,}" for m in chosen],
    }
    names = [m.name for m in chosen]
    return Table(heading="metric", names=names, columns=columns, title=f"every metric of the {subject}")


def columns_of(rows: Sequence[Sequence[Metric]], layout: TableLayout) -> dict[str, list[Cell]]:
    """The layout's columns. One without any value is left out; in others "-" stands where there is none.

    All cells of a column have as many decimals as its widest interval supports: a reader compares them.
    """
    columns: dict[str, list[Cell]] = {}
    for column in layout.columns:
        found = [next(filter(column.shows, metrics), None) for metrics in rows]
        values = [m for m in found if m is not None]
        if values:
            known = [decimals for m in values if (decimals := _supported(m)) is not None]
            decimals = min(known) if known else max(map(_decimals, values))
            columns[heading_of(column, values[0])] = [_number(m, decimals) if m else "-" for m in found]
    return columns


def heading_of(column: TableColumn, metric: Metric) -> str:
    """What stands above a column of such metrics."""
    return f"{column.heading} %" if metric.unit == "share" and "%" not in column.heading else column.heading


def footnotes(metrics: Sequence[Metric], layout: TableLayout, label: str = "") -> list[str]:
    """What a reader of the tables must know: the bar, what the brackets are, and how many records are left out.

    Sentences that hold for these metrics alone begin with the ``label``, if there is one.
    """
    lines = [f"{words(layout.bar)} is the bar to pass."] if layout.bar else []
    confidences = sorted({m.confidence for m in metrics if m.confidence is not None})
    methods = sorted({words(m.interval) for m in metrics if m.interval is not None})
    if confidences:
        levels = " and ".join(f"{100 * confidence:g} %" for confidence in confidences)
        lines.append(f"[low, high]: {levels} intervals ({', '.join(methods)}).")
    counts = {m.name: m for m in metrics if m.statistic == "count" and m.slice_by == "all"}
    if "num_records" in counts:
        lines.append(f"Records: {counts['num_records'].value:,.0f}.")
    for note in layout.notes:
        if note.metric in counts and counts[note.metric].value > 0:
            count = counts[note.metric]
            facts = {"value": f"{count.value:,.0f}", "num_records": f"{count.num_records:,}"}
            text = note.text.format(**facts, parts=_parts(metrics, note) if note.by else "")
            lines.append(f"{label}: {text}" if label else text)
    return lines


def _parts(metrics: Iterable[Metric], note: TableNote) -> str:
    """The counts of a note's metric by slice, the largest first."""
    found = [m for m in metrics if m.name == note.metric and m.statistic == "count" and m.slice_by == note.by]
    return ", ".join(f"{m.slice_value} {m.value:,.0f}" for m in sorted(found, key=lambda m: (-m.value, m.slice_value)))


def width_of(output: TextIO, most: int = WIDTH) -> int:
    """Columns that tables may take: those of the terminal (or ``COLUMNS``), ``most`` where it has more, or is none."""
    if not output.isatty() and "COLUMNS" not in os.environ:
        return most
    return max(min(shutil.get_terminal_size((most, 24)).columns, most), NARROWEST)


def to_text(table: Table, width: int | None = None, *, breaks: Container[str] = (), max_rows: int | None = None) -> str:
    """The table in plain text, no line longer than ``width`` (None: that of the terminal).

    Columns that do not fit go into blocks below; these begin with ``breaks`` where that makes no more of them. Names of
    rows are shortened where they leave no room for the widest column. After ``max_rows`` a line says how many are left.
    """
    width = width_of(sys.stdout) if width is None else width
    columns = [
        (name, _lines(name, [str(cell) for cell in cells[:max_rows]], left=name in table.left))
        for name, cells in table.columns.items()
    ]
    widest = max((len(lines[0]) for _, lines in columns), default=0)
    names = shortened([table.heading, *table.names[:max_rows]], width - widest - len(GAP))
    first = _lines(names[0], names[1:], left=True)
    room = width - len(first[0])
    plain, broken = _blocks(columns, room, ()), _blocks(columns, room, breaks)
    chosen = broken if 1 < len(broken) <= len(plain) else plain
    text = "\n\n".join(
        "\n".join(GAP.join(cells).rstrip() for cells in zip(first, *block, strict=True)) for block in chosen
    )
    num_left = len(table.names) - len(names) + 1
    return f"{text}\n... and {num_left:,} more in table.md" if num_left else text


def _lines(heading: str, values: Sequence[str], *, left: bool) -> list[str]:
    """A column as lines of equal length, its heading first."""
    lines = [heading, *values]
    width = max(map(len, lines))
    return [line.ljust(width) if left else line.rjust(width) for line in lines]


def _blocks(columns: Sequence[tuple[str, list[str]]], room: int, breaks: Container[str]) -> list[list[list[str]]]:
    """Columns that stand beside each other in ``room``, block by block; one alone where it needs more."""
    blocks: list[list[list[str]]] = []
    used = 0
    for name, lines in columns:
        needed = len(GAP) + len(lines[0])
        if not blocks or used + needed > room or name in breaks:
            blocks.append([])
            used = 0
        blocks[-1].append(lines)
        used += needed
    return blocks


def to_markdown(table: Table) -> str:
    """The table in markdown, numbers to the right."""
    header = [table.heading, *table.columns]
    rule = ["---", *("---" if name in table.left else "---:" for name in table.columns)]
    body = [[name, *map(str, cells)] for name, cells in zip(table.names, table.rows, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [header, rule, *body]
    )


def sections(found: Iterable[Table], prefix: str = "") -> list[str]:
    """Tables in markdown, each below its title."""
    return [line for table in found for line in (f"## {prefix}{table.title}", "", to_markdown(table), "")]


def _number(metric: Metric, decimals: int) -> Number:
    return Number(metric.value, metric.low, metric.high, metric.unit, decimals)


def _supported(metric: Metric) -> int | None:
    return decimals_supported(metric.value, metric.low, metric.high, metric.unit)


def _decimals(metric: Metric) -> int:
    """As many as the interval supports; without one, three digits of the value."""
    supported = _supported(metric)
    if supported is None and metric.value != round(metric.value):
        return decimals_of_value(factor_of(metric.unit) * metric.value, 3)
    return supported or 0
