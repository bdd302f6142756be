"""The loop around a trainer: when it monitors and saves, what it leaves, how it goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.files import Appender
from pipeline.train.learner import AveragedLearner
from pipeline.train.loop import SELECTED, arithmetic, run_training
from pipeline.train.tail import Tail
from pipeline.train.trainer import RESUME, Trainer
from schemas.brain import BrainSpec
from schemas.recipe import Recipe, Training
from schemas.rows import Monitor, Progress


class ToyRecipe(Recipe, frozen=True, kw_only=True):
    """Twenty steps."""

    train: Training = Training(num_steps=20, batch_size=1, monitor_every=10, checkpoint_every=8)


RECIPE = ToyRecipe(schema="recipe_v1", task="toy", name="toy")
BRAIN = BrainSpec(task="toy", input_size=1, output_size=1, network={})


class Counting(Trainer[AveragedLearner[Any]]):
    """A trainer that goes on by 3 and finds its second checkpoint best."""

    step = 0
    report_every = 6
    depends_on_length = False

    def __init__(self, folder: Path) -> None:
        super().__init__(_job(folder), BRAIN)
        self.done: list[str] = []

    def advance(self, progress: Appender, tail: Tail) -> None:
        self.step += 3
        progress.append(Progress(task="toy", id=f"step-{self.step}", step=self.step))

    def monitor(self) -> Monitor:
        name = f"checkpoints/{self.step}"
        (self.folder / name).write_text(name)
        self.kept_at = self.step
        if self.step < 20:
            self.best_checkpoint = name
        self.done.append(f"monitor {self.step}")
        return Monitor(task="toy", id=f"step-{self.step}", step=self.step, checkpoint=name, selected_by=0.0)

    def save(self, offsets: dict[str, int]) -> None:
        sizes = {name: (self.folder / f"{name}.jsonl").stat().st_size for name in offsets}
        assert offsets == sizes  # all that the checkpoint counts on is in the files
        (self.folder / RESUME).write_text(json.dumps([self.step, self.kept_at, self.best_checkpoint, offsets]))
        self.done.append(f"save {self.step}")

    def load(self) -> dict[str, int]:
        self.step, self.kept_at, self.best_checkpoint, offsets = json.loads((self.folder / RESUME).read_text())
        return offsets

    def facts(self) -> dict[str, float | str]:
        self.done.append(f"report {self.step}")
        return {}

    def counts(self) -> dict[str, int]:
        return {"threes": self.step // 3}

    def notes(self) -> dict[str, Any]:
        return {}

    def checkpoint_facts(self) -> dict[str, Any]:
        return {}


def _job(folder: Path, *, resume: bool = True, should_stop: Callable[[], bool] = lambda: False) -> TrainJob:
    return TrainJob(RECIPE, folder, resume, "cpu", lambda *_: None, should_stop)


def _run(trainer: Counting, *, resume: bool = True, should_stop: Callable[[], bool] = lambda: False) -> TrainOutcome:
    return run_training(_job(trainer.folder, resume=resume, should_stop=should_stop), lambda job: trainer)


def test_what_is_due_happens_at_the_first_step_that_passes_its_time(tmp_path: Path) -> None:
    trainer = Counting(tmp_path)
    outcome = _run(trainer)
    assert trainer.done == [
        *("report 6", "save 9", "report 12", "monitor 12", "report 18", "save 18", "monitor 21", "save 21"),
    ]
    assert (tmp_path / SELECTED).read_text() == "checkpoints/12" == outcome.notes["selected"]
    assert outcome.counts == {"steps": 21, "tail_written": 0, "tail_dropped": 0, "threes": 7}
    assert all(path.exists() for path in outcome.outputs.values())


def test_a_training_that_was_asked_to_stop_saves_and_goes_on_to_the_same_files(tmp_path: Path) -> None:
    names = ("progress.jsonl", "monitor.jsonl", SELECTED)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    _run(Counting(tmp_path / "whole"))
    stopped = Counting(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        _run(stopped, should_stop=lambda: stopped.step == 15)
    assert stopped.done[-1] == "save 15"
    again = Counting(tmp_path / "stopped")
    _run(again)
    assert again.done[0] == "report 18"
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()


def test_rows_after_the_last_save_are_written_again(tmp_path: Path) -> None:
    trainer = Counting(tmp_path)
    monitor, trainer.monitor = trainer.monitor, lambda: (_ for _ in ()).throw(OSError("killed"))  # type: ignore[method-assign]  # a death
    with pytest.raises(OSError, match="killed"):
        _run(trainer)
    assert len((tmp_path / "progress.jsonl").read_bytes().splitlines()) == 4  # to step 12; saved at 9
    trainer.monitor = monitor  # type: ignore[method-assign]
    _run(trainer)
    steps = [json.loads(line)["step"] for line in (tmp_path / "progress.jsonl").read_bytes().splitlines()]
    assert steps == [3, 6, 9, 12, 15, 18, 21]


def test_a_training_that_may_not_resume_starts_over(tmp_path: Path) -> None:
    _run(Counting(tmp_path))
    again = Counting(tmp_path)
    _run(again, resume=False)
    assert again.done[0] == "report 6" and len((tmp_path / "monitor.jsonl").read_bytes().splitlines()) == 2


def test_arithmetic_is_left_as_it_was_found_when_a_training_fails() -> None:
    least = torch.tensor(2.0**-149)
    with pytest.raises(RuntimeError, match="out of memory"), arithmetic(1):
        assert float(least / 1) == 0.0 or not torch.set_flush_denormal(True)  # not every processor can
        raise RuntimeError("out of memory")
    assert float(least / 1) > 0.0 and float(torch.tensor(2.0**-1074, dtype=torch.float64) / 1) > 0.0
