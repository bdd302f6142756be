"""The fixed scenes as rows with images beside them, the shipped ones among them; and records that other tools wrote."""

import io
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.recipe.load import load_recipe
from pipeline.run.manifest import load_manifest, verify
from pipeline.tasks.detection.examples import make_examples
from pipeline.tasks.detection.infer.read import read_examples
from pipeline.tasks.detection.rows import DetectionExample
from pipeline.tasks.detection.scenes.scene import make_scene
from tests.conftest import ROOT, Baton

SHIPPED = ROOT / "runs/examples/detection"
FEW = ("--set", "examples.num_images=4")


# The shipped sets


@pytest.mark.parametrize("name", ["heldout", "unseen"])
def test_the_shipped_scenes_are_those_that_their_recipe_makes(name: str) -> None:
    rows = read_all(SHIPPED / name / "examples.jsonl", DetectionExample)
    assert len(rows) == 500
    recipe = load_recipe(name, "detection", ["examples.num_images=60"])
    for row, made in zip(rows, make_examples(recipe), strict=False):
        assert row == made.example
        (file,) = made.files.items()
        with Image.open(SHIPPED / name / file[0]) as shipped:
            assert (np.asarray(shipped) == png_pixels(file[1])).all()
    wanted = recipe.examples
    for index in range(60, 500):
        assert make_scene(recipe.scenes, wanted.split, wanted.seed, index).objects == rows[index].objects


@pytest.mark.parametrize("name", ["heldout", "unseen"])
def test_the_shipped_folders_are_whole(name: str) -> None:
    assert verify(SHIPPED / name) == []
    manifest = load_manifest(SHIPPED / name)
    there = {path.relative_to(SHIPPED / name).as_posix() for path in (SHIPPED / name).rglob("*.png")}
    assert {record.path for record in manifest.outputs.values()} == there | {"examples.jsonl"}


def test_many_files_are_told_as_one_folder(baton: Baton) -> None:
    shown = baton("inspect", SHIPPED / "heldout").out
    assert "images/ 500 files (" in shown
    assert "heldout-1-000007.png" not in shown
    assert "examples examples.jsonl (" in shown


def test_the_shipped_sets_have_scenes_of_every_number_and_nothing_in_common() -> None:
    sets = [read_all(SHIPPED / name / "examples.jsonl", DetectionExample) for name in ("heldout", "unseen")]
    for rows in sets:
        assert {len(row.objects) for row in rows} == {0, 1, 2, 3, 4}
        assert all(thing.poly is not None for row in rows for thing in row.objects)
    shown = [{row.metadata["photograph"] for row in rows if row.metadata} for rows in sets]
    assert not shown[0] & shown[1]


def png_pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


# Making them


def test_a_longer_set_begins_with_the_shorter_one() -> None:
    few = list(make_examples(load_recipe("unseen", "detection", ["examples.num_images=3"])))
    more = list(make_examples(load_recipe("unseen", "detection", ["examples.num_images=5"])))
    assert more[:3] == few
    assert [one.example.id for one in few] == ["unseen-1-000000", "unseen-1-000001", "unseen-1-000002"]


def test_the_stage_writes_images_beside_the_rows_and_knows_when_all_is_up_to_date(baton: Baton, tmp_path: Path) -> None:
    made = ("examples", "detection", "--recipe", "heldout", *FEW, "--out", tmp_path / "out", "--json")
    done = baton(*made)
    assert done.code == 0, done.err
    assert done.json["counts"] == {"num_files": 4, "num_examples": 4}
    images = sorted((tmp_path / "out/images").iterdir())
    assert [path.name for path in images] == [f"heldout-1-{index:06d}.png" for index in range(4)]
    assert baton(*made).json["status"] == "up_to_date"
    images[2].write_bytes(images[1].read_bytes())
    refused = baton(*made)
    assert refused.code == 2
    assert "heldout-1-000002.png" in refused.err
    assert baton(*made, "--force").code == 0
    assert images[2].read_bytes() != images[1].read_bytes()


def test_fewer_images_than_before_leave_no_old_one_behind(baton: Baton, tmp_path: Path) -> None:
    made = ("examples", "detection", "--recipe", "heldout", "--out", tmp_path / "out")
    assert baton(*made, *FEW).code == 0
    assert baton(*made, "--set", "examples.num_images=2", "--force").code == 0
    assert len(list((tmp_path / "out/images").iterdir())) == 2
    assert verify(tmp_path / "out") == []


