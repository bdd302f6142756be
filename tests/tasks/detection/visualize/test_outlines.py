"""Outlines and labels on an image."""

from random import Random

import numpy as np
import pytest
from matplotlib.axes import Axes

from pipeline.look import plotting
from pipeline.tasks.detection.geometry import encode
from pipeline.tasks.detection.rows import CocoFields, PredictedObject, Rle, TrueObject
from pipeline.tasks.detection.visualize.outlines import OBJECT_LOOKS, Drawn, draw_labels, draw_outlines, outlines_of

SIZE = (400, 300)


def panel() -> Axes:
    canvas = plotting.new_figure(5.0, automatic=False)
    ax = canvas.add_axes((0.05, 0.05, 0.9, 0.9))
    ax.set(xlim=(0, SIZE[0]), ylim=(SIZE[1], 0))
    return ax


def box(x1: float, y1: float, x2: float, y2: float, label: str = "cat", look: str = "false") -> Drawn:
    return Drawn((np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]),), look, label)


def crowd(number: int, seed: int) -> list[Drawn]:
    rng = Random(seed)
    places = [(rng.uniform(-20, 390), rng.uniform(-20, 290)) for _ in range(number)]
    return [
        box(x, y, x + rng.uniform(2, 150), y + rng.uniform(2, 150), f"object {k}") for k, (x, y) in enumerate(places)
    ]


@pytest.mark.parametrize(("number", "seed"), [(2, 0), (12, 1), (40, 2), (120, 3)])
def test_labels_never_overlap_and_stay_on_the_image(number: int, seed: int) -> None:
    with plotting.style():
        ax = panel()
        texts, left_out = draw_labels(ax, crowd(number, seed))
        assert len(texts) + left_out == number
        assert len(texts) >= min(number, 30)
        room = ax.get_window_extent()
        extents = [text.get_window_extent() for text in texts]
    for index, one in enumerate(extents):
        assert room.x0 <= one.x0 and one.x1 <= room.x1 and room.y0 <= one.y0 and one.y1 <= room.y1
        assert not any(one.overlaps(other) for other in extents[:index])


def test_what_finds_no_room_is_counted() -> None:
    with plotting.style():
        texts, left_out = draw_labels(panel(), crowd(400, 4))
    assert left_out == 400 - len(texts) >= 250


def test_repetitions_share_a_label() -> None:
    with plotting.style():
        texts, left_out = draw_labels(
            panel(), [box(10, 10, 60, 60)] * 8 + [box(200, 100, 260, 160), box(10, 10, 60, 60, "dog")]
        )
    assert sorted(text.get_text() for text in texts) == ["cat", "cat x8", "dog"]
    assert left_out == 0


def test_a_label_does_not_hide_a_small_object() -> None:
    with plotting.style():
        ax = panel()
        (text,), _ = draw_labels(ax, [box(100, 100, 200, 200), box(105, 92, 120, 98, "")])
        (other,), _ = draw_labels(panel(), [box(100, 100, 200, 200)])
        assert text.get_position() == other.get_position()  # what has no label is in nobody's way
        ax = panel()
        texts, _ = draw_labels(ax, [box(100, 100, 200, 200), box(105, 92, 120, 98, "dog")])
        (large,) = [text for text in texts if text.get_text() == "cat"]
        small = ax.transData.transform([[105, 98], [120, 92]])
        extent = large.get_window_extent()
    assert extent.x1 < small[0, 0] or extent.x0 > small[1, 0] or extent.y1 < small[0, 1] or extent.y0 > small[1, 1]


def test_outlines_of_a_look_have_its_colour_and_its_line() -> None:
    looks = list(OBJECT_LOOKS)
    with plotting.style():
        ax = panel()
        draw_outlines(ax, [box(10, 10, 60, 60, look=name) for name in looks])
        lines = [one for one in ax.collections if one.get_label() in OBJECT_LOOKS]
        styles = {str(one.get_label()): (tuple(one.get_edgecolor()[0]), str(one.get_linestyle())) for one in lines}
    assert list(styles) == looks
    assert len({color for color, _ in styles.values()}) == len(looks)
    assert len({line for _, line in styles.values()}) == len(looks)


def test_a_box_and_a_polygon_are_drawn_as_they_are() -> None:
    (corners,) = outlines_of(PredictedObject(desc="a", bbox_2d=(0, 0, 999, 999)), "norm1000", SIZE)
    assert corners.tolist() == [[0, 0], [400, 0], [400, 300], [0, 300]]
    (points,) = outlines_of(TrueObject(desc="a", poly=[1, 2, 30, 4, 5, 60]), "pixel", SIZE)
    assert points.tolist() == [[1, 2], [30, 4], [5, 60]]


def test_a_mask_is_drawn_by_its_edge() -> None:
    inside = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    inside[50:100, 200:260] = 1
    square = [[200.0, 50.0, 260.0, 50.0, 260.0, 100.0, 200.0, 100.0]]
    counts = encode(square, *SIZE)["counts"]
    rle = Rle(size=(SIZE[1], SIZE[0]), counts=counts if isinstance(counts, str) else counts.decode())
    one = TrueObject(desc="a", bbox_2d=(0, 0, 1, 1), coco=CocoFields(category_id=1, segmentation=rle))
    (edge,) = outlines_of(one, "pixel", SIZE)
    assert edge.min(axis=0) == pytest.approx([200, 50], abs=1)
    assert edge.max(axis=0) == pytest.approx([260, 100], abs=1)


def test_a_mask_of_many_parts_has_many_outlines() -> None:
    parts: list[list[int | float]] = [[1, 1, 9, 1, 9, 9], [20, 20, 40, 20, 40, 40], [1, 2]]
    one = TrueObject(desc="a", bbox_2d=(0, 0, 1, 1), coco=CocoFields(category_id=1, segmentation=parts))
    assert len(outlines_of(one, "pixel", SIZE)) == 2


def test_what_lies_far_outside_is_cut_off() -> None:
    (corners,) = outlines_of(TrueObject(desc="a", bbox_2d=(-1e308, 5, 1e308, 50)), "pixel", SIZE)
    assert np.isfinite(corners).all()
    assert corners.min() >= -400 and corners.max() <= 800
