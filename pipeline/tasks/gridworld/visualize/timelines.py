"""Pictures over the time of single episodes: the meters with what was done, and what the Q-network expected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.town.arrays import I64
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.town.rules import ACTIONS, CASCADE_THRESHOLD, ENERGY, HEALTH, INTERACT, METERS, PLACES
from pipeline.tasks.gridworld.visualize.episodes import Track

NIGHT_STARTS, NIGHT_ENDS = 22, 6  # only beds, showers, meals, the hospital and (until 4) the bar are open then
# What kills, then what feeds it, then what feeds that; money is a means.
METER_ORDER = ("energy", "health", "satiation", "mood", "hygiene", "social", "fitness", "money")
IDLE_ACTIONS = ("rest", "meditate", "wait")


def timeline(name: str, track: Track) -> Picture:
    """The meters of one episode as strips, over a raster of what was done."""
    doings = list_doings(track)
    num_strips = len(METER_ORDER) + 1
    heights = [0.42] * num_strips + [0.17 * len(doings) + 0.15]
    canvas, strips = _stacked(heights)
    _draw_strip(strips[0], track.meters[:, ENERGY] * track.meters[:, HEALTH], "wellbeing", critical=False)
    for ax, meter in zip(strips[1:], METER_ORDER, strict=False):
        _draw_strip(ax, track.meters[:, METERS.index(meter)], meter, critical=meter != "money")
    _draw_raster(strips[-1], doings)
    for ax in strips:
        plotting.shade(ax, nights(track))
        if track.row.died:
            ax.axvline(track.num_steps, color=plotting.VERMILION, linewidth=2)
    _finish_time_axis(strips, track)
    return Picture(
        slug=f"timeline_{name}",
        title=f"A life step by step: the {name} traced episode",
        caption=f"{track.row.id}: {track.summary}. One strip a meter, from 0 to 1; wellbeing is energy times "
        f"health. Below the dashed line at {CASCADE_THRESHOLD} a meter drags others down: filled dark. Grey columns "
        f"are nights ({NIGHT_STARTS}:00 to {NIGHT_ENDS}:00). The rows at the bottom mark completed uses of places "
        "(low grey strokes: hours spent on a use), walking and idle actions; “in vain” is an INTERACT that was not "
        "paid for or met a closed door.",
        canvas=canvas,
        record_ids=(track.row.id,),
    )


def _stacked(heights_in: list[float]) -> tuple[Canvas, Any]:
    """Strips of the given heights over one time axis. Placed by hand: the automatic layout takes a second for ten."""
    top, bottom, gap = 0.3, 0.55, 0.13
    total = top + bottom + sum(heights_in) + gap * (len(heights_in) - 1)
    canvas = plotting.new_figure(total, automatic=False)
    strips: list[Axes] = []
    edge = total - top
    for height in heights_in:
        box = (1.0 / plotting.WIDTH_IN, (edge - height) / total, 8.2 / plotting.WIDTH_IN, height / total)
        strips.append(canvas.add_axes(box, sharex=strips[0] if strips else None))
        edge -= height + gap
    return canvas, strips


def _draw_strip(ax: Axes, values: NDArray[Any], name: str, *, critical: bool) -> None:
    """One quantity in [0, 1] over the steps, with its name at the left and its mean and lowest value at the right."""
    steps = np.arange(len(values))
    ax.fill_between(steps, 0, values, color=plotting.SKY, alpha=0.35, linewidth=0, step="post")
    ax.step(steps, values, where="post", color=plotting.BLUE, linewidth=1.1)
    if critical:
        ax.axhline(CASCADE_THRESHOLD, color=plotting.INK, linewidth=0.7, linestyle=(0, (4, 3)), alpha=0.7)
        low = values < CASCADE_THRESHOLD
        ax.fill_between(steps, 0, values, where=low, color=plotting.VERMILION, linewidth=0, step="post")
        ax.fill_between(steps, 0, 0.08, where=low, color=plotting.VERMILION, linewidth=0, step="post")
    ax.set(ylim=(0, 1.04), yticks=[0, 1], yticklabels=[])
    ax.tick_params(length=0, labelbottom=False)
    ax.grid(visible=False)
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold" if name == "wellbeing" else "normal")
    _note_right(ax, 0.5, f"mean {values.mean():.2f}\nlow {values.min():.2f}", "axes fraction")


@dataclass(frozen=True)
class Doing:
    """One row of the raster: the steps at which it was done (a use: completed), and those that worked towards it."""

    name: str
    steps: I64
    ticks: I64
    color: str


def list_doings(track: Track) -> list[Doing]:
    """Each kind of place used, most used first, then walking, idle actions and what was in vain."""
    places = np.unique(np.concatenate([track.completed[track.completed >= 0], track.underfoot[track.ticks]]))
    uses = []
    for p in places[places >= 0]:
        ticks = np.flatnonzero(track.ticks & (track.underfoot == p))
        uses.append(Doing(PLACES[p], np.flatnonzero(track.completed == p), ticks, plotting.INK))
    uses.sort(key=lambda use: (-len(use.steps), -len(use.ticks), use.name))
    none = np.empty(0, dtype=np.int64)
    others = [("walking", np.flatnonzero(track.action < INTERACT), plotting.FAINT)]
    others += [(a, np.flatnonzero(track.action == ACTIONS.index(a)), plotting.FAINT) for a in IDLE_ACTIONS]
    others.append(("in vain", np.flatnonzero(track.in_vain), plotting.VERMILION))
    return uses + [Doing(name, steps, none, color) for name, steps, color in others if len(steps)]


def _draw_raster(ax: Axes, doings: list[Doing]) -> None:
    """One row a kind of doing: a stroke each time, a low grey one for a tick of a use, totals at the right."""
    for row, doing in enumerate(doings):
        ax.vlines(doing.ticks + 0.5, row, row + 0.36, color=plotting.FAINT, linewidth=1.0)
        ax.vlines(doing.steps + 0.5, row - 0.36, row + 0.36, color=doing.color, linewidth=1.2)
        _note_right(ax, row, str(len(doing.steps)), ("axes fraction", "data"))
    ax.set_yticks(range(len(doings)), [words(doing.name) for doing in doings], fontsize=8)
    ax.set(ylim=(max(len(doings), 1) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", visible=False)


def _note_right(ax: Axes, y: float, text: str, coordinates: Any) -> None:
    place: dict[str, Any] = {"xycoords": coordinates, "textcoords": "offset points"}
    ax.annotate(text, (1.0, y), (6, 0), fontsize=7.5, va="center", annotation_clip=False, **place)


def nights(track: Track) -> list[tuple[float, float]]:
    """Spans of steps that lie in the night."""
    dark = (track.hour >= NIGHT_STARTS) | (track.hour < NIGHT_ENDS)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dark, [False]]).astype(int)))
    return [(float(start), float(stop)) for start, stop in edges.reshape(-1, 2)]


def _finish_time_axis(strips: Any, track: Track) -> None:
    strips[-1].set(xlim=(0, max(track.num_steps, 2) * 1.002), xlabel="step")
    midnights = np.flatnonzero(track.hour == 0)
    days = midnights[:: max(1, len(midnights) // 8)]
    top = strips[0].secondary_xaxis("top")
    top.set_xticks(days, [f"day {int(np.searchsorted(midnights, at)) + 2}" for at in days], fontsize=7.5)
    top.tick_params(length=0)
    top.spines[:].set_visible(False)
    color = plotting.VERMILION if track.row.died else plotting.GREEN
    text = f"{'✕ ' if track.row.died else ''}{ending(track.row)} after step {track.row.num_steps}"
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    strips[-1].annotate(text, (1.0, 0.0), (0, -31), color=color, ha="right", va="bottom", fontweight="bold", **place)
