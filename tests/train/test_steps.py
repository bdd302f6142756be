"""The steps behind predictions, and which files are checkpoints of one training, by the manifests beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.files import read_all, write_all
from pipeline.run.folder import StageRequest, stage_run
from pipeline.train.steps import steps_of_training
from schemas.comparison import Comparison
from schemas.rows import Figure
from stages.common import run_command
from stages.compare import app
from tests.compare.compare_files import with_wellbeing

ONE_TRAINING = {"early": {"step": 1000, "training": "abc"}, "late": {"step": 2000, "training": "abc"}}


def inferred(folder: Path, notes: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Path:
    """Predictions in a folder of infer whose manifest says ``notes``."""
    request = StageRequest(stage="infer", task="gridworld", folder=folder, config=config or {})
    with stage_run(request) as run:
        rows = with_wellbeing([len(folder.name), 20.0, 30.0])
        rows = [msgspec.structs.replace(row, multiplier=1.0 + n % 2) for n, row in enumerate(rows)]
        write_all(folder / "predictions.jsonl", rows)
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


def compared(folder: Path, training: str) -> tuple[list[Comparison], str]:
    """The rows and the table of three files; the last step is that of the file given in the middle."""
    steps = {"early": 1000, "late": 3000, "middle": 2000}
    notes = {label: {"step": step, "training": "abc"} for label, step in steps.items()}
    notes["late"]["training"] = training
    given = [f"{label}={path}" for label, path in files(folder, notes).items()]
    chosen = ("--metric", "wellbeing", "--num-resamples", "20", "--num-movers", "0", "--no-figures")
    assert run_command(app, ["gridworld", *given, *chosen, "--out", str(folder / "out")]) == 0
    return read_all(folder / "out/comparisons.jsonl", Comparison), (folder / "out/table.md").read_text()


def test_forgetting_goes_by_the_steps_of_one_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, table = compared(tmp_path, "abc")
    assert {row.label for row in rows if row.kind == "forgetting"} == {"late"}
    title = "forgetting: late against the best earlier checkpoint"
    note = "Checkpoints of one training, in the order of their steps: early (1,000), middle (2,000), late (3,000)."
    for told in (table, capsys.readouterr().out, (tmp_path / "out/report.html").read_text()):
        assert title in told and note in told


def test_without_steps_forgetting_says_that_it_goes_by_the_order_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, table = compared(tmp_path, "another")
    assert {row.label for row in rows if row.kind == "forgetting"} == {"middle"}
    title = "forgetting, by the order given: middle against the best file before it"
    for told in (table, capsys.readouterr().out, (tmp_path / "out/report.html").read_text()):
        assert title in told and "order of their steps" not in told


def test_the_baseline_is_the_first_given_whatever_its_step(tmp_path: Path) -> None:
    found = files(tmp_path, {"late": ONE_TRAINING["late"], "early": ONE_TRAINING["early"]})
    given = [f"{label}={path}" for label, path in found.items()]
    chosen = ("--metric", "wellbeing", "--num-resamples", "20", "--num-movers", "0", "--no-figures")
    assert run_command(app, ["gridworld", *given, *chosen, "--out", str(tmp_path / "out")]) == 0
    rows = read_all(tmp_path / "out/comparisons.jsonl", Comparison)
    assert {(row.label, row.baseline) for row in rows} == {("early", "late")}
