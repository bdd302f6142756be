"""The training: what it leaves, what it starts from, and that it ends in the same bytes however it got there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.model.file import open_model
from pipeline.recipe.load import load_recipe
from tests.conftest import Baton
from tests.support.trainings import train_in

SHORT = ("train.num_steps=12", "train.monitor_every=6", "train.checkpoint_every=6", "train.monitor_images=10",
         "train.sample_every=6", "train.progress_every=4", "train.judge.num_steps=20", "network.width=8")  # fmt: skip


def run(folder: Path, *settings: str, **how: Any) -> None:
    train_in(folder, load_recipe("tiny", "diffusion", [*SHORT, *settings]), **how)


def test_a_training_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop_after=4)
    run(tmp_path / "stopped", resume=True)
    for name in ("progress.jsonl", "monitor.jsonl", "selected.checkpoint_v1"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_it_learns_and_says_how_far_it_is(digits_run: Path) -> None:
    folder = digits_run / "train"
    losses = [json.loads(line)["loss"] for line in (folder / "progress.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.6 * losses[0]
    first, last = (json.loads(line) for line in (folder / "monitor.jsonl").read_text().splitlines())
    assert last["accuracy"] > first["accuracy"] and last["frechet_distance"] >= 0.0
    notes = json.loads((folder / "manifest.json").read_text())["notes"]
    assert notes["judge_accuracy"] >= 0.9


def test_the_live_tail_holds_an_image_of_each_class(digits_run: Path) -> None:
    rows = [json.loads(line) for line in (digits_run / "train/episodes.jsonl").read_text().splitlines()]
    assert rows and all(row["labels"] == [*"0123456789"] for row in rows)
    assert all(len(row["images_png"]) == 10 for row in rows)


def test_a_training_that_starts_from_another_one_keeps_a_judge_of_its_own(tmp_path: Path, digits_model: Path) -> None:
    recipe = ("network.width=16", "train.start_from=x", "train.num_steps=1")
    weights = open_model(digits_model).module.state_dict()
    run(tmp_path / "other", *recipe, start=weights)
    kept = torch.load(tmp_path / "other/selected.checkpoint_v1", weights_only=True)["average_weights"]
    assert not torch.equal(kept["judge.to_logits.weight"], weights["judge.to_logits.weight"])
    near = (kept["unet.stem.weight"] - weights["unet.stem.weight"]).abs().max()
    assert float(near) < 0.05 * float(weights["unet.stem.weight"].abs().max())


def test_another_noise_level_or_label_dropout_is_another_training(tmp_path: Path) -> None:
    weights = set()
    for number, setting in enumerate(("train.label_dropout=0.15", "train.label_dropout=0.9", "train.log_sigma_mean=0")):
        (tmp_path / str(number)).mkdir()
        run(tmp_path / str(number), setting, "train.num_steps=4")
        kept = torch.load(tmp_path / str(number) / "selected.checkpoint_v1", weights_only=True)["average_weights"]
        weights.add(kept["unet.classes.weight"].numpy().tobytes())
    assert len(weights) == 3


def test_it_becomes_an_onnx_file_that_answers_the_same(baton: Baton, digits_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    done = baton("export", "diffusion", "--format", "onnx", "--model", digits_model, "--out", tmp_path / "onnx")
    assert done.code == 0, done.err
    assert (tmp_path / "onnx/model.onnx").stat().st_size > 100_000
