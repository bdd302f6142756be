"""Metrics to the tables that people see: a DataFrame of cells "value [low, high]", as text and as markdown.

Subjects are rows, the model first; the main metrics of the task are columns.
"""

import os
import shutil
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import pandas as pd

from pipeline.contract.metrics import TableColumn, TableLayout, TableNote
from pipeline.contract.parts import EvaluatePart
from pipeline.look.numbers import decimals_of_interval, decimals_of_value
from pipeline.look.short_names import shortened
from schemas.rows import Metric

MODEL = "model"
WIDTH, NARROWEST = 100, 40  # columns of a terminal, at most and at least
GAP = "  "
SMALLEST_LENGTH = 1e-9  # of an interval, relative to the value: below, it is rounding
NUM_DEFAULT_COLUMNS = 5


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
    columns = [TableColumn(metric=name, statistic=statistic[name], heading=name.replace("_", " ")) for name in names]
    return replace(part.table, columns=columns)


def main_table(
    metrics: Iterable[Metric], layout: TableLayout, slice_by: str = "all", slice_value: str = "all"
) -> pd.DataFrame:
    """Subjects by main metrics, the cells "value [low, high]"; the bar's name is followed by "(bar)"."""
    chosen = [m for m in metrics if (m.slice_by, m.slice_value) == (slice_by, slice_value)]
    subjects = sorted({m.subject: None for m in chosen if _is_shown(m, layout)}, key=lambda name: name != MODEL)
    rows = {name: [m for m in chosen if m.subject == name] for name in subjects}
    return _table(rows, layout).rename(index=lambda name: f"{name} (bar)" if name == layout.bar else name)


def side_by_side(checkpoints: Sequence[Checkpoint], layout: TableLayout, heading: str) -> pd.DataFrame:
    """Inputs by main metrics of the model, in the order given, and the bar in the last row; ``heading`` says what they
    are."""
    rows: dict[str, list[Metric]] = {}
    bar: list[Metric] = []
    for checkpoint in checkpoints:
        chosen = [m for m in checkpoint.metrics if m.slice_by == "all"]
        rows[checkpoint.label] = [m for m in chosen if m.subject == MODEL]
        bar = [m for m in chosen if m.subject == layout.bar] or bar
    if bar:
        rows[f"{layout.bar} (bar)"] = bar
    table = _table(rows, layout).rename_axis(heading)
    if any(checkpoint.step is not None for checkpoint in checkpoints):
        steps = [f"{c.step:,}" if c.step is not None else "" for c in checkpoints]
        table.insert(0, "step", [*steps, *[""] * (len(table) - len(steps))])
    return table


def slice_tables(metrics: Sequence[Metric], layout: TableLayout) -> list[tuple[str, pd.DataFrame]]:
    """The tables of all slices that split the records, with their titles.

    A table for each value of a slice; where the model is the only subject, one for all values, a row each. What splits
    into one value only, or has none of the columns, is left out.
    """
    found: list[tuple[str, pd.DataFrame]] = []
    by_value: dict[str, dict[str, list[Metric]]] = {}
    for m in metrics:
        if m.slice_by != "all" and _is_shown(m, layout):
            by_value.setdefault(m.slice_by, {}).setdefault(m.slice_value, []).append(m)
    for by, values in by_value.items():
        name = by.replace("_", " ")
        if len(values) > 1 and all(m.subject == MODEL for rows in values.values() for m in rows):
            found.append((f"by {name}", _table(values, layout).rename_axis(name)))
        elif len(values) > 1:
            found += [(f"{name} {value}", main_table(metrics, layout, by, value)) for value in values]
    return found


def all_metrics(metrics: Iterable[Metric], subject: str = MODEL) -> pd.DataFrame:
    """Every metric of one subject over all records, a row each."""
    chosen = [m for m in metrics if m.subject == subject and m.slice_by == "all"]
    rows = [(m.name, m.statistic, format_cell(m, _decimals(m)), _unit(m), f"{m.num_records:,}") for m in chosen]
    return pd.DataFrame(rows, columns=["metric", "statistic", "value", "unit", "records"]).set_index("metric")


def footnotes(metrics: Sequence[Metric], layout: TableLayout, label: str = "") -> list[str]:
    """What a reader of the tables must know: the bar, what the brackets are, and how many records are left out.

    Sentences that hold for these metrics alone begin with the ``label``, if there is one.
    """
    lines = [f"{layout.bar} is the bar to pass."] if layout.bar else []
    confidences = sorted({m.confidence for m in metrics if m.confidence is not None})
    methods = sorted({m.interval.replace("_", " ") for m in metrics if m.interval is not None})
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


