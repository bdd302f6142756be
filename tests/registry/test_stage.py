"""``baton registry`` as a user types it."""

import shutil
from pathlib import Path

import pytest

from pipeline.files import read_all
from tests.conftest import Baton
from tests.registry.model_files import make_model

GATE = "schema: gate_v1\ntask: gridworld\nname: small\nchecks: [{metric: wellbeing, at_least: LIMIT}]\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "a.inference_v1", 1)


def test_add_alias_and_list(model: Path, baton: Baton, tmp_path: Path) -> None:
    other = make_model(tmp_path / "b.inference_v1", 2)
    assert baton("registry", "add", "town", model).out == f"registry: town version 1 in {tmp_path}/runs/registry\n"
    assert baton("registry", "add", "town", other, "--alias", "production", "--json").json["version"] == "2"
    done = baton("registry", "alias", "town", "production", "1")
    assert done.out == "registry: production of town names version 1 (before: version 2)\n"
    listed = baton("registry", "list", "--json").json["versions"]
    assert [(one["name"], one["version"], one["task"], one["aliases"]) for one in listed] == [
        ("town", "1", "gridworld", ["production"]),
        ("town", "2", "gridworld", []),
    ]
    assert "town 1  gridworld" in baton("registry", "list", "town").out


def test_a_registry_elsewhere_is_named(model: Path, baton: Baton, tmp_path: Path) -> None:
    baton("registry", "add", "town", model, "--registry", tmp_path / "models")
    assert (tmp_path / "models/town/1.inference_v1").is_file()
    gone = baton("registry", "list", MLFLOW_URI="http://127.0.0.1:9")
    assert gone.code == 2 and "the MLflow server does not answer" in gone.err and "MLFLOW_URI" in gone.err


def test_wrong_words_are_told_what_is_right(model: Path, baton: Baton) -> None:
    assert "baton registry alias NAME ALIAS VERSION" in baton("registry", "alias", "town").err
    assert "belong to alias" in baton("registry", "add", "town", model, "--gate", "x").err


@pytest.fixture
def gated(tiny_runs: Path, baton: Baton, tmp_path: Path) -> Path:
    """A model in the registry, its predictions and its metrics as a baseline; the folder of gates."""
    run = tiny_runs / "gridworld/tiny"
    baton("registry", "add", "town", run / "export/model.inference_v1")
    shutil.copy(run / "infer/predictions.jsonl", tmp_path / "predictions.jsonl")
    for name, limit in (("low", "0"), ("high", "1000")):
        text = GATE.replace("small", name).replace("LIMIT", limit)
        (tmp_path / f"{name}.yaml").write_text(text)
        arguments = ("--gate", tmp_path / f"{name}.yaml", "--input", tmp_path / "predictions.jsonl")
        assert baton("gate", "gridworld", *arguments, "--update", "--yes").code == 0
    return tmp_path


def test_an_alias_moves_only_through_its_gate(gated: Path, baton: Baton) -> None:
    move = ("registry", "alias", "town", "production", "1", "--input", gated / "predictions.jsonl", "--gate")
    refused = baton(*move, gated / "high.yaml")
    assert refused.code == 1 and "production of town stays where it is" in refused.out
    assert baton("registry", "list", "--json").json["versions"][0]["aliases"] == []
    passed = baton(*move, gated / "low.yaml")
    assert passed.code == 0, passed.err
    assert baton("registry", "list", "--json").json["versions"][0]["aliases"] == ["production"]


def test_a_gate_takes_no_predictions_of_another_model(gated: Path, baton: Baton) -> None:
    (row, *_) = read_all(gated / "predictions.jsonl", dict)
    text = (gated / "predictions.jsonl").read_text().replace(row["model"], "0" * 16)
    (gated / "others.jsonl").write_text(text)
    move = ("registry", "alias", "town", "production", "1", "--gate", gated / "low.yaml")
    done = baton(*move, "--input", gated / "others.jsonl")
    assert done.code == 2 and "predictions of 0000000000000000, not of" in done.err
    assert "none were given" in baton(*move).err
