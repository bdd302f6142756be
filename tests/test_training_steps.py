"""The steps behind predictions, and which files are checkpoints of one training, by the manifests beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.jsonl import read_all, write_all
from pipeline.runs import StageRequest, stage_run
from pipeline.training_steps import steps_of_training
from schemas.rows import Figure
from stages.common import run_command
from stages.compare import app
from tests.compare_files import with_wellbeing

ONE_TRAINING = {"early": {"step": 1000, "training": "abc"}, "late": {"step": 2000, "training": "abc"}}


def inferred(folder: Path, notes: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Path:
    """Predictions in a folder of infer whose manifest says ``notes``."""
    request = StageRequest(stage="infer", task="gridworld", folder=folder, config=config or {})
    with stage_run(request) as run:
        write_all(folder / "predictions.jsonl", with_wellbeing([len(folder.name), 20.0, 30.0]))
        run.output("predictions", folder / "predictions.jsonl")
        run.notes |= notes
    return folder / "predictions.jsonl"


def files(folder: Path, notes: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    return {label: inferred(folder / label, said) for label, said in notes.items()}


def test_checkpoints_of_one_training_have_their_steps(tmp_path: Path) -> None:
    assert steps_of_training(files(tmp_path, ONE_TRAINING)) == {"early": 1000, "late": 2000}


@pytest.mark.parametrize(
    "late",
    [
        {"step": 2000, "training": "another"},
        {"step": 1000, "training": "abc"},
        {"step": None, "training": "abc"},
        {"step": 2000, "training": None},
        {"step": 2000},
        {},
    ],
)
def test_other_files_have_none(tmp_path: Path, late: dict[str, Any]) -> None:
    assert steps_of_training(files(tmp_path, ONE_TRAINING | {"late": late})) == {}


def test_answers_drawn_with_other_settings_are_no_progress(tmp_path: Path) -> None:
    early, late = ONE_TRAINING.values()
    greedy, drawn = inferred(tmp_path / "a", early), inferred(tmp_path / "b", late, {"infer": {"epsilon": 0.3}})
    assert steps_of_training({"early": greedy, "late": drawn}) == {}


def test_a_file_that_infer_did_not_write_is_of_no_training(tmp_path: Path) -> None:
    found = files(tmp_path, ONE_TRAINING)
    other = found["late"].with_name("copied.jsonl")
    other.write_bytes(found["late"].read_bytes())
    assert steps_of_training({**found, "late": other}) == {}
    assert steps_of_training({**found, "late": tmp_path / "nowhere/predictions.jsonl"}) == {}


@pytest.mark.parametrize(("training", "title"), [("abc", "Learning curve"), ("other", "The files beside each other")])
def test_the_report_has_a_learning_curve_of_one_training_only(tmp_path: Path, training: str, title: str) -> None:
    last = {"last": {"step": 3000, "training": training}}
    given = [f"{label}={path}" for label, path in files(tmp_path, ONE_TRAINING | last).items()]
    chosen = ("--metric", "wellbeing", "--num-resamples", "20", "--num-movers", "0")
    assert run_command(app, ["gridworld", *given, *chosen, "--out", str(tmp_path / "out")]) == 0
    found = {figure.id: figure.title for figure in read_all(tmp_path / "out/figures.jsonl", Figure)}
    assert found["values"] == title
