"""Pictures of what a recurrent network keeps in mind: its hidden states in two dimensions, and unit by unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.arrays import F64, I64, Bools
from pipeline.tasks.gridworld.town.rules import HOURS_PER_DAY, METERS, NEEDS, PLACES
from pipeline.tasks.gridworld.visualize.episodes import Track, read_track
from pipeline.tasks.gridworld.visualize.timelines import nights

MAX_POINTS = 4000  # more points only cover each other
SMALLEST_LOOP = 0.2  # of the width of all points: a smaller loop of hours has no room for their names
MAX_UNITS = 96  # rows of the heat map; more cannot be told apart at this size


def hidden_size(row: GridworldPrediction) -> int:
    """How many numbers a hidden state has; 0 where there is not one of the same size for each step of the trace."""
    states = row.hidden or []
    sizes = {len(state) for state in states}
    return sizes.pop() if len(states) == len(row.trace or []) and len(sizes) == 1 else 0


def principal_components(states: F64) -> tuple[F64, F64, F64]:
    """The states [T, H] on their two main axes, [T, 2], the share of the variance on each, [2], and the axes, [2, H].

    The largest weight of an axis is positive, so that a picture does not flip between machines.
    """
    centred = states - states.mean(axis=0)
    padded = np.pad(centred, (0, 1))  # a step and a unit of zeros: there are two axes even of one step or one unit
    _, strengths, axes = np.linalg.svd(padded, full_matrices=False)
    axes = axes[:2, :-1]
    axes = axes * np.sign(axes[[0, 1], np.abs(axes).argmax(axis=1)])[:, None]
    power = strengths**2
    return centred @ axes.T, power[:2] / max(power.sum(), np.finfo(float).tiny), axes


def hidden_map(rows: Sequence[GridworldPrediction]) -> Picture:
    """Hidden states in the plane of their main axes, three times: by hour, by lowest meter, by place underfoot."""
    tracks = [read_track(row) for row in rows]
    states = np.concatenate([np.array(row.hidden, dtype=np.float64) for row in rows])
    chosen = np.random.default_rng(0).permutation(len(states))[:MAX_POINTS]  # in no order: no episode covers another
    points, share, _ = principal_components(states[chosen])
    names = ("hour", "lowest_need", "underfoot")
    hour, lowest, place = (np.concatenate([getattr(track, name) for track in tracks])[chosen] for name in names)
    canvas, panels = plotting.new_panels(4.4, 3)
    hours = color_by_hour(panels[0], points, hour).collections[0]
    below = panels[0].inset_axes((0.1, -0.17, 0.8, 0.04))
    canvas.colorbar(hours, cax=below, orientation="horizontal", ticks=range(0, HOURS_PER_DAY + 1, 6)).set_label("hour")
    _color_by_group(panels[1], points, {METERS[need]: lowest == need for need in NEEDS if (lowest == need).any()})
    counts = np.bincount(place[place >= 0], minlength=len(PLACES))
    often = [p for p in np.argsort(-counts, kind="stable")[:6] if counts[p] > 0]
    _color_by_group(panels[2], points, {words(PLACES[p]): place == p for p in often})
    for ax, title in zip(panels, ("hour of the day", "lowest meter", "place underfoot"), strict=True):
        ax.set(title=title, xlabel=f"first axis ({share[0]:.0%} of the variance)")
        ax.tick_params(labelbottom=False, labelleft=False, length=0)
    panels[0].set_ylabel(f"second axis ({share[1]:.0%})")
    return Picture(
        slug="hidden_map",
        title="The hidden state in two dimensions",
        caption=f"Each point is the hidden state ({states.shape[1]} numbers) before one of {len(chosen):,} steps of "
        f"{len(rows)} traced episodes, drawn on the two axes along which the states vary most (principal components). "
        "The same points three times. Where colours or symbols gather in regions, the state carries that information; "
        "large symbols are the means.",
        canvas=canvas,
        record_ids=tuple(row.id for row in rows),
    )


def color_by_hour(ax: Axes, points: F64, hour: I64) -> Axes:
    """Points [T, 2] by hour [T], and the mean of each hour as a loop with the hours written on it, if it is a loop."""
    colors: dict[str, Any] = {"cmap": "twilight_shifted", "vmin": 0, "vmax": HOURS_PER_DAY}
    ax.scatter(points[:, 0], points[:, 1], c=hour, s=5, linewidths=0, alpha=0.7, **colors)
    means = {h: points[hour == h].mean(axis=0) for h in range(HOURS_PER_DAY) if (hour == h).any()}
    loop = np.array([*means.values(), next(iter(means.values()))])
    if np.ptp(loop, axis=0).max() <= SMALLEST_LOOP * np.ptp(points, axis=0).max():
        plotting.note(ax, 0.99, 0.01, "the means of all hours lie together")
        return ax
    ax.plot(*loop.T, color=plotting.INK, linewidth=1.2)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": plotting.INK, "linewidth": 0.6}
    for h in range(0, HOURS_PER_DAY, 3):
        if h in means:
            plotting.write(ax, means[h][0], means[h][1], f"{h}h", fontsize=7.5, bbox=box)
    return ax


def _color_by_group(ax: Axes, points: F64, groups: Mapping[str, Bools]) -> None:
    """Points by group (colour and symbol), the groups' means as large symbols, and a legend below."""
    ax.scatter(points[:, 0], points[:, 1], s=3, color="#d8dbe2", linewidths=0)
    for index, (name, members) in enumerate(groups.items()):
        looks = plotting.look(index)
        x, y = points[members].T
        ax.scatter(x, y, s=7, marker=looks.marker, color=looks.color, linewidths=0, alpha=0.5)
        large: dict[str, Any] = {"markersize": 10, "markeredgecolor": "white", "zorder": 5}
        ax.plot(x.mean(), y.mean(), looks.marker, color=looks.color, label=name, **large)
    if groups:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, handlelength=1.2, markerscale=0.8)


def activations(track: Track) -> Picture:
    """Every unit over the steps of one episode, units with similar courses next to each other."""
    states = np.array(track.row.hidden, dtype=np.float64)
    liveliest = states[:, np.argsort(-states.std(axis=0), kind="stable")[:MAX_UNITS]]
    _, _, (first, second) = principal_components(liveliest)
    table = liveliest[:, np.argsort(np.arctan2(second, first), kind="stable")].T  # similar courses have similar weights
    limit = max(float(np.abs(table).max()), 1e-6)
    canvas = plotting.new_figure(4.6)
    ax, days = canvas.subplots(2, 1, sharex=True, height_ratios=[1.0, 0.05])
    picture = ax.pcolormesh(table, cmap="cividis", vmin=-limit, vmax=limit)
    ax.set(ylim=(len(table), 0), ylabel=f"hidden units ({len(table)} of {states.shape[1]})", yticks=[])
    ax.grid(visible=False)
    ax.tick_params(labelbottom=False, length=0)
    plotting.shade(days, nights(track), color=plotting.INK)
    days.set(yticks=[], xlabel="step (black: night)", xlim=(0, track.num_steps))
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
