"""The pictures and the report of a sweep: every cell with its interval, and learning curves where cells have steps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline.contract.metrics import TableColumn
from pipeline.look import plotting
from pipeline.look.picture import Picture, save_sections
from pipeline.look.report import Report, render
from pipeline.sweep import table
from pipeline.sweep.plan import Plan
from schemas.rows import Figure, Metric
from schemas.sweep import CellResult

MAX_CELLS = 48  # in one figure: more names would not be read
NUM_METRICS = 3  # of the main metrics, side by side
ROW_IN = 0.24  # height of a cell in a figure
NUM_TICKS = 4  # of a panel a third of the page wide: steps of six digits do not touch
CHECKPOINT = ("checkpoint", "step")


def draw(plan: Plan, results: Sequence[CellResult], folder: Path) -> list[Figure]:
    """Write the figures below ``folder``; returns their rows. None where no cell has a metric."""
    columns = _columns(plan, results)
    if not columns:
        return []
    cells = (_cells(results, start, columns) for start in range(0, len(results), MAX_CELLS))
    curves = _curves(results)
    learning = (_learning_curves(found, columns) for found in [curves] if found)
    return list(save_sections(plan.sweep.task, folder, [("Cells", cells), ("Learning curves", learning)]))


def page(plan: Plan, results: Sequence[CellResult], folder: Path, figures: Sequence[Figure]) -> str:
    """``report.html``."""
    statuses = Counter(result.status for result in results)
    return render(
        Report(
            title=f"Sweep: {plan.sweep.task} {plan.sweep.name}",
            subtitle=plan.sweep.description,
            folder=folder,
            figures=figures,
            facts={"cells": str(len(results))} | {status: str(number) for status, number in statuses.items()},
            tables=table.tables_of(plan, results),
            footnotes=[*table.footnotes(results), *table.remarks(results)],
            meanings=table.meanings(plan, results),
        )
    )


def _columns(plan: Plan, results: Sequence[CellResult]) -> list[TableColumn]:
    """The first main metrics that any cell has."""
    metrics = [metric for result in results for metric in result.metrics]
    columns = table.layout_of(plan, results).columns
    return [column for column in columns if any(map(column.shows, metrics))][:NUM_METRICS]


def _metric(result: CellResult, column: TableColumn) -> Metric | None:
    return next(filter(column.shows, result.metrics), None)


def _cells(results: Sequence[CellResult], start: int, columns: Sequence[TableColumn]) -> Picture:
    """A panel a metric, a line a cell: its value as a point, its interval as a line."""
    shown = results[start : start + MAX_CELLS]
    canvas = plotting.new_figure(1.1 + ROW_IN * len(shown))
    panels = canvas.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for ax, column in zip(panels, columns, strict=True):
        _points(ax, [_metric(result, column) for result in shown])
        ax.set_title(column.heading)
    names = [f"{number}  {result.label}" for number, result in enumerate(shown, start=start + 1)]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return Picture(
        slug=f"cells-{start // MAX_CELLS + 1}",
        title="Every cell",
        caption="Points are values over all records, lines their intervals; a cell without them failed or was not run.",
        canvas=canvas,
    )


def _points(ax: Axes, metrics: Sequence[Metric | None]) -> None:
    y = [row for row, metric in enumerate(metrics) if metric is not None]
    x, interval = _with_interval([metric for metric in metrics if metric is not None])
    style: dict[str, Any] = {"fmt": plotting.look(0).marker, "color": plotting.look(0).color, "markersize": 4}
    ax.errorbar(x, y, xerr=plotting.whiskers(x, interval), elinewidth=1.2, capsize=2, **style)
    ax.grid(axis="y", visible=False)


def _with_interval(metrics: Sequence[Metric]) -> tuple[list[float], tuple[list[float], list[float]]]:
    """The values, and the low and high ends of their intervals: the values again where there is none."""
    low = [m.value if m.low is None else m.low for m in metrics]
    high = [m.value if m.high is None else m.high for m in metrics]
    return [m.value for m in metrics], (low, high)


def _curves(results: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    """Cells that differ in the training step alone, by what they share, in the order of their steps; two at least."""
    groups: dict[str, list[CellResult]] = {}
    for result in results:
        if result.step is not None and "checkpoint" in result.axes and result.axes["checkpoint"] != "selected":
            shared = [f"{name} {value}" for name, value in result.axes.items() if name not in CHECKPOINT]
            groups.setdefault(", ".join(shared), []).append(result)
    ordered = {name: sorted(cells, key=lambda cell: cell.step or 0) for name, cells in groups.items()}
    return {name: cells for name, cells in ordered.items() if len(cells) > 1}


def _learning_curves(curves: Mapping[str, Sequence[CellResult]], columns: Sequence[TableColumn]) -> Picture:
    canvas, panels = plotting.new_panels(3.4, len(columns))
    for ax, column in zip(panels, columns, strict=True):
        for number, (name, cells) in enumerate(curves.items()):
            known = [(cell.step or 0, metric) for cell in cells if (metric := _metric(cell, column))]
            if known:
                steps, metrics = zip(*known, strict=True)
                plotting.band(ax, steps, *_with_interval(metrics), plotting.look(number), name)
        ax.set(title=column.heading, xlabel="training step")
        ax.xaxis.set_major_locator(MaxNLocator(NUM_TICKS, integer=True))
    plotting.legend_below(canvas, panels)
    return Picture(
        slug="learning-curves",
        title="Learning curves",
        caption="The cells that are checkpoints of one training, by its step, with their intervals.",
        canvas=canvas,
    )
