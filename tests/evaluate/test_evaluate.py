"""The evaluate command on small predictions files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.files import read_all, write_all
from pipeline.run.folder import StageRequest, stage_run
from pipeline.run.manifest import load_manifest
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from schemas.rows import Metric
from stages.common import run_command
from stages.evaluate import app
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions

FILES = ("metrics.jsonl", "scores.jsonl", "table.md")


@pytest.fixture(scope="module")
def rows() -> list[GridworldPrediction]:
    return fake_predictions(Fake(num_records=4, num_traces=0))


@pytest.fixture
def predictions(tmp_path: Path, rows: list[GridworldPrediction]) -> Path:
    write_all(tmp_path / "late/infer/predictions.jsonl", rows)
    early = [msgspec.structs.replace(row, wellbeing=row.wellbeing / 2, model="e" * 16) for row in rows]
    write_all(tmp_path / "early/infer/predictions.jsonl", early)
    return tmp_path / "late/infer/predictions.jsonl"


def evaluate(*arguments: str | Path) -> int:
    return run_command(app, ["gridworld", *map(str, arguments)])


def test_writes_rows_a_table_and_a_manifest(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = predictions.parents[1] / "evaluate"
    assert evaluate("--input", predictions, "--out", out) == 0
    shown = capsys.readouterr().out
    assert shown.index("\nmodel ") < shown.index("\nrandom ") < shown.index("\ntuned_script (bar)")
    assert max(len(line) for line in shown.split("\n") if str(out) not in line) <= 100  # paths are as long as they are
    scores = read_all(out / "scores.jsonl", GridworldScore)
    assert len(scores) == 4 * 7
    metrics = read_all(out / "metrics.jsonl", Metric)
    assert len({metric.id for metric in metrics}) == len(metrics)
    assert "| tuned_script (bar) |" in (out / "table.md").read_text()
    manifest = load_manifest(out)
    assert manifest.status == "ok"
    assert {record.path for record in manifest.outputs.values()} == {*FILES}
    assert manifest.counts == {"num_predictions": 4, "num_metrics": len(metrics), "num_scores": 28}


def test_a_second_run_does_nothing_and_shows_the_same(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = predictions.parents[1] / "evaluate"
    evaluate("--input", predictions, "--out", out)
    first = capsys.readouterr().out
    written = {name: (out / name).stat().st_mtime_ns for name in FILES}
    assert evaluate("--input", predictions, "--out", out) == 0
    assert capsys.readouterr().out == first.replace("evaluate: done", "evaluate: up to date")
    assert {name: (out / name).stat().st_mtime_ns for name in FILES} == written


def test_the_same_predictions_give_the_same_bytes(predictions: Path) -> None:
    for name in ("one", "two"):
        evaluate("--input", predictions, "--out", predictions.parents[2] / name)
    for file in FILES:
        one, two = ((predictions.parents[2] / name / file).read_bytes() for name in ("one", "two"))
        assert one == two


def test_other_predictions_are_refused_until_forced(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = predictions.parents[1] / "evaluate"
    evaluate("--input", predictions, "--out", out)
    other = predictions.parents[2] / "early/infer/predictions.jsonl"
    assert evaluate("--input", other, "--out", out) == 2
    assert "--force" in capsys.readouterr().err
    assert evaluate("--input", other, "--out", out, "--force") == 0
    assert read_all(out / "scores.jsonl", GridworldScore)[0].wellbeing == pytest.approx(
        read_all(other, GridworldPrediction)[0].wellbeing
    )


def test_several_files_are_told_beside_each_other(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = predictions.parents[2]
    early, out = runs / "early/infer/predictions.jsonl", runs / "curve"
    assert evaluate("--input", early, "--input", predictions, "--out", out) == 0
    shown = capsys.readouterr().out
    assert shown.index("\nearly ") < shown.index("\nlate ") < shown.index("\ntuned_script (bar)")
    assert "\nThe files beside each other, in the order given\nfile " in shown
    metrics = read_all(out / "metrics.jsonl", Metric)
    assert len({metric.id for metric in metrics}) == len(metrics)
    means = {
        (m.slice_by, m.slice_value): m.value
        for m in metrics
        if (m.name, m.statistic, m.subject) == ("wellbeing", "mean", "model")
    }
    assert set(means) == {
        ("checkpoint", "early"),
        ("checkpoint", "late"),
        ("checkpoint,level", "early,full"),
        ("checkpoint,level", "late,full"),
        ("checkpoint,multiplier", "early,1"),
        ("checkpoint,multiplier", "late,1"),
    }
    assert means["checkpoint", "early"] == pytest.approx(means["checkpoint", "late"] / 2)
    ids = [score.id for score in read_all(out / "scores.jsonl", GridworldScore)]
    assert len({*ids}) == len(ids) == 2 * 28
    assert evaluate("--input", early, "--input", predictions, "--out", out) == 0
    assert capsys.readouterr().out == shown.replace("evaluate: done", "evaluate: up to date")
    table = (out / "table.md").read_text()
    assert "## The files beside each other, in the order given\n\n| file |" in table
    assert "earning curve" not in table


def infer_says(predictions: Path, **notes: object) -> None:
    """The manifest of infer beside predictions."""
    with stage_run(StageRequest(stage="infer", task="gridworld", folder=predictions.parent, config={})) as run:
        run.output("predictions", predictions)
        run.notes |= notes


def test_checkpoints_of_one_training_are_a_learning_curve_by_step(
    predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = predictions.parents[2]
    early, out = runs / "early/infer/predictions.jsonl", runs / "curve"
    infer_says(early, step=1000, training="abc")
    infer_says(predictions, step=2000, training="abc")
    assert evaluate("--input", predictions, "--input", early, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "\nLearning curve\ncheckpoint " in shown
    assert re.search(r"\nearly +1,000 .*\nlate +2,000 ", shown)
    table = (out / "table.md").read_text()
    assert table.index("## Learning curve") < table.index("| early | 1,000 |") < table.index("| late | 2,000 |")
    assert evaluate("--input", early, "--input", predictions, "--out", out) == 0
    assert capsys.readouterr().out == shown.replace("evaluate: done", "evaluate: up to date")


def test_checkpoints_of_two_trainings_keep_their_order_and_steps(
    predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = predictions.parents[2]
    early, out = runs / "early/infer/predictions.jsonl", runs / "curve"
    infer_says(early, step=1000, training="abc")
    infer_says(predictions, step=2000, training="another")
    assert evaluate("--input", predictions, "--input", early, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "\nThe files beside each other, in the order given\nfile " in shown
    assert re.search(r"\nlate +2,000 .*\nearly +1,000 ", shown)


def test_the_training_step_is_taken_from_the_manifest_of_infer(predictions: Path) -> None:
    infer_says(predictions, step=6_000_000)
    out = predictions.parents[1] / "evaluate"
    evaluate("--input", predictions, "--out", out)
    assert load_manifest(out).notes["steps"] == {"predictions": 6_000_000}


def test_failed_records_are_told(
    predictions: Path, rows: list[GridworldPrediction], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = msgspec.structs.replace(rows[0], id="broken", error="the model gave NaN")
    write_all(predictions, [*rows, broken])
    out = predictions.parents[1] / "evaluate"
    assert evaluate("--input", predictions, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "1 records failed: the model gave NaN" in shown
    assert "WARNING: 1 of 5 records have an error" in shown
    assert load_manifest(out).error_counts == {"the model gave NaN": 1}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "there are no predictions to evaluate"),
        (b'{"schema":"prediction_v1","task":"gridworld","id":', "predictions.jsonl:1"),
        (b'{"schema":"prediction_v9","task":"gridworld","id":"a"}\n', "prediction_v9"),
    ],
)
def test_what_cannot_be_evaluated_ends_in_one_block_that_names_the_file(
    predictions: Path, content: bytes, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions.write_bytes(content)
    assert evaluate("--input", predictions, "--out", predictions.parents[1] / "evaluate") == 2
    block = capsys.readouterr().err
    assert what in block
    assert str(predictions) in block
    assert "Traceback" not in block


def test_json_prints_one_object_with_the_main_metrics(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--input", predictions, "--out", predictions.parents[1] / "evaluate", "--json") == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["status"] == "ok"
    assert [metric["name"] for metric in found["metrics"]][:2] == ["survived_steps", "survival_rate"]
    assert printed.err == ""


def test_two_inputs_of_one_label_are_refused(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--input", predictions, "--input", predictions, "--out", predictions.parents[1] / "x") == 2
    assert "LABEL=PATH" in capsys.readouterr().err


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from stages.common import run_command; from stages.evaluate import app;"
        "run_command(app, ['--help']);"
        "print([name for name in ('numpy', 'pandas', 'numba', 'torch', 'matplotlib') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--input" in shown
    assert shown.strip().endswith("[]")
