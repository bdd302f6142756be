"""Curves of a training, read back by TensorBoard's own reader."""

from pathlib import Path

import pytest

from pipeline.files import write_all
from pipeline.tasks.gridworld.rows import GridworldMonitor, GridworldProgress
from tests.conftest import Baton

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose training wrote three rows of progress and one monitoring."""
    folder = tmp_path / "run/train"
    folder.mkdir(parents=True)
    facts = {"env_index": 0, "num_steps": 9, "cause": None, "return_total": 1.0, "epsilon": 0.5, "stage": 0}
    rows = [
        GridworldProgress(id=f"{n}", step=10 * n, died=n == 2, wellbeing=n + 0.25, multiplier=1.0, **facts)
        for n in range(3)
    ]
    write_all(folder / "progress.jsonl", rows)
    measured = {"survival_rate": 0.5, "wellbeing_mean": 7.0, "loss": 0.25, "num_updates": 3, "num_steps_mean": 2.0}
    row = GridworldMonitor(id="m", step=20, checkpoint="c", selected_by=7.0, num_episodes=4, **measured)
    write_all(folder / "monitor.jsonl", [row])
    return tmp_path / "run"


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    found = accumulators.EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_every_number_is_a_curve_over_the_steps(baton: Baton, run: Path, tmp_path: Path) -> None:
    done = baton("convert", "gridworld", "--to", "tensorboard", "--input", str(run), "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    assert curve(tmp_path / "out", "progress/wellbeing") == [(0, 0.25), (10, 1.25), (20, 2.25)]
    assert curve(tmp_path / "out", "progress/died") == [(0, 0.0), (10, 0.0), (20, 1.0)]
    assert curve(tmp_path / "out", "monitor/wellbeing_mean") == [(20, 7.0)]


def test_one_file_alone_and_the_same_rows_give_the_same_bytes(baton: Baton, run: Path, tmp_path: Path) -> None:
    found = []
    asked = ("convert", "gridworld", "--to", "tensorboard", "--input", str(run / "train/monitor.jsonl"))
    for name in ("a", "b"):
        assert baton(*asked, "--out", str(tmp_path / name)).code == 0
        found.append((tmp_path / name / "events.out.tfevents.0.baton").read_bytes())
    assert found[0] == found[1]
    assert accumulators.EventAccumulator(str(tmp_path / "a")).Reload().Tags()["scalars"][0].startswith("monitor/")


def test_what_is_no_training_is_told(baton: Baton, tmp_path: Path) -> None:
    asked = ("convert", "gridworld", "--to", "tensorboard", "--out", str(tmp_path / "out"))
    wrong = baton(*asked, "--input", str(tmp_path))
    assert (wrong.code, "neither a progress.jsonl nor a monitor.jsonl" in wrong.err) == (2, True)
    assert "needs a training" in baton(*asked).err
