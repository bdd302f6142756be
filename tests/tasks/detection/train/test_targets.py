"""What a training asks for: one right way to write a scene, and dense maps that say where each object lies."""

import math

import numpy as np
import pytest

from pipeline.tasks.detection.model.tokens import PAD, Fragments, Shape
from pipeline.tasks.detection.scenes.scene import DrawnShape
from pipeline.tasks.detection.scenes.shapes import bounds, moved, outline, rounded
from pipeline.tasks.detection.train.targets import dense_targets, pad_texts, written

LABELS = ("circle", "square")


def drawn(desc: str, size: float, x: float, y: float, turn: float = 0.0) -> DrawnShape:
    points = rounded(moved(outline(desc, size, turn), x, y))
    return DrawnShape(desc=desc, outline=points, box=bounds(points))


def test_objects_are_written_from_left_to_right_in_thousandths() -> None:
    shapes = [drawn("square", 16.0, 40.0, 32.0, math.pi / 4), drawn("square", 32.0, 16.0, 16.0, math.pi / 4)]
    assert written(shapes, "bbox_2d", 64) == [
        Shape("square", "bbox_2d", (0, 0, 500, 500)),
        Shape("square", "bbox_2d", (500, 375, 749, 624)),
    ]


def test_a_polygon_begins_at_its_leftmost_corner_and_keeps_its_direction() -> None:
    (shape,) = written([drawn("triangle", 20.0, 32.0, 32.0, 0.3)], "poly", 64)
    xs, ys = shape.points[::2], shape.points[1::2]
    assert len(xs) == 3 and xs[0] == min(xs)
    area = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(3))
    assert area > 0  # clockwise, as y points down


def test_how_far_a_circle_is_turned_is_not_asked_for() -> None:
    """It cannot be seen, so it must not be learned."""
    texts = {written([drawn("circle", 24.0, 32.0, 30.0, turn)], "poly", 64)[0].points[:2] for turn in (0.0, 0.1, 0.4)}
    xs, ys = zip(*texts, strict=True)
    assert max(xs) - min(xs) <= 8 and max(ys) - min(ys) <= 8  # its drawn size differs a little with the turn


def test_a_circle_cut_by_the_edge_is_written_as_it_is_drawn() -> None:
    points = [(0.0, 5.0), (4.0, 1.0), (8.0, 5.0), (4.0, 9.0)]
    (shape,) = written([DrawnShape(desc="circle", outline=points, box=(0.0, 1.0, 8.0, 9.0))], "poly", 10)
    assert shape.points == (0, 500, 400, 100, 799, 500, 400, 899)


def test_texts_are_padded_to_the_longest() -> None:
    one = [Shape("circle", "bbox_2d", (1, 2, 3, 4))]
    tokens = pad_texts(Fragments(labels=LABELS), [one, []], "bbox_2d")
    assert tokens.shape == (2, 9) and tokens.dtype == np.int64
    assert (tokens[1, 3:] == PAD).all() and (tokens[0] != PAD).all()


@pytest.mark.parametrize("size", [3.0, 12.0, 40.0])
def test_the_places_of_an_object_know_its_class_and_its_four_edges(size: float) -> None:
    square = drawn("square", size, 30.0, 22.0, math.pi / 4)
    targets = dense_targets([[square], []], LABELS, 16, 4)
    rows, columns = np.nonzero(targets.mask[0])
    assert len(rows) >= 1 and not targets.mask[1].any() and not targets.heat[1].any()
    assert np.array_equal(targets.heat[0, 1] > 0, targets.mask[0]) and not targets.heat[0, 0].any()
    for row, column in zip(rows, columns, strict=True):
        left, top, right, bottom = targets.distances[0, :, row, column] * 4
        x, y = (column + 0.5) * 4, (row + 0.5) * 4
        assert (x - left, y - top, x + right, y + bottom) == pytest.approx(square.box, abs=1e-3)


def test_what_is_drawn_later_hides_what_was_before() -> None:
    both = [drawn("square", 30.0, 32.0, 32.0), drawn("circle", 10.0, 32.0, 32.0)]
    targets = dense_targets([both], LABELS, 16, 4)
    assert targets.heat[0, 0, 8, 8] == 1.0 and targets.heat[0, 1, 8, 8] == 0.0
    assert (targets.heat[0].sum(0) <= 1.0).all() and targets.heat[0, 1].any()
