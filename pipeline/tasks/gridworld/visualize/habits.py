"""The picture of habits, over all traced episodes: what is done at which hour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.look import heat_maps, plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.town.rules import HOURS_PER_DAY, INTERACT, LEVELS, PLACE_TYPES, PLACES
from pipeline.tasks.gridworld.visualize.episodes import Track
from pipeline.tasks.gridworld.visualize.timelines import IDLE_ACTIONS


def list_activities(track: Track) -> NDArray[np.str_]:
    """[L] what was done in each step: "walking", an idle action, "in vain", or the place that was worked at."""
    names = np.array(["walking"] * INTERACT + ["in vain", "wait", "rest", "meditate"])[track.action]
    at_place = (track.completed >= 0) | track.ticks
    place = np.where(track.completed >= 0, track.completed, track.underfoot)
    known = at_place & (place >= 0)
    return np.where(known, np.array([*PLACES, ""])[np.where(known, place, -1)], names)


def activity_by_hour(tracks: Sequence[Track]) -> Picture:
    """Share of the steps of each hour spent on each activity, as a heat map with numbers."""
    activities = np.concatenate([list_activities(track) for track in tracks])
    hours = np.concatenate([track.hour for track in tracks])
    names = order_activities(activities)
    counts = np.array([[np.sum((activities == name) & (hours == h)) for h in range(HOURS_PER_DAY)] for name in names])
    totals = counts.sum(axis=0)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    canvas = plotting.new_figure(1.25 + 0.24 * len(names))
    ax = canvas.subplots()
    scale = PowerNorm(0.5, 0.0, max(float(np.nanmax(shares)), 1e-6))  # so that 2 % and 5 % can be told apart
    heat_maps.share_map(ax, shares, scale)
    ax.set_yticks(np.arange(len(names)) + 0.5, [words(name) for name in names])
    ax.set_xticks(np.arange(0, HOURS_PER_DAY, 2) + 0.5, [f"{hour}:00" for hour in range(0, HOURS_PER_DAY, 2)])
    ax.set_xlabel("hour of the day")
    temporal = any(track.row.level in LEVELS and LEVELS[track.row.level].temporal for track in tracks)
    if temporal:
        _outline_opening_hours(ax, names)
    plotting.percent(heat_maps.scale_bar(canvas, ax, "share of the hour").ax.yaxis)
    return Picture(
        slug="hours",
        title="What it does at which hour",
        caption=f"Share of the steps at each hour of the day, in percent, over {len(tracks)} traced episodes. "
        f"Places count while they are used. {heat_maps.SHARE_CELLS}"
        + (" Frames are opening hours." if temporal else " On this level places never close."),
        canvas=canvas,
        record_ids=tuple(track.row.id for track in tracks),
    )


def order_activities(activities: NDArray[np.str_]) -> list[str]:
    """Places by use, most used first, then walking, idle actions and what was in vain; only what occurs."""
    found, counts = np.unique(activities, return_counts=True)
    places = sorted((-int(n), str(name)) for name, n in zip(found, counts, strict=True) if name in PLACES)
    return [name for _, name in places] + [name for name in ("walking", *IDLE_ACTIONS, "in vain") if name in found]


def _outline_opening_hours(ax: Axes, names: Sequence[str]) -> None:
    closing = {place.key: place for place in PLACE_TYPES if (place.opens, place.closes) != (0, HOURS_PER_DAY)}
    for row, place in ((row, closing[name]) for row, name in enumerate(names) if name in closing):
        whole = place.opens <= place.closes
        spans = [(place.opens, place.closes)] if whole else [(0, place.closes), (place.opens, HOURS_PER_DAY)]
        for start, stop in spans:
            frame: dict[str, Any] = {"fill": False, "edgecolor": plotting.INK, "linewidth": 1.3}
            ax.add_patch(Rectangle((start, row + 0.04), stop - start, 0.92, **frame))
