"""Maps of what a layer says: of one model, and of two beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.look import plotting
from pipeline.look.picture import Picture
from pipeline.stats import Floats
from pipeline.tasks.diffusion.evaluate.maps import aligned, shared_neighbours
from pipeline.tasks.diffusion.evaluate.score import NUM_NEIGHBOURS, vectors_of
from pipeline.tasks.diffusion.rows import DiffusionPrediction

MAX_CLASSES = 20  # told apart on a map
_PAPER: dict[str, Any] = {"facecolor": plotting.PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.8}

Rows = Sequence[DiffusionPrediction]


def on_map(rows: Rows, num_ways: int) -> Iterator[Picture]:
    """Where images lie on the map, by class; and the ways of some of them over it."""
    placed = [row for row in rows if row.map_position is not None]
    if not placed:
        return
    canvas, (left, right) = plotting.new_panels(4.6, 2)
    _draw_classes(left, placed, np.array([row.map_position for row in placed]))
    right.plot(*np.array([row.map_position for row in placed]).T, ".", color=plotting.FAINT, markersize=3)
    for index, row in enumerate([row for row in placed if row.positions][:num_ways]):
        way, look = np.array(row.positions), plotting.look(index)
        right.plot(*way.T, **look.stroke | {"linewidth": 1.0})
        right.plot(*way[0], marker="o", color=look.color, markerfacecolor=plotting.PAPER)
        right.plot(*way[-1], marker="s", color=look.color)
    left.set_title("by the class that the judge sees")
    right.set_title("ways: from o to ■")
    for ax in (left, right):
        ax.set(xticks=[], yticks=[])
    yield Picture(
        slug="map",
        title="What the layer says",
        caption="Each point is a generated image where the map that is frozen in the model's file places it, by what "
        "a layer says of it with noise and without being told the class. Right: the ways of some from noise, step by "
        "step. Distances on a map of two dimensions are those of near neighbours at best.",
        canvas=canvas,
    )


def _draw_classes(ax: Axes, rows: Rows, places: Floats) -> None:
    """Rows at their places [N, 2], by the class that the judge sees."""
    judged = np.array([row.judged_label or "" for row in rows])
    for index, label in enumerate(sorted(set(judged.tolist()))[:MAX_CLASSES]):
        points, look = places[judged == label], plotting.look(index)
        inside = plotting.PAPER if index // len(plotting.LOOKS) % 2 else look.color  # hollow where looks repeat
        marks: dict[str, Any] = {"marker": look.marker, "markersize": 4, "markerfacecolor": inside}
        ax.plot(*points.T, linestyle="", color=look.color, alpha=0.8, **marks)
        x, y = _amid(points)
        plotting.write(ax, x, y, label, fontweight="bold", bbox=_PAPER)
    ax.set(xticks=[], yticks=[])


def _amid(points: Floats) -> Floats:
    """The point [2] in the middle of the densest third of ``points`` [N, 2]: a class may lie in several places."""
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.asarray(points[np.sort(distances, axis=1)[:, len(points) // 3].argmin()])


def side_by_side(predictions: Mapping[str, Rows]) -> Iterator[Picture]:
    """The maps of the last two models, turned onto each other, of the requests that both answered."""
    by_id = [{row.id: row for row in rows if row.map_position is not None} for rows in predictions.values()][-2:]
    shared = [id for id in by_id[0] if id in by_id[1]] if len(by_id) == 2 else []
    if len(shared) <= NUM_NEIGHBOURS:
        return
    both = [[rows[id] for id in shared] for rows in by_id]
    one, other = (np.array([row.map_position for row in rows]) for rows in both)
    spaces = [vectors_of(rows, "map_embedding") for rows in both]
    kept = shared_neighbours(spaces[0], spaces[1], NUM_NEIGHBOURS).mean()
    canvas, axes = plotting.new_panels(4.6, 2)
    for ax, rows, places, label in zip(axes, both, (one, aligned(other, one)), list(predictions)[-2:], strict=True):
        _draw_classes(ax, rows, places)
        ax.set_title(label)
    yield Picture(
        slug="maps",
        title="Two models' maps",
        caption=f"The same {len(shared):,} requests; the second map is turned and scaled onto the first. Of the "
        f"{NUM_NEIGHBOURS} nearest images in what the layer says, {kept:.0%} are the same in both models.",
        canvas=canvas,
    )