def to_text(table: pd.DataFrame, width: int | None = None, *, breaks: Container[str] = ()) -> str:
    """The table in plain text, no line longer than ``width`` (None: that of the terminal).

    Columns that do not fit go into blocks below; these begin with ``breaks`` where that makes no more of them. Names of
    rows are shortened where they leave no room for the widest column.
    """
    width = width_of(sys.stdout) if width is None else width
    columns = [(str(name), _cells(str(name), list(table[name]), left=False)) for name in table.columns]
    widest = max((len(cells[0]) for _, cells in columns), default=0)
    names = shortened([str(table.index.name or ""), *map(str, table.index)], width - widest - len(GAP))
    first = _cells(names[0], names[1:], left=True)
    room = width - len(first[0])
    plain, broken = _blocks(columns, room, ()), _blocks(columns, room, breaks)
    chosen = broken if 1 < len(broken) <= len(plain) else plain
    return "\n\n".join(
        "\n".join(GAP.join(cells).rstrip() for cells in zip(first, *block, strict=True)) for block in chosen
    )


def _blocks(columns: Sequence[tuple[str, list[str]]], room: int, breaks: Container[str]) -> list[list[list[str]]]:
    """Columns that stand beside each other in ``room``, block by block; one alone where it needs more."""
    blocks: list[list[list[str]]] = []
    used = 0
    for name, cells in columns:
        needed = len(GAP) + len(cells[0])
        if not blocks or used + needed > room or name in breaks:
            blocks.append([])
            used = 0
        blocks[-1].append(cells)
        used += needed
    return blocks


def to_markdown(table: pd.DataFrame) -> str:
    """The table in markdown, numbers to the right."""
    header = [str(table.index.name or ""), *(str(name) for name in table.columns)]
    rule = ["---", *["---:"] * len(table.columns)]
    body = [[str(index), *map(str, row)] for index, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [header, rule, *body]
    )


def format_cell(metric: Metric, decimals: int) -> str:
    """ "value [low, high]", shares in percent."""
    factor = 100.0 if metric.unit == "share" else 1.0
    value = f"{factor * metric.value:,.{decimals}f}"
    if metric.low is None or metric.high is None:
        return value
    return f"{value} [{factor * metric.low:,.{decimals}f}, {factor * metric.high:,.{decimals}f}]"


def _unit(metric: Metric) -> str:
    """The unit of what `format_cell` writes."""
    return "%" if metric.unit == "share" else metric.unit


def _is_shown(metric: Metric, layout: TableLayout) -> bool:
    return any((metric.name, metric.statistic) == (c.metric, c.statistic) for c in layout.columns)


def _table(rows: Mapping[str, Sequence[Metric]], layout: TableLayout) -> pd.DataFrame:
    """Cells of the layout's columns. A column without any value is left out; in others "-" stands where there is none.

    The first row whose interval has a length, most often the model's, says how many decimals its column shows at
    least; a cell whose own interval is shorter shows more.
    """
    columns: dict[str, list[str]] = {}
    for column in layout.columns:
        found = {
            name: next((m for m in metrics if (m.name, m.statistic) == (column.metric, column.statistic)), None)
            for name, metrics in rows.items()
        }
        values = [m for m in found.values() if m is not None]
        if values:
            least = _decimals(next(filter(_has_length, values), values[0]))
            needs_unit = values[0].unit == "share" and "%" not in column.heading
            heading = f"{column.heading} %" if needs_unit else column.heading
            columns[heading] = [_in_column(m, least) if m else "-" for m in found.values()]
    return pd.DataFrame(columns, index=pd.Index(list(rows), name="subject", dtype=object))


def _in_column(metric: Metric, least: int) -> str:
    return format_cell(metric, max(least, _decimals(metric)) if _has_length(metric) else least)


def _decimals(metric: Metric) -> int:
    """As many as the interval supports; without one, three digits of the value."""
    factor = 100.0 if metric.unit == "share" else 1.0
    if metric.low is not None and metric.high is not None and _has_length(metric):
        return decimals_of_interval(factor * (metric.high - metric.low) / 2.0)
    if metric.value == round(metric.value):
        return 0
    return decimals_of_value(factor * metric.value, 3)


def _has_length(metric: Metric) -> bool:
    if metric.low is None or metric.high is None:
        return False
    return metric.high - metric.low > SMALLEST_LENGTH * abs(metric.value)


def _cells(heading: str, values: Sequence[str], *, left: bool) -> list[str]:
    """A column as lines of equal length, its heading first."""
    lines = [heading, *values]
    width = max(map(len, lines))
    return [line.ljust(width) if left else line.rjust(width) for line in lines]
