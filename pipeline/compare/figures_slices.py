"""Figures by slice: every file on every slice, what the last one can no longer do, and where pairs differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.compare.figures import direction, draw_forest, verdict_legend
from pipeline.compare.judge import Judge
from pipeline.compare.pictures import BY_SLICE, Picture, short
from pipeline.compare.tables import difference_of, metric_text, unit_text
from pipeline.look import plotting
from pipeline.look.numbers import factor_of
from schemas.comparison import Comparison

MAX_FOREST_ROWS = 40


def matrix(judge: Judge, rows: Sequence[Comparison]) -> Picture | None:
    """The main metric of every file (rows) over every slice (columns); None without slices.

    Below, where there are three files or more, the last one less the best of the earlier ones.
    """
    parts = judge.joined.slices[1:]
    if not parts:
        return None
    metric, labels = judge.metrics[0], judge.joined.labels
    definition = judge.definitions[metric.name]
    factor = factor_of(definition.unit)
    table = np.array([[factor * judge.value(label, metric, part) for part in parts] for label in labels])
    forgotten = {(r.slice_by, r.slice_value): r for r in rows if r.kind == "forgetting"}
    num_rows = len(labels) + 1.6 * bool(forgotten)
    canvas = plotting.new_figure(1.2 + 0.42 * num_rows)
    ax = canvas.subplots(1, 1)
    plotting.heat_map(ax, table, color_map=plotting.PALE_TO_DARK, number=_format(table))
    names = [short(label) for label in labels]
    ticks = [row + 0.5 for row in range(len(labels))]
    if forgotten:
        ax.set_ylim(len(labels) + 1.3, 0)
        for column, part in enumerate(parts):
            _write_forgotten(ax, column, len(labels), forgotten.get((part.by, part.value)))
        names, ticks = [*names, f"last - best {_before(judge)}"], [*ticks, len(labels) + 0.7]
    ax.set_yticks(ticks, names)
    columns = [f"{part.by.replace('_', ' ')}\n{short(part.value, 14)}" for part in parts]
    ax.set_xticks([column + 0.5 for column in range(len(parts))], columns, fontsize=7.5 if len(parts) < 12 else 6)
    ax.xaxis.tick_top()
    plotting.scale_bar(canvas, ax, _label(metric.name, definition.unit))
    caption = f"{_label(metric.name, definition.unit)} ({direction(definition)}) of each file over the records of each "
    caption += "slice, on one scale."
    if forgotten:
        caption += (
            f" The last row is the last file less the best of those {_before(judge)}, with its interval: what is below "
            "zero and marked was forgotten (permutation tests against all of them, adjusted together)."
        )
    return Picture(slug="slices", title="Every file on every slice", caption=caption, section=BY_SLICE, canvas=canvas)


def _before(judge: Judge) -> str:
    """What the last file is held against: which came first is known from the steps of one training alone."""
    return "earlier" if judge.steps else "given before"


def _write_forgotten(ax: Any, column: int, top: int, row: Comparison | None) -> None:
    """One cell of the last row: the difference, its interval below, and a mark where it is no accident."""
    if row is None:
        return
    difference = difference_of(row)
    mark = {"worse": "▼ ", "better": "▲ "}.get(row.verdict, "")
    color = {"worse": plotting.VERMILION, "better": plotting.BLUE}.get(row.verdict, plotting.INK)
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": color}
    weight = "bold" if mark else "normal"
    ax.text(column + 0.5, top + 0.4, f"{mark}{difference.text}", fontsize=7.5, fontweight=weight, **style)
    ax.text(column + 0.5, top + 0.95, difference.interval, fontsize=6, **style)


def slice_differences(rows: Sequence[Comparison]) -> Picture:
    """The difference of the main metric over each slice, a panel for each pair."""
    sliced = [row for row in rows if row.kind == "paired" and row.slice_by != "all"]
    main = (sliced[0].name, sliced[0].statistic)
    chosen = [row for row in sliced if (row.name, row.statistic) == main]
    pairs = list(dict.fromkeys((row.label, row.baseline) for row in chosen))
    most = max(1, MAX_FOREST_ROWS // sum((row.label, row.baseline) == pairs[-1] for row in chosen))
    shown = pairs[-most:]
    by_pair = [[row for row in chosen if (row.label, row.baseline) == pair] for pair in shown]
    canvas = plotting.new_figure(0.7 + sum(0.75 + 0.3 * len(members) for members in by_pair))
    grid = canvas.subplots(len(shown), 1, squeeze=False, height_ratios=[0.75 + 0.3 * len(m) for m in by_pair])
    for ax, members, (label, baseline) in zip(grid[:, 0], by_pair, shown, strict=True):
        draw_forest(ax, members, [f"{r.slice_by.replace('_', ' ')} {short(r.slice_value, 20)}" for r in members])
        ax.set_title(f"{short(label)} - {short(baseline)}", fontsize=9)
        ax.set_xlabel(f"{metric_text(members[0])}, {unit_text(members[0])}".rstrip(", "))
    verdict_legend(canvas, [row for members in by_pair for row in members])
    rest = f" The last {len(shown)} of {len(pairs)} pairs are drawn." if len(pairs) > len(shown) else ""
    return Picture(
        slug="slice_differences",
        title="Where it differs",
        caption=f"The difference in {metric_text(chosen[0])} over the records of each slice, with paired bootstrap "
        f"intervals; verdicts are adjusted for all tests over slices.{rest}",
        section=BY_SLICE,
        canvas=canvas,
    )


def _label(name: str, unit: str) -> str:
    shown = {"share": "%", "1": ""}.get(unit, unit)
    return f"{name.replace('_', ' ')} ({shown})" if shown else name.replace("_", " ")


def _format(table: Any) -> str:
    """As many decimals as three digits need."""
    largest = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 0.0
    return ".0f" if largest >= 100 else ".1f" if largest >= 10 else ".2f" if largest >= 1 else ".3f"
