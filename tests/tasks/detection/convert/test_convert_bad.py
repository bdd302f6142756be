"""COCO files as people have them: what can only mean one thing is read, and all that is wrong is told at once."""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.records.findings import Bad
from pipeline.tasks.detection.convert import convert
from pipeline.tasks.detection.convert.bad import KINDS
from pipeline.tasks.detection.evaluate.score import evaluate
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import CocoFields, DetectionExample, DetectionPrediction
from tests.conftest import ROOT, Baton
from tests.tasks.detection.convert.test_convert import figures, from_coco, to_coco, write
from tests.tasks.detection.evaluate.coco_oracle import our_stats

BOX = [64.0, 48.0, 256.0, 192.0]
TRIANGLE = [64, 48, 320, 48, 64, 240]


def file_of(num: int = 1, **change: Any) -> dict[str, Any]:
    """``num`` images of 640 x 480 with one box each; ``change`` is of the first annotation."""
    images = [{"id": 10 + n, "width": 640, "height": 480, "file_name": f"{n}.png"} for n in range(num)]
    boxes = [{"id": n + 1, "image_id": 10 + n, "category_id": 1, "bbox": BOX} for n in range(num)]
    boxes[0] |= change
    return {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}


def said(folder: Path, truth: Any, found: Any = None) -> UserError:
    with pytest.raises(UserError) as caught:
        from_coco(folder, truth, found)
    return caught.value


def coco_of(rows: Path) -> CocoFields:
    """What the first object of the first row says."""
    coco = read_all(rows / "examples.jsonl", DetectionExample)[0].objects[0].coco
    assert coco is not None
    return coco


def listed(rows: Path) -> list[Bad]:
    return read_all(rows / "bad.jsonl", Bad)


# What can only mean one thing


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("annotations", {"image_id": 10.0}),
        ("annotations", {"id": 1.0, "category_id": 1.0, "iscrowd": 0.0}),
        ("annotations", {"segmentation": {"size": [480.0, 640], "counts": [307190.0, 10.0]}}),
        ("images", {"width": 640.0, "height": 480.0}),
        ("categories", {"id": 1.0}),
    ],
)
def test_whole_floats_are_integers(name: str, change: dict[str, Any], tmp_path: Path) -> None:
    truth = file_of()
    truth[name][0] |= change
    rows = from_coco(tmp_path, truth)
    back = to_coco(rows / "examples.jsonl", tmp_path / "back", rows / "dataset.json")
    assert back == truth
    assert ".0" not in json.dumps([{k: v for k, v in one.items() if k != "bbox"} for one in back[name]])


@pytest.mark.parametrize(
    ("name", "change", "what", "where"),
    [
        ("annotations", {"image_id": 10.5}, "Expected 'int | str', got 'float'", "annotations[0].image_id"),
        ("images", {"width": 640.25}, "Expected 'int', got 'float'", "images[0].width"),
        ("annotations", {"iscrowd": 0.5}, "Expected 'int | null', got 'float'", "annotations[0].iscrowd"),
        ("annotations", {"iscrowd": 2}, "Invalid enum value 2", "annotations[0].iscrowd"),
        ("annotations", {"bbox": [1, 2, 3, "4"]}, "Expected 'int | float', got 'str'", "annotations[0].bbox[3]"),
        ("annotations", {"image_id": True}, "Expected 'int | str', got 'bool'", "annotations[0].image_id"),
    ],
)
def test_other_numbers_are_not_and_the_type_is_named(
    name: str, change: dict[str, Any], what: str, where: str, tmp_path: Path
) -> None:
    truth = file_of()
    truth[name][0] |= change
    error = said(tmp_path, truth) if name == "annotations" else first_of(tmp_path, truth)
    assert what in error.what and str(error.where).split(":")[1].startswith(where)


def first_of(folder: Path, truth: Any) -> UserError:
    """The error of a file that has no other entries than the one that is wrong."""
    return said(folder, truth | {"annotations": []})


@pytest.mark.parametrize(("given", "number"), [(False, 0), (True, 1), (1.0, 1), (0.0, 0)])
def test_booleans_say_whether_it_is_a_crowd(given: object, number: int, tmp_path: Path) -> None:
    assert coco_of(from_coco(tmp_path, file_of(iscrowd=given))).iscrowd == number


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    truth = file_of()
    path = write(tmp_path / "instances.json", truth)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    convert.convert(ConvertJob("from", "coco", {"annotations": path}, tmp_path / "rows"))
    assert coco_of(tmp_path / "rows").bbox == tuple(BOX)


