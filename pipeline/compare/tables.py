"""Comparisons as a person reads them: tables for the terminal, for table.md and for the report."""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from pipeline.contract.metrics import MetricDefinition, RecordMetric
from pipeline.look import tables
from pipeline.look.numbers import (
    Number,
    decimals_of_interval,
    decimals_of_value,
    decimals_supported,
    factor_of,
    plural,
    shortened,
    words,
)
from pipeline.look.tables import Cell, Table
from pipeline.stats.trainings import TEST
from schemas.comparison import Comparison, Mover

T = TypeVar("T")

NUM_MOVERS = 5  # shown of each list
MAX_CHANGE_DECIMALS = 5
MAX_UNIT = 8  # characters of a unit that is shown beside a name; the glossary has the others
COUNTS, CHANCE = "better/worse/same", "P(better)"
RESERVED = frozenset({"change", "lines", "difference", "p", "d_z", COUNTS, "verdict", CHANCE})
KINDS = {"better": "model", "worse": "bar"}  # of rows in the report
VERDICTS = {"no_difference_shown": "no difference shown"}
WIDTH = 120  # columns of a terminal, of which tables may take all
LABEL_SHARE = 8  # of these columns a label may take one part in as many


def difference_of(row: Comparison) -> Number:
    """ "+1.2 [+0.4, +2.0]"."""
    return Number(row.difference, row.low, row.high, row.unit, _decimals(row), "+")


def _decimals(row: Comparison) -> int:
    """As many as the interval supports; without one, two digits of the difference."""
    supported = decimals_supported(row.difference, row.low, row.high, row.unit)
    if supported is not None:
        return supported
    if row.value == round(row.value):
        return 0
    return decimals_of_value(factor_of(row.unit) * (abs(row.difference) or abs(row.value)), 2)


def _chance(row: Comparison) -> Cell:
    """The probability of improvement: "63 % [55, 71]"."""
    value, low, high = (
        row.probability_of_improvement,
        row.probability_of_improvement_low,
        row.probability_of_improvement_high,
    )
    if value is None:
        return "-"
    decimals = decimals_of_interval(50.0 * (high - low)) if low is not None and high is not None and high > low else 0
    return Number(value, low, high, "share", decimals, suffix=" %")


def p_text(p_value: float | None) -> str:
    """A p-value with two digits, never as 0."""
    if p_value is None:
        return "-"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def verdict_text(row: Comparison) -> str:
    """The verdict in words."""
    return VERDICTS.get(row.verdict, row.verdict)


def metric_text(row: Comparison | Mover | RecordMetric) -> str:
    """ "wellbeing, mean"."""
    name = words(row.name)
    return name if row.statistic in ("pooled", "rate") else f"{name}, {row.statistic}"


def unit_text(row: Comparison | Mover | MetricDefinition) -> str:
    """ "%", "steps" or nothing."""
    return {"share": "%", "1": ""}.get(row.unit, row.unit)


def direction_text(row: Comparison | MetricDefinition) -> str:
    """Which way is good, for a heading."""
    return {"higher": "higher is better", "lower": "lower is better", "neither": "no direction"}[row.better]


