"""Keys that are called otherwise now: recipes are told so, what older trainings left behind still opens."""

from pathlib import Path

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.files.hashes import hash_config
from pipeline.inspect import inspect_artifact
from pipeline.recipe.load import default_recipe, load_recipe
from pipeline.recipe.moved import with_new_names
from pipeline.run.manifest import FILE_NAME, load_manifest, write_manifest
from pipeline.tasks.detection.recipe import PART
from tests.conftest import Baton

OLD = """schema: recipe_v1
task: detection
name: mine
train:
  optimizer: adamw
  learning_rate: 0.01
  num_steps: 7
"""


def test_one_error_names_all_old_keys_and_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OLD)
    with pytest.raises(UserError) as caught:
        load_recipe(path, "detection")
    assert (
        caught.value.what == "train.optimizer is now optimizer.type, train.learning_rate is now optimizer.learning_rate"
    )
    assert caught.value.where == f"{path}:5:train.optimizer"
    assert caught.value.remedy == "write `optimizer: {type: adamw, learning_rate: 0.01}`"


def test_an_old_key_of_a_flag_is_told_as_a_flag() -> None:
    with pytest.raises(UserError) as caught:
        default_recipe("gridworld", ("replay.batch_size=64",))
    assert caught.value.what == "replay.batch_size is now train.batch_size"
    assert caught.value.where == "--set replay.batch_size=64"
    assert caught.value.remedy == "write --set train.batch_size=64"


def test_a_recipe_that_is_a_record_is_read_by_the_new_names(tmp_path: Path) -> None:
    path = tmp_path / "full.recipe.yaml"
    path.write_text(OLD)
    recipe = load_recipe(path, "detection", is_record=True)
    assert (recipe.optimizer.type, recipe.optimizer.learning_rate, recipe.train.num_steps) == ("adamw", 0.01, 7)
    assert inspect_artifact(path).problems == ()


def test_keys_that_did_not_move_stay_and_the_old_recipe_is_left_as_it_was() -> None:
    old = {"name": "mine", "train": {"optimizer": "muon", "num_steps": 7}, "scenes": None}
    assert with_new_names(old, PART.moved) == {
        "name": "mine",
        "train": {"num_steps": 7},
        "scenes": None,
        "optimizer": {"type": "muon"},
    }
    assert old["train"] == {"optimizer": "muon", "num_steps": 7}


def test_a_training_that_finished_under_the_old_names_is_up_to_date(tmp_path: Path, baton: Baton) -> None:
    arguments = ("train", "gridworld", "--recipe", "tiny", "--set", "train.num_steps=1024")
    assert baton(*arguments).code == 0
    folder = tmp_path / "runs/gridworld/tiny/train"
    manifest = load_manifest(folder)
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in manifest.config.items()}
    config["replay"]["batch_size"] = config["train"].pop("batch_size")
    config["q_learning"]["average_decay"] = config["optimizer"].pop("average_decay")
    write_manifest(folder, msgspec.structs.replace(manifest, config=config, config_hash=hash_config(config)))
    before = (folder / FILE_NAME).read_bytes()
    assert baton(*arguments, "--json").json["status"] == "up_to_date"
    assert (folder / FILE_NAME).read_bytes() == before
    changed = baton(*arguments, "--set", "train.batch_size=16")
    assert changed.code == 2 and "train.batch_size: 32 -> 16" in changed.err
