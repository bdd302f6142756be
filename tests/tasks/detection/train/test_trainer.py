"""The training: the same seed gives the same bytes, interrupted and resumed or not; it learns; it tells the truth."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import UserError
from pipeline.export import export_model
from pipeline.files import read_all
from pipeline.model.file import load_model
from pipeline.tasks.detection.model.model import DetectionModel
from pipeline.tasks.detection.model.network import parse_network
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionEpisode, DetectionMonitor, DetectionProgress
from pipeline.tasks.detection.scenes.augment import augment
from pipeline.tasks.detection.train.optimizer import orthogonal
from pipeline.tasks.detection.train.trainer import make_brain
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.loop import SELECTED
from pipeline.train.trainer import RESUME
from tests.support.trainings import results_of, train_in

SMALL: dict[str, Any] = {
    "schema": "recipe_v1",
    "task": "detection",
    "name": "small",
    "seed": 3,
    "scenes": {"image_sizes": [[32, 32]], "num_objects": [0, 2]},
    "network": {
        "type": "vision_text",
        "width": 32,
        "num_blocks": 0,
        "num_encoder_layers": 1,
        "num_layers": 1,
        "num_heads": 2,
    },
    "optimizer": {"warmup_updates": 4},
    "train": {
        "num_steps": 12,
        "batch_size": 4,
        "monitor_every": 6,
        "monitor_images": 3,
        "checkpoint_every": 4,
        "progress_every": 5,
        "sample_every": 3,
    },
}
EVERYTHING_ELSE = SMALL | {
    "network": {**SMALL["network"], "vocabulary": "characters"},
    "optimizer": {"type": "adamw", "warmup_updates": 4},
    "train": {**SMALL["train"], "precision": "float32", "geometries": ["bbox_2d"]},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training by `SMALL`. For reading only."""
    folder = tmp_path_factory.mktemp("trained")
    train_in(folder, SMALL)
    return folder


@pytest.mark.parametrize("recipe", [SMALL, EVERYTHING_ELSE], ids=["fragments", "everything else"])
def test_the_same_seed_gives_the_same_bytes_stopped_and_resumed_or_not(tmp_path: Path, recipe: dict[str, Any]) -> None:
    train_in(tmp_path / "whole", recipe)
    for stop_after in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train_in(tmp_path / "stopped", recipe, stop_after=stop_after, resume=True)
    train_in(tmp_path / "stopped", recipe, resume=True)
    whole, stopped = results_of(tmp_path / "whole"), results_of(tmp_path / "stopped")
    assert whole.keys() == stopped.keys() and SELECTED in whole and len(whole["progress.jsonl"]) > 100
    assert [name for name in whole if whole[name] != stopped[name]] == []
    if recipe is EVERYTHING_ELSE:  # only what is learned is monitored
        for row in read_all(tmp_path / "whole/monitor.jsonl", DetectionMonitor):
            assert row.mask_average_precision is None and row.selected_by == row.average_precision


@pytest.mark.parametrize("kind", [SMALL, EVERYTHING_ELSE], ids=["muon", "adamw"])
def test_a_training_starts_from_another_and_leaves_frozen_parts_alone(tmp_path: Path, kind: dict[str, Any]) -> None:
    train_in(tmp_path / "first", kind | {"train": kind["train"] | {"num_steps": 2}})
    first = load_checkpoint(tmp_path / "first" / SELECTED)["average_weights"]
    part = next(iter(first)).partition(".")[0]
    options = kind["train"] | {"num_steps": 2, "start_from": "first", "frozen": [part]}
    told = train_in(tmp_path / "second", kind | {"seed": 5, "train": options}, start=first).notes["started_from"]
    assert (told["taken"], told["in_part"], told["left"]) == (list(first), {}, {})
    weights = load_checkpoint(tmp_path / "second" / RESUME)["weights"]
    frozen = {name for name in first if name.partition(".")[0] == part}
    assert {name for name, weight in weights.items() if torch.equal(weight, first[name])} == frozen


def test_another_seed_gives_another_training(trained: Path, tmp_path: Path) -> None:
    train_in(tmp_path, SMALL | {"seed": 4, "train": SMALL["train"] | {"num_steps": 5}})
    first, other = (read_all(folder / "progress.jsonl", DetectionProgress)[0] for folder in (trained, tmp_path))
    assert (first.step, other.step) == (5, 5) and first.loss != other.loss


def test_the_loss_falls_and_every_row_says_what_it_is_the_mean_of(tmp_path: Path) -> None:
    options = SMALL["train"] | {"num_steps": 40, "monitor_every": 40, "progress_every": 5}
    train_in(tmp_path, SMALL | {"train": options})
    rows = read_all(tmp_path / "progress.jsonl", DetectionProgress)
    assert [row.step for row in rows] == list(range(5, 41, 5))
    assert [row.images_seen for row in rows] == [4 * row.step for row in rows]
    assert rows[-1].token_loss < 0.9 * rows[0].token_loss and rows[-1].dense_loss < rows[0].dense_loss
    for row in rows:
        assert row.loss == pytest.approx(row.token_loss + row.dense_loss, abs=1e-5)