def test_what_an_interruption_left_is_taken_up_and_ends_in_the_same_bytes(baton: Baton, tmp_path: Path) -> None:
    made = ("examples", "detection", "--recipe", "heldout", *FEW)
    for name in ("whole", "cut"):
        assert baton(*made, "--out", tmp_path / name).code == 0
    cut = tmp_path / "cut"
    manifest = json.loads((cut / "manifest.json").read_text())
    (cut / "manifest.json").write_text(json.dumps(manifest | {"status": "started", "outputs": {}}))
    (cut / "examples.jsonl").unlink()
    (cut / "images/heldout-1-000003.png").unlink()
    (cut / "images/heldout-1-000001.png").write_bytes(b"half")
    (cut / f"images/.heldout-1-000002.png.{int(signal.SIGKILL)}.tmp").write_bytes(b"left over")
    kept = (cut / "images/heldout-1-000000.png").stat().st_mtime_ns
    assert baton(*made, "--out", cut).code == 0
    assert contents(cut) == contents(tmp_path / "whole")
    assert (cut / "images/heldout-1-000000.png").stat().st_mtime_ns == kept


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix in (".png", ".jsonl", ".tmp")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# Records that other tools wrote

PLAIN: dict[str, Any] = {
    "images": ["a.png"],
    "width": 64,
    "height": 32,
    "objects": [{"desc": "cat", "bbox_2d": [1, 2, 3, 4]}],
}


def write(path: Path, *records: dict[str, Any] | str) -> Path:
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in records))
    return path


def test_lines_without_schema_task_and_id_get_their_image_id_or_their_place(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.jsonl",
        PLAIN,
        PLAIN | {"image_id": 17},
        PLAIN | {"id": "x", "image_id": 3},
        PLAIN | {"image_id": "b"},
    )
    rows = read_examples(path)
    assert [(row.id, row.image_id) for row in rows] == [("0", None), ("17", 17), ("x", 3), ("b", "b")]
    assert rows[0].objects[0].bbox_2d == (1.0, 2.0, 3.0, 4.0)
    assert rows[0].coord_mode == "pixel"


def test_our_own_rows_are_read_as_they_are() -> None:
    path = SHIPPED / "heldout/examples.jsonl"
    assert read_examples(path) == read_all(path, DetectionExample)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"objects": [{"desc": "cat"}]}, "objects[0]"),
        ({"objects": [{"desc": "cat", "bbox_2d": [1, 2, 3, 4], "poly": [1, 2, 3, 4, 5, 6]}]}, "objects[0]"),
        ({"objects": [{"desc": " ", "bbox_2d": [1, 2, 3, 4]}]}, "objects[0].desc"),
        ({"objects": [{"desc": "cat", "bbox_2d": [3, 2, 1, 4]}]}, "objects[0].bbox_2d"),
        ({"objects": [{"desc": "cat", "bbox_2d": [1, 2, 3]}]}, "objects[0].bbox_2d"),
        ({"objects": [{"desc": "cat", "poly": [1, 2, 3, 4]}]}, "objects[0].poly"),
        ({"objects": [{"desc": "cat", "poly": [1, 2, 3, 4, 5, 6, 7]}]}, "objects[0].poly"),
        ({"coord_mode": "norm1000", "objects": [{"desc": "cat", "bbox_2d": [1, 2, 3, 1000]}]}, "objects[0].bbox_2d"),
        ({"coord_mode": "percent"}, "coord_mode"),
        ({"width": 0}, "width"),
        ({"id": ""}, "id"),
        ({"task": "gridworld"}, "task"),
    ],
)
def test_a_wrong_record_is_named_by_file_line_and_field(change: dict[str, Any], where: str, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", PLAIN, "\n", PLAIN | change)
    with pytest.raises(UserError) as error:
        read_examples(path)
    assert str(error.value.where) == f"{path}:3:{where}"


@pytest.mark.parametrize("missing", ["images", "width", "height", "objects"])
def test_a_record_that_lacks_something_says_what(missing: str, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", {key: value for key, value in PLAIN.items() if key != missing})
    with pytest.raises(UserError, match=f"missing required field '{missing}'"):
        read_examples(path)


def test_a_file_keys_are_checked_against_typing_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", PLAIN | {"cord_mode": "norm1000"})
    with pytest.raises(UserError, match="unknown field 'cord_mode'"):
        read_examples(path)