@pytest.mark.parametrize("ids", [("1", "2"), ("007", "cat")])
def test_categories_with_texts_for_ids_are_computed_as_pycocotools_does(ids: tuple[str, str], tmp_path: Path) -> None:
    truth = file_of(6)
    truth["categories"] = [{"id": id, "name": f"class {id}"} for id in ids]
    for n, one in enumerate(truth["annotations"]):
        one |= {"category_id": ids[n % 2], "area": 49152.0, "iscrowd": 0}
    moved = [{"score": 0.5 + n / 20, "bbox": [60.0 + 9 * n, 50, 250, 190]} for n in range(6)]
    found = [one | moved[n] for n, one in enumerate(results_of(truth))]
    found[0]["category_id"] = ids[1]
    rows = from_coco(tmp_path, truth, found)
    assert to_coco(rows / "predictions.jsonl", tmp_path / "back", rows / "dataset.json") == [truth, found]
    ours = stats_of(rows)
    assert ours == pytest.approx(figures(tmp_path / "instances.json", tmp_path / "found.json"), abs=1e-9)
    assert 0.1 < ours[0] < 0.9


def results_of(truth: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: one[key] for key in ("image_id", "category_id", "bbox")} for one in truth["annotations"]]


def stats_of(rows: Path) -> list[float]:
    predictions = read_all(rows / "predictions.jsonl", DetectionPrediction)
    return our_stats(list(evaluate(predictions, Evaluate(num_resamples=0)).metrics)).tolist()


# Messages


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"image_id": "10"}, "it is a text, and the ids of the file are numbers"),
        ({"category_id": "1"}, "it is a text, and the ids of the file are numbers"),
        ({"image_id": 99}, "no image has the id 99"),
    ],
)
def test_a_result_of_no_image_says_whether_only_the_type_differs(
    entry: dict[str, Any], what: str, tmp_path: Path
) -> None:
    error = said(tmp_path, file_of(), [{"image_id": 10, "category_id": 1, "bbox": BOX, "score": 0.5} | entry])
    assert what in error.what


def test_a_number_where_ids_are_texts_says_so_too(tmp_path: Path) -> None:
    truth = file_of()
    truth["images"][0]["id"] = "10"
    assert "it is a number, and the ids of the file are texts ('10')" in said(tmp_path, truth).what


@pytest.mark.parametrize("result", [{}, {"score": None}, {"scores": 0.5}])
def test_a_result_without_a_score_says_so(result: dict[str, Any], tmp_path: Path) -> None:
    error = said(tmp_path, file_of(), [{"image_id": 10, "category_id": 1, "bbox": BOX} | result])
    assert error.what == "the result has no score"


def test_keypoints_come_back_and_it_is_said_that_they_stay(baton: Baton, tmp_path: Path) -> None:
    truth = file_of(3, keypoints=[1, 2, 2, 3, 4, 2], num_keypoints=2)
    done = baton("convert", "detection", "--from", "coco", "--annotations", write(tmp_path / "a.json", truth),
                 "--out", tmp_path / "rows")  # fmt: skip
    assert done.code == 0 and "1 annotations have keypoints: kept as they are" in done.out
    back = to_coco(tmp_path / "rows/examples.jsonl", tmp_path / "back", tmp_path / "rows/dataset.json")
    assert back == truth


# What is wrong


POLYGONS = {
    "empty part": [[]],
    "two points": [[1, 2, 3, 4]],
    "odd number": [[1, 2, 3, 4, 5, 6, 7]],
    "flat": TRIANGLE,
    "nested thrice": [[[64, 48], [320, 48], [64, 240]]],
    "text": "64,48,320,48,64,240",
    "texts": [["64", "48", "320", "48", "64", "240"]],
    "a good one and an empty one": [TRIANGLE, []],
}


@pytest.mark.parametrize("kind", POLYGONS)
def test_polygons_that_are_none_are_refused_or_leave_the_box_alone(kind: str, tmp_path: Path) -> None:
    truth = file_of(2, segmentation=POLYGONS[kind])
    error = said(tmp_path, truth)
    assert "expected" in error.what or "a polygon has an even number of at least 6" in error.what
    assert "annotations[0].segmentation" in str(error.where) and "--on-bad skip" in str(error.remedy)
    rows = from_coco(tmp_path, truth, on_bad="skip")
    assert (coco_of(rows).bbox, coco_of(rows).segmentation) == (tuple(BOX), None)
    assert [(one.kind, one.id) for one in listed(rows)] == [("bad_polygon", 1)]


