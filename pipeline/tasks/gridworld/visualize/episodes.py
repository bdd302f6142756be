"""Single episodes as arrays, and the pictures of where the agent went in them.

They need traces. `Track` holds the steps of one traced prediction as arrays; `choose_tracks` picks whom to show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from pipeline.look import heat_maps, plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.arrays import F64, I64, Bools
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.town.rules import ACTIONS, INTERACT, METERS, NEEDS, PLACE_CODES, PLACES

CODES = dict(zip(PLACES, PLACE_CODES, strict=True))
_NUMBERS = ("hour", "underfoot", "use_place", "use_ticks", "action", "completed")  # of a step, as they are in its row
TIME_COLORS = heat_maps.part_of_map("viridis", 0.0, 0.9)


@dataclass(frozen=True)
class Track:
    """L steps of one traced episode as arrays, everything as before the action.

    hour [L], cell [L, 2] (x, y), meters [L, 8], underfoot, use_place and use_ticks [L], q [L, 8] (NaN where
    the action was illegal or no network was asked), action [L], completed [L] (place index, -1 none).
    """

    row: GridworldPrediction
    hour: I64
    cell: I64
    meters: F64
    underfoot: I64
    use_place: I64
    use_ticks: I64
    q: F64
    action: I64
    completed: I64

    @property
    def num_steps(self) -> int:
        return len(self.action)

    @property
    def in_vain(self) -> Bools:
        """[L] INTERACT that brought nothing: unpaid or closed."""
        ticks_after = np.append(self.use_ticks[1:], self.use_ticks[-1:] + 1)
        return self._unfinished & (ticks_after <= self.use_ticks)

    @property
    def ticks(self) -> Bools:
        """[L] INTERACT that went on with a use, without completing it."""
        return self._unfinished & ~self.in_vain

    @property
    def _unfinished(self) -> Bools:
        unfinished: Bools = (self.action == INTERACT) & (self.completed < 0)
        return unfinished

    @property
    def lowest_need(self) -> I64:
        """[L] the meter that was lowest, money left out."""
        lowest: I64 = np.array(NEEDS)[self.meters[:, NEEDS].argmin(axis=1)]
        return lowest

    @property
    def summary(self) -> str:
        return f"{self.row.num_steps} steps, wellbeing {self.row.wellbeing:.0f}, {ending(self.row)}"


def read_track(row: GridworldPrediction) -> Track:
    """The arrays of a prediction with a trace of at least one step."""
    steps = row.trace or []
    unknown = [np.nan] * len(ACTIONS)
    q = np.array([unknown if step.q is None else step.q for step in steps], dtype=np.float64)
    q[~np.array([step.mask for step in steps], dtype=bool)] = np.nan
    return Track(
        row=row,
        cell=np.array([step.position for step in steps]),
        meters=np.array([step.meters for step in steps], dtype=np.float64),
        q=q,
        **{name: np.array([getattr(step, name) for step in steps]) for name in _NUMBERS},
    )


def has_trace(row: GridworldPrediction) -> bool:
    """Whether the row has steps to draw. Steps that are not of this town (lengths, cells) are none; see `is_whole`."""
    return bool(row.trace) and is_whole(row)


def is_whole(row: GridworldPrediction) -> bool:
    """Whether every step of the trace has a value for each meter and action, inside the grid."""
    return all(
        len(step.meters) == len(METERS)
        and len(step.mask) == len(ACTIONS)
        and (step.q is None or len(step.q) == len(ACTIONS))
        and 0 <= step.action < len(ACTIONS)
        and -1 <= step.completed < len(PLACES)
        and -1 <= step.underfoot < len(PLACES)
        and all(0 <= place < row.size for place in step.position)
        for step in row.trace or []
    )


def choose_tracks(rows: Sequence[GridworldPrediction]) -> dict[str, Track]:
    """The worst, the median and the best traced episode by wellbeing, by those names; fewer if fewer are traced."""
    traced = sorted((row for row in rows if has_trace(row)), key=lambda row: (row.wellbeing, row.id))
    if not traced:
        return {}
    chosen = {"worst": traced[0], "median": traced[(len(traced) - 1) // 2], "best": traced[-1]}
    names = {row.id: name for name, row in chosen.items()}  # of one row the last name: the best
    return {name: read_track(row) for name, row in reversed(chosen.items()) if names[row.id] == name}


def draw_town(ax: Axes, row: GridworldPrediction) -> Axes:
    """The grid with the places as two letters each, row 0 at the top, cells as unit squares."""
    lines = range(row.size + 1)
    ax.set(xlim=(0, row.size), ylim=(row.size, 0), aspect="equal", xticks=lines, yticks=lines)
    ax.tick_params(length=0, labelbottom=False, labelleft=False)
    ax.spines[:].set_visible(True)
    box: dict[str, Any] = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": plotting.INK}
    box |= {"linewidth": 0.8, "alpha": 0.9}
    for place, (x, y) in row.grid_places.items():
        plotting.write(
            ax, x + 0.5, y + 0.5, CODES.get(place, place[:2]), fontsize=7.5, fontweight="bold", bbox=box, zorder=5
        )
    return ax


def place_key(rows: Sequence[GridworldPrediction]) -> str:
    """What the two letters mean, for the places that occur in the rows."""
    present = {place for row in rows for place in row.grid_places}
    return "   ".join(f"{CODES[p]} {words(p)}" for p in PLACES if p in present)


def draw_path(ax: Axes, track: Track) -> Axes:
    """The way of the agent over the town, coloured by time.

    Each point is shifted from the upper left to the lower right of its cell as time goes by, so that ways walked again
    and again lie beside each other, and staying in a cell shows as a diagonal stroke.
    """
    draw_town(ax, track.row)
    progress = np.linspace(-0.34, 0.34, track.num_steps) if track.num_steps > 1 else np.zeros(1)
    points = track.cell + 0.5 + progress[:, None]
    segments = np.stack([points[:-1], points[1:]], axis=1)
    scale = Normalize(0, track.row.cap)
    lines = LineCollection(list(segments), cmap=TIME_COLORS, norm=scale, linewidths=1.1, alpha=0.9, capstyle="round")
    lines.set_array(np.arange(max(track.num_steps - 1, 0)))
    ax.add_collection(lines)
    mark: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 1.0, "zorder": 6, "linestyle": "none"}
    ax.plot(*points[0], marker="o", color=plotting.INK, markersize=8, **mark)
    ending = ("X", plotting.VERMILION) if track.row.died else ("s", plotting.GREEN)
    ax.plot(*points[-1], marker=ending[0], color=ending[1], markersize=9, **mark)
    return ax


def trajectories(tracks: Mapping[str, Track]) -> Picture:
    """One panel per chosen episode: the path over the town."""
    canvas, panels = plotting.new_panels(4.35 if len(tracks) > 1 else 5.0, len(tracks))
    for ax, (name, track) in zip(panels, tracks.items(), strict=True):
        draw_path(ax, track)
        ax.set_title(f"{name}\n{track.summary}", fontsize=9)
        bar = canvas.colorbar(ax.collections[0], ax=ax, orientation="horizontal", pad=0.03, fraction=0.05, aspect=30)
        bar.set_label("step")
    canvas.supxlabel(place_key([track.row for track in tracks.values()]), fontsize=8)
    return Picture(
        slug="trajectories",
        title="Where the agent went",
        caption="The path of the best, the median and the worst traced episode by wellbeing. ● is the start, a "
        "green square the end in retirement, a red cross the place of death. Colour is time, dark early and light "
        "late; within a cell the line drifts from the upper left to the lower right as time goes by, so repeated "
        "ways lie side by side and a long stay is a diagonal stroke.",
        canvas=canvas,
        record_ids=tuple(track.row.id for track in tracks.values()),
    )


def visits(tracks: Mapping[str, Track]) -> Picture:
    """One panel per chosen episode: steps spent in each cell, as colour and number."""
    counts = {name: count_visits(track) for name, track in tracks.items()}
    scale = LogNorm(1.0, max(2.0, *(float(table.max()) for table in counts.values())))
    canvas, panels = plotting.new_panels(3.95 if len(tracks) > 1 else 5.0, len(tracks))
    for ax, (name, track) in zip(panels, tracks.items(), strict=True):
        heat_maps.heat_map(ax, counts[name], scale=scale, texts=label_cells(track.row, counts[name]), is_amount=True)
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"{name}\n{(counts[name] > 0).sum()} of {counts[name].size} cells visited", fontsize=9)
    bar = heat_maps.scale_bar(canvas, panels, "steps in the cell")
    bar.set_ticks(LogLocator(subs=(1, 2, 5)))
    bar.minorticks_off()
    bar.ax.yaxis.set_major_formatter("{x:.0f}")
    canvas.supxlabel(place_key([track.row for track in tracks.values()]), fontsize=8)
    return Picture(
        slug="visits",
        title="Where the time was spent",
        caption="Number of steps that began in each cell, on a logarithmic colour scale; pale cells with a 0 were "
        "never entered. Letters mark the places, named below the picture.",
        canvas=canvas,
        record_ids=tuple(track.row.id for track in tracks.values()),
    )


def count_visits(track: Track) -> I64:
    """[size, size] steps that began in each cell; rows are y, from the top."""
    table = np.zeros((track.row.size, track.row.size), dtype=np.int64)
    np.add.at(table, (track.cell[:, 1], track.cell[:, 0]), 1)
    return table


def label_cells(row: GridworldPrediction, texts: NDArray[Any]) -> NDArray[Any]:
    """``texts`` [size, size], below the letters of the place where there is one."""
    labels = texts.astype(object)
    for place, (x, y) in row.grid_places.items():
        labels[y, x] = f"{CODES.get(place, place[:2])}\n{labels[y, x]}".strip()
    return labels
