"""How objects look: their outlines on an Axes, and labels beside them that do not overlap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from pipeline.look import numbers, plotting
from pipeline.tasks.detection import geometry
from pipeline.tasks.detection.rows import CoordMode, PredictedObject, Rle, TrueObject

Points = NDArray[np.float64]

FOUND, MATCHED, NOT_FOUND, FALSE, UNCOUNTED = "found", "matched", "not found", "false", "uncounted"

# Colours of one brightness over a dark rim, which stand out from light and from dark images; and lines that tell the
# same without colours. What is predicted is thinner and lies above what is true.
OBJECT_LOOKS: Mapping[str, plotting.Look] = {
    FOUND: plotting.Look("#7cc7f2", (0, (1.2, 1.0)), width=2.4),
    NOT_FOUND: plotting.Look("#ffd54a", (0, (3.6, 1.8)), width=2.4),
    MATCHED: plotting.Look("#2fe0a0", "-", width=1.3),
    FALSE: plotting.Look("#ff7a45", (0, (7.5, 2.2, 1.6, 2.2)), width=1.7),
    UNCOUNTED: plotting.Look("#d7d9e0", (0, (1.0, 3.0)), width=1.5),
}
OBJECT_MEANINGS: Mapping[str, str] = {
    FOUND: "true, found",
    NOT_FOUND: "true, not found",
    MATCHED: "predicted, matched",
    FALSE: "predicted, false",
    UNCOUNTED: "not counted",
}
RIM = "#14171f"
LABEL_SIZE = 8.0  # points
LABEL_PAD = 2.0  # pixels between the letters and the edge of their ground
GAP = 2.5  # pixels between an outline and its label, and between labels
REACHES = (14.0, 30.0, 52.0, 80.0, 115.0)  # pixels from an outline at which a label is still tried, with a line to it
SMALL = 60.0  # pixels: objects smaller than a label is wide, which it would hide
SAME = 4.0  # pixels between the corners of objects that count as being in one place
MAX_NAME = 22  # characters of a class name in a label
MAX_LABELS = 150  # of a panel: more are not read
MAX_MASK_PIXELS = 16_000_000  # of a run-length encoded mask; of a larger one the box is drawn


def one_line(text: str, length: int = MAX_NAME) -> str:
    """A text that came from a model or a file as a name in a picture, cut at its end."""
    flat = numbers.one_line(text)
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"


@dataclass(frozen=True)
class Drawn:
    """One object as it is drawn: outlines in pixels of the image ([N, 2] each), a key of `OBJECT_LOOKS`, a label."""

    outlines: tuple[Points, ...]
    look: str
    label: str = ""


def outlines_of(one: TrueObject | PredictedObject, mode: CoordMode, size: tuple[int, int]) -> tuple[Points, ...]:
    """The closed outlines of an object in pixels: polygons, or its box. Far outside the image they are cut off."""
    width, height = size
    given = one.coco.segmentation if one.coco is not None else None
    found: list[Points] = []
    if isinstance(given, Rle):
        found = _mask_outlines(given)
    elif given:
        found = [_points(flat) for flat in given if len(flat) >= 6]
    elif one.poly is not None:
        found = [_points(geometry.to_pixels(one.poly, mode, width, height))]
    if not found:
        left, top, right, bottom = geometry.corners(one, mode, width, height)
        found = [np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)]
    limits = np.array([width, height], dtype=np.float64)
    return tuple(np.clip(points, -limits, 2 * limits) for points in found)


def _points(flat: Sequence[float]) -> Points:
    even = len(flat) - len(flat) % 2
    return np.array(flat[:even], dtype=np.float64).reshape(-1, 2)


def _mask_outlines(given: Rle) -> list[Points]:
    """The outlines of a run-length encoded mask; none where it is too large or empty."""
    height, width = given.size
    if not 0 < height * width <= MAX_MASK_PIXELS:
        return []
    from hotcoco import mask  # here: few files have masks, and loading it takes time

    inside = np.pad(np.asarray(mask.decode(geometry.encode(geometry.segmentation_of(given), width, height))), 1)
    lines: Any = contour_generator(z=inside.astype(np.float64)).lines(0.5)
    return [np.asarray(line, dtype=np.float64) - 0.5 for line in lines]  # a pixel's middle is half a pixel in


def draw_outlines(ax: Axes, objects: Sequence[Drawn], scale: float = 1.0) -> None:
    """The outlines, those of a look in one collection. ``scale`` is of the widths of lines.

    All rims lie below all lines: of two outlines in the same place both are seen, the upper one being thinner.
    """
    for name, look in OBJECT_LOOKS.items():
        chosen = [one for one in objects if one.look == name]
        closed = [np.vstack([points, points[:1]]) for one in chosen for points in one.outlines]
        if closed:
            rim: dict[str, Any] = {"colors": RIM, "linewidths": scale * (look.width + 1.5), "alpha": 0.6}
            line: dict[str, Any] = {"colors": look.color, "linewidths": scale * look.width, "linestyles": [look.line]}
            ax.add_collection(LineCollection(closed, zorder=2.1, **rim), autolim=False)
            ax.add_collection(LineCollection(closed, zorder=2.2, label=name, **line), autolim=False)


@dataclass
class _Group:
    """Objects with one label in one place, which share it. ``box`` is in pixels of the picture."""

    object: Drawn
    box: Bbox
    number: int = 1

    @property
    def label(self) -> str:
        return self.object.label if self.number == 1 else f"{self.object.label} x{self.number}"


def draw_labels(ax: Axes, objects: Sequence[Drawn]) -> tuple[list[Text], int]:
    """Write each object's label where it covers no other label; returns the texts, and how many found no place.

    Objects of the same label in the same place share one. Large objects have more room around them, so small ones go
    first.
    """
    renderer: Any = ax.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of the Agg canvas
    room = ax.get_window_extent(renderer)
    taken = np.empty((0, 4))
    placed: list[Text] = []
    groups = _groups(ax, objects)
    left_out = max(len(groups) - MAX_LABELS, 0)
    for group in sorted(groups[:MAX_LABELS], key=lambda one: one.box.width * one.box.height):
        others = _small_boxes([one.box for one in groups if one is not group])
        text = _label(ax, group)
        extent = text.get_window_extent(renderer)
        size = (extent.width + 2 * LABEL_PAD, extent.height + 2 * LABEL_PAD)
        corner = _free_place(group.box, size, room, np.vstack([taken, others]))
        corner = corner or _free_place(group.box, size, room, taken)  # rather on a small object than nowhere
        if corner is None:
            text.remove()
            left_out += 1
            continue
        x, y = corner
        taken = np.vstack([taken, [x, y, x + size[0], y + size[1]]])
        at_x, at_y = ax.transData.inverted().transform((x + LABEL_PAD, y + LABEL_PAD))
        text.set_position((float(at_x), float(at_y)))
        _connect(ax, group.box, Bbox.from_bounds(x, y, *size), OBJECT_LOOKS[group.object.look].color)
        placed.append(text)
    return placed, left_out


def _groups(ax: Axes, objects: Sequence[Drawn]) -> list[_Group]:
    groups: list[_Group] = []
    known: dict[tuple[str, str], list[_Group]] = {}
    for one in objects:
        if one.label:
            box, alike = _window_box(ax, one), known.setdefault((one.label, one.look), [])
            near = [
                group
                for group in alike[-MAX_LABELS:]
                if np.abs(group.box.get_points() - box.get_points()).max() <= SAME
            ]
            if near:
                near[0].number += 1
                continue
            alike.append(_Group(one, box))
            groups.append(alike[-1])
    return groups


def _small_boxes(boxes: Sequence[Bbox]) -> NDArray[np.float64]:
    """Those that a label would hide: [K, 4]."""
    extents = np.array([box.extents for box in boxes], dtype=np.float64).reshape(-1, 4)
    is_small = (extents[:, 2:] - extents[:, :2]).max(axis=1, initial=0.0) < SMALL
    return np.compress(is_small, extents, axis=0)


def _window_box(ax: Axes, one: Drawn) -> Bbox:
    """The extent of an object in pixels of the picture, as far as it lies in the panel."""
    points = ax.transData.transform(np.vstack(one.outlines))
    room = ax.get_window_extent()
    low, high = np.clip(points.min(axis=0), room.min, room.max), np.clip(points.max(axis=0), room.min, room.max)
    return Bbox([low, high])


def _label(ax: Axes, group: _Group) -> Text:
    look = OBJECT_LOOKS[group.object.look]
    ground: dict[str, Any] = {
        "boxstyle": f"square,pad={LABEL_PAD / LABEL_SIZE * 72 / ax.figure.dpi}",
        "facecolor": RIM,
        "edgecolor": "none",
        "alpha": 0.78,
    }
    place: dict[str, Any] = {"ha": "left", "va": "bottom", "fontsize": LABEL_SIZE, "zorder": 5}
    return ax.text(0, 0, group.label, color=look.color, bbox=ground, **place)


def _free_place(
    box: Bbox, size: tuple[float, float], room: Bbox, taken: NDArray[np.float64]
) -> tuple[float, float] | None:
    """The first place (left, bottom) that lies in ``room`` and on none of ``taken`` [K, 4]; None when there is none."""
    width, height = size
    for x, y in _places(box, width, height):
        if x < room.x0 or y < room.y0 or x + width > room.x1 or y + height > room.y1:
            continue
        apart = (
            (taken[:, 0] >= x + width + GAP)
            | (taken[:, 2] + GAP <= x)
            | (taken[:, 1] >= y + height + GAP)
            | (taken[:, 3] + GAP <= y)
        )
        if apart.all():
            return x, y
    return None


def _places(box: Bbox, width: float, height: float) -> Iterator[tuple[float, float]]:
    """Where a label may stand, best first: above, below, beside, inside at an edge, then farther and farther away."""
    above, below = box.y1 + GAP, box.y0 - GAP - height
    right, before = box.x1 + GAP, box.x0 - GAP - width
    yield from ((box.x0, above), (box.x1 - width, above), (box.x0, below), (box.x1 - width, below))
    yield from ((right, box.y1 - height), (before, box.y1 - height), (right, box.y0), (before, box.y0))
    inside = ((box.x0 + GAP, box.y1 - GAP - height), (box.x0 + GAP, box.y0 + GAP))
    if box.width > width + 2 * GAP and box.height > height + 2 * GAP:
        yield from inside
    for reach in REACHES:
        for x in (box.x0, box.x1 - width, box.x0 - width / 2, right + reach, before - reach):
            yield x, above + reach
            yield x, below - reach
        for y in (box.y1 - height, box.y0, (box.y0 + box.y1 - height) / 2):
            yield right + reach, y
            yield before - reach, y


def _connect(ax: Axes, box: Bbox, label: Bbox, color: str) -> None:
    """A line from an object to its label where that stands away from it."""
    start = np.clip([(label.x0 + label.x1) / 2, (label.y0 + label.y1) / 2], box.min, box.max)
    end = np.clip(start, label.min, label.max)
    if np.hypot(*(end - start)) > 2 * GAP:
        points = ax.transData.inverted().transform([start, end])
        ax.plot(*points.T, color=color, linewidth=0.8, solid_capstyle="round", zorder=4)
