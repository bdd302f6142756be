"""COCO files to rows and back: the content stays equal, and what is wrong with a file is one clear error."""

import copy
import gzip
import io
import json
import random
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.contract.jobs import ConvertJob, OnBad
from pipeline.errors import UserError
from pipeline.files import read_all, write_all
from pipeline.tasks.detection.convert import convert, rle
from pipeline.tasks.detection.geometry import coco_box
from pipeline.tasks.detection.rows import (
    CocoFields,
    DetectionExample,
    DetectionPrediction,
    PredictedObject,
    Rle,
    TrueObject,
)
from tests.conftest import Baton
from tests.tasks.detection.evaluate.coco_oracle import row

HEIGHT, WIDTH = 40, 60


def random_mask(chance: random.Random) -> np.ndarray:
    """A rectangle with a hole, somewhere."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    x, y = chance.randrange(WIDTH - 8), chance.randrange(HEIGHT - 8)
    mask[y : y + chance.randint(5, 8), x : x + chance.randint(5, 8)] = 1
    mask[y + 2, x + 2] = 0
    return mask


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    pixels = mask.flatten(order="F")
    edges = np.flatnonzero(np.diff(pixels, prepend=0))
    return {"counts": np.diff([0, *edges, pixels.size]).tolist(), "size": [HEIGHT, WIDTH]}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    found = coco_mask.encode(mask)
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def annotations(seed: int = 0, num_images: int = 12) -> dict[str, Any]:
    """A file with everything that COCO has, and some things that it has not."""
    chance = random.Random(seed)
    common = {"height": HEIGHT, "width": WIDTH}
    images: list[dict[str, Any]] = [
        {"id": 7 + 3 * i, "file_name": f"{i:04d}.jpg", **common, "license": 2, "odd": {"a": [None]}}
        for i in range(num_images)
    ]
    images[1] = {"id": images[1]["id"], **common}
    listed = []
    for number in range(3 * num_images):
        mask = random_mask(chance)
        x, y, w, h = (round(chance.uniform(1, 25), 2) for _ in range(4))
        of = {"image_id": chance.choice(images[:-2])["id"], "category_id": chance.choice([3, 90])}
        one = {"id": 900 - number, **of, "bbox": [x, y, w, h], "area": chance.uniform(5, 500), "iscrowd": 0}
        two_parts = [[x, y, x + 2, y, x, y + 2], [x + 3, y + 3, x + 5, y + 3, x + 3, y + 5, x + 1, y + 4]]
        odd = {"attributes": {"occluded": True}, "ignore": 1, "area": 12, "bbox": [1, 2, 30, 20]}
        kinds: list[dict[str, Any]] = [
            {"segmentation": [[x, y, x + w, y, x + w / 3, y + h]]},
            {"segmentation": two_parts},
            {"segmentation": uncompressed(mask), "iscrowd": 1},
            {"segmentation": compressed(mask), "bbox": coco_mask.toBbox(coco_mask.encode(mask)).tolist()},
            {"segmentation": [], **odd},
            {"segmentation": None, "score_of_annotator": 1e-17},
        ]
        listed.append(one | kinds[number % len(kinds)])
    return {
        "info": {"description": "made up", "year": 2024},
        "images": images,
        "unusual": [1, 2.5, None],
        "annotations": listed,
        "categories": [
            {"id": 90, "name": "tooth brush", "supercategory": "indoor"},
            {"id": 3, "name": "Car", "keypoints": ["a"]},
            {"id": 4, "name": "never there"},
        ],
    }


def results(truth: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """Results over the images of a file, boxes of two kinds and masks; most repeat a true box, moved."""
    chance = random.Random(seed)
    listed: list[dict[str, Any]] = []
    for number, one in enumerate(truth["annotations"] * 2):
        x, y, w, h = (value + chance.uniform(0, 2) for value in one["bbox"])
        entry = {"image_id": one["image_id"], "category_id": one["category_id"], "score": chance.random()}
        entry |= {"bbox": [x, y, w, h]} if number % 2 else {"segmentation": compressed(random_mask(chance))}
        entry |= {"id": number, "track": "t1"} if number % 3 == 0 else {}
        listed.append(entry)
    chance.shuffle(listed)
    return listed


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def from_coco(folder: Path, truth: Any, found: Any = None, on_bad: OnBad = "refuse") -> Path:
    """Convert, and return the folder of the rows."""
    files = {"annotations": write(folder / "instances.json", truth)}
    if found is not None:
        files["results"] = write(folder / "found.json", found)
    (folder / "rows").mkdir(exist_ok=True)
    convert.convert(ConvertJob("from", "coco", files, folder / "rows", on_bad))
    return folder / "rows"


def to_coco(rows: Path, folder: Path, header: Path | None = None) -> Any:
    """Convert, and return the annotations and the results."""
    folder.mkdir()
    files = {"input": rows} | ({"annotations": header} if header else {})
    outcome = convert.convert(ConvertJob("to", "coco", files, folder))
    documents = [
        json.loads(outcome.outputs[name].read_text()) for name in ("annotations", "results") if name in outcome.outputs
    ]
    return documents if len(documents) > 1 else documents[0]


# There and back


def same_numbers(one: Any, other: Any) -> bool:
    """Equal, and whole numbers whole."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("seed", range(2))
