"""The visualize command on small predictions files."""

import contextlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from pipeline.files import read_all, write_all
from pipeline.run.folder import StageRequest, stage_run
from pipeline.run.manifest import image_root_of, load_manifest
from pipeline.tasks.gridworld.evaluate.score import evaluate
from pipeline.tasks.gridworld.recipe import Evaluate
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.visualize import split_columns, training_inputs
from schemas.rows import Figure
from stages.common import run_command
from stages.visualize import app
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions
from tests.tasks.gridworld.visualize.test_draw import RECORDS, prediction, step, write_training

HOSTILE = "</script><img src=x onerror=alert(1)>$"


@pytest.fixture(scope="module")
def rows() -> list[GridworldPrediction]:
    return fake_predictions(Fake(num_records=4, num_traces=0))


@pytest.fixture
def predictions(tmp_path: Path, rows: list[GridworldPrediction]) -> Path:
    write_all(tmp_path / "late/infer/predictions.jsonl", rows)
    return tmp_path / "late/infer/predictions.jsonl"


def visualize(*arguments: str | Path) -> int:
    return run_command(app, ["gridworld", *map(str, arguments)])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, rows: list[GridworldPrediction]) -> tuple[Path, str]:
    """A run folder whose predictions were visualized, and what the command said. For reading only."""
    run = tmp_path_factory.mktemp("runs") / "late"
    write_all(run / "infer/predictions.jsonl", rows)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert visualize("--input", run / "infer/predictions.jsonl", "--out", run / "visualize") == 0
    return run, shown.getvalue()


def test_writes_pictures_rows_a_report_and_a_manifest(done: tuple[Path, str]) -> None:
    out = done[0] / "visualize"
    assert done[1] == f"visualize: done (figures 5, predictions 4)\n  report: {out / 'report.html'}\n"
    figures = read_all(out / "figures.jsonl", Figure)
    assert [figure.id for figure in figures] == RECORDS
    assert all((out / figure.path).is_file() for figure in figures)
    manifest = load_manifest(out)
    assert manifest.status == "ok"
    written = {"figures.jsonl", "report.html", *(figure.path for figure in figures)}
    assert {record.path for record in manifest.outputs.values()} == written
    assert [note.partition(":")[0] for note in manifest.notes["missing"]] == [
        "No training folder was given or found",
        "No prediction has a trace",
    ]


def test_single_episodes_are_played_on_a_page_beside_the_report(tmp_path: Path) -> None:
    """Each figure of one record leads to its episode there; an id is no path and no markup in its address."""
    rows = [prediction([step()], id=id, num_steps=1) for id in ('one/of "them"', "another")]
    write_all(tmp_path / "predictions.jsonl", rows)
    out = tmp_path / "visualize"
    assert visualize("--input", tmp_path / "predictions.jsonl", "--out", out) == 0
    assert load_manifest(out).outputs["episodes"].path == "episodes.html"
    alone = {figure.record_ids[0] for figure in read_all(out / "figures.jsonl", Figure) if len(figure.record_ids) == 1}
    addresses = re.findall(r'<a href="episodes.html#([^"]*)">Play it step by step', (out / "report.html").read_text())
    assert {unquote(address) for address in addresses} == alone == {row.id for row in rows}
    assert not any("/" in address for address in addresses)
    plays = re.search(r'id="plays">(.*?)</script>', (out / "episodes.html").read_text())
    assert plays is not None and {play["id"] for play in json.loads(plays[1])} == alone


def test_the_report_has_the_numbers_of_evaluate(done: tuple[Path, str], rows: list[GridworldPrediction]) -> None:
    (metric,) = (
        m
        for m in evaluate(rows, Evaluate()).metrics
        if (m.name, m.statistic, m.subject, m.slice_by) == ("wellbeing", "mean", "model", "all")
    )
    assert f'<div class="value">{metric.value:.0f}</div>' in (done[0] / "visualize/report.html").read_text()


def test_a_second_run_does_nothing(done: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    out = done[0] / "visualize"
    written = (out / "report.html").stat().st_mtime_ns
    assert visualize("--input", done[0] / "infer/predictions.jsonl", "--out", out) == 0
    assert capsys.readouterr().out.startswith("visualize: up to date (figures 5")
    assert (out / "report.html").stat().st_mtime_ns == written


def test_a_forced_run_gives_the_same_report_and_leaves_no_picture_of_the_one_before(
    done: tuple[Path, str], predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(done[0] / "visualize", predictions.parents[1] / "visualize"))
    (out / "report.html").write_bytes(b"old")
    (out / "figures/old.png").write_bytes(b"old")
    assert visualize("--input", predictions, "--out", out, "--force", "--json") == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["status"], printed.err) == ("ok", "") and found["outputs"]["report"].endswith("report.html")
    assert sorted(path.stem for path in (out / "figures").iterdir()) == sorted(RECORDS)
    assert (out / "report.html").read_bytes() == (done[0] / "visualize/report.html").read_bytes()


