"""YOLO data sets to rows and back: no digit is lost, and the figures are those of the same data as COCO files."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.contract.jobs import ConvertJob, OnBad
from pipeline.errors import UserError
from pipeline.files import read_all, write_all
from pipeline.records.findings import Bad
from pipeline.tasks.detection.convert import convert
from pipeline.tasks.detection.rows import DetectionExample, DetectionPrediction
from tests.conftest import Baton
from tests.tasks.detection.convert.test_convert import figures, from_coco, write
from tests.tasks.detection.convert.test_convert_bad import stats_of

SIZE = (640, 480)
NAMES = "names:\n  0: cat\n  1: dog\n"
SPLITS = "path: /where/it/was/made\ntrain: images/train\nval: images/val\ntest:\n"


def data_set(folder: Path, labels: dict[str, Sequence[str] | None], yaml: str = SPLITS + NAMES) -> Path:
    """A folder with an image for each key of ``labels``, such as "val/a", and its file of labels; None: without."""
    (folder / "data.yaml").parent.mkdir(parents=True, exist_ok=True)
    (folder / "data.yaml").write_text(yaml)
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    for name, lines in labels.items():
        Image.new("L", SIZE).save(folder / f"images/{name}.png")
        if lines is not None:
            path = folder / f"labels/{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines))
    return folder / "data.yaml"


def from_yolo(
    data: Path, out: Path, results: Path | None = None, split: str | None = None, on_bad: OnBad = "refuse"
) -> Path:
    """Convert, and return the folder of the rows."""
    files = {"annotations": data} | ({"results": results} if results else {})
    convert.convert(ConvertJob("from", "yolo", files, out, on_bad, split))
    return out


def to_yolo(rows: Path, out: Path, data: Path | None = None) -> Path:
    files = {"input": rows} | ({"annotations": data} if data else {})
    convert.convert(ConvertJob("to", "yolo", files, out))
    return out


def numbers(folder: Path) -> dict[str, list[list[float]]]:
    """What the files of labels below a folder say, those without a line left out."""
    found = {path.relative_to(folder).as_posix(): path.read_text().split("\n") for path in folder.rglob("*.txt")}
    lines = {name: [[float(word) for word in line.split()] for line in text if line] for name, text in found.items()}
    return {name: rows for name, rows in lines.items() if rows}


def examples(rows: Path) -> list[DetectionExample]:
    return read_all(rows / "examples.jsonl", DetectionExample)


LABELS: dict[str, Sequence[str] | None] = {
    "train/a": ["0 0.3 0.3 0.4 0.4", "1 0.123456 0.654321 0.0303030303030303 1e-05"],
    "train/b": [],
    "train/c": None,
    "val/a": ["1 0.1 0.1 0.5 0.1 0.5 0.5 0.10000000000000003 0.5", "0 0.5 0.5 1 1"],
    "val/d": ["0 0.25 0.25 0.75 0.25 0.5 0.333333343"],
}


def test_boxes_and_polygons_are_in_pixels_and_an_image_without_labels_has_no_objects(tmp_path: Path) -> None:
    found = examples(from_yolo(data_set(tmp_path / "set", LABELS), tmp_path / "rows"))
    assert [(one.id, (one.metadata or {})["split"], len(one.objects)) for one in found] == [
        ("images/train/a.png", "train", 2),
        ("images/train/b.png", "train", 0),
        ("images/train/c.png", "train", 0),
        ("images/val/a.png", "val", 2),
        ("images/val/d.png", "val", 1),
    ]
    assert (found[0].objects[0].desc, found[0].width, found[0].height) == ("cat", 640, 480)
    assert found[0].objects[0].bbox_2d == pytest.approx((64.0, 48.0, 320.0, 240.0))
    assert found[4].objects[0].poly == pytest.approx([160, 120, 480, 120, 320, 160], rel=1e-6)


@pytest.mark.parametrize(
    "yaml", [SPLITS + NAMES, "names: [cat, 'dog']\nnc: 2\nval: [images/val]\ntrain: images/train\n"]
)
def test_a_data_set_comes_back_to_the_last_digit(yaml: str, tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", LABELS, yaml)
    rows = from_yolo(data, tmp_path / "rows")
    back = to_yolo(rows / "examples.jsonl", tmp_path / "back", data)
    assert numbers(back / "labels") == numbers(tmp_path / "set/labels")
    assert (back / "data.yaml").read_text() == yaml


def test_rows_alone_make_a_data_set_that_reads_again(tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", LABELS)
    rows = from_yolo(data, tmp_path / "rows")
    back = to_yolo(rows / "examples.jsonl", tmp_path / "back")
    (tmp_path / "set/images").rename(back / "images")
    again = from_yolo(back / "data.yaml", tmp_path / "again")
    assert (again / "examples.jsonl").read_bytes() == (rows / "examples.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("yaml", "labels"),
    [
        ("train: ../train/images\nval: ../train/images\n", "train/labels/a.txt"),  # as Roboflow writes it
        ("train: train.txt\n", "train/labels/a.txt"),
        ("val: train\n", "train/labels/a.txt"),
    ],
)
def test_splits_are_found_in_every_form(yaml: str, labels: str, tmp_path: Path) -> None:
    image = tmp_path / "train/images/a.png"
    image.parent.mkdir(parents=True)
    Image.new("L", SIZE).save(image)
    (tmp_path / labels).parent.mkdir()
    (tmp_path / labels).write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "train.txt").write_text("./train/images/a.png\n\n")
    (tmp_path / "data.yaml").write_text(yaml + NAMES)
    split = "train" if "train:" in yaml else "val"
    found = examples(from_yolo(tmp_path, tmp_path / "rows", split=split))
    assert [(one.id, one.objects[0].desc) for one in found] == [("train/images/a.png", "dog")]


def test_an_image_of_two_splits_is_one_row_and_of_both_again(tmp_path: Path) -> None:
    yaml = "train: images/val\nval: images/val\n" + NAMES
    rows = from_yolo(data_set(tmp_path / "set", {"val/a": ["0 0.5 0.5 1 1"]}, yaml), tmp_path / "rows")
    assert [one.metadata for one in examples(rows)] == [{"split": "train+val"}]
    back = to_yolo(rows / "examples.jsonl", tmp_path / "back")
    assert (back / "train.txt").read_text() == (back / "val.txt").read_text() == "./images/val/a.png\n"


def test_a_data_yaml_is_copied_only_where_it_leads_to_the_images(tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", LABELS)
    row = {"images": ["b.png"], "width": 9, "height": 9, "objects": [{"desc": "Dog", "bbox_2d": [0, 0, 9, 9]}]}
    write_all(tmp_path / "own.jsonl", [row])
    out = to_yolo(tmp_path / "own.jsonl", tmp_path / "out", data)
    assert (out / "labels/b.txt").read_text() == "1 0.5 0.5 1.0 1.0\n"  # the number that data.yaml has for it
    assert "val: val.txt" in (out / "data.yaml").read_text()


# Predictions and figures


def scored(folder: Path, seed: int) -> tuple[Path, Path, dict[str, Any], list[dict[str, Any]]]:
    """A data set of boxes and polygons with predictions, and the same as COCO files, each computed for itself."""
    chance = random.Random(seed)
    labels: dict[str, Sequence[str] | None] = {}
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    found: list[dict[str, Any]] = []
    results = folder / "predicted"
    results.mkdir(parents=True)
    for number in range(12):
        truth["images"].append({"id": number, "width": SIZE[0], "height": SIZE[1]})
        lines, answers = [], []
        for _ in range(chance.randrange(5)):
            kind, w, h = chance.randrange(2), round(chance.uniform(0.02, 0.4), 6), round(chance.uniform(0.02, 0.4), 6)
            x, y = round(chance.uniform(w / 2, 1 - w / 2), 6), round(chance.uniform(h / 2, 1 - h / 2), 6)
            lines.append(f"{kind} {x} {y} {w} {h}")
            id = len(truth["annotations"]) + 1
            common = {"image_id": number, "category_id": kind + 1}
            box = in_pixels(x, y, w, h)
            truth["annotations"].append(common | {"id": id, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
            for _ in range(chance.randrange(3)):
                moved = [round(v + chance.gauss(0, 0.02), 6) for v in (x, y)]
                moved = [min(max(v, 0.0), 1.0) for v in moved]
                score = round(chance.random(), 5)
                answers.append(f"{kind} {moved[0]} {moved[1]} {w} {h} {score}")
                found.append(common | {"bbox": in_pixels(*moved, w, h), "score": score})
        labels[f"val/{number:03d}"] = lines
        if answers:
            (results / f"{number:03d}.txt").write_text("\n".join(answers))
    return data_set(folder / "set", labels), results, truth, found


def in_pixels(x: float, y: float, w: float, h: float) -> list[float]:
    return [(x - w / 2) * SIZE[0], (y - h / 2) * SIZE[1], w * SIZE[0], h * SIZE[1]]


@pytest.mark.parametrize("seed", range(2))
def test_figures_are_those_of_the_same_data_as_coco_files(seed: int, tmp_path: Path) -> None:
    data, results, truth, found = scored(tmp_path, seed)
    ours = stats_of(from_yolo(data, tmp_path / "rows", results, "val"))
    theirs = figures(write(tmp_path / "a.json", truth), write(tmp_path / "b.json", found))
    assert ours == pytest.approx(theirs, abs=1e-9) and 0.05 < ours[0] < 0.95
    (tmp_path / "coco").mkdir()
    assert ours == pytest.approx(stats_of(from_coco(tmp_path / "coco", truth, found)), abs=1e-9)


def test_predictions_come_back_with_their_confidence(tmp_path: Path) -> None:
    data, results, _, _ = scored(tmp_path, 0)
    (results / "000.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5 0.975\n")  # a polygon
    rows = from_yolo(data, tmp_path / "rows", results, "val")
    back = to_yolo(rows / "predictions.jsonl", tmp_path / "back", data)
    assert numbers(back / "predictions/val") == numbers(results)
    again = from_yolo(data, tmp_path / "again", back / "predictions/val", "val")
    first, second = (read_all(one / "predictions.jsonl", DetectionPrediction) for one in (rows, again))
    assert [one.preds for one in first] == [one.preds for one in second]


def test_rows_of_other_origin_become_shares_of_the_image(tmp_path: Path) -> None:
    objects = [{"desc": "cat", "bbox_2d": [64, 48, 320, 240]}, {"desc": "dog", "poly": [0, 0, 640, 0, 0, 480]}]
    common = {"width": 640, "height": 480}
    first = common | {"images": ["deep/a.png"], "objects": objects[:1]}
    both = common | {"images": ["b.png"], "objects": objects, "metadata": {"split": "train"}}
    norm = {"desc": "Cat", "bbox_2d": [0, 0, 999, 999]}
    third = common | {"images": ["c.png"], "objects": [norm], "coord_mode": "norm1000", "metadata": {"split": "val"}}
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (first, both, third)))
    out = to_yolo(tmp_path / "own.jsonl", tmp_path / "out")
    assert (out / "labels/deep/a.txt").read_text() == "0 0.3 0.3 0.4 0.4\n"
    assert numbers(out / "labels")["b.txt"] == [
        [0, 0.1, 0.1, 0.5, 0.1, 0.5, 0.5, 0.1, 0.5],  # a box among polygons is one too
        [1, 0, 0, 1, 0, 0, 1],
    ]
    assert (out / "labels/c.txt").read_text() == "0 0.5 0.5 1.0 1.0\n"
    assert (out / "data.yaml").read_text() == 'train: train.txt\nval: val.txt\nnames:\n  0: "cat"\n  1: "dog"\n'
    assert (out / "val.txt").read_text() == "./images/deep/a.png\n./images/c.png\n"


# What is wrong


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.5", "wrong_line"),
        ("0 0.5 0.5 0.5 0.5 0.9", "wrong_line"),  # of a prediction
        ("cat 0.5 0.5 0.5 0.5", "wrong_line"),
        ("0,0.5,0.5,0.5,0.5", "wrong_line"),
        ("0.5 0.5 0.5 0.5 0.5", "wrong_line"),
        ("-1 0.5 0.5 0.5 0.5", "wrong_line"),
        ("2 0.5 0.5 0.5 0.5", "unknown_category"),
        ("0 64 48 320 240", "out_of_range"),
        ("0 nan 0.5 0.5 0.5", "out_of_range"),
        ("0 0.5 0.5 1e999 0.5", "out_of_range"),
        ("0 0.5 0.5 -0.005 0.5", "negative_size"),
    ],
)
def test_a_line_that_is_wrong_is_told_by_file_and_line_or_left_out(line: str, kind: str, tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", {"val/a": ["0 0.5 0.5 0.5 0.5", line]})
    with pytest.raises(UserError) as caught:
        from_yolo(data, tmp_path / "rows")
    assert caught.value.where == f"{tmp_path.resolve() / 'set/labels/val/a.txt'}:2"
    rows = from_yolo(data, tmp_path / "rows", on_bad="skip")
    assert [one.kind for one in read_all(rows / "bad.jsonl", Bad)] == [kind]
    assert len(examples(rows)[0].objects) == 1


def test_results_without_confidence_and_of_no_image_are_told(tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", {"val/a": []})
    (tmp_path / "found").mkdir()
    (tmp_path / "found/a.txt").write_text("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5 1.5\n")
    (tmp_path / "found/b.txt").write_text("0 0.5 0.5 0.5 0.5 0.5\n")
    rows = from_yolo(data, tmp_path / "rows", tmp_path / "found", "val", "skip")
    assert [one.kind for one in read_all(rows / "bad.jsonl", Bad)] == ["unknown_image", "no_score", "out_of_range"]


def test_many_are_one_message_that_counts_files_and_lines_and_names_each(tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", {"val/a": []})
    found = tmp_path / "found"
    found.mkdir()
    for name in ("b", "c"):
        (found / f"{name}.txt").write_text("")
    with pytest.raises(UserError) as caught:
        from_yolo(data, tmp_path / "rows", found, "val")
    assert caught.value.what.startswith("2 files are wrong\n    unknown_image: 2 files (b.txt, c.txt);")
    assert caught.value.where == str(found / "b.txt")
    (found / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n\n0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(UserError) as caught:
        from_yolo(data, tmp_path / "rows", found, "val")
    assert caught.value.what.startswith("4 entries are wrong\n    unknown_image: 2 files (b.txt, c.txt);")
    assert "no_score: 2 lines (a.txt:1, a.txt:3);" in caught.value.what


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("train: images/train\n", "no names of classes"),
        ("names: [cat, [dog]]\n", "no number and name of a class"),
        ("names: {cat: 0}\n", "no number and name of a class"),
        (NAMES + "kpt_shape: [17, 3]\n", "a data set of poses"),
        (NAMES, "there are no images"),
        (NAMES + "val: images/nowhere\n", "the images of split 'val' are not there"),
        (NAMES + "val: {a: b}\n", "a split is a folder"),
        (NAMES + "val: list.txt\n", "lies outside of the data set"),
        ("[" + NAMES, "this is not YAML"),
    ],
)
def test_a_data_yaml_that_says_too_little_is_one_error(yaml: str, said: str, tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", {"val/a": []}, yaml)
    (tmp_path / "set/list.txt").write_text("../../a.png\n")
    with pytest.raises(UserError, match=said):
        from_yolo(data, tmp_path / "rows")


def test_an_image_that_exif_would_turn_is_not_guessed_at(tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", {"val/a": [], "val/b": []})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", SIZE).save(tmp_path / "set/images/val/a.png", exif=exif)
    (tmp_path / "set/images/val/b.png").write_bytes(b"nothing")
    rows = from_yolo(data, tmp_path / "rows", on_bad="skip")
    assert [one.kind for one in read_all(rows / "bad.jsonl", Bad)] == ["bad_image", "bad_image"]


def test_results_ask_which_of_several_splits_they_are_of(tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", LABELS)
    with pytest.raises(UserError, match="of one split") as caught:
        from_yolo(data, tmp_path / "rows", tmp_path / "set")
    assert caught.value.remedy == "name it with --split: train, val"
    with pytest.raises(UserError, match="there is no split 'valid'"):
        from_yolo(data, tmp_path / "rows", split="valid")


@pytest.mark.parametrize("image", ["/a.png", "../a.png", "", "a\0.png"])
def test_nothing_is_written_outside_of_the_folder(image: str, tmp_path: Path) -> None:
    write_all(tmp_path / "own.jsonl", [{"images": [image], "width": 9, "height": 9, "objects": []}])
    with pytest.raises(UserError, match="leads out"):
        to_yolo(tmp_path / "own.jsonl", tmp_path / "out")


# The command


def test_the_command_sees_that_a_file_of_labels_changed(baton: Baton, tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", LABELS)
    arguments = ("convert", "detection", "--from", "yolo", "--annotations", data, "--out", tmp_path / "rows")
    assert baton(*arguments).code == 0
    assert "up to date" in baton(*arguments).out
    (tmp_path / "set/labels/val/d.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    assert baton(*arguments).code == 2
    assert baton(*arguments, "--force").code == 0
    rows = ("--input", tmp_path / "rows/examples.jsonl")
    done = baton("convert", "detection", "--to", "yolo", *rows, "--out", tmp_path / "back")
    assert done.code == 0 and "images are not copied" in done.out


def test_a_data_set_with_its_images_comes_back_whole(baton: Baton, tmp_path: Path) -> None:
    data = data_set(tmp_path / "set", LABELS)
    (tmp_path / "set/labels/train/c.txt").touch()  # no file and an empty one say the same
    rows = from_yolo(data, tmp_path / "rows")
    arguments = ("convert", "detection", "--to", "yolo", "--input", rows / "examples.jsonl", "--annotations", data,
                 "--image-root", tmp_path / "set", "--out", tmp_path / "back")  # fmt: skip
    done = baton(*arguments)
    assert done.code == 0 and "not copied" not in done.out, done.err
    assert "up to date" in baton(*arguments).out
    again = from_yolo(tmp_path / "back", tmp_path / "again")
    assert (again / "examples.jsonl").read_bytes() == (rows / "examples.jsonl").read_bytes()
    (tmp_path / "set/images/val/a.png").unlink()
    assert baton(*arguments, "--force").code == 2
