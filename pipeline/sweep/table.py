"""The table of a sweep: one row a cell, in the order of the grid, a pure function of the grid and its results."""

from collections.abc import Sequence

import pandas as pd
from msgspec.structs import replace

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart
from pipeline.look import tables
from pipeline.sweep.ledger import State
from pipeline.sweep.plan import Part, Plan
from schemas.rows import Metric
from schemas.sweep import CellResult, Outcome

SHOWN_ERROR = 120  # characters of an error in the table


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


def frame(plan: Plan, results: Sequence[CellResult]) -> pd.DataFrame:
    """The table that people see: the axes of the grid, then the main metrics as "value [low, high]", then the status
    where it is not the same for all."""
    axes = list(dict.fromkeys(name for result in results for name in result.axes))
    columns = {name: [_axis(result.axes.get(name)) for result in results] for name in axes}
    if "checkpoint" not in columns and any(result.step is not None for result in results):
        columns["step"] = [f"{result.step:,}" if result.step is not None else "-" for result in results]
    columns |= _metric_columns(plan, results)
    if {result.status for result in results} != {"finished"}:
        columns["status"] = [result.status for result in results]
    table = pd.DataFrame(columns, index=pd.Index([str(n) for n in range(1, len(results) + 1)], name="cell"))
    return table.astype(object)


def _metric_columns(plan: Plan, results: Sequence[CellResult]) -> dict[str, list[str]]:
    part = load_part(plan.sweep.task, EvaluatePart)
    everything = [metric for result in results for metric in result.metrics]
    layout = tables.layout_of(part, everything)
    rows: dict[str, Sequence[Metric]] = {result.id: result.metrics for result in results}
    inputs = [tables.Checkpoint(name, None, metrics) for name, metrics in rows.items()]
    cells = tables.side_by_side(inputs, layout, "cell")
    return {str(name): [str(cell) for cell in cells[name]] for name in cells.columns}


def markdown(plan: Plan, results: Sequence[CellResult]) -> str:
    """``table.md``."""
    sweep = plan.sweep
    part = load_part(sweep.task, EvaluatePart)
    lines = [f"# Sweep: {sweep.task} {sweep.name}", "", *([sweep.description, ""] if sweep.description else [])]
    lines += [tables.to_markdown(frame(plan, results)), ""]
    lines += [f"- {note}" for note in footnotes(results)]
    lines += [f"- {remark}" for remark in remarks(results)]
    glossary = {definition.name: definition.definition for definition in part.glossary}
    names = dict.fromkeys(metric.name for result in results for metric in result.metrics)
    lines += [
        "",
        "## What the numbers mean",
        "",
        *(f"- {name}: {glossary[name]}" for name in names if name in glossary),
    ]
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
