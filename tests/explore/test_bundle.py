"""Bundles: written array by array, opened mapped; what is damaged is told as one clear error."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.explore.bundle import MANIFEST, RECORDS, Bundle, open_bundle
from pipeline.files.hashes import sha256_file
from tests.explore.toy import CLASSES, LAYERS, LEVELS, write_toy_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_toy_bundle(tmp_path / "toy", 8)


def rehash(folder: Path, **changed: object) -> None:
    """A manifest that fits the files as they are now, with these fields changed."""
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    manifest["files"] = {name: sha256_file(folder / name) for name in manifest["files"] if (folder / name).exists()}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest | changed))


def test_what_was_written_is_read_as_it_was_and_mapped(bundle: Bundle) -> None:
    assert [record.label for record in bundle.records] == [*CLASSES, *CLASSES]
    assert bundle.number("r00005") == 5
    assert bundle.images.shape == (8, 8, 8, 1)
    assert {name: array.shape for name, array in bundle.activations.items()} == {
        name: (8, len(LEVELS), size) for name, size in LAYERS.items()
    }
    assert all(isinstance(array, np.memmap) for array in (*bundle.activations.values(), *bundle.coordinates.values()))
    assert open_bundle(bundle.folder).key == bundle.key


def test_the_same_bundle_has_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    again = write_toy_bundle(tmp_path / "again", 8)
    assert again.key == bundle.key
    assert write_toy_bundle(tmp_path / "other", 8, weights="b").key != bundle.key


def test_a_bundle_is_none_before_it_is_finished(bundle: Bundle) -> None:
    from pipeline.explore.bundle import IMAGES, BundleWriter

    BundleWriter(bundle.folder).array(IMAGES, (8, 8, 8, 1), np.uint8)
    with pytest.raises(UserError, match="this folder is no bundle"):
        open_bundle(bundle.folder)


def cut(folder: Path) -> None:
    path = folder / "activations-down.npy"
    path.write_bytes(path.read_bytes()[:-5])


def flip(folder: Path) -> None:
    path = folder / "images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def lose_a_record(folder: Path) -> None:
    path = folder / RECORDS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    rehash(folder)


def repeat_a_record(folder: Path) -> None:
    path = folder / RECORDS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], lines[0]]))
    rehash(folder)


def transpose(folder: Path) -> None:
    path = folder / "coordinates-down.npy"
    np.save(path, np.load(path).swapaxes(0, 1).copy())
    rehash(folder)


def pickle(folder: Path) -> None:
    np.save(folder / "images.npy", np.array([{"a": 1}], dtype=object))
    rehash(folder)


DAMAGES: list[tuple[Callable[[Path], object], str, str]] = [
    (cut, "activations-down.npy", "is not what the bundle was made with"),
    (flip, "images.npy", "is not what the bundle was made with"),
    (lambda folder: (folder / "images.npy").unlink(), "images.npy", "cannot read the file"),
    (lambda folder: (folder / MANIFEST).write_text('{"schema": "bundle_v1"'), MANIFEST, "manifest is damaged"),
    (lambda folder: rehash(folder, schema="bundle_v9"), MANIFEST, "manifest is damaged"),
    (lambda folder: rehash(folder, noise_levels=[0.1, 0.5, 2, 8]), MANIFEST, "noise levels must fall"),
    (lambda folder: rehash(folder, classes=["ant", "bee"]), RECORDS, "does not name: cat, dog"),
    (lambda folder: rehash(folder, files={}), MANIFEST, "the manifest names no activations-down.npy"),
    (lose_a_record, RECORDS, "it has 7 records, and the manifest says 8"),
    (repeat_a_record, RECORDS, "two records have the same id"),
    (transpose, "coordinates-down.npy", r"it holds float32 \[4, 8, 2\], not float32 \[8, 4, 2\]"),
    (pickle, "images.npy", "this is no array that numpy can map"),
]


@pytest.mark.parametrize(("damage", "file", "what"), DAMAGES)
def test_a_damaged_bundle_is_refused_with_the_file_and_a_remedy(
    bundle: Bundle, damage: Callable[[Path], object], file: str, what: str
) -> None:
    damage(bundle.folder)
    with pytest.raises(UserError, match=what) as refused:
        open_bundle(bundle.folder)
    assert file in (refused.value.where or "")


def test_a_file_outside_of_the_folder_is_never_read(bundle: Bundle) -> None:
    rehash(bundle.folder, files={"../../etc/passwd": "0" * 64, **dict.fromkeys(["images.npy"], "")})
    with pytest.raises(UserError):
        open_bundle(bundle.folder)


def test_unknown_names_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="there is no record 'nobody'"):
        bundle.number("nobody")
    with pytest.raises(UserError, match="there is no layer 'midle'") as refused:
        bundle.layer("midle")
    assert refused.value.remedy == "did you mean 'middle'?"
    with pytest.raises(UserError, match="there is no noise level 4"):
        bundle.level(4)