def test_annotations_and_results_come_back_equal(seed: int, tmp_path: Path) -> None:
    truth = annotations(seed)
    found = results(truth, seed)
    rows = from_coco(tmp_path, truth, found)
    back = to_coco(rows / "predictions.jsonl", tmp_path / "back", rows / "dataset.json")
    assert same_numbers(back, [truth, found])
    assert same_numbers(to_coco(rows / "examples.jsonl", tmp_path / "truth", rows / "dataset.json"), truth)


def test_rows_alone_are_enough_for_all_but_what_no_row_names(tmp_path: Path) -> None:
    truth = annotations()
    rows = from_coco(tmp_path, truth)
    back = to_coco(rows / "examples.jsonl", tmp_path / "back")
    assert back["images"] == truth["images"]
    assert back["annotations"] == truth["annotations"]
    assert {(one["id"], one["name"]) for one in back["categories"]} == {(90, "tooth brush"), (3, "Car")}


def test_rows_that_were_shuffled_go_back_in_the_order_of_the_file(tmp_path: Path) -> None:
    truth = annotations()
    found = results(truth)
    rows = from_coco(tmp_path, truth, found)
    lines = (rows / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "reversed.jsonl").write_text("".join(reversed(lines)))
    back, again = to_coco(tmp_path / "reversed.jsonl", tmp_path / "back", rows / "dataset.json")
    assert (back["annotations"], again) == (truth["annotations"], found)


def test_every_image_is_a_row_with_exactly_one_geometry_an_object(tmp_path: Path) -> None:
    truth = annotations()
    rows = from_coco(tmp_path, truth, results(truth))
    examples = read_all(rows / "examples.jsonl", DetectionExample)
    predictions = read_all(rows / "predictions.jsonl", DetectionPrediction)
    assert [one.image_id for one in examples] == [one["id"] for one in truth["images"]]
    assert [one.id for one in examples] == [one.id for one in predictions]
    assert examples[-1].objects == [] and predictions[-1].preds == []
    things = [thing for row in predictions for thing in [*row.preds, *row.gt]]
    assert all((thing.bbox_2d is None) != (thing.poly is None) for thing in things)
    assert [one.gt for one in predictions] == [one.objects for one in examples]


def figures(truth: Path, found: Path) -> list[float]:
    """The twelve of pycocotools, of boxes."""
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


# Rows of other origin


def test_predictions_of_a_model_load_into_pycocotools_in_pixels(tmp_path: Path) -> None:
    one = row(
        "0",
        width=64,
        height=32,
        preds=[
            PredictedObject(desc="star", bbox_2d=(0.0, 0.0, 999.0, 999.0)),
            PredictedObject(desc=" Circle", poly=[0.0, 0.0, 999.0, 0.0, 0.0, 999.0]),
        ],
        gt=[
            TrueObject(desc="circle", poly=[0.0, 0.0, 64.0, 0.0, 0.0, 32.0]),
            TrueObject(desc="star", bbox_2d=(0.0, 0.0, 64.0, 32.0)),
        ],
    )
    write_all(tmp_path / "predictions.jsonl", [one])
    truth, found = to_coco(tmp_path / "predictions.jsonl", tmp_path / "back")
    assert truth["categories"] == [{"id": 1, "name": "circle"}, {"id": 2, "name": "star"}]
    assert [(one["id"], one["category_id"], one["bbox"], one["area"]) for one in truth["annotations"]] == [
        (1, 1, [0.0, 0.0, 64.0, 32.0], 1024.0),
        (2, 2, [0.0, 0.0, 64.0, 32.0], 2048.0),
    ]
    assert found == [
        {"image_id": 0, "category_id": 2, "bbox": [0.0, 0.0, 64.0, 32.0], "score": 1.0},
        {
            "image_id": 0,
            "category_id": 1,
            "bbox": [0.0, 0.0, 64.0, 32.0],
            "score": 1.0,
            "segmentation": [[0.0, 0.0, 64.0, 0.0, 0.0, 32.0]],
        },
    ]
    assert figures(tmp_path / "back/annotations.json", tmp_path / "back/results.json")[0] == pytest.approx(1.0)


