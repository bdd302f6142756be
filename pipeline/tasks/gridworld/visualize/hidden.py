"""Pictures of what a recurrent network keeps in mind: its hidden states in two dimensions, and unit by unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.rules import HOURS_PER_DAY, METERS, NEEDS, PLACES
from pipeline.tasks.gridworld.visualize.episodes import Track, read_track
from pipeline.tasks.gridworld.visualize.timelines import nights

MAX_POINTS = 4000  # more points only cover each other
SMALLEST_LOOP = 0.2  # of the width of all points: a smaller loop of hours has no room for their names
MAX_UNITS = 96  # rows of the heat map; more cannot be told apart at this size


def has_hidden(row: GridworldPrediction) -> bool:
    """Whether the row can be drawn here: a hidden state for each step of its trace, all of one size above zero."""
    if not row.trace or not row.hidden or len(row.hidden) != len(row.trace):
        return False
    sizes = {len(state) for state in row.hidden}
    return len(sizes) == 1 and sizes.pop() > 0


def principal_components(states: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The states [T, H] on their two main axes [T, 2], and the share of the variance on each axis [2].

    By singular value decomposition; the sign of an axis is such that its largest weight is positive, so the
    picture does not flip between machines.
    """
    centred = states - states.mean(axis=0)
    _, strengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    power = strengths**2
    share = power[:2] / power.sum() if power.sum() > 0 else np.zeros(len(axes))
    points = np.zeros((len(states), 2))
    points[:, : len(axes)] = centred @ axes.T
    return points, np.pad(share, (0, 2 - len(share)))


def hidden_map(rows: Sequence[GridworldPrediction]) -> Picture:
    """All hidden states in the plane of their main axes, three times: by hour, by lowest meter, by place underfoot."""
    tracks = [read_track(row) for row in rows]
    states = np.concatenate([np.array(row.hidden, dtype=np.float64) for row in rows])
    points, share = principal_components(states)
    hour = np.concatenate([track.hour for track in tracks])
    lowest = np.concatenate([track.lowest_need for track in tracks])
    underfoot = np.concatenate([track.underfoot for track in tracks])
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).astype(int))
    canvas, panels = plotting.new_panels(4.4, 3)
    color_by_hour(panels[0], points[kept], hour[kept])
    meters = {METERS[need]: lowest == need for need in NEEDS if (lowest == need).any()}
    _color_by_group(panels[1], points, meters, kept)
    counts = np.bincount(underfoot[underfoot >= 0], minlength=len(PLACES))
    often = [p for p in np.argsort(-counts, kind="stable")[:6] if counts[p] > 0]
    _color_by_group(panels[2], points, {words(PLACES[p]): underfoot == p for p in often}, kept)
    for ax, title in zip(panels, ("hour of the day", "lowest meter", "place underfoot"), strict=True):
        ax.set(title=title, xlabel=f"first axis ({share[0]:.0%} of the variance)")
        ax.set_ylabel(f"second axis ({share[1]:.0%})" if ax is panels[0] else "")
        ax.tick_params(labelbottom=False, labelleft=False, length=0)
    return Picture(
        slug="hidden_map",
        title="The hidden state in two dimensions",
        caption=f"Each point is the hidden state ({states.shape[1]} numbers) before one step of {len(rows)} traced "
        "episodes, drawn on the two axes along which the states vary most (principal components). The same points "
        "three times. Where colours or symbols gather in regions, the state carries that information; large "
        "symbols are the means.",
        canvas=canvas,
        record_ids=tuple(row.id for row in rows),
    )


def color_by_hour(ax: Axes, points: NDArray[np.float64], hour: NDArray[np.int64]) -> Axes:
    """Points [T, 2] by hour [T], and the mean of each hour as a loop with the hours written on it, if it is a loop."""
    colors: dict[str, Any] = {"cmap": "twilight_shifted", "vmin": 0, "vmax": HOURS_PER_DAY}
    ax.scatter(points[:, 0], points[:, 1], c=hour, s=5, linewidths=0, alpha=0.7, **colors)
    means = {h: points[hour == h].mean(axis=0) for h in range(HOURS_PER_DAY) if (hour == h).any()}
    centres = np.array([*means.values()])
    if np.ptp(centres, axis=0).max() < SMALLEST_LOOP * np.ptp(points, axis=0).max():
        place: dict[str, Any] = {"ha": "center", "va": "bottom", "transform": ax.transAxes}
        ax.text(0.5, 0.01, "the means of all hours lie together", fontsize=8, **place)
        return ax
    ax.plot(*np.concatenate([centres, centres[:1]]).T, color=plotting.INK, linewidth=1.2)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": plotting.INK, "linewidth": 0.6}
    for h, at in means.items():
        if h % 3 == 0:
            plotting.write(ax, at[0], at[1], f"{h}h", fontsize=7.5, bbox=box)
    return ax


def _color_by_group(
    ax: Axes, points: NDArray[np.float64], groups: Mapping[str, NDArray[np.bool_]], kept: NDArray[np.int64]
) -> None:
    """Points by group (colour and symbol), the groups' means as large symbols, and a legend below."""
    ax.scatter(points[kept, 0], points[kept, 1], s=3, color="#d8dbe2", linewidths=0)
    for index, (name, members) in enumerate(groups.items()):
        looks = plotting.look(index)
        chosen = kept[members[kept]]
        x, y = points[chosen].T
        ax.scatter(x, y, s=7, marker=looks.marker, color=looks.color, linewidths=0, alpha=0.5)
        mean = points[members].mean(axis=0)
        ax.plot(*mean, looks.marker, color=looks.color, markersize=10, markeredgecolor="white", label=name, zorder=5)
    if groups:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, handlelength=1.2, markerscale=0.8)


def activations(track: Track) -> Picture:
    """Every unit over the steps of one episode, units with similar courses next to each other."""
    states = np.array(track.row.hidden, dtype=np.float64)
    spread = states.std(axis=0)
    units = np.sort(np.argsort(-spread, kind="stable")[:MAX_UNITS])
    table = states[:, units][:, order_units(states[:, units])].T
    limit = max(float(np.abs(table).max()), 1e-6)
    canvas = plotting.new_figure(4.6)
    ax, days = canvas.subplots(2, 1, sharex=True, height_ratios=[1.0, 0.05])
    picture = ax.pcolormesh(table, cmap="cividis", vmin=-limit, vmax=limit, rasterized=True)
    ax.set(ylim=(len(table), 0), ylabel=f"hidden units ({len(table)} of {states.shape[1]})", yticks=[])
    ax.grid(visible=False)
    ax.tick_params(labelbottom=False, length=0)
    plotting.shade(days, nights(track), color=plotting.INK)
    days.set(yticks=[], xlabel="step (black: night)", xlim=(0, max(track.num_steps, 1)))
    days.grid(visible=False)
    canvas.colorbar(picture, ax=[ax, days], pad=0.015, fraction=0.035, aspect=28).set_label("activation")
    return Picture(
        slug="hidden_units",
        title="Every hidden unit through one life",
        caption=f"{track.row.id}: {track.summary}. One row a unit, bright is positive and dark negative; units with "
        "similar courses lie next to each other. Stripes with the nights are a clock; steps that stay are memory.",
        canvas=canvas,
        record_ids=(track.row.id,),
    )


def order_units(states: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order of the units [H] of states [T, H] in which similar courses are neighbours: by the angle of each
    unit's weights on the two main axes."""
    centred = states - states.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = np.vstack([axes[:2], np.zeros((max(0, 2 - len(axes)), states.shape[1]))])
    return np.argsort(np.arctan2(axes[1], axes[0]), kind="stable")
