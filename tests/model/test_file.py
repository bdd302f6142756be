"""inference_v1: what is saved comes back, the same bytes from the same parts, and two files compared."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from pipeline import compare_models, compile_brain, load_model
from pipeline.errors import UserError
from pipeline.model.container import CHUNK_BYTES, ModelFile, describe
from pipeline.model.file import load_model as load
from pipeline.model.file import save_model
from tests.model.model_parts import BRAIN, METADATA, RECURRENT, flip, parts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.inference_v1"
    save_model(path, parts())
    return path


@pytest.mark.parametrize("network", [BRAIN.network, RECURRENT])
def test_a_loaded_model_answers_as_the_saved_one(tmp_path: Path, network: dict[str, Any]) -> None:
    saved = parts(network=network)
    weights_hash = save_model(tmp_path / "m", saved)
    model = load_model(tmp_path / "m")
    module = compile_brain(saved.brain)
    module.load_state_dict(dict(saved.weights))
    observations = torch.rand(5, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module.eval()(observations)[0]
    np.testing.assert_allclose(model.predict(observations.numpy()).q_values, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert model.brain == saved.brain
    assert model.weights_hash == weights_hash
    assert model.metadata["recipe"] == METADATA["recipe"]


def test_any_safetensors_reader_opens_it(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("golden.")}
    assert weights.keys() == parts().weights.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in parts().weights.items())
    with safetensors.safe_open(path, "pt") as file:
        strings = file.metadata()
    assert strings["format_version"] == "inference_v1"
    assert json.loads(strings["brain_spec"])["input_size"] == 6
    assert hashlib.sha256(strings["brain_spec"].encode()).hexdigest() == strings["brain_spec_hash"]
    assert json.loads(strings["metadata"])["step"] == 12


def test_the_same_parts_at_the_same_time_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    save_model(tmp_path / "a", parts())
    save_model(tmp_path / "b", parts())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert describe(tmp_path / "a")["created_at"] == "2023-11-14T22:13:20Z"


def test_another_time_changes_only_the_date_and_the_hash_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strings = []
    for epoch in ("1700000000", "1700000001"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        save_model(tmp_path / epoch, parts())
        with safetensors.safe_open(tmp_path / epoch, "pt") as file:
            strings.append(file.metadata())
    assert {key for key in strings[0] if strings[0][key] != strings[1][key]} == {"created_at", "header_hash"}


@pytest.mark.parametrize("epoch", ["yesterday", "1e999", "9" * 30])
def test_a_wrong_source_date_epoch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UserError, match="SOURCE_DATE_EPOCH"):
        save_model(tmp_path / "m", parts())


def test_nothing_is_left_behind_when_saving_fails(tmp_path: Path) -> None:
    broken = parts()
    broken = replace(broken, weights={**broken.weights, "head.linear.bias": torch.full((8,), torch.nan)})
    with pytest.raises(UserError, match="NaN or infinity"):
        save_model(tmp_path / "m", broken)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_fit_the_spec_are_not_saved(tmp_path: Path) -> None:
    wrong = parts()
    with pytest.raises(UserError, match="a tensor that the brain spec asks for is missing"):
        save_model(tmp_path / "m", replace(wrong, weights={}))
    with pytest.raises(UserError, match=r"the brain spec asks for torch.float32 \[8\]"):
        save_model(tmp_path / "m", replace(wrong, weights={**wrong.weights, "head.linear.bias": torch.zeros(9)}))
    with pytest.raises(UserError, match="golden"):
        save_model(tmp_path / "m", replace(wrong, weights={**wrong.weights, "golden.x": torch.zeros(9)}))


def test_describe_tells_what_the_file_is(path: Path) -> None:
    about = describe(path)
    assert about["task"] == "gridworld"
    assert about["num_parameters"] == sum(tensor.numel() for tensor in parts().weights.values())
    assert about["num_bytes"] == path.stat().st_size
    assert about["metadata"]["recipe_hash"] == "ab" * 32
    assert about["tensors"]["head.linear.bias"] == {"dtype": "F32", "shape": [8]}


def test_load_model_without_torch_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom pipeline.errors import UserError\nimport pipeline\n"
    code += "try: pipeline.load_model\nexcept UserError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'baton-pipeline[torch]'" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 10 chunks, so that it is hashed in parallel, with tensors that cross the borders of chunks."""
    path = tmp_path_factory.mktemp("large") / "m"
    save_model(path, parts(network={"type": "feedforward", "hidden": [1600, 1600]}))
    return path


def test_a_damaged_chunk_is_named(large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m"
    copy.write_bytes(large.read_bytes())
    start = ModelFile(copy).header.data_start
    flip(copy, 8 * (start + 5 * CHUNK_BYTES + 7))
    file = ModelFile(copy)  # the header is whole
    assert len(file.header.chunks) == 10
    with pytest.raises(UserError, match="the weights are damaged: MiB 5 of them"):
        file.verify()
    load(copy, verify=False)


def test_comparing_says_what_differs(tmp_path: Path) -> None:
    one = parts()
    save_model(tmp_path / "a", one)
    save_model(tmp_path / "b", one)
    save_model(tmp_path / "other weights", parts(seed=1))
    save_model(tmp_path / "other network", parts(network={"type": "feedforward", "hidden": [5]}))
    recipe = {**METADATA, "recipe": {"name": "tiny", "seed": 4}}
    save_model(tmp_path / "other recipe", replace(one, metadata=recipe))

    same = compare_models(tmp_path / "a", tmp_path / "b")
    assert (same.same_architecture, same.same_weights, same.same_recipe) == (True, True, True)
    assert same.output_differences == {"q_values": 0.0}

    weights = compare_models(tmp_path / "a", tmp_path / "other weights")
    assert (weights.same_architecture, weights.same_weights) == (True, False)
    assert weights.weight_difference is not None and weights.weight_difference > 0
    assert weights.output_differences["q_values"] > 0

    network = compare_models(tmp_path / "a", tmp_path / "other network")
    assert not network.same_architecture
    assert dict(network.differing_network)["hidden"] == ([4], [5])
    assert network.weight_difference is None and network.output_differences["q_values"] > 0

    other = compare_models(tmp_path / "a", tmp_path / "other recipe")
    assert other.same_weights and dict(other.differing_recipe) == {"seed": (3, 4)}
    assert "seed 3 -> 4" in str(other)
