"""Export: a checkpoint becomes a model that answers as its average did, or an error says why not."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from pipeline import load_model
from pipeline.errors import UserError
from pipeline.export import export_model
from pipeline.model.brain import compile_brain
from pipeline.model.checkpoint import read_checkpoint
from pipeline.model.file import open_model
from pipeline.tasks.gridworld.town.observe import layout
from tests.model.checkpoint_parts import SIZE, TOWN, checkpoint_v1, observations, save


def test_the_averaged_weights_are_exported_with_where_they_came_from(tmp_path: Path) -> None:
    contents = checkpoint_v1()
    made = export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")
    model = load_model(tmp_path / "m")
    module = compile_brain(model.brain)
    module.load_state_dict(contents["average_weights"])
    with torch.no_grad():
        expected = module.eval()(observations())[0].numpy()
    np.testing.assert_allclose(model.predict(observations().numpy()).q_values, expected, rtol=1e-5, atol=1e-6)
    about = model.metadata
    assert (about["task"], about["step"], about["episode"]) == ("gridworld", 4096, 17)
    assert (about["epsilon"], about["stage"], about["facts"]) == (0.1, 2, {"multiplier": 0.8})
    assert (about["recipe"]["name"], about["recipe_hash"]) == ("small", "cd" * 32)
    assert about["parent"]["format"] == "checkpoint_v1" and len(about["parent"]["sha256"]) == 64
    assert about["output"]["labels"][4] == "interact" and about["output"]["gamma"] == 0.9
    assert (made.source_format, made.filled_in, made.golden_difference) == ("checkpoint_v1", (), 0.0)
    assert made.num_bytes == (tmp_path / "m").stat().st_size


def test_the_blocks_of_the_input_are_in_the_file(tmp_path: Path) -> None:
    export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld")
    about = load_model(tmp_path / "m").metadata["input"]
    assert (about["level"], about["encoding"], about["shape"]) == ("full", "places", ["B", SIZE])
    assert about["blocks"] == json.loads(msgspec.json.encode(layout("full", "places")))


def test_golden_inputs_are_states_of_the_town_in_the_ranges_of_the_blocks(tmp_path: Path) -> None:
    export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld")
    golden = open_model(tmp_path / "m").golden_inputs["observations"]
    for block in layout("full", "places"):
        part = golden[..., block.start : block.stop]
        assert part.min() >= block.low and part.max() <= block.high
    meters = golden[..., 6:14]
    assert len(torch.unique(meters)) > 16


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = save(tmp_path / "c", checkpoint_v1())
    for name in ("a", "b"):
        export_model(path, tmp_path / name, task="gridworld")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class Custom:
    """A class of the file's own."""


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (checkpoint_v1(format="checkpoint_v7"), "format 'checkpoint_v7'"),
        ({"weights": {}}, "format 'None'"),
        ([1, 2], "holds a list"),
        (checkpoint_v1(task="detection"), "is of task 'detection'"),
        ({k: v for k, v in checkpoint_v1().items() if k != "brain"}, "has no 'brain'"),
        ({k: v for k, v in checkpoint_v1().items() if k != "average_weights"}, "has no 'average_weights'"),
        (checkpoint_v1(brain={"task": "gridworld"}), "brain spec is not valid"),
        (checkpoint_v1(average_weights={}), "is missing"),
        (checkpoint_v1(average_weights=[1]), "average_weights"),
        (checkpoint_v1(average_weights={"trunk.0.linear.weight": 3}), "average_weights"),
        (checkpoint_v1(recipe={"environment": {"level": "full", "encoding": "grid"}}), "takes 158 numbers, but level"),
        (checkpoint_v1(recipe={"environment": {"level": "moon", "encoding": "grid"}}), "moon"),
        (checkpoint_v1(recipe={"environment": {"level": "full"}}), "has no encoding"),
        (checkpoint_v1(recipe=3), "recipe"),
        (checkpoint_v1(facts=3), "facts"),
        (checkpoint_v1(replay=Custom()), "holds an object of .*Custom"),
    ],
)
def test_a_checkpoint_that_is_not_right_is_refused(tmp_path: Path, contents: Any, what: str) -> None:
    path = save(tmp_path / "c", contents)
    with pytest.raises(UserError, match=what) as caught:
        export_model(path, tmp_path / "m", task="gridworld")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_weights_that_are_nan_are_refused(tmp_path: Path) -> None:
    contents = checkpoint_v1()
    contents["average_weights"]["value.bias"] = torch.tensor([torch.nan])
    with pytest.raises(UserError, match="NaN or infinity"):
        export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "c", checkpoint_v1())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="damaged or is no torch file"):
        read_checkpoint(path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UserError, match="no torch file"):
        read_checkpoint(tmp_path / "text")
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(UserError, match="there is no task 'gridwold'"):
        export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridwold")


def test_a_checkpoint_v1_is_not_told_where_it_was_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="says itself"):
        export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld", environment=TOWN)
