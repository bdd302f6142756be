"""One scenario as several models lived it: how it ended, what they used, what was left, and their ways where traced."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.contract.jobs import PairDrawJob
from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.town.rules import ENERGY, HEALTH, METERS, PLACES
from pipeline.tasks.gridworld.visualize.episodes import Track, draw_path, draw_town, has_trace, place_key, read_track

Rows = Mapping[str, GridworldPrediction]


def pair_pictures(job: PairDrawJob) -> Iterator[Picture]:
    """A picture for each record that any of the models lived."""
    num_untraced = 0
    for place, record in enumerate(job.records, start=1):
        rows = {label: row for label, row in record.items() if row.error is None}
        num_untraced += not any(has_trace(row) for row in rows.values())
        if rows:
            yield _draw_record(place, rows)
    if num_untraced:
        job.note(
            f"{num_untraced} of {len(job.records)} records shown side by side have no trace: their ways are not drawn. "
            "infer.num_traces sets how many records keep theirs."
        )


def _draw_record(place: int, rows: Rows) -> Picture:
    """One record: the town, uses of places, meters at the end; above, each model's way where any is traced."""
    tracks = {label: read_track(row) for label, row in rows.items() if has_trace(row)}
    first = next(iter(rows.values()))
    used = [name for name in PLACES if any(row.place_uses.get(name, 0) for row in rows.values())]
    height = max(2.6, 0.5 + 0.13 * len(used) * (len(rows) + 0.6))
    canvas: Any = plotting.new_figure(height + (4.0 if tracks else 0.35))
    below = canvas
    if tracks:
        above, below = canvas.subfigures(2, 1, height_ratios=[4.0, height])
        _draw_ways(above, rows, tracks)
    left, middle, right = below.subplots(1, 3, width_ratios=[1.15, 1.0, 1.0])
    if tracks:
        _draw_wellbeing(left, rows, tracks)
    else:
        draw_town(left, first)
        left.set_title("the town", fontsize=9)
    uses = {label: [row.place_uses.get(name, 0) for name in used] for label, row in rows.items()}
    _draw_bars(middle, "uses of places", [words(name) for name in used], uses, ".0f")
    meters = {label: row.final_meters for label, row in rows.items()}
    _draw_bars(right, "meters at the end", list(METERS), meters, ".2f")
    plotting.legend_below(canvas, [middle])
    told = "; ".join(f"{label}: {_summary(row)}" for label, row in rows.items())
    return Picture(
        slug=f"pair_{place:03d}",
        title=f"{place}. {first.id}",
        caption=f"{told}. {place_key([first])}",
        canvas=canvas,
        record_ids=(first.id,),
    )


def _draw_ways(canvas: Any, rows: Rows, tracks: Mapping[str, Track]) -> None:
    panels = plotting.small_multiples(canvas, len(rows), len(rows))
    for ax, (label, row) in zip(panels, rows.items(), strict=True):
        if label in tracks:
            draw_path(ax, tracks[label])
        else:
            draw_town(ax, row)
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


def _draw_bars(ax: Axes, title: str, names: list[str], values: Mapping[str, list[Any]], number: str) -> None:
    """A group of bars for each name, in it one for each model; ``values`` by label, in the order of the names."""
    series = [(label, found, None, plotting.look(k)) for k, (label, found) in enumerate(values.items())]
    plotting.bars(ax, names, series, number)
    ax.set_title(title, fontsize=9)


def _summary(row: GridworldPrediction) -> str:
    return f"{ending(row)} after {row.num_steps} steps, wellbeing {row.wellbeing:.0f}"
