"""How far off a model is and how rightly sure: beside the solvers, and by what was heard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from pipeline import stats
from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.stats import Floats
from pipeline.tasks.localization.ellipse import PROBABILITIES
from pipeline.tasks.localization.evaluate.slices import slices_of
from pipeline.tasks.localization.visualize.judged import Judged

MAX_CURVES = 7  # as many looks are told apart
LEAST_RECORDS = 5  # of a group, for its quantiles
SHARES = (0.5, 0.68, 0.95)
GROUPED_BY = {"receivers": "receivers that heard it", "dilution": "dilution of precision at the truth", "kind": "kind"}


def errors(judged: Judged, others: Mapping[str, Floats]) -> Picture:
    """Distributions of the error: the model, ``others`` (errors by the label of their file) and the solvers."""
    solvers = {words(name): one.error_m for name, one in judged.solvers.items()}
    named = {"model": judged.model.error_m, **others, **solvers}
    canvas, (ax,) = plotting.new_panels(4.6, 1)
    for index, (name, values) in enumerate(list(named.items())[:MAX_CURVES]):
        known = values[np.isfinite(values)]
        label = f"{name}: {length(float(np.median(known)))}"
        label += f" ({len(known):,} records)" if len(known) < len(judged.scored) else ""
        plotting.distribution(ax, known, plotting.look(index), label)
    _log_lengths(ax, "x")
    ax.set(xlabel="distance from the truth", ylabel="share at or below", ylim=(0, 1.01))
    plotting.percent(ax.yaxis)
    plotting.legend_below(canvas, [ax])
    return Picture(
        slug="errors",
        title="How far off it is",
        caption="The share of records whose fix is at most that far from the truth, on the ground. Behind each name, "
        "and marked on its curve, is the median. Solvers work on the same measurements.",
        canvas=canvas,
    )


def calibration(judged: Judged) -> Picture:
    """How often the truth lies in the region that is to contain it with a probability."""
    regions = judged.model.region
    at = np.linspace(0.05, 0.95, 19)
    rates = [stats.wilson(int((regions < p).sum()), len(regions)) for p in at]
    value, low, high = np.array([(rate.value, rate.low, rate.high) for rate in rates]).T
    canvas, (left, right) = plotting.new_panels(4.2, 2)
    plotting.diagonal(left, 1, "as often as it says")
    plotting.band(left, at, value, (low, high), plotting.look(0), "model, with 95 % intervals")
    for p in PROBABILITIES:
        share = float(np.mean(regions < p))
        left.annotate(f"{share:.0%}", (p, share), (6, -10), textcoords="offset points", fontsize=8)
        left.plot([p], [share], "o", color=plotting.BLUE, markersize=5)
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the region", ylabel="truths in it")
    plotting.percent(left.xaxis, left.yaxis)
    shares = np.histogram(regions, 10, (0.0, 1.0))[0] / len(regions)
    right.bar(np.arange(0.05, 1, 0.1), shares, 0.1, **plotting.look(0).fill | {"edgecolor": plotting.PAPER})
    right.axhline(0.1, color=plotting.INK, linewidth=0.9, linestyle=(0, (4, 3)))
    right.set(xlim=(0, 1), xlabel="least region that holds the truth", ylabel="share of records")
    plotting.percent(right.xaxis, right.yaxis)
    plotting.legend_below(canvas, [left])
    return Picture(
        slug="calibration",
        title="How rightly sure it is",
        caption="Left: below the line the model is too sure, above it too careful; marked are the levels of ellipses. "
        "Right: the probability of all places that the model holds for likelier than the truth; level where it is "
        "honest, high at 100 % where truths lie far out.",
        canvas=canvas,
    )


def by_group(judged: Judged) -> Picture | None:
    """The error by how many receivers heard a record, by geometry and by kind; None where all are of one group."""
    found = {key: _groups(values) for key, values in slices_of(judged.scored, judged.truths).items()}
    shown = {key: found[key] for key in GROUPED_BY if len(found.get(key, {})) > 1}
    if not shown:
        return None
    canvas, axes = plotting.new_panels(4.0, len(shown))
    for ax, (key, groups) in zip(axes, shown.items(), strict=True):
        _draw_groups(ax, groups, judged.model.error_m)
        ax.set(xlabel=GROUPED_BY[key])
    axes[0].set_ylabel("distance from the truth")
    plotting.legend_below(canvas, axes)
    return Picture(
        slug="groups",
        title="When it is far off",
        caption="Quantiles of the error by group, with its number of records below. Dilution of precision says by how "
        f"much a place is less sure than a range, by where the receivers stand. Groups of fewer than {LEAST_RECORDS} "
        "records are left out.",
        canvas=canvas,
    )


def _groups(values: Sequence[str | None]) -> dict[str, NDArray[np.bool_]]:
    known = sorted({value for value in values if value is not None}, key=_order)
    found = {one: np.array([value == one for value in values]) for one in known}
    return {one: members for one, members in found.items() if members.sum() >= LEAST_RECORDS}


def _order(name: str) -> tuple[float, str]:
    """Numbers by what they are, and names after them; "above" is last."""
    first = name.split(" ")[0]
    if first == "to":
        return -1.0, name
    return float(first) if first.replace(".", "", 1).isdigit() else np.inf, name


def _draw_groups(ax: Axes, groups: Mapping[str, NDArray[np.bool_]], values: Floats) -> None:
    x = np.arange(len(groups))
    for index, share in enumerate(SHARES):
        heights = [np.quantile(values[members], share) for members in groups.values()]
        looks = plotting.look(index)
        ax.plot(x, heights, marker=looks.marker, markersize=5, label=f"{share:.0%} are nearer", **looks.stroke)
    names = [f"{name}\n({int(members.sum()):,})" for name, members in groups.items()]
    tilted: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, groups)) > 9 else {}
    ax.set_xticks(x, names, **tilted)
    ax.set_xlim(-0.4, len(groups) - 0.6)
    _log_lengths(ax, "y")


def _log_lengths(ax: Axes, which: str) -> None:
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if which == "y" else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: length(value)))
    axis.set_minor_formatter(NullFormatter())


def length(metres: float) -> str:
    """A distance in words: 3 digits, in metres or kilometres."""
    return f"{metres:.3g} m" if metres < 999.5 else f"{float(f'{metres / 1000:.3g}'):,g} km"
