"""Predictions: the same bytes however they are made, one row a request, and an error in its own row."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.model.file import load_model
from pipeline.tasks.diffusion.model.sample import Settings
from pipeline.tasks.diffusion.pixels import apart, decode_png, encode_png
from tests.conftest import Baton

PREDICTIONS = "predictions.jsonl"
REQUEST: dict[str, Any] = {"task": "diffusion", "schema": "example_v1", "id": "one", "label": None, "seed": 5,
                           "num_steps": 4}  # fmt: skip
STEERING: dict[str, Any] = {"references": [{"label": "3", "seed": 4}], "target": "3", "layers": ["up_1"],
                            "num_masked": 3, "sigma": 0.6, "label_mode": "none"}  # fmt: skip
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"label": "zebra"}, "unknown_class"),
    ({"sigma_min": 5.0, "sigma_max": 1.0}, "wrong_sigma_range"),
    ({"sigma_max": 1e300}, "wrong_sigma_range"),
    ({"num_steps": 0}, "wrong_num_steps"),
    ({"num_steps": 10**9}, "wrong_num_steps"),
    ({"guidance": 1e300}, "no_image"),
    ({"real_png": "no base64"}, "bad_real_image"),
    ({"real_png": encode_png(np.zeros((8, 8, 3), np.uint8))}, "bad_real_image"),
    ({"real_png": encode_png(np.zeros((9000, 9000, 1), np.uint8))}, "bad_real_image"),
    ({"steering": STEERING | {"references": []}}, "wrong_steering"),
    ({"steering": STEERING | {"layers": ["up_1", "up_1"]}}, "wrong_steering"),
    ({"steering": STEERING | {"layers": []}}, "wrong_steering"),
    ({"steering": STEERING | {"num_masked": -1}}, "wrong_steering"),
    ({"steering": STEERING | {"sigma": 1e300}}, "wrong_steering"),
    ({"steering": STEERING | {"strength": 1e300}}, "wrong_steering"),
    ({"steering": STEERING | {"references": [{"label": "zebra", "seed": 4}]}}, "unknown_class"),
]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def infer(baton: Baton, run: Path, out: Path, *more: str | Path) -> Path:
    done = baton(
        "infer", "diffusion", "--model", run / "export/model.inference_v1",
        *(more if "--input" in more else ("--input", run / "examples/examples.jsonl", *more)), "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    return out / PREDICTIONS


def test_what_is_generated_is_what_was_asked_for(digits_run: Path) -> None:
    found = [row for row in rows(digits_run / "infer" / PREDICTIONS) if row["variant"] == "main"]
    assert len(found) == 50
    right = np.mean([row["judged_label"] == row["label"] for row in found])
    assert right >= 0.75  # 400 steps of training; by chance it is 0.1
    assert np.mean([row["real_judged_label"] == row["real_label"] for row in found]) >= 0.9


def test_a_row_holds_the_image_the_way_and_what_the_judge_says(digits_run: Path) -> None:
    row = rows(digits_run / "infer" / PREDICTIONS)[3]
    assert decode_png(row["image_png"]).shape == (8, 8, 1)
    assert len(row["sigmas"]) == len(row["changes"]) == 18 and row["sigmas"][0] == 80.0
    assert row["num_evaluations"] == 35
    frames = apart(decode_png(row["frames_png"]))
    assert len(frames) == 6
    difference = np.abs(frames[-1].astype(int) - decode_png(row["image_png"]).astype(int))
    assert difference.max() <= 4  # at the lowest noise level there is hardly anything left to do
    assert len(row["features"]) == len(row["real_features"]) == 32
    assert 0 <= row["nearest_train"] < 1347 and row["nearest_train_distance"] > 0.01


@pytest.mark.parametrize("more", [("--set", "infer.batch_size=7"), ("--num-workers", "2")])
def test_another_batch_size_and_workers_give_the_same_bytes(
    baton: Baton, digits_run: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    expected = (digits_run / "infer" / PREDICTIONS).read_bytes()
    assert infer(baton, digits_run, tmp_path / "again", *more).read_bytes() == expected


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(baton: Baton, digits_run: Path, tmp_path: Path) -> None:
    whole = (digits_run / "infer" / PREDICTIONS).read_bytes()
    out = tmp_path / "cut"
    infer(baton, digits_run, out)
    (out / PREDICTIONS).write_bytes(whole[: len(whole) // 3])
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"status": "started"}))
    assert infer(baton, digits_run, out).read_bytes() == whole


def test_a_request_that_cannot_be_answered_says_so_in_its_row(baton: Baton, digits_run: Path, tmp_path: Path) -> None:
    asked, codes = rows(digits_run / "examples/examples.jsonl")[: len(WRONG) + 1], [None, *(code for _, code in WRONG)]
    for row, (change, _) in zip(asked[1:], WRONG, strict=True):
        row |= change
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    found = rows(infer(baton, digits_run, tmp_path / "out", "--input", tmp_path / "asked.jsonl"))
    assert [row["error"] for row in found] == codes
    assert all(row["image_png"] is None for row in found[1:])
    assert found[0] == rows(digits_run / "infer" / PREDICTIONS)[0]


def test_a_seed_that_no_generator_takes_is_told_with_its_line(baton: Baton, digits_run: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.jsonl").write_text(json.dumps(REQUEST | {"seed": -1}) + "\n")
    model = digits_run / "export/model.inference_v1"
    done = baton("infer", "diffusion", "--model", model, "--input", tmp_path / "asked.jsonl", "--out", tmp_path / "out")
    assert done.code == 2 and "asked.jsonl:1:seed" in done.err


def test_no_class_and_no_real_image_can_be_asked_for(baton: Baton, digits_run: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.jsonl").write_text(json.dumps(REQUEST) + "\n")
    (row,) = rows(infer(baton, digits_run, tmp_path / "out", "--input", tmp_path / "asked.jsonl"))
    assert row["image_png"] and row["judged_label"] and row["label_probability"] is None
    assert row["real_features"] is None


def test_the_model_generates_for_whoever_loads_it(digits_model: Path, tmp_path: Path) -> None:
    model = load_model(shutil.copy(digits_model, tmp_path / "moved.inference_v1"))
    images = model.predict(["3", None], [1, 2], Settings(num_steps=5))
    assert images.shape == (2, 8, 8, 1) and images.dtype == np.uint8
    assert np.array_equal(images[1:], model.predict([None], [2], Settings(num_steps=5)))
    with pytest.raises(UserError, match="zebra"):
        model.predict(["zebra"], [1])
    with pytest.raises(UserError, match="1 labels and 2 seeds"):
        model.predict(["3"], [1, 2])
