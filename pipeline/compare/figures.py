"""Figures over all records and by slice: differences with intervals, values of each file, performance profiles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pipeline import stats
from pipeline.compare.judge import Judge
from pipeline.compare.tables import difference_of, direction_text, metric_text, unit_text
from pipeline.contract.metrics import MetricDefinition, RecordMetric
from pipeline.look import heat_maps, plotting
from pipeline.look.numbers import end_of, factor_of, words
from pipeline.look.picture import Picture
from pipeline.look.training import name_steps
from pipeline.stats import Floats
from schemas.comparison import Comparison

MAX_PANELS = 6
MAX_LINES = 8  # looks repeat after eight
MAX_PAIRS = 4  # of sorted differences
NUM_THRESHOLDS = 201
MAX_FOREST_ROWS = 40
MAX_NAME = 28  # characters of a label on an axis

# Filled where there is something to say, hollow where there is not; shapes say which way without colours.
VERDICT_LOOKS: Mapping[str, tuple[str, str, bool]] = {
    "better": ("^", plotting.BLUE, True),
    "worse": ("v", plotting.VERMILION, True),
    "higher": ("^", plotting.PURPLE, True),
    "lower": ("v", plotting.PURPLE, True),
    "no_difference_shown": ("o", plotting.FAINT, False),
    "equal": ("D", plotting.FAINT, False),
}


def short(name: str, length: int = MAX_NAME) -> str:
    """A label that came from the command line, as long as an axis has room for."""
    return end_of(name, length)


def differences(rows: Sequence[Comparison]) -> Picture:
    """A panel for each metric, a line for each pair: the difference with its interval."""
    whole = [row for row in rows if row.kind == "paired" and row.slice_by == "all"]
    metrics = list(dict.fromkeys((row.name, row.statistic) for row in whole))[:MAX_PANELS]
    panels_of = [[row for row in whole if (row.name, row.statistic) == metric] for metric in metrics]
    canvas, panels = _canvas(len(metrics), 0.95 + 0.3 * max(len(chosen) for chosen in panels_of))
    for ax, chosen in zip(panels, panels_of, strict=True):
        _draw_forest(ax, chosen, [_pair(row.label, row.baseline) for row in chosen])
        ax.set_title(f"{metric_text(chosen[0])}\n{direction_text(chosen[0])}", fontsize=9)
        ax.set_xlabel(f"difference ({unit_text(chosen[0])})" if unit_text(chosen[0]) else "difference")
    _verdict_legend(canvas, whole)
    return Picture(
        slug="differences",
        title="What differs, and how sure that is",
        caption=f"The difference of each metric with its {100 * whole[0].confidence:g} % paired bootstrap interval. "
        "An interval that crosses the line in the middle holds no difference too. The verdict is that of the "
        "permutation test, adjusted for all tests of the picture.",
        canvas=canvas,
    )


def _draw_forest(ax: Axes, rows: Sequence[Comparison], names: Sequence[str]) -> None:
    """A line a comparison, top to bottom: point and interval against zero, the numbers at the right."""
    ends = [0.0]
    for y, row in enumerate(rows):
        mark = _mark(row.verdict)
        factor = factor_of(row.unit)
        low, high = (row.difference if end is None else end for end in (row.low, row.high))
        ax.plot([factor * low, factor * high], [y, y], color=mark["color"], linewidth=2.0, solid_capstyle="butt")
        ax.plot([factor * row.difference], [y], markeredgewidth=1.4, **mark)
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
        ax.annotate(str(difference_of(row)), (1.0, y), (5, 0), fontsize=7.5, annotation_clip=False, **place)
        ends += [factor * low, factor * high]
    ax.axvline(0, color=plotting.INK, linewidth=0.9, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    room = 0.06 * (max(ends) - min(ends)) or 1.0
    ax.set(xlim=(min(ends) - room, max(ends) + room), ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), list(names), fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)


def _mark(verdict: str) -> dict[str, Any]:
    """How a verdict is drawn, as keywords of matplotlib."""
    marker, color, filled = VERDICT_LOOKS[verdict]
    inside = color if filled else plotting.PAPER
    return {"color": color, "marker": marker, "markersize": 7, "markerfacecolor": inside, "markeredgecolor": color}


def _verdict_legend(canvas: Any, rows: Sequence[Comparison]) -> None:
    """What the marks mean, of the verdicts that occur."""
    occurring = [verdict for verdict in VERDICT_LOOKS if any(row.verdict == verdict for row in rows)]
    handles = [Line2D([], [], label=words(verdict), **_mark(verdict)) for verdict in occurring]
    canvas.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))


def values(judge: Judge, train: Mapping[str, Judge]) -> Picture:
    """Each metric of each file, beside it the records it learned from: points in the order given, or a learning curve.

    Without the steps of one training there is nothing between two files that a line could stand for.
    """
    labels, whole, steps = judge.labels, judge.joined.slices[0], judge.steps
    x = np.array([steps[label] for label in labels] if steps else range(len(labels)), dtype=np.float64)
    looks = [plotting.look(n) if steps else replace(plotting.look(n), line="none") for n in range(2)]
    metrics = judge.metrics[:MAX_PANELS]
    canvas, panels = _canvas(len(metrics), 2.6)
    for ax, metric in zip(panels, metrics, strict=True):
        definition = judge.definitions[metric.name]
        found = [judge.interval(label, metric, whole) for label in labels]
        _draw_values(ax, x, found, definition, (looks[0], "the records compared"))
        learned = [train[label].interval(label, metric, whole) if label in train else None for label in labels]
        if train:
            _draw_values(ax, x, learned, definition, (looks[1], "records it learned from"))
        _name_axis(ax, x, labels, by_step=bool(steps))
        ax.set(title=_heading(metric, definition), ylabel=unit_text(definition))
    plotting.legend_below(canvas, panels[:1])
    what = "over the steps of one training" if steps else "of the files in the order given"
    return Picture(
        slug="values",
        title="Learning curve" if steps else "The files beside each other",
        caption=f"Each metric {what}, with {100 * judge.settings.confidence:g} % bootstrap intervals of each "
        "file alone. The records are the same, so that overlapping intervals here may still be a difference: the "
        "picture of differences says which." + (" Squares: the records that the model learned from." if train else ""),
        canvas=canvas,
    )


def _draw_values(
    ax: Axes, x: Floats, found: Sequence[Any], definition: MetricDefinition, named: tuple[plotting.Look, str]
) -> None:
    """Points with intervals, joined where the look has a line; what is undefined is left out."""
    look, label = named
    there = np.array([interval is not None for interval in found])
    if not there.any():
        return
    kept = [interval for interval in found if interval is not None]
    factor = factor_of(definition.unit)
    value, low, high = factor * np.array([(one.value, one.low, one.high) for one in kept]).T
    style: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": look.line, "capsize": 3}
    ax.errorbar(x[there], value, plotting.whiskers(value, (low, high)), linewidth=1.4, label=label, **style)


def _name_axis(ax: Axes, x: Floats, labels: Sequence[str], *, by_step: bool) -> None:
    if by_step:
        name_steps(ax)
        return
    tilted = max(map(len, labels)) > 30 // len(labels)
    style: dict[str, Any] = {"rotation": 25, "ha": "right"} if tilted else {}
    ax.set_xticks(x, [short(label) for label in labels], **style)
    ax.set_xlim(-0.5, len(labels) - 0.5)


def profiles(judge: Judge) -> Picture | None:
    """The share of records above each value, a line a file; None where no metric is a number of each record."""
    names = _measures(judge)
    if not names:
        return None
    canvas, panels = _canvas(len(names), 2.7)
    whole, labels = judge.columns(judge.joined.slices[0]), judge.labels[:MAX_LINES]
    for ax, name in zip(panels, names, strict=True):
        definition = judge.definitions[name]
        columns = [whole.columns[label][name] for label in labels]
        low, high = min(column.min() for column in columns), max(column.max() for column in columns)
        thresholds = np.linspace(low, high, NUM_THRESHOLDS) if high > low else np.array([low - 1.0, low, low + 1.0])
        for index, (label, column) in enumerate(zip(labels, columns, strict=True)):
            generator = judge.settings.generator("profiles")
            profile = stats.performance_profile(column, thresholds, generator, judge.settings.bootstrap, whole.strata)
            x = factor_of(definition.unit) * profile.thresholds
            plotting.staircase(ax, x, profile.share, (profile.low, profile.high), plotting.look(index), short(label))
        ax.set(title=_heading(RecordMetric(name, "rate"), definition), xlabel=unit_text(definition), ylim=(0, 1.02))
        ax.set_ylabel("records above")
        plotting.percent(ax.yaxis)
    plotting.legend_below(canvas, panels[:1])
    left_out = len(judge.labels) - len(labels)
    return Picture(
        slug="profiles",
        title="Performance profiles",
        caption="The share of records with more than each value, with pointwise intervals (Agarwal et al. 2021). "
        "Where higher is better, a curve above another at every value is better whatever the statistic; curves "
        "that cross are better on some records and worse on others."
        + (f" {left_out} more files are not drawn." if left_out else ""),
        canvas=canvas,
    )


def sorted_differences(judge: Judge, rows: Sequence[Comparison]) -> Picture:
    """The differences of the first measure, record by record, sorted: a panel for each pair."""
    name = _measures(judge)[0]
    definition = judge.definitions[name]
    pairs = list(dict.fromkeys((row.label, row.baseline) for row in rows if row.kind == "paired"))
    shown = pairs[-MAX_PAIRS:]
    canvas, panels = _canvas(len(shown), 2.7)
    whole = judge.columns(judge.joined.slices[0])
    for ax, (label, baseline) in zip(panels, shown, strict=True):
        difference = whole.columns[label][name] - whole.columns[baseline][name]
        plotting.sorted_differences(ax, factor_of(definition.unit) * difference, definition.better)
        ax.set_title(f"{_pair(label, baseline)}\n{_counts(difference, definition.better)}", fontsize=9)
        ax.set_ylabel(_label(definition))
    return Picture(
        slug="sorted_differences",
        title=f"Differences in {words(name)}, sorted",
        caption=f"Each record's difference, from the lowest to the highest ({direction_text(definition)}). Filled: the "
        f"record is better; hatched: worse. The dashed line is the mean.{_left_out(shown, pairs)}",
        canvas=canvas,
    )


def _pair(label: str, baseline: str) -> str:
    return f"{short(label)} - {short(baseline)}"


def _left_out(shown: Sequence[Any], pairs: Sequence[Any]) -> str:
    return f" The last {len(shown)} of {len(pairs)} pairs are drawn." if len(pairs) > len(shown) else ""


def _counts(difference: Floats, better: str) -> str:
    """ "better on 40 %, worse on 31 %, the same on 29 %"."""
    sign = -1.0 if better == "lower" else 1.0
    more, less = float((sign * difference > 0).mean()), float((sign * difference < 0).mean())
    up, down = ("higher", "lower") if better == "neither" else ("better", "worse")
    return f"{up} on {more:.0%}, {down} on {less:.0%}, the same on {1.0 - more - less:.0%}"


def _measures(judge: Judge) -> list[str]:
    """Names of the metrics that are a number of each record, not a yes or no."""
    return list(dict.fromkeys(m.name for m in judge.metrics if m.statistic in ("mean", "median", "iqm")))[:MAX_PANELS]


def _heading(metric: RecordMetric, definition: MetricDefinition) -> str:
    return f"{metric_text(metric)} ({direction_text(definition)})"


def _label(definition: MetricDefinition) -> str:
    unit = unit_text(definition)
    return f"{words(definition.name)} ({unit})" if unit else words(definition.name)


def _canvas(num_panels: int, height_in: float) -> tuple[Any, list[Axes]]:
    """Panels in one column or two, each ``height_in`` high."""
    num_columns = 1 if num_panels == 1 else 2
    return plotting.new_panels(0.45 + height_in * -(-num_panels // num_columns), num_panels, num_columns)


def matrix(judge: Judge, rows: Sequence[Comparison]) -> Picture | None:
    """The main metric of every file (rows) over every slice (columns); None without slices.

    Below, where there are three files or more, the last one less the best of the earlier ones.
    """
    parts = judge.joined.slices[1:]
    if not parts:
        return None
    metric, labels = judge.metrics[0], judge.labels
    definition = judge.definitions[metric.name]
    factor = factor_of(definition.unit)
    table = np.array([[factor * judge.value(label, metric, part) for part in parts] for label in labels])
    forgotten = {(r.slice_by, r.slice_value): r for r in rows if r.kind == "forgetting"}
    num_rows = len(labels) + 1.6 * bool(forgotten)
    canvas = plotting.new_figure(1.2 + 0.42 * num_rows)
    ax = canvas.subplots(1, 1)
    texts = [[format(value, _format(table)) if np.isfinite(value) else "" for value in row] for row in table]
    heat_maps.heat_map(ax, table, color_map=heat_maps.PALE_TO_DARK, texts=texts)
    names = [short(label) for label in labels]
    ticks = [row + 0.5 for row in range(len(labels))]
    if forgotten:
        ax.set_ylim(len(labels) + 1.3, 0)
        for column, part in enumerate(parts):
            _write_forgotten(ax, column, len(labels), forgotten.get((part.by, part.value)))
        names, ticks = [*names, f"last - best {_before(judge)}"], [*ticks, len(labels) + 0.7]
    ax.set_yticks(ticks, names)
    columns = [f"{words(part.by)}\n{short(part.value, 14)}" for part in parts]
    ax.set_xticks([column + 0.5 for column in range(len(parts))], columns, fontsize=7.5 if len(parts) < 12 else 6)
    ax.xaxis.tick_top()
    heat_maps.scale_bar(canvas, ax, _label(definition))
    told = f"{_label(definition)} ({direction_text(definition)})"
    caption = f"{told} of each file over the records of each slice, on one scale."
    if forgotten:
        caption += (
            f" The last row is the last file less the best of those {_before(judge)}, with its interval: what is below "
            "zero and marked was forgotten (permutation tests against all of them, adjusted together)."
        )
    return Picture(slug="slices", title="Every file on every slice", caption=caption, canvas=canvas)


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
    weight = "bold" if mark else "normal"
    text = f"{mark}{difference.text}"
    plotting.write(ax, column + 0.5, top + 0.4, text, fontsize=7.5, fontweight=weight, color=color)
    plotting.write(ax, column + 0.5, top + 0.95, difference.interval, fontsize=6, color=color)


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
        _draw_forest(ax, members, [f"{words(r.slice_by)} {short(r.slice_value, 20)}" for r in members])
        ax.set_title(_pair(label, baseline), fontsize=9)
        ax.set_xlabel(f"{metric_text(members[0])}, {unit_text(members[0])}".rstrip(", "))
    _verdict_legend(canvas, [row for members in by_pair for row in members])
    return Picture(
        slug="slice_differences",
        title="Where it differs",
        caption=f"The difference in {metric_text(chosen[0])} over the records of each slice, with paired bootstrap "
        f"intervals; verdicts are adjusted for all tests over slices.{_left_out(shown, pairs)}",
        canvas=canvas,
    )


def _format(table: Any) -> str:
    """As many decimals as three digits need."""
    largest = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 0.0
    return ".0f" if largest >= 100 else ".1f" if largest >= 10 else ".2f" if largest >= 1 else ".3f"
