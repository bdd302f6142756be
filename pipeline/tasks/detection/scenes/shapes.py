"""Outlines of the shapes: their corners, turned and scaled, and what of them lies within the image.

Outlines are lists of (x, y) in pixels, y down; the polygon is closed by itself.
"""

import math

from pipeline.tasks.detection.recipe import Shape
from pipeline.tasks.detection.rows import Box

Point = tuple[float, float]
Outline = list[Point]

# A circle is drawn as a polygon, so that its outline is exact: at the largest size, 30 pixels, the corners of 12 lie
# half a pixel outside the middle of the edges.
NUM_CIRCLE_CORNERS = 12
STAR_INNER_RADIUS = 0.45
DECIMALS = 2


def _spread(count: int, radii: tuple[float, ...]) -> Outline:
    """``count`` corners at equal angles, the first one up, at radii taken in turn."""
    angles = [2.0 * math.pi * index / count for index in range(count)]
    return [
        (radii[index % len(radii)] * math.sin(angle), -radii[index % len(radii)] * math.cos(angle))
        for index, angle in enumerate(angles)
    ]


CORNERS: dict[Shape, Outline] = {
    "circle": _spread(NUM_CIRCLE_CORNERS, (1.0,)),
    "square": _spread(4, (1.0,)),
    "triangle": _spread(3, (1.0,)),
    "star": _spread(10, (1.0, STAR_INNER_RADIUS)),
}


def outline(shape: Shape, size: float, turn: float) -> Outline:
    """The corners of ``shape`` turned by ``turn`` (radians, clockwise), around the middle of its bounding box.

    ``size`` is the longer side of that box, in pixels.
    """
    cosine, sine = math.cos(turn), math.sin(turn)
    turned = [(cosine * x - sine * y, sine * x + cosine * y) for x, y in CORNERS[shape]]
    x1, y1, x2, y2 = bounds(turned)
    scale = size / max(x2 - x1, y2 - y1)
    middle_x, middle_y = (x1 + x2) / 2.0, (y1 + y2) / 2.0
    return [((x - middle_x) * scale, (y - middle_y) * scale) for x, y in turned]


def moved(points: Outline, x: float, y: float) -> Outline:
    """The outline, its middle at (x, y)."""
    return [(x + dx, y + dy) for dx, dy in points]


def rounded(points: Outline) -> Outline:
    """The outline in hundredths of a pixel."""
    return [(round(x, DECIMALS), round(y, DECIMALS)) for x, y in points]


def bounds(points: Outline) -> Box:
    """The bounding box (x1, y1, x2, y2)."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def overlap(first: Box, second: Box) -> float:
    """What two boxes share, as a share of the smaller one's area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / min(areas)


def clipped(points: Outline, width: float, height: float) -> Outline:
    """What of a polygon lies within [0, width] x [0, height]; empty where nothing does.

    Sutherland and Hodgman, "Reentrant polygon clipping", Communications of the ACM 17(1), 1974. Where a star leaves the
    image twice over one edge, the two parts stay joined along that edge, which encloses no area.
    """
    x1, y1, x2, y2 = bounds(points)
    if x1 >= 0.0 and y1 >= 0.0 and x2 <= width and y2 <= height:
        return points
    for axis, limit, sign in ((0, 0.0, 1.0), (0, width, -1.0), (1, 0.0, 1.0), (1, height, -1.0)):
        points = _clipped_by(points, axis, limit, sign)
    return points


def _clipped_by(points: Outline, axis: int, limit: float, sign: float) -> Outline:
    """What lies on the side of ``limit`` along ``axis`` where ``sign * (coordinate - limit)`` is not negative."""
    kept: Outline = []
    for index, here in enumerate(points):
        before = points[index - 1]
        inside, was_inside = sign * (here[axis] - limit) >= 0.0, sign * (before[axis] - limit) >= 0.0
        if inside != was_inside:
            share = (limit - before[axis]) / (here[axis] - before[axis])
            other = before[1 - axis] + share * (here[1 - axis] - before[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if inside:
            kept.append(here)
    return [point for index, point in enumerate(kept) if point != kept[index - 1] or len(kept) == 1]
