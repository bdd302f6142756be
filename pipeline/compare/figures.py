"""Figures over all records: differences with intervals, values of each file, performance profiles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from pipeline import stats
from pipeline.compare.judge import Judge
from pipeline.compare.pictures import BY_RECORD, OVERALL, VERDICT_LOOKS, Picture, short
from pipeline.compare.tables import difference_of, direction_text, metric_text, unit_text
from pipeline.contract.metrics import MetricDefinition, RecordMetric
from pipeline.look import plotting
from pipeline.look.numbers import factor_of
from pipeline.stats import Floats
from schemas.comparison import Comparison

MAX_PANELS = 6
MAX_LINES = 8  # looks repeat after eight
MAX_PAIRS = 4  # of sorted differences
NUM_THRESHOLDS = 201
OUTLIERS = 0.005  # share of records at either end of sorted differences for which the axis is not stretched
NUM_POINTS = 1000  # of a curve of sorted differences


def differences(rows: Sequence[Comparison]) -> Picture:
    """A panel for each metric, a line for each pair: the difference with its interval."""
    whole = [row for row in rows if row.kind == "paired" and row.slice_by == "all"]
    metrics = list(dict.fromkeys((row.name, row.statistic) for row in whole))[:MAX_PANELS]
    panels_of = [[row for row in whole if (row.name, row.statistic) == metric] for metric in metrics]
    canvas, panels = _canvas(len(metrics), 0.95 + 0.3 * max(len(chosen) for chosen in panels_of))
    for ax, chosen in zip(panels, panels_of, strict=True):
        draw_forest(ax, chosen, [f"{short(row.label)} - {short(row.baseline)}" for row in chosen])
        ax.set_title(f"{metric_text(chosen[0])}\n{direction_text(chosen[0])}", fontsize=9)
        ax.set_xlabel(f"difference ({unit_text(chosen[0])})" if unit_text(chosen[0]) else "difference")
    verdict_legend(canvas, whole)
    return Picture(
        slug="differences",
        title="What differs, and how sure that is",
        caption=f"The difference of each metric with its {100 * whole[0].confidence:g} % paired bootstrap interval. "
        "An interval that crosses the line in the middle holds no difference too. The verdict is that of the "
        "permutation test, adjusted for all tests of the picture.",
        section=OVERALL,
        canvas=canvas,
    )


def draw_forest(ax: Axes, rows: Sequence[Comparison], names: Sequence[str]) -> Axes:
    """A line a comparison, top to bottom: point and interval against zero, the numbers at the right."""
    ends = [0.0]
    for y, row in enumerate(rows):
        marker, color, filled = VERDICT_LOOKS[row.verdict]
        factor = factor_of(row.unit)
        low, high = (row.difference if end is None else end for end in (row.low, row.high))
        ax.plot([factor * low, factor * high], [y, y], color=color, linewidth=2.0, solid_capstyle="butt")
        fill: dict[str, Any] = {"markerfacecolor": color if filled else plotting.PAPER, "markeredgecolor": color}
        ax.plot([factor * row.difference], [y], marker=marker, markersize=7, markeredgewidth=1.4, **fill)
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
    return ax


def verdict_legend(canvas: Any, rows: Sequence[Comparison]) -> None:
    """What the marks mean, of the verdicts that occur."""
    handles = []
    for verdict, (marker, color, filled) in VERDICT_LOOKS.items():
        if any(row.verdict == verdict for row in rows):
            fill: dict[str, Any] = {"markerfacecolor": color if filled else plotting.PAPER, "markeredgecolor": color}
            label = verdict.replace("_", " ")
            handles.append(Line2D([], [], color=color, marker=marker, markersize=7, label=label, **fill))
    canvas.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))


def values(judge: Judge, train: Mapping[str, Judge]) -> Picture:
    """Each metric of each file, beside it the records it learned from: points in the order given, or a learning curve.

    Without the steps of one training there is nothing between two files that a line could stand for.
    """
    labels, whole, steps = judge.joined.labels, judge.joined.slices[0], judge.steps
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
        ax.set(title=_heading(metric, definition), ylabel=_unit(definition))
    plotting.legend_below(canvas, panels[:1])
    what = "over the steps of one training" if steps else "of the files in the order given"
    return Picture(
        slug="values",
        title="Learning curve" if steps else "The files beside each other",
        caption=f"Each metric {what}, with {100 * judge.settings.confidence:g} % bootstrap intervals of each "
        "file alone. The records are the same, so that overlapping intervals here may still be a difference: the "
        "picture of differences says which." + (" Squares: the records that the model learned from." if train else ""),
        section=OVERALL,
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
        ax.xaxis.set_major_formatter(EngFormatter(places=None, sep=""))
        ax.set_xlabel("training step")
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
    whole, labels = judge.columns(judge.joined.slices[0]), judge.joined.labels[:MAX_LINES]
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
        ax.set(title=_heading(RecordMetric(name, "rate"), definition), xlabel=_unit(definition), ylim=(0, 1.02))
        ax.set_ylabel("records above")
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    plotting.legend_below(canvas, panels[:1])
    left_out = len(judge.joined.labels) - len(labels)
    return Picture(
        slug="profiles",
        title="Performance profiles",
        caption="The share of records with more than each value, with pointwise intervals (Agarwal et al. 2021). "
        "Where higher is better, a curve above another at every value is better whatever the statistic; curves "
        "that cross are better on some records and worse on others."
        + (f" {left_out} more files are not drawn." if left_out else ""),
        section=BY_RECORD,
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
        _draw_sorted(ax, factor_of(definition.unit) * difference, definition.better)
        ax.set_title(f"{short(label)} - {short(baseline)}\n{_counts(difference, definition.better)}", fontsize=9)
        ax.set(ylabel=f"{name.replace('_', ' ')} ({unit})" if (unit := _unit(definition)) else name.replace("_", " "))
    rest = f" The last {len(shown)} of {len(pairs)} pairs are drawn." if len(pairs) > len(shown) else ""
    return Picture(
        slug="sorted_differences",
        title=f"Differences in {name.replace('_', ' ')}, sorted",
        caption=f"Each record's difference, from the lowest to the highest ({direction(definition)}). Filled: the "
        f"record is better; hatched: worse. The dashed line is the mean.{rest}",
        section=BY_RECORD,
        canvas=canvas,
    )


def direction(definition: MetricDefinition) -> str:
    """Which way is good."""
    return "no direction" if definition.better == "neither" else f"{definition.better} is better"


def _draw_sorted(ax: Axes, difference: Floats, better: str) -> None:
    ordered = np.sort(difference)
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), NUM_POINTS)).round().astype(np.int64))
    x, y = (chosen + 0.5) / len(ordered), ordered[chosen]
    if len(y) == 1:
        x, y = np.array([0.0, 1.0]), np.repeat(y, 2)
    bad: dict[str, Any] = {"facecolor": plotting.PAPER, "hatch": "////", "edgecolor": plotting.VERMILION}
    good: dict[str, Any] = {"facecolor": plotting.BLUE, "linewidth": 0}
    upper, lower = (bad, good) if better == "lower" else (good, bad)
    ax.fill_between(x, 0, y, where=y >= 0, interpolate=True, **upper)
    ax.fill_between(x, 0, y, where=y <= 0, interpolate=True, **lower)
    ax.axhline(0, color=plotting.INK, linewidth=0.9)
    ax.axhline(float(difference.mean()), color=plotting.INK, linewidth=1.1, linestyle=(0, (5, 3)))
    ends = [*np.quantile(difference, (OUTLIERS, 1.0 - OUTLIERS)), 0.0, float(difference.mean())]
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    ax.set(xlim=(0, 1), ylim=(min(ends) - room, max(ends) + room), xlabel="records, sorted")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))


def _counts(difference: Floats, better: str) -> str:
    """ "better on 40 %, worse on 31 %, the same on 29 %"."""
    sign = -1.0 if better == "lower" else 1.0
    more, less = float((sign * difference > 0).mean()), float((sign * difference < 0).mean())
    words = ("higher", "lower") if better == "neither" else ("better", "worse")
    return f"{words[0]} on {more:.0%}, {words[1]} on {less:.0%}, the same on {1.0 - more - less:.0%}"


def _measures(judge: Judge) -> list[str]:
    """Names of the metrics that are a number of each record, not a yes or no."""
    return list(dict.fromkeys(m.name for m in judge.metrics if m.statistic in ("mean", "median", "iqm")))[:MAX_PANELS]


def _heading(metric: RecordMetric, definition: MetricDefinition) -> str:
    name = metric.name.replace("_", " ")
    statistic = "" if metric.statistic in ("pooled", "rate") else f", {metric.statistic}"
    return f"{name}{statistic} ({direction(definition)})"


def _unit(definition: MetricDefinition) -> str:
    return {"share": "%", "1": ""}.get(definition.unit, definition.unit)


def _canvas(num_panels: int, height_in: float) -> tuple[Any, list[Axes]]:
    """Panels in one column or two, each ``height_in`` high."""
    num_columns = 1 if num_panels == 1 else 2
    canvas = plotting.new_figure(0.45 + height_in * -(-num_panels // num_columns))
    return canvas, plotting.small_multiples(canvas, num_panels, num_columns)