def test_labels_that_no_category_has_get_one_behind_the_last(tmp_path: Path) -> None:
    rows = from_coco(tmp_path, annotations())
    boat = {"desc": "boat", "bbox_2d": [1, 1, 2, 2]}
    example = {"images": ["x.png"], "width": 9, "height": 9, "image_id": "x", "objects": [boat]}
    write(tmp_path / "own.jsonl", example)
    back = to_coco(tmp_path / "own.jsonl", tmp_path / "back", rows / "dataset.json")
    assert [(one["id"], one["name"]) for one in back["categories"]][-1] == (91, "boat")
    assert [one["category_id"] for one in back["annotations"]] == [91]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_id": 1}, "are both of image 1"),
        ({"images": ["a.png", "b.png"], "image_id": 2}, "has 2"),
    ],
)
def test_rows_that_no_coco_file_can_hold_are_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    first = {"images": ["a.png"], "width": 9, "height": 9, "image_id": 1, "id": "p", "objects": []}
    second = first | {"id": "q"} | change
    (tmp_path / "own.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    with pytest.raises(UserError, match=said):
        to_coco(tmp_path / "own.jsonl", tmp_path / "back")


# Masks


@pytest.mark.parametrize("chance", [0.0, 0.002, 0.3, 1.0])
def test_masks_are_measured_as_pycocotools_measures_them(chance: float) -> None:
    mask = np.asfortranarray(np.random.default_rng(0).random((HEIGHT, WIDTH)) < chance, dtype=np.uint8)
    text, numbers = compressed(mask), uncompressed(mask)
    for given in (text, numbers):
        one = Rle(size=(HEIGHT, WIDTH), counts=given["counts"])
        assert rle.counts_of(one).tolist() == numbers["counts"]
        box = coco_box(CocoFields(category_id=1, segmentation=one), WIDTH, HEIGHT)
        assert box == pytest.approx(coco_mask.toBbox(coco_mask.encode(mask)).tolist(), abs=0)


# Hostile and broken files


def masked(counts: Any, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    return {"segmentation": {"size": [height, width], "counts": counts}}


def boxed(bbox: list[float]) -> dict[str, Any]:
    return {"bbox": bbox, "segmentation": None}


BROKEN = {
    "annotation of an unknown image": ("annotations", 0, {"image_id": 1}, "annotations[0].image_id"),
    "annotation of an unknown category": ("annotations", 0, {"category_id": 1}, "annotations[0].category_id"),
    "annotation id twice": ("annotations", 1, {"id": 900}, "annotations[1].id"),
    "annotation without id": ("annotations", 1, {"id": None}, "annotations[1]"),
    "annotation of no image": ("annotations", 0, {"image_id": None}, "annotations[0].image_id"),
    "image id twice": ("images", 1, {"id": 7}, "images[1].id"),
    "image id twice, as text": ("images", 1, {"id": "7"}, "images[1].id"),
    "image of no width": ("images", 2, {"width": 0}, "images[2].width"),
    "image too large": ("images", 2, {"height": 10**12}, "images[2].height"),
    "category id twice": ("categories", 1, {"id": 90}, "categories[1].id"),
    "category without name": ("categories", 1, {"name": " "}, "categories[1].name"),
    "negative size": ("annotations", 2, {"bbox": [1, 2, -3, 4]}, "annotations[2].bbox"),
    "negative area": ("annotations", 2, {"area": -1.0}, "annotations[2].area"),
    "box of three": ("annotations", 2, {"bbox": [1, 2, 3]}, "annotations[2].bbox"),
    "box of text": ("annotations", 2, {"bbox": [1, 2, 3, "4"]}, "annotations[2].bbox[3]"),
    "no geometry": ("annotations", 2, {"bbox": None, "segmentation": []}, "annotations[2]"),
    "odd polygon": ("annotations", 2, {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "annotations[2].segmentation[0]"),
    "short polygon": ("annotations", 2, {"segmentation": [[1, 2, 3, 4]]}, "annotations[2].segmentation[0]"),
    "mask of another size": ("annotations", 2, masked([10**18], 10**9, 10**9), "annotations[2].segmentation.size"),
    "counts of another sum": ("annotations", 2, masked([1, 2]), "annotations[2].segmentation.counts"),
    "negative counts": ("annotations", 2, masked([2401, -1]), "annotations[2].segmentation.counts"),
    "counts beyond all integers": ("annotations", 2, masked([10**40]), "annotations[2].segmentation.counts"),
    "counts with a long number": ("annotations", 2, masked("o" * 99 + "0"), "annotations[2].segmentation.counts"),
    "counts cut off": ("annotations", 2, masked("o"), "annotations[2].segmentation.counts"),
    "counts of other characters": ("annotations", 2, masked("\u00e9 "), "annotations[2].segmentation.counts"),
    "a sum beyond all floats": ("annotations", 2, boxed([1e308, 0, 1e308, 1]), "annotations[2].bbox[0]"),
    "a number beyond all floats": ("annotations", 2, boxed([10**400, 0, 1, 1]), "annotations[2].bbox[0]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_error_that_names_the_entry(case: str, tmp_path: Path) -> None:
    name, index, change, where = BROKEN[case]
    truth = annotations()
    truth[name][index] |= copy.deepcopy(change)
    with pytest.raises(UserError) as error:
        from_coco(tmp_path, truth)
    assert str(error.value.where) == f"{tmp_path / 'instances.json'}:{where}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ("[]", "not an object with images"),
        ('{"images": [NaN]}', "NaN stands for a number"),
        ('{"images": [1', "the file is cut off"),
        ('{"images": [1e400]}', "1e400 is beyond the numbers"),
        ('{"images": [{"id": -2.5e+999}]}', "-2.5e[+]999 is beyond the numbers"),
        ('{"images": [1] "annotations"', "this is not JSON"),
        ("[" * 100_000, "too deeply"),
        ('{"a":' * 100_000, "too deeply"),
        (b'{"a": "\xff"}', "0xff is not UTF-8: it is a text in Latin-1"),
        ('{"a": "é"}'.encode("latin-1"), "0xe9 is not UTF-8: it is a text in Latin-1"),
        (gzip.compress(b"{}", mtime=0), "this is a gzip file"),
        ('{"images": []}'.encode("utf-16"), "this is a text in UTF-16"),
        ("", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        ('{"images": [3], "annotations": [], "categories": []}', "an object was expected"),
    ],
)
def test_what_is_no_coco_file_is_said_to_be_none(text: str | bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said):
        convert.convert(ConvertJob("from", "coco", {"annotations": path}, tmp_path))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"image_id": 1}, "[1].image_id"),
        ({"category_id": 1}, "[1].category_id"),
        ({"score": None}, "[1].score"),
        ({"score": "high"}, "[1].score"),
        ({"bbox": [1, 2, 3, -1]}, "[1].bbox"),
    ],
)
def test_a_broken_result_is_one_error_that_names_the_entry(change: dict[str, Any], where: str, tmp_path: Path) -> None:
    truth = annotations()
    found = results(truth)
    found[1] |= change
    with pytest.raises(UserError) as error:
        from_coco(tmp_path, truth, found)
    assert str(error.value.where) == f"{tmp_path / 'found.json'}:{where}"


