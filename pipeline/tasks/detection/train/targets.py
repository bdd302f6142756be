"""What a training asks of the network for a scene: the objects as they are to be written, and dense maps. No torch."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.detection.model.tokens import NUM_COORDINATES, Geometry, Shape, Vocabulary
from pipeline.tasks.detection.scenes.scene import DrawnShape
from pipeline.tasks.detection.scenes.shapes import NUM_CIRCLE_CORNERS

CORE = 0.6  # places in so much of a box's middle answer for the object, along each side


def written(drawn: Sequence[DrawnShape], geometry: Geometry, image_size: int) -> list[Shape]:
    """The objects of a scene as they are to be written: sorted by their left edge, then by their upper edge."""
    shapes = []
    for shape in sorted(drawn, key=lambda shape: (shape.box[0], shape.box[1])):
        points = shape.box if geometry == "bbox_2d" else [value for point in _start_left(shape) for value in point]
        shapes.append(Shape(shape.desc, geometry, tuple(_thousandths(value, image_size) for value in points)))
    return shapes


def _thousandths(value: float, size: int) -> int:
    last = NUM_COORDINATES - 1
    return min(max(round(value * last / size), 0), last)


def _start_left(shape: DrawnShape) -> list[tuple[float, float]]:
    """The outline from its leftmost corner on, so that there is one right way to write it.

    How far a circle's polygon is turned cannot be seen: a whole one is turned so that a corner is leftmost.
    """
    points = shape.outline
    if shape.desc == "circle" and len(points) == NUM_CIRCLE_CORNERS:
        x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
        radii = [math.hypot(a - x, b - y) for a, b in points]
        if max(radii) - min(radii) < 0.05:  # not cut by the image's edge; outlines are in hundredths of a pixel
            turns = [2.0 * math.pi * corner / len(points) for corner in range(len(points))]
            return [(x - radii[0] * math.cos(turn), y - radii[0] * math.sin(turn)) for turn in turns]
    first = min(range(len(points)), key=lambda corner: points[corner])
    return [*points[first:], *points[:first]]


def pad_texts(vocabulary: Vocabulary, texts: Sequence[Sequence[Shape]], geometry: Geometry) -> NDArray[np.int64]:
    """The tokens [B, T] of several texts, padded with zeros (`tokens.PAD`)."""
    tokens = [vocabulary.encode(shapes, geometry) for shapes in texts]
    rows = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
    for row, text in zip(rows, tokens, strict=True):
        row[: len(text)] = text
    return rows


class DenseTargets(NamedTuple):
    """heat float32 [B, K, G, G]: 1 where a place answers for an object of that class. distances float32 [B, 4, G, G]:
    from the place's middle to the object's left, top, right and bottom edge, in places. mask bool [B, G, G]."""

    heat: NDArray[np.float32]
    distances: NDArray[np.float32]
    mask: NDArray[Any]


def dense_targets(batch: Sequence[Sequence[DrawnShape]], labels: Sequence[str], side: int, stride: int) -> DenseTargets:
    """Targets on a map of ``side`` x ``side`` places of ``stride`` pixels. What is drawn later hides what was."""
    heat = np.zeros((len(batch), len(labels), side, side), np.float32)
    distances = np.zeros((len(batch), 4, side, side), np.float32)
    mask = np.zeros((len(batch), side, side), np.bool_)
    middles = np.arange(side, dtype=np.float32) + 0.5
    for image, drawn in enumerate(batch):
        for shape in drawn:
            x1, y1, x2, y2 = (value / stride for value in shape.box)
            columns = _core(x1, x2, side)
            rows = _core(y1, y2, side)
            heat[image, :, rows, columns] = 0.0
            heat[image, labels.index(shape.desc), rows, columns] = 1.0
            mask[image, rows, columns] = True
            distances[image, 0, rows, columns] = middles[columns] - x1
            distances[image, 1, rows, columns] = (middles[rows] - y1)[:, None]
            distances[image, 2, rows, columns] = x2 - middles[columns]
            distances[image, 3, rows, columns] = (y2 - middles[rows])[:, None]
    return DenseTargets(heat, distances, mask)


def _core(low: float, high: float, side: int) -> slice:
    """The places whose middles lie in the core of [low, high]; at least the one in the middle."""
    middle, half = (low + high) / 2.0, (high - low) * CORE / 2.0
    first, last = math.ceil(middle - half - 0.5), math.floor(middle + half - 0.5)
    if last < first:
        first = last = math.floor(middle)
    return slice(max(first, 0), min(last, side - 1) + 1)
