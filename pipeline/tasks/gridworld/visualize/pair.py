"""One scenario as several models lived it: how it ended, what they used, what was left, and their ways where traced."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.contract.jobs import PairDrawJob
from pipeline.look import plotting
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.rules import ENERGY, HEALTH, METERS, PLACES
from pipeline.tasks.gridworld.visualize import episodes as draw_episodes
from pipeline.tasks.gridworld.visualize.episodes import Track
from pipeline.tasks.gridworld.visualize.looks import Picture, words

SECTION = "The records that moved the metric"
Rows = Mapping[str, GridworldPrediction]


def pair_pictures(job: PairDrawJob) -> Iterator[Picture]:
    """A picture for each record that any of the models lived."""
    num_traced = 0
    for place, record in enumerate(job.records, start=1):
        rows = {label: row for label, row in record.items() if row.error is None}
        if rows:
            num_traced += any(draw_episodes.has_trace(row) for row in rows.values())
            yield draw_pair(place, rows)
    if num_traced < len(job.records):
        job.note(
            f"{len(job.records) - num_traced} of {len(job.records)} records shown side by side have no trace: their "
            "ways are not drawn. infer.num_traces sets how many records keep theirs."
        )


def draw_pair(place: int, rows: Rows) -> Picture:
    """One record: the town with each model's way where it is traced, uses of places, meters at the end."""
    tracks = {label: draw_episodes.read_track(row) for label, row in rows.items() if draw_episodes.has_trace(row)}
    first = next(iter(rows.values()))
    used = [name for name in PLACES if any(row.place_uses.get(name, 0) for row in rows.values())]
    height = max(2.6, 0.5 + 0.13 * len(used) * (len(rows) + 0.6))
    canvas = plotting.new_figure(height + (4.0 if tracks else 0.35))
    parts: Any = canvas.subfigures(2, 1, height_ratios=[4.0, height]) if tracks else [None, canvas]
    if tracks:
        _draw_ways(parts[0], rows, tracks)
    below = parts[1].subplots(1, 3, width_ratios=[1.15, 1.0, 1.0])
    if tracks:
        _draw_wellbeing(below[0], rows, tracks)
    else:
        draw_episodes.draw_town(below[0], first)
        below[0].set_title("the town", fontsize=9)
    _draw_bars(below[1], [words(name) for name in used], rows, [_uses(row, used) for row in rows.values()], ".0f")
    below[1].set_title("uses of places", fontsize=9)
    _draw_bars(below[2], list(METERS), rows, [np.array(row.final_meters) for row in rows.values()], ".2f")
    below[2].set_title("meters at the end", fontsize=9)
    plotting.legend_below(canvas, [below[1]])
    told = "; ".join(f"{label}: {_summary(row)}" for label, row in rows.items())
    return Picture(
        slug=f"pair_{place:03d}",
        title=f"{place}. {first.id}",
        caption=f"{told}. {draw_episodes.place_key([first])}",
        section=SECTION,
        canvas=canvas,
        record_ids=(first.id,),
    )


def _draw_ways(canvas: Any, rows: Rows, tracks: Mapping[str, Track]) -> None:
    panels = plotting.small_multiples(canvas, len(rows), len(rows))
    for ax, (label, row) in zip(panels, rows.items(), strict=True):
        if label in tracks:
            draw_episodes.draw_path(ax, tracks[label])
        else:
            draw_episodes.draw_town(ax, row)
        ax.set_title(f"{label}{'' if label in tracks else ' (not traced)'}\n{_summary(row)}", fontsize=9)


def _draw_wellbeing(ax: Axes, rows: Rows, tracks: Mapping[str, Track]) -> None:
    """Wellbeing gathered step by step, of those that are traced."""
    for index, label in enumerate(rows):
        if label in tracks:
            track = tracks[label]
            gathered = np.cumsum(track.meters[:, ENERGY] * track.meters[:, HEALTH])
            plotting.band(ax, np.arange(track.num_steps), gathered, None, plotting.look(index))
    ax.set(xlabel="step", xlim=(0, None), ylim=(0, None))
    ax.set_title("wellbeing gathered", fontsize=9)


def _draw_bars(ax: Axes, names: list[str], rows: Rows, values: list[Any], number: str) -> None:
    series = [(label, value, None, plotting.look(k)) for k, (label, value) in enumerate(zip(rows, values, strict=True))]
    plotting.bars(ax, names, series, number)


def _uses(row: GridworldPrediction, used: list[str]) -> Any:
    return np.array([row.place_uses.get(name, 0) for name in used], dtype=np.float64)


def _summary(row: GridworldPrediction) -> str:
    end = f"died of {words(row.cause or 'unknown')}" if row.died else "retired"
    return f"{end} after {row.num_steps} steps, wellbeing {row.wellbeing:.0f}"