# The command


def test_the_command_goes_there_and_back_and_knows_when_it_is_up_to_date(baton: Baton, tmp_path: Path) -> None:
    truth = annotations()
    found = results(truth)
    files = ("--annotations", write(tmp_path / "a.json", truth), "--results", write(tmp_path / "r.json", found))
    there = ("--from", "coco", *files)
    done = baton("convert", "detection", *there, "--out", tmp_path / "rows", "--json")
    assert done.code == 0, done.err
    assert done.json["counts"] == {"num_images": 12, "num_annotations": 36, "num_results": 72}
    assert baton("convert", "detection", *there, "--out", tmp_path / "rows", "--json").json["status"] == "up_to_date"
    rows = ("--input", tmp_path / "rows/predictions.jsonl", "--annotations", tmp_path / "rows/dataset.json")
    back = ("--to", "coco", *rows)
    assert baton("convert", "detection", *back, "--out", tmp_path / "back").code == 0
    assert json.loads((tmp_path / "back/annotations.json").read_text()) == truth
    assert json.loads((tmp_path / "back/results.json").read_text()) == found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("detection", "--from", "coco"), "needs --annotations"),
        (("detection", "--from", "voc"), "there is no format 'voc'"),
        (("detection",), "needs a format"),
        (("detection", "--from", "coco", "--to", "coco"), "at once"),
        (("detection", "--to", "coco"), "needs --input"),
        (("gridworld", "--from", "coco"), "knows no other formats"),
    ],
)
def test_the_command_says_what_it_needs(arguments: tuple[str, ...], said: str, baton: Baton, tmp_path: Path) -> None:
    done = baton("convert", *arguments, "--out", tmp_path / "out")
    assert done.code == 2
    assert said in done.err