def terminal(rows: Sequence[Comparison], moved: Sequence[Mover], notes: Sequence[str], *, by_step: bool) -> list[str]:
    """Everything that the command shows. ``by_step``: the files are in the order of the steps of one training.

    Where the columns of a table do not fit, what differs and how sure that is stands above, how much it is below.
    """
    width = tables.width_of(sys.stdout, WIDTH)
    rows, moved, blocks = _with_short_labels(rows, moved, width // LABEL_SHARE)
    rest = [*other_tables(rows, by_step=by_step), *mover_tables(moved, main_only=True)]
    sliced = slice_tables(rows, main_only=True)
    for found, max_rows in ((whole_tables(rows), None), (sliced, tables.MAX_ROWS), (rest, None)):
        for table in found:
            blocks += [table.title, tables.to_text(table, width, breaks={COUNTS}, max_rows=max_rows), ""]
    return "\n".join([*blocks, *footnotes(rows), *(f"NOTE: {note}" for note in notes)]).split("\n")


def _with_short_labels(
    rows: Sequence[Comparison], moved: Sequence[Mover], length: int
) -> tuple[list[Comparison], list[Mover], list[str]]:
    """Rows whose labels leave room for numbers, and lines that say what was shortened."""
    labels = list(dict.fromkeys(label for row in rows for label in (row.baseline, row.label)))
    short = dict(zip(labels, shortened(labels, length), strict=True))
    change = msgspec.structs.replace
    told = [f"{name}: {label}" for label, name in short.items() if name != label]
    return (
        [change(row, label=short[row.label], baseline=short[row.baseline]) for row in rows],
        [change(row, label=short[row.label], baseline=short[row.baseline]) for row in moved],
        [*told, ""] if told else [],
    )


def markdown(
    task: str, rows: Sequence[Comparison], moved: Sequence[Mover], notes: Sequence[str], *, by_step: bool
) -> str:
    """``table.md``."""
    found = [*whole_tables(rows), *slice_tables(rows), *other_tables(rows, by_step=by_step), *mover_tables(moved)]
    lines = [f"# Comparison: {task}", "", *tables.sections(found)]
    return "\n".join([*lines, *(f"- {note}" for note in [*footnotes(rows), *notes]), ""])


def whole_tables(rows: Sequence[Comparison]) -> list[Table]:
    """Over all records: of one pair a table with a row a metric, of more a table for each metric with a row a pair."""
    whole = [row for row in rows if row.kind == "paired" and row.slice_by == "all"]
    if len(_grouped(whole, "label", "baseline")) == 1:
        label, baseline = whole[0].label, whole[0].baseline
        title = f"{label} against {baseline}, {whole[0].num_records:,} records{_trainings(whole[0])}"
        return [_table(title, whole, ("metric", [_with_unit(row) for row in whole]), (baseline, label))]
    found = []
    for chosen in _grouped(whole, "name", "statistic"):
        title = f"{_with_unit(chosen[0])}, {direction_text(chosen[0])}, {chosen[0].num_records:,} records"
        names = [f"{row.label} - {row.baseline}{_trainings(row)}" for row in chosen]
        found.append(_table(title, chosen, ("difference of", names), ("baseline", "value")))
    return found


def _trainings(row: Comparison) -> str:
    """ ", 3 trainings against 2", where a side is a group of them."""
    if row.num_trainings is UNSET:
        return ""
    return f", {plural(row.num_trainings, 'training')} against {row.baseline_num_trainings}"


def slice_tables(rows: Sequence[Comparison], *, main_only: bool = False) -> list[Table]:
    """By slice: a table for each pair, metric and key; ``main_only``: of the first metric."""
    found = []
    sliced = [row for row in rows if row.kind == "paired" and row.slice_by != "all"]
    sliced = _grouped(sliced, "name", "statistic")[0] if main_only and sliced else sliced
    for chosen in _grouped(sliced, "name", "statistic", "label", "baseline", "slice_by"):
        first = chosen[0]
        title = f"by {first.slice_by.replace('_', ' ')}: {_with_unit(first)}, {first.label} against {first.baseline}"
        names = [f"{row.slice_value} ({row.num_records:,})" for row in chosen]
        found.append(_table(title, chosen, ("records", names), (first.baseline, first.label)))
    return found


def other_tables(rows: Sequence[Comparison], *, by_step: bool) -> list[Table]:
    """Forgetting, and held-out against learned records. Without ``by_step`` forgetting goes by the order given."""
    found = []
    forgotten = [row for row in rows if row.kind == "forgetting"]
    if forgotten:
        last = forgotten[0].label
        names = [f"{row.slice_by} {row.slice_value}: {row.baseline}" for row in forgotten]
        best = "best earlier" if by_step else "best before"
        told = f"forgetting: {last} against the best earlier checkpoint"
        told = told if by_step else f"forgetting, by the order given: {last} against the best file before it"
        title = f"{told}, {_with_unit(forgotten[0])}"
        found.append(_table(title, forgotten, (f"slice: {best}", names), (best, last)))
    gaps = [row for row in rows if row.kind == "train_gap"]
    if gaps:
        names = [f"{row.label}: {_with_unit(row)}" for row in gaps]
        title = "overfitting: held-out records less those it learned from"
        found.append(_table(title, gaps, ("metric", names), ("learned", "held out")))
    return found


def mover_tables(moved: Sequence[Mover], *, main_only: bool = False) -> list[Table]:
    """The records that moved a metric most, of each pair; ``main_only``: of the first metric."""
    found = []
    moved = _grouped(moved, "name", "statistic")[0] if main_only and moved else moved
    for chosen in _grouped(moved, "name", "statistic", "label", "baseline"):
        shown = chosen[:NUM_MOVERS]
        label, baseline = shown[0].label, shown[0].baseline
        first, second = _headings((baseline, label))
        columns: dict[str, list[Cell]] = {"change": [change_text(m) for m in shown]}
        if any(m.value is not None for m in shown):
            columns[first] = [_own(m.baseline_value, m.unit) for m in shown]
            columns[second] = [_own(m.value, m.unit) for m in shown]
        columns["lines"] = [f"{m.baseline_line or '-'}, {m.line or '-'}" for m in shown]
        count = f"{len(shown)} of {len(chosen)}" if len(chosen) > len(shown) else f"{len(shown)}"
        title = f"what moved {_with_unit(shown[0])} most, {label} against {baseline} ({count})"
        found.append(Table(heading="record", names=[m.record_id for m in shown], columns=columns, title=title))
    return found


def _grouped(rows: Iterable[T], *fields: str) -> list[list[T]]:
    """The rows that have the same in all of the fields, in the order of their first ones."""
    groups: dict[tuple[Any, ...], list[T]] = {}
    for row in rows:
        groups.setdefault(tuple(getattr(row, name) for name in fields), []).append(row)
    return list(groups.values())


def change_text(mover: Mover) -> str:
    """What one record adds to the difference, with three digits."""
    size = factor_of(mover.unit) * mover.change
    digits = max(2 - math.floor(math.log10(abs(size))), 0)
    return f"{size:+,.{digits}f}" if digits <= MAX_CHANGE_DECIMALS else f"{size:+.3g}"


def footnotes(rows: Sequence[Comparison]) -> list[str]:
    """What a reader of the tables must know."""
    confidence = rows[0].confidence if rows else 0.95
    tests = sorted({row.test.replace("_", " ") for row in rows if row.test is not None})
    sizes = " and ".join(f"{size:,}" for size in sorted({row.num_in_family for row in rows if row.num_in_family}))
    verdict = f"adjusted (Holm) for the {sizes} tests of the table; a verdict needs p < {1 - confidence:.2g}."
    if TEST in {row.test for row in rows}:
        return [
            f"[low, high]: {100 * confidence:g} % intervals of the difference (records resampled, Student's t over "
            "trainings).",
            f"p: twice the rarer side of 0 among the resampled differences, {verdict}",
        ]
    lines = [f"[low, high]: {100 * confidence:g} % intervals of the difference (paired bootstrap)."]
    if tests:
        lines.append(f"p: two-sided permutation test ({', '.join(tests)}), {verdict}")
    if any(row.probability_of_improvement is not None for row in rows):
        lines.append(
            f"{CHANCE}: chance that any record of the one file beats any of the other (no direction: is larger)."
        )
    if any(row.kind == "train_gap" for row in rows):
        lines.append("Learned and held-out records are different ones: their verdict follows the interval.")
    return lines


def _headings(sides: tuple[str, str]) -> tuple[str, str]:
    """Two labels as headings that are no other column's."""
    first, second = (f"file {side}" if side in RESERVED else side for side in sides)
    return (first, second) if first != second else (first, f"{second} (other)")


def _own(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{factor_of(unit) * value:,.4g}"


def _with_unit(row: Comparison | Mover) -> str:
    unit = unit_text(row)
    shown = unit and len(unit) <= MAX_UNIT and unit not in metric_text(row)
    return f"{metric_text(row)} ({unit})" if shown else metric_text(row)


def _table(title: str, rows: Sequence[Comparison], named: tuple[str, Sequence[str]], sides: tuple[str, str]) -> Table:
    """A row a comparison: the two values, the difference, the adjusted p, how many records are better, the verdict.

    ``named`` are the heading and the names of the rows, ``sides`` what stands above the two values.
    """
    first, second = _headings(sides)
    columns: dict[str, list[Cell]] = {
        first: [Number(row.baseline_value, unit=row.unit, decimals=_decimals(row)) for row in rows],
        second: [Number(row.value, unit=row.unit, decimals=_decimals(row)) for row in rows],
        "difference": [difference_of(row) for row in rows],
    }
    if any(row.p_adjusted is not None for row in rows):
        columns["p"] = [p_text(row.p_adjusted) for row in rows]
    columns["verdict"] = [verdict_text(row) for row in rows]
    if any(row.num_better is not None for row in rows):
        columns[COUNTS] = [
            "-" if row.num_better is None else f"{row.num_better:,}/{row.num_worse:,}/{row.num_equal:,}" for row in rows
        ]
    if any(row.effect_size is not None for row in rows):
        columns["d_z"] = ["-" if row.effect_size is None else f"{row.effect_size:+.2f}" for row in rows]
    if any(row.probability_of_improvement is not None for row in rows):
        columns[CHANCE] = [_chance(row) for row in rows]
    heading, names = named
    kinds = [KINDS.get(row.verdict, "") for row in rows]
    return Table(heading=heading, names=names, columns=columns, title=title, kinds=kinds)
