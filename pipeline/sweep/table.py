"""The table of a sweep: one row a cell, in the order of the grid, a pure function of the grid and its results."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from pipeline.contract.load import load_part
from pipeline.contract.metrics import TableLayout
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.files import read_all
from pipeline.look import tables
from pipeline.look.tables import Cell, Table
from pipeline.stats.intervals import DEFAULTS, Bootstrap, percentile_interval
from pipeline.stats.trainings import TEST, training_errors
from pipeline.sweep.ledger import State
from pipeline.sweep.plan import SEED, Part, Plan
from schemas.rows import Metric
from schemas.sweep import Axis, CellResult, Outcome

NUM_DRAWS = 100_000  # of Student's t: its quantiles to 1 %
SHOWN_ERROR = 120  # characters of an error in the table


def main_metrics(task: str, path: Path) -> tuple[Metric, ...]:
    """What the ledger keeps of a finished cell: the main metrics of the model over all records, those of the table that
    evaluate shows, in its order."""
    rows = read_all(path, load_part(task, RowsPart).metric)
    rows = [m for m in rows if m.subject == tables.MODEL and m.slice_by == "all"]
    names = Metric.__struct_fields__
    return tuple(
        Metric(**{name: getattr(m, name) for name in names})
        for column in tables.layout_of(load_part(task, EvaluatePart), rows).columns
        for m in filter(column.shows, rows)
    )


def results_of(plan: Plan, state: State) -> list[CellResult]:
    """What came of every cell, in the order of the grid."""
    return [_result(cell, state) for cell in plan.cells]


def _result(cell: Part, state: State) -> CellResult:
    row = CellResult(
        task=cell.task, id=cell.short, key=cell.key, label=cell.label, axes=dict(cell.axes), status="waiting"
    )
    if done := state.results.get(cell.key):
        status: Outcome = "finished" if done.event == "finished" else "stopped"
        return replace(row, status=status, step=done.step, note=done.note, metrics=done.metrics)
    if failed := state.failures.get(cell.key):
        return replace(row, status="failed", error=failed.error)
    if need := state.failed_need(cell):
        return replace(row, status="failed", error=f"{need.label} failed: {need.error}")
    return row


def tables_of(plan: Plan, results: Sequence[CellResult]) -> list[Table]:
    """Every cell; and where several are trainings of one recipe, these together."""
    over = trainings_of(plan, results)
    return [table_of(plan, results)] + ([] if over is None else [over])


def table_of(plan: Plan, results: Sequence[CellResult]) -> Table:
    """The axes of the grid, then the main metrics, then the status where it is not the same for all."""
    axes = list(dict.fromkeys(name for result in results for name in result.axes))
    columns: dict[str, list[Cell]] = {name: [_axis(result.axes.get(name)) for result in results] for name in axes}
    if "checkpoint" not in columns and any(result.step is not None for result in results):
        columns["step"] = [f"{result.step:,}" if result.step is not None else "-" for result in results]
    columns |= tables.columns_of([result.metrics for result in results], layout_of(plan, results))
    if {result.status for result in results} != {"finished"}:
        columns["status"] = [result.status for result in results]
    names = [str(number) for number in range(1, len(results) + 1)]
    return Table(heading="cell", names=names, columns=columns, title="Every cell")


def trainings_of(plan: Plan, results: Sequence[CellResult]) -> Table | None:
    """Cells of one recipe that differ by the training's seed alone, as one row each; None where there are none.

    A value is the mean over the trainings, with Student's interval of it: it holds for another training of the recipe
    on these records. Which recipe is better on other records as well, `baton compare` says of groups.
    """
    groups: dict[tuple[tuple[str, Axis], ...], list[CellResult]] = {}
    for result in results:
        if SEED in result.axes and result.status == "finished":
            rest = tuple((name, value) for name, value in result.axes.items() if name != SEED)
            groups.setdefault(rest, []).append(result)
    several = {rest: cells for rest, cells in groups.items() if len(cells) > 1}
    if not several:
        return None
    names = dict.fromkeys(name for rest in several for name, _ in rest)
    columns: dict[str, list[Cell]] = {name: [_axis(dict(rest).get(name)) for rest in several] for name in names}
    metrics = [_over_trainings([cell.metrics for cell in cells]) for cells in several.values()]
    columns |= tables.columns_of(metrics, layout_of(plan, results))
    counts = [f"{len(cells)}" for cells in several.values()]
    title = "Over trainings: means, with intervals that hold for another training on these records"
    return Table(heading="trainings", names=counts, columns=columns, title=title)


def _over_trainings(found: Sequence[tuple[Metric, ...]]) -> list[Metric]:
    """Each metric that all trainings have: its mean over them, with Student's interval."""
    known = [{(metric.name, metric.statistic, metric.subject): metric for metric in metrics} for metrics in found]
    rows = []
    for key, first in known[0].items():
        if all(key in metrics for metrics in known):
            values = [metrics[key].value for metrics in known]
            mean, confidence = float(np.mean(values)), first.confidence or DEFAULTS.confidence
            errors = training_errors([values], np.random.default_rng(0), NUM_DRAWS)
            around = percentile_interval(mean, mean + errors, Bootstrap(confidence=confidence))
            rows.append(replace(first, value=mean, low=around.low, high=around.high, interval=TEST))
    return rows


def layout_of(plan: Plan, results: Sequence[CellResult]) -> TableLayout:
    """The columns of what the cells have."""
    part = load_part(plan.sweep.task, EvaluatePart)
    return tables.layout_of(part, [metric for result in results for metric in result.metrics])


def meanings(plan: Plan, results: Sequence[CellResult]) -> dict[str, str]:
    """What the numbers mean, by the names of the metrics that the cells have."""
    glossary = {one.name: one.definition for one in load_part(plan.sweep.task, EvaluatePart).glossary}
    names = dict.fromkeys(metric.name for result in results for metric in result.metrics)
    return {name: glossary[name] for name in names if name in glossary}


def markdown(plan: Plan, results: Sequence[CellResult]) -> str:
    """``table.md``."""
    sweep = plan.sweep
    lines = [f"# Sweep: {sweep.task} {sweep.name}", "", *([sweep.description, ""] if sweep.description else [])]
    first, *others = tables_of(plan, results)
    lines += [tables.to_markdown(first), "", *tables.sections(others)]
    lines += [f"- {note}" for note in [*footnotes(results), *remarks(results)]]
    lines += ["", "## What the numbers mean", ""]
    lines += [f"- {name}: {meaning}" for name, meaning in meanings(plan, results).items()]
    return "\n".join([*lines, ""])


def footnotes(results: Sequence[CellResult]) -> list[str]:
    """What the brackets are, and over how many records; where cells differ in it, there is more than one line."""
    found = {
        (metric.confidence, metric.interval, metric.num_records)
        for result in results
        for metric in result.metrics
        if metric.confidence is not None and metric.interval is not None
    }
    return [
        f"[low, high]: {100 * (confidence or 0):g} % interval ({str(method).replace('_', ' ')}), {count:,} records."
        for confidence, method, count in sorted(found, key=str)
    ]


def remarks(results: Sequence[CellResult]) -> list[str]:
    """Which cells failed or were stopped, and why."""
    lines = []
    for number, result in enumerate(results, start=1):
        why = result.error or result.note
        if result.status in ("failed", "stopped") and why:
            first = " ".join(why.split())
            lines.append(f"cell {number} ({result.label}) {result.status}: {first[:SHOWN_ERROR]}")
    return lines


def _axis(value: object) -> str:
    return "-" if value is None else str(value)