def test_a_bad_polygon_without_a_box_costs_the_annotation(tmp_path: Path) -> None:
    rows = from_coco(tmp_path, file_of(2, segmentation=[[1, 2]], bbox=None), on_bad="skip")
    assert [len(one.objects) for one in read_all(rows / "examples.jsonl", DetectionExample)] == [0, 1]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"bbox": [1, 2, -3, 4]}, "negative_size"),
        ({"bbox": [1, 2, 3, -0.5]}, "negative_size"),
        ({"area": -1}, "negative_area"),
    ],
)
def test_all_of_many_are_one_message_with_their_number_and_the_first_ten_ids(
    change: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    truth = file_of(60)
    for one in truth["annotations"][:50]:
        one |= copy.deepcopy(change)
    truth["annotations"].reverse()
    error = said(tmp_path, truth)
    assert error.what.startswith("50 annotations are wrong")
    assert f"{kind}: 50 annotations (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)" in error.what
    assert len(listed(tmp_path / "rows")) == 50
    rows = from_coco(tmp_path, truth, on_bad="skip")
    assert sum(len(one.objects) for one in read_all(rows / "examples.jsonl", DetectionExample)) == 10


FAULTS: dict[str, dict[str, Any]] = {
    "wrong_type": {"bbox": [1, 2, 3, "4"]},
    "no_id": {"id": None},
    "id_twice": {"id": 2},
    "unknown_image": {"image_id": 9999},
    "unknown_category": {"category_id": 77},
    "no_geometry": {"bbox": None},
    "negative_size": {"bbox": [1, 2, -3, 4]},
    "negative_area": {"area": -4.0},
    "bad_polygon": {"segmentation": [[1, 2, 3]]},
    "bad_mask": {"segmentation": {"size": [480, 640], "counts": [5, 5]}},
    "too_large": {"bbox": [1e30, 0, 1, 1]},
}


OF_YOLO = ("bad_image", "wrong_line", "out_of_range")


def with_faults(num_images: int) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
    """A file with one bad annotation of each kind in a hundred, and results with two kinds; and both without them, by
    hand: a bad polygon costs the polygon alone."""
    truth = file_of(2 * num_images)
    truth["images"] = truth["images"][:num_images]
    found = []
    for n, one in enumerate(truth["annotations"]):
        image = 10 + n % num_images
        box = [BOX[0] + n % 7, BOX[1] + 200 * (n // num_images), 100.0 + n % 50, 80.0 + n % 31]
        one |= {"image_id": image, "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "category_id": 1 + n % 3}
        moved = [box[0] + n % 11, box[1] + n % 5, box[2], box[3] + n % 9]
        found.append({"image_id": image, "category_id": 1 + n % 3, "bbox": moved, "score": (n * 37 % 101) / 101})
    truth["categories"] = [{"id": k, "name": f"class {k}"} for k in (1, 2, 3)]
    good_truth, good_found = copy.deepcopy(truth), copy.deepcopy(found)
    bad = set()
    for n, kind in enumerate(FAULTS):
        for at in range(3 + n, len(truth["annotations"]), 100):
            truth["annotations"][at] |= copy.deepcopy(FAULTS[kind])
            bad |= {at} if kind != "bad_polygon" else set()
    good_truth["annotations"] = [one for n, one in enumerate(good_truth["annotations"]) if n not in bad]
    for at in range(50, len(found), 100):
        found[at].pop("score")
        found[at + 1]["bbox"][3] = -1.0
    good_found = [one for n, one in enumerate(good_found) if n % 100 not in (50, 51)]
    return truth, found, good_truth, good_found


def test_skipping_counts_and_lists_every_fault_and_the_figures_are_those_of_the_rest(
    baton: Baton, tmp_path: Path
) -> None:
    truth, found, good_truth, good_found = with_faults(100)
    arguments = ("convert", "detection", "--from", "coco", "--annotations", write(tmp_path / "a.json", truth),
                 "--results", write(tmp_path / "r.json", found), "--out", tmp_path / "rows", "--json")  # fmt: skip
    refused = baton(*arguments)
    assert refused.code == 2 and "26 entries are wrong" in refused.err
    done = baton(*arguments, "--on-bad", "skip", "--force")
    assert done.code == 0, done.err
    counts = {name.removeprefix("num_"): n for name, n in done.json["counts"].items()}
    expected = Counter(dict.fromkeys(FAULTS, 2)) + Counter(negative_size=2, no_score=2)
    assert {kind: counts.get(kind, 0) for kind in expected} == expected
    assert Counter(one.kind for one in listed(tmp_path / "rows")) == expected
    write(tmp_path / "good.json", good_truth), write(tmp_path / "good_found.json", good_found)
    theirs = figures(tmp_path / "good.json", tmp_path / "good_found.json")
    assert stats_of(tmp_path / "rows") == pytest.approx(theirs, abs=1e-9)
    assert 0.1 < theirs[0] < 0.9


def test_every_kind_of_fault_is_told_with_what_is_expected(tmp_path: Path) -> None:
    truth, found, _, _ = with_faults(100)
    truth["categories"].append({"id": 4, "name": " "})
    truth["images"].append({"id": 5, "width": 0, "height": 480})
    error = said(tmp_path, truth, found)
    of_coco = {kind: expected for kind, expected in KINDS.items() if kind not in OF_YOLO}
    assert all(f"{kind}: " in error.what and expected in error.what for kind, expected in of_coco.items())


def test_the_page_names_every_kind_of_fault() -> None:
    page = (ROOT / "docs/detection.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def test_what_refers_to_something_that_is_left_out_is_left_out_too(tmp_path: Path) -> None:
    truth = file_of(2)
    truth["images"][0]["width"] = -640
    rows = from_coco(tmp_path, truth, on_bad="skip")
    assert [one.image_id for one in read_all(rows / "examples.jsonl", DetectionExample)] == [11]
    assert [one.kind for one in listed(rows)] == ["bad_image_size", "unknown_image"]