def test_the_last_steps_are_told_even_when_they_are_few(trained: Path) -> None:
    assert [row.step for row in read_all(trained / "progress.jsonl", DetectionProgress)] == [5, 10, 12]


def test_what_is_selected_is_the_best_of_the_monitored(trained: Path) -> None:
    rows = read_all(trained / "monitor.jsonl", DetectionMonitor)
    assert [row.step for row in rows] == [6, 12] and all(row.num_images == 3 for row in rows)
    best = max(rows, key=lambda row: (row.selected_by, -row.step))
    assert (trained / SELECTED).read_bytes() == (trained / best.checkpoint).read_bytes()
    for row in rows:
        assert row.selected_by == pytest.approx((row.average_precision + row.mask_average_precision) / 2)


def test_the_tail_has_images_with_their_texts_and_their_truth(trained: Path) -> None:
    rows = read_all(trained / "episodes.jsonl", DetectionEpisode)
    assert [row.step for row in rows] == [3, 6, 9, 12]
    for row in rows:
        image = Image.open(io.BytesIO(base64.b64decode(row.image_png)))
        assert image.size == (row.width, row.height) == (32, 32)
        assert (row.num_gt, row.num_preds) == (len(row.gt), len(row.preds))
        assert row.num_matched <= min(row.num_gt, row.num_preds)
    assert {"bbox_2d" if row.gt[0].bbox_2d else "poly" for row in rows if row.gt} == {"bbox_2d", "poly"}


def test_a_damaged_checkpoint_is_told_and_not_gone_on_from(trained: Path, tmp_path: Path) -> None:
    (tmp_path / RESUME).write_bytes((trained / RESUME).read_bytes()[:1000])
    with pytest.raises(UserError, match="the checkpoint to go on from is damaged"):
        train_in(tmp_path, SMALL, resume=True)


def test_what_was_trained_is_exported_opened_again_and_writes_and_has_no_onnx_form(
    trained: Path, tmp_path: Path
) -> None:
    from pipeline.model.onnx import export_onnx

    exported = export_model(trained / SELECTED, tmp_path / "model.inference_v1", task="detection")
    assert exported.golden_difference == 0.0
    model: Any = load_model(tmp_path / "model.inference_v1")
    assert isinstance(model, DetectionModel) and model.image_size == 32
    assert exported.num_bytes < 2.5 * exported.num_parameters + 200_000  # in half precision; golden tensors besides
    assert model.metadata["output"]["labels"] == ["circle", "square", "triangle", "star"]
    (writing,) = model.predict(np.zeros((1, 32, 32, 3), np.uint8))
    assert len(writing.text) > 0 or writing.finished
    with pytest.raises(UserError, match="have no ONNX form"):
        export_onnx(tmp_path / "model.inference_v1", tmp_path / "model.onnx")


@pytest.mark.parametrize("sizes", [[[64, 48]], [[64, 64], [32, 32]]])
def test_scenes_that_the_network_cannot_learn_from_are_refused(sizes: list[list[int]]) -> None:
    with pytest.raises(UserError, match="square images of one size"):
        make_brain(msgspec.convert(SMALL | {"scenes": {"image_sizes": sizes}}, DetectionRecipe))


def test_the_longest_answer_has_room() -> None:
    fragments, characters = (
        parse_network(make_brain(msgspec.convert(recipe, DetectionRecipe)).network)
        for recipe in (SMALL, EVERYTHING_ELSE)
    )
    # two polygons of 14 corners with brackets around each, the start, the closing bracket, the end
    assert fragments.max_tokens == 2 * (2 * 14 + 2) + 3
    text = json.dumps([{"bbox_2d": [888] * 4, "desc": "triangle"}] * 2, separators=(",", ":"))
    assert characters.max_tokens == len(text) + 2


def test_an_orthogonal_update_keeps_directions_and_levels_their_sizes() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((32, 96), (96, 32)):
        matrix = torch.randn(shape, generator=generator) * torch.logspace(0, -1, shape[1])
        update = orthogonal(matrix)
        sizes = torch.linalg.svdvals(update)
        assert sizes.min() > 0.5 and sizes.max() < 1.3
        assert (update * matrix).sum() > 0


def test_augmented_images_follow_from_the_generator_and_the_share_says_how_many() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    before = images.copy()
    one, two = (augment(images, 0.5, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one, two) and np.array_equal(images, before)
    changed = [not np.array_equal(a, b) for a, b in zip(images, one, strict=True)]
    assert 10 < sum(changed) < 30
    assert np.array_equal(augment(images, 0.0, np.random.default_rng(1)), images)
