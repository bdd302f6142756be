"""Predictions of detection in the live view: the image that infer looked at, what was written, and the truth."""

import base64
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.files import encode
from pipeline.follow.beside import Against
from pipeline.follow.feed import open_recording
from pipeline.follow.scene import Moment
from pipeline.follow.terminal.frame import compose
from pipeline.follow.terminal.text import Size
from pipeline.tasks.detection.follow import predictions as live_predictions
from pipeline.tasks.detection.rows import DetectionPrediction
from tests.conftest import Baton
from tests.follow.test_frame import view
from tests.tasks.detection.visualize.drawing import CAT, DOG, ROWS, SIZE, predicted, row, save_images, true


def summary(prediction: DetectionPrediction) -> Any:
    line = msgspec.json.decode(encode(prediction), type=live_predictions.Line)
    return live_predictions.summarize(line)


def screen(prediction: DetectionPrediction, path: Path, frame: int) -> str:
    shown = live_predictions.scene(Moment(live_predictions.unfold(prediction, path), frame, [summary(prediction)]))
    return "\n".join(line.plain for line in compose(view(shown), Size(100, 30)))


def test_what_is_right_and_what_is_missed_is_told_object_by_object(tmp_path: Path) -> None:
    save_images(tmp_path, ROWS)
    half = row("half", [true("cat", CAT), true("dog", DOG)], [predicted("cat", CAT)])
    path = tmp_path / "predictions.jsonl"
    assert "half · F1 0.67" in screen(half, path, 0) and "2 to find" in screen(half, path, 0)
    assert "1 ✓ cat" in screen(half, path, 1)
    text = screen(half, path, 2)
    assert "the truth: 1 of 2 found, 1 written" in text and "b ● dog" in text and "no image" not in text


@pytest.mark.parametrize("mode", ["pixel", "norm1000"])
def test_objects_count_in_the_coordinates_that_the_row_names(mode: str) -> None:
    box = CAT if mode == "pixel" else tuple(v * 999 / SIZE[k % 2] for k, v in enumerate(CAT))
    found = summary(row("a", [true("cat", CAT)], [predicted("cat", box)], coord_mode=mode))  # type: ignore[arg-type]  # a tuple of four
    assert (found.num_gt, found.num_preds, found.num_matched) == (1, 1, 1)


def test_the_image_is_the_one_that_infer_looked_at_made_small(tmp_path: Path) -> None:
    large = row("a", width=1000, height=500)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (1000, 500), (0, 200, 0)).save(tmp_path / "images/a.png")
    shown = live_predictions.unfold(large, tmp_path / "predictions.jsonl")
    image = Image.open(io.BytesIO(base64.b64decode(shown.image_png)))
    assert image.size == (256, 128) and image.getpixel((9, 9)) == (0, 200, 0)


def test_a_missing_image_and_a_record_that_never_ran_are_shown_all_the_same(tmp_path: Path) -> None:
    failed = row("a", [true("cat", CAT)], status="not_run", error="image_missing", error_detail="it is gone")
    text = screen(failed, tmp_path / "predictions.jsonl", 1)
    assert "no image: image missing" in text and "! not_run" in text and "a ● cat" in text


def test_another_truth_under_the_same_id_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(encode(row("a", [true("cat", CAT)])))
    against = Against(path, "detection", "b")
    assert against.load(row("a", [true("cat", CAT)], [predicted("cat", CAT)])).num_gt == 1
    with pytest.raises(UserError, match="its record a is another one: gt"):
        against.load(row("a", [true("dog", DOG)]))


def test_a_line_a_record_without_a_terminal(tmp_path: Path, baton: Baton) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b"".join(encode(one) for one in ROWS[:3]))
    done = baton("follow", "detection", "--input", path, "--idle-exit", "0")
    assert done.out.splitlines() == [
        "good  ok  wrote 2  true 2  matched 2",
        "half  ok  wrote 1  true 2  matched 1",
        "wrong class  ok  wrote 1  true 1  matched 0",
    ]


def test_the_first_line_chooses_this_view(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(encode(ROWS[0]))
    assert open_recording(path, "detection").part is live_predictions.PART.view
