"""Scenes: their truth is what was drawn, their splits share nothing, and each is a function of its number."""

import math
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.tasks.detection.recipe import Scenes
from pipeline.tasks.detection.scenes import photographs, shapes
from pipeline.tasks.detection.scenes.scene import coverage, make_batch, make_scene

SPLITS = ("train", "monitor", "heldout", "unseen")
PLAIN = Scenes(varied_share=0.0, mixed_share=0.0)


def signed_area(points: shapes.Outline) -> float:
    return sum(points[i - 1][0] * points[i][1] - points[i][0] * points[i - 1][1] for i in range(len(points))) / 2.0


def edges(points: shapes.Outline) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of each edge, [N, 1, 2]."""
    stops = np.array(points)[:, None]
    return np.roll(stops, 1, axis=0), stops


def inside(points: shapes.Outline, at: np.ndarray) -> np.ndarray:
    """Which of the points ``at`` [M, 2] are inside, by the even-odd rule; none may be on an edge. [M]"""
    (x1, y1), (x2, y2) = (end.transpose(2, 0, 1) for end in edges(points))
    x, y = at.T
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return crossed.sum(axis=0) % 2 == 1


def distance(points: shapes.Outline, at: np.ndarray) -> np.ndarray:
    """From each of the points ``at`` [M, 2] to the nearest edge, [M]."""
    start, stop = edges(points)
    along = stop - start
    share = ((at - start) * along).sum(axis=2) / np.maximum((along**2).sum(axis=2), 1e-12)
    nearest = start + np.clip(share, 0.0, 1.0)[..., None] * along
    return np.linalg.norm(nearest - at, axis=2).min(axis=0)


def pixel_centres(width: int, height: int) -> np.ndarray:
    """[height * width, 2]: x, y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)


# One scene


@pytest.mark.parametrize("split", SPLITS)
def test_a_scene_is_a_function_of_its_number_alone(split: photographs.Split) -> None:
    spec = Scenes()
    in_order = [make_scene(spec, split, 3, index) for index in range(6)]
    for index in (5, 0, 3):
        again = make_scene(spec, split, 3, index)
        assert (again.image == in_order[index].image).all()
        assert again.objects == in_order[index].objects
    assert any((make_scene(spec, split, 4, i).image != in_order[i].image).any() for i in range(6))


def test_what_is_drawn_is_what_the_truth_says() -> None:
    """A shape alone in its scene: one colour within its outline, the background outside, up to a pixel at the edge."""
    spec = msgspec.structs.replace(PLAIN, num_objects=(1, 1))
    empty = msgspec.structs.replace(PLAIN, num_objects=(0, 0))
    at = pixel_centres(64, 64)
    num_within = 0
    for index in range(80):
        scene, background = make_scene(spec, "heldout", 0, index), make_scene(empty, "heldout", 0, index)
        outline = scene.drawn[0].outline
        sure = distance(outline, at) > 1.0
        within, outside = sure & inside(outline, at), sure & ~inside(outline, at)
        pixels = scene.image.reshape(-1, 3)
        assert (pixels[outside] == background.image.reshape(-1, 3)[outside]).all()
        assert len(np.unique(pixels[within], axis=0)) <= 1
        num_within += within.sum()
    assert num_within > 8_000


def test_the_area_that_is_drawn_is_that_of_the_polygon() -> None:
    """Against the shoelace formula. Measured: .08 px too far at each edge."""
    for index in range(100):
        chance = Random(index)
        outline = shapes.outline(chance.choice([*shapes.CORNERS]), chance.uniform(9, 30), chance.uniform(0, 7))
        points = shapes.rounded(shapes.moved(outline, 32 + chance.random(), 32 + chance.random()))
        covered = np.asarray(coverage(points, (0, 0, 64, 64)), dtype=np.float64).sum() / 255.0
        around = np.linalg.norm(np.subtract(*edges(points)), axis=2).sum()
        assert 0.0 <= (covered - abs(signed_area(points))) / around < 0.15


