"""`baton sweep` with real stages on tiny models: killed amid its work, it ends with the table of an undisturbed one."""

import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from pipeline.files import read_all
from pipeline.run.manifest import verify
from pipeline.sweep.run import Asked, SweepOutcome, run_sweep
from schemas.sweep import Cell, CellResult
from tests.conftest import Baton
from tests.model.checkpoint_parts import checkpoint_v1, save
from tests.sweep.killed import finished, num_rows, outputs, start

SWEEP = """\
schema: sweep_v1
task: gridworld
name: small
recipe: tiny
set: {examples.num_scenarios: 4, evaluate.num_resamples: 20}
checkpoints: [FOLDER/early.checkpoint_v1, FOLDER/late.checkpoint_v1, FOLDER/damaged.checkpoint_v1]
infer: {epsilon: [0.3]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep file and the checkpoints it names."""
    folder = tmp_path_factory.mktemp("sweep")
    save(folder / "early.checkpoint_v1", checkpoint_v1(step=1024))
    save(folder / "late.checkpoint_v1", checkpoint_v1({"type": "feedforward", "hidden": [8]}, step=2048))
    (folder / "damaged.checkpoint_v1").write_bytes((folder / "early.checkpoint_v1").read_bytes()[:1000])
    (folder / "small.yaml").write_text(SWEEP.replace("FOLDER", str(folder)))
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> SweepOutcome:
    """The sweep, undisturbed, as a second call finds it."""
    arguments = ["gridworld", "--file", str(folder / "small.yaml"), "--workers", "2"]
    assert start(arguments, folder / "whole").wait() == 1, "a cell failed"
    return run_sweep(asked(folder), lambda done, total, facts: None)


def asked(folder: Path) -> Asked:
    return Asked(task="gridworld", file=folder / "small.yaml", folder=None, runs_dir=folder / "whole")


def test_every_cell_has_its_metrics_with_intervals(whole: SweepOutcome) -> None:
    rows = read_all(whole.folder / "sweep.jsonl", CellResult)
    assert [row.axes for row in rows] == [{"model": name, "epsilon": 0.3} for name in ("early", "late", "damaged")]
    for row in rows[:2]:
        wellbeing = next(metric for metric in row.metrics if metric.name == "wellbeing")
        assert wellbeing.low is not None and wellbeing.low <= wellbeing.value <= (wellbeing.high or 0.0)
        assert wellbeing.num_records == 4
    assert [row.step for row in rows] == [1024, 2048, None]
    assert verify(whole.folder) == []


def test_failed_cells_are_named_and_do_not_stop_the_others(whole: SweepOutcome) -> None:
    assert [row.status for row in read_all(whole.folder / "sweep.jsonl", CellResult)] == ["finished"] * 2 + ["failed"]
    assert whole.lines[0] == "sweep: up to date (2 of 3 cells finished, 1 failed)"
    assert any(line.startswith("cell 3 (damaged, epsilon=0.3) failed: export of damaged") for line in whole.lines)
    table = (whole.folder / "table.md").read_text()
    assert "| 3 | damaged | 0.3 | - |" in table and "failed: export of damaged" in table


def test_the_report_shows_every_cell(whole: SweepOutcome) -> None:
    page = (whole.folder / "report.html").read_text()
    assert "Sweep: gridworld small" in page and page.count('<img src="data:image/png;base64,') == 1


def test_a_finished_sweep_is_up_to_date(folder: Path, whole: SweepOutcome) -> None:
    before = outputs(whole.folder), num_rows(whole.folder / "ledger.jsonl")
    again = run_sweep(asked(folder), lambda done, total, facts: None)
    assert again.up_to_date and again.counts == whole.counts
    assert (outputs(whole.folder), num_rows(whole.folder / "ledger.jsonl")) == before


def test_a_table_that_was_changed_is_made_anew(folder: Path, whole: SweepOutcome) -> None:
    before = outputs(whole.folder)
    (whole.folder / "table.md").write_text("better")
    assert not run_sweep(asked(folder), lambda done, total, facts: None).up_to_date
    assert outputs(whole.folder) == before


def test_killed_amid_its_work_it_ends_with_the_same_table(folder: Path, whole: SweepOutcome) -> None:
    sweep = folder / "killed/gridworld/small/sweep"
    arguments = ["gridworld", "--file", str(folder / "small.yaml"), "--workers", "2"]
    running = start(arguments, folder / "killed")
    deadline = time.monotonic() + 240
    while num_rows(sweep / "ledger.jsonl") < 5 and running.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert start(arguments, folder / "killed").wait() == 1, "a cell failed"
    assert table_of(sweep) == table_of(whole.folder)
    assert set(finished(sweep).values()) == {1}
    rows = read_all(sweep / "ledger.jsonl", Cell)
    assert any(row.event == "started" and row.attempt == 2 for row in rows), "the kill ended nothing"


def table_of(folder: Path) -> list[CellResult]:
    """All results; of failures, that they are: their texts name folders."""
    rows = read_all(folder / "sweep.jsonl", CellResult)
    return [msgspec.structs.replace(row, error="failed" if row.error else None) for row in rows]


def test_the_command_asks_for_a_sweep_and_names_those_there_are(baton: Baton) -> None:
    assert "one of --name and --file" in baton("sweep", "gridworld").err
    wrong = baton("sweep", "gridworld", "--name", "tinny")
    assert (wrong.code, "did you mean 'tiny'?" in wrong.err) == (2, True)