def test_several_files_and_a_training_are_seen_together(predictions: Path, rows: list[GridworldPrediction]) -> None:
    runs = predictions.parents[2]
    early = [msgspec.structs.replace(row, wellbeing=row.wellbeing / 2, model="e" * 16) for row in rows]
    write_all(runs / "early/infer/predictions.jsonl", early)
    train = write_training(runs / "late/train")
    inputs = ("--input", runs / "early/infer/predictions.jsonl", "--input", predictions)
    assert visualize(*inputs, "--train", train, "--out", runs / "out") == 0
    assert {"training", "loss", "checkpoints"} <= {f.id for f in read_all(runs / "out/figures.jsonl", Figure)}
    manifest = load_manifest(runs / "out")
    assert set(manifest.inputs) == {"early", "late", "training progress", "training monitor"}
    assert "0123456789abcdef" in (runs / "out/report.html").read_text()  # the last file is the one looked at


def test_an_unfinished_training_is_left_out_and_the_report_says_so(tmp_path: Path) -> None:
    train = write_training(tmp_path / "train")
    with (
        pytest.raises(RuntimeError),
        stage_run(StageRequest(stage="train", task="gridworld", folder=train, config={}, force=True)),
    ):
        raise RuntimeError("killed")
    found, reason = training_inputs(train, tmp_path)
    assert found == {}
    assert reason is not None
    assert "did not finish" in reason


def test_a_training_folder_that_does_not_exist_is_the_users_mistake(
    predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visualize("--input", predictions, "--train", "nowhere", "--out", predictions.parent / "x") == 2
    assert "no such training folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "there are no predictions"),
        (b'{"schema":"prediction_v1","task":"gridworld","id":', "predictions.jsonl:1"),
        (b'{"schema":"prediction_v9","task":"gridworld","id":"a"}\n', "prediction_v9"),
    ],
)
def test_what_cannot_be_drawn_ends_in_one_block_that_names_the_file(
    predictions: Path, content: bytes, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions.write_bytes(content)
    assert visualize("--input", predictions, "--out", predictions.parents[1] / "visualize") == 2
    block = capsys.readouterr().err
    assert what in block
    assert str(predictions) in block
    assert "Traceback" not in block


def test_hostile_rows_become_text(predictions: Path) -> None:
    one = prediction([step()], id=HOSTILE, model=HOSTILE, grid_places={HOSTILE: (1, 1)}, num_steps=1)
    write_all(predictions, [one, prediction(None, id="failed", model=HOSTILE, error=HOSTILE)])
    out = predictions.parents[1] / "visualize"
    assert visualize("--input", predictions, "--out", out) == 0
    text = (out / "report.html").read_text()
    assert "<img src=x" not in text
    assert text.count("</script>") == text.count("<script")
    assert text.count(html.escape(HOSTILE)) >= 3  # the model, and the captions of its pictures


def test_plain_values_that_never_change_are_facts_and_the_others_columns(rows: list[GridworldPrediction]) -> None:
    facts, records = split_columns(rows)
    assert facts["level"] == "full"
    assert facts["cap"] == "500"
    assert facts["died"] == "no"
    assert "stage" not in facts  # null everywhere says nothing
    assert records.columns[0] == "id"
    assert {"seed", "wellbeing"} <= set(records.columns)
    assert not {"trace", "final_meters", "level"} & set(records.columns)
    assert records.rows[2][0] == rows[2].id


def test_of_a_single_record_everything_is_a_column(rows: list[GridworldPrediction]) -> None:
    facts, records = split_columns(rows[:1])
    assert facts == {}
    assert {"id", "level", "wellbeing"} <= set(records.columns)


def test_images_lie_where_infer_noted_that_it_took_them_from(tmp_path: Path) -> None:
    predictions = tmp_path / "run/infer/predictions.jsonl"
    for noted, there in (("../photographs", True), ("../gone", False)):
        request = StageRequest(stage="infer", task="gridworld", folder=predictions.parent, config={}, force=True)
        with stage_run(request) as run:
            run.notes["image_root"] = noted
        (tmp_path / "run/photographs").mkdir(exist_ok=True)
        assert image_root_of(predictions) == (tmp_path / "run/photographs" if there else predictions.parent)


def test_long_texts_stand_last_in_the_table(rows: list[GridworldPrediction]) -> None:
    texts = [msgspec.structs.replace(row, level=f"{k} {'long ' * 20}") for k, row in enumerate(rows)]
    _, records = split_columns(texts)
    assert records.columns[0] == "id"
    assert records.columns[-1] == "level"


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from stages.common import run_command; from stages.visualize import app;"
        "run_command(app, ['--help']);"
        "print([name for name in ('numpy', 'pandas', 'numba', 'torch', 'matplotlib') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--train" in shown
    assert shown.strip().endswith("[]")