def test_a_shape_stands_out_from_what_it_is_drawn_on() -> None:
    spec = msgspec.structs.replace(PLAIN, num_objects=(1, 1))
    empty = msgspec.structs.replace(PLAIN, num_objects=(0, 0))
    for index in range(60):
        scene, background = make_scene(spec, "unseen", 0, index), make_scene(empty, "unseen", 0, index)
        x1, y1, x2, y2 = scene.drawn[0].box
        part = np.s_[int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)]
        drawn = scene.image[(scene.image != background.image).any(axis=2)]
        colour = Counter(map(tuple, drawn.tolist())).most_common(1)[0][0]
        assert np.linalg.norm(background.image[part].mean(axis=(0, 1)) - colour) > 65.0


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (96, 64), (31, 200)])
def test_boxes_and_polygons_lie_in_the_image_and_agree(size: tuple[int, int]) -> None:
    spec = Scenes(image_sizes=(size,), geometry="both")
    width, height = size
    seen: Counter[str] = Counter()
    for index in range(150):
        scene = make_scene(spec, "train", 0, index)
        assert scene.image.shape == (height, width, 3) and scene.image.dtype == np.uint8
        for drawn, thing in zip(scene.drawn, scene.objects, strict=True):
            x1, y1, x2, y2 = drawn.box
            assert 0.0 <= x1 < x2 <= width and 0.0 <= y1 < y2 <= height
            assert drawn.box == shapes.bounds(drawn.outline)
            assert (thing.bbox_2d is None) != (thing.poly is None)
            assert thing.bbox_2d in (None, drawn.box)
            assert thing.poly in (None, [value for point in drawn.outline for value in point])
            assert thing.desc == drawn.desc
            seen["box" if thing.poly is None else "polygon"] += 1
    assert min(seen["box"], seen["polygon"]) > 50


def test_objects_have_the_number_the_size_and_the_overlap_of_the_spec() -> None:
    spec = Scenes(image_sizes=((64, 64), (96, 96)))
    numbers: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    most_overlap = 0.0
    for index in range(1000):
        scene = make_scene(spec, "train", 0, index)
        scale = scene.image.shape[0] / 64
        numbers[len(scene.drawn)] += 1
        kinds.update(drawn.desc for drawn in scene.drawn)
        for i, drawn in enumerate(scene.drawn):
            x1, y1, x2, y2 = drawn.box
            assert max(x2 - x1, y2 - y1) <= 30.0 * scale + 0.02
            if min(x1, y1) > 0 and max(x2, y2) < scene.image.shape[0]:
                assert max(x2 - x1, y2 - y1) >= 9.0 * scale - 0.02
            for other in scene.drawn[:i]:
                most_overlap = max(most_overlap, shapes.overlap(drawn.box, other.box))
    assert set(numbers) == {0, 1, 2, 3, 4} and min(numbers.values()) > 150
    assert set(kinds) == {"circle", "square", "triangle", "star"} and min(kinds.values()) > 400
    assert 0.25 < most_overlap <= 0.3


def test_a_crowded_scene_leaves_out_what_finds_no_place() -> None:
    spec = Scenes(num_objects=(40, 40), max_overlap=0.0)
    scene = make_scene(spec, "train", 0, 0)
    assert 3 < len(scene.drawn) < 40
    assert all(shapes.overlap(a.box, b.box) == 0.0 for i, a in enumerate(scene.drawn) for b in scene.drawn[:i])


# Backgrounds


def test_the_parts_of_a_photograph_that_splits_show_are_disjoint_and_all_of_it() -> None:
    for name in Scenes().photographs:
        parts = [photographs.photograph(name, split) for split in ("train", "monitor", "heldout")]
        whole = photographs.photograph(name, "unseen")
        assert sum(part.width for part in parts) == whole.width
        assert (np.hstack([np.asarray(part) for part in parts]) == np.asarray(whole)).all()


