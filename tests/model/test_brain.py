"""Brain specs: dict or YAML to a checked spec, its hash and a network; mistakes are shown by file, line and key."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import compile_brain
from pipeline.errors import UserError
from pipeline.files.hashes import hash_config
from pipeline.model.brain import read_brain
from schemas.brain import BrainSpec

SPEC: dict[str, Any] = {
    "task": "gridworld",
    "input_size": 158,
    "output_size": 8,
    "network": {"type": "dueling", "hidden": [16]},
}
YAML = """\
task: gridworld
input_size: 158
output_size: 8
network:
  type: dueling
  hidden: [16]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "brain.yaml"
    path.write_text(text)
    return path


def test_a_dict_a_struct_and_a_file_give_the_same_network(tmp_path: Path) -> None:
    sources: list[Any] = [SPEC, BrainSpec(**SPEC), write(tmp_path, YAML), str(write(tmp_path, YAML))]
    modules = [compile_brain(source, torch.Generator().manual_seed(0)) for source in sources]
    observations = torch.ones(2, 158)
    answers = [module.eval()(observations)[0] for module in modules]
    assert all(torch.equal(answers[0], answer) for answer in answers)
    assert answers[0].shape == (2, 8)


def test_defaults_spelled_out_do_not_change_the_hash() -> None:
    explicit = read_brain(SPEC)
    assert explicit.network["stream"] == [128] or explicit.network["stream"] == (128,)
    assert hash_config(read_brain(explicit)) == hash_config(read_brain(SPEC))
    assert len(hash_config(read_brain(SPEC))) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"input_size": 159},
        {"network": {"type": "dueling", "hidden": [17]}},
        {"network": {"type": "dueling", "hidden": [16], "activation": "elu"}},
        {"network": {"type": "feedforward", "hidden": [16]}},
    ],
)
def test_another_architecture_has_another_hash(other: dict[str, Any]) -> None:
    assert hash_config(read_brain({**SPEC, **other})) != hash_config(read_brain(SPEC))


@pytest.mark.parametrize(
    ("line", "instead", "where", "what"),
    [
        ("  hidden: [16]", "  hiden: [16]", "brain.yaml:6:network.hiden", "has no key 'hiden'"),
        ("  hidden: [16]", "  hidden: [16, -2]", "brain.yaml:6:network.hidden[1]", "is -2"),
        ("  hidden: [16]", "  hidden: wide", "brain.yaml:6:network.hidden", "wide"),
        ("  type: dueling", "  type: duelling", "brain.yaml:5:network.type", "cannot be 'duelling'"),
        ("input_size: 158", "input_size: many", "brain.yaml:2:input_size", "many"),
        ("input_size: 158", "inputs: 158", "brain.yaml:2:inputs", "no key 'inputs'"),
        ("output_size: 8", "", "brain.yaml:1", "output_size is missing"),
        ("task: gridworld", "task: gridwold", None, "there is no task 'gridwold'"),
        ("  hidden: [16]", "  hidden: [16", "brain.yaml", ""),
    ],
)
def test_a_mistake_is_shown_where_it_is(tmp_path: Path, line: str, instead: str, where: str | None, what: str) -> None:
    path = write(tmp_path, YAML.replace(line, instead))
    with pytest.raises(UserError) as caught:
        compile_brain(path)
    assert what in caught.value.what
    assert where is None or (caught.value.where is not None and where in caught.value.where)
    assert caught.value.remedy or "brain.yaml" in str(caught.value)


def test_the_nearest_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        compile_brain(write(tmp_path, YAML.replace("hidden", "hiden")))
    assert caught.value.remedy == "did you mean 'hidden'?"


def test_a_mistake_in_a_dict_names_the_key() -> None:
    with pytest.raises(UserError) as caught:
        compile_brain({**SPEC, "network": {"type": "dueling", "dropuot": 0.1}})
    assert "dropuot" in caught.value.what
    assert caught.value.where == "brain spec: network"


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_sizes_out_of_all_proportion_are_refused(size: int) -> None:
    with pytest.raises(UserError, match="sizes, each from 1 to"):
        compile_brain({**SPEC, "input_size": size})


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the brain spec"):
        compile_brain(tmp_path / "none.yaml")