def test_splits_have_the_photographs_of_the_spec() -> None:
    spec = Scenes()
    for split in SPLITS:
        shown = {make_scene(spec, split, 0, index).photograph for index in range(200)}
        assert shown == set(spec.unseen_photographs if split == "unseen" else spec.photographs)


def test_only_training_varies_the_light() -> None:
    plain = msgspec.structs.replace(PLAIN, num_objects=(0, 0))
    varied = msgspec.structs.replace(plain, varied_share=1.0, mixed_share=1.0)
    changed = {
        split: sum(
            bool((make_scene(plain, split, 0, i).image != make_scene(varied, split, 0, i).image).any())
            for i in range(20)
        )
        for split in SPLITS
    }
    assert changed == {"train": 20, "monitor": 0, "heldout": 0, "unseen": 0}


def test_a_photograph_that_is_another_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/retina.jpg").write_bytes(b"another")
    monkeypatch.setattr(photographs, "package_folder", lambda package: tmp_path)
    photographs.photograph.cache_clear()
    with pytest.raises(UserError, match="another than the scenes were made with"):
        photographs.photograph("retina", "train")
    with pytest.raises(UserError, match="without its photograph"):
        photographs.photograph("brick", "train")


def test_a_package_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        photographs.package_folder("skimage")
    assert "baton-pipeline[photographs]" in str(error.value)


# Batches, shapes, specs


def test_a_batch_is_its_scenes() -> None:
    images, drawn = make_batch(Scenes(), "train", 5, range(3, 7))
    assert images.shape == (4, 64, 64, 3)
    for place, index in enumerate(range(3, 7)):
        scene = make_scene(Scenes(), "train", 5, index)
        assert (images[place] == scene.image).all() and drawn[place] == scene.drawn
    with pytest.raises(ValueError, match="one image size"):
        make_batch(Scenes(image_sizes=((64, 64), (96, 96))), "train", 0, [0])


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "star"])
def test_clipping_keeps_exactly_what_is_within_the_image(shape: shapes.Shape) -> None:
    """Against the even-odd rule at 20 x 20 points, for shapes at all edges and corners."""
    chance = Random(0)
    at = pixel_centres(20, 20) + np.array([-0.013, 0.017])
    for _ in range(200):
        x, y = chance.uniform(-5, 25), chance.uniform(-5, 25)
        points = shapes.moved(shapes.outline(shape, chance.uniform(9, 30), chance.uniform(0, 7)), x, y)
        cut = shapes.clipped(points, 20.0, 20.0)
        assert all(0.0 <= x <= 20.0 and 0.0 <= y <= 20.0 for x, y in cut)
        within = inside(cut, at) if cut else np.zeros(len(at), dtype=bool)
        assert (within == inside(points, at)).all()


def test_an_outline_has_the_size_and_the_turn_that_were_asked_for() -> None:
    square = shapes.outline("square", 10.0, math.pi / 4)
    assert sorted((round(x, 9), round(y, 9)) for x, y in square) == [(-5, -5), (-5, 5), (5, -5), (5, 5)]
    for shape, area in {"circle": 75.0, "triangle": 100 * math.sqrt(3) / 4}.items():
        points = shapes.outline(shape, 10.0, 0.0)  # type: ignore[arg-type]  # the keys are shapes
        assert abs(signed_area(points)) == pytest.approx(area)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_objects": [3, 2]}, "3 is more than 2"),
        ({"object_size": [9, 65]}, "more than the image"),
        ({"photographs": ["coffee", "rocket"]}, "rocket cannot be among photographs and among unseen_photographs"),
        ({"photographs": []}, "length >= 1"),
        ({"photographs": ["mars"]}, "Invalid enum value 'mars'"),
        ({"image_sizes": [[8, 64]]}, ">= 16"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(change, Scenes)
