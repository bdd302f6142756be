"""The loop around a task's trainer: what every training leaves in its folder, when it saves, and how it goes on.

A task's ``learn.py`` has the trainer (`Trainer`: its whole state, and how to advance it) and calls `run_training`,
which writes into the folder of the job:

- ``progress.jsonl``          what `Trainer.advance` appends: complete, short rows
- ``episodes.jsonl``          what it offers to the live tail
- ``monitor.jsonl``           the row of `Trainer.monitor`, every ``monitor_every`` steps and at the end
- ``checkpoints/``            what `Trainer.monitor` keeps
- ``selected.checkpoint_v1``  a copy of the best of them
- ``resume.checkpoint_v1``    everything that is needed to go on, by `Trainer.save`

A training that was stopped or killed and goes on from there ends in the same bytes.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.files import Appender
from pipeline.files.atomic import write_atomically
from pipeline.files.hashes import canonical_json
from pipeline.train.tail import Tail
from schemas.brain import BrainSpec
from schemas.recipe import Recipe
from schemas.rows import Monitor

__all__ = ["RESUME", "SELECTED", "Rhythm", "Trainer", "arithmetic", "checkpoint_head", "run_training"]

RESUME, SELECTED = "resume.checkpoint_v1", "selected.checkpoint_v1"
_ROWS = ("progress", "monitor", "episodes")


class Trainer(Protocol):
    """The whole state of a training, and one method a rhythm."""

    best_checkpoint: str
    """The best checkpoint so far, as a path in the folder; "" before the first `monitor`."""

    @property
    def step(self) -> int:
        """How far the training is, in the unit of the recipe's ``num_steps``."""

    def advance(self, progress: Appender, tail: Tail) -> None:
        """Go on by the smallest step there is."""

    def monitor(self) -> Monitor:
        """Measure the model as it is, keep a checkpoint, and say how it did."""

    def save(self, offsets: dict[str, int]) -> None:
        """Write ``resume.checkpoint_v1``; ``offsets`` are the lengths in bytes of the files written so far."""

    def load(self) -> dict[str, int]:
        """Go on from `save`; returns the offsets it was given. Raises UserError when the checkpoint does not read."""

    def facts(self) -> Mapping[str, float | str]:
        """What the progress display shows."""


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How long a training is and what happens how often, all in steps of `Trainer.step`."""

    num_steps: int
    monitor_every: int
    checkpoint_every: int
    report_every: int


@contextmanager
def arithmetic(num_threads: int) -> Iterator[None]:
    """How trainings compute: on so many threads, and with denormal numbers taken for 0, which are slow."""
    torch.set_num_threads(num_threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)  # or recipes would go unchecked: to msgspec "above 0" is the least denormal


def checkpoint_head(recipe: Recipe, brain: BrainSpec, step: int) -> dict[str, Any]:
    """What every checkpoint_v1 says first."""
    plain = msgspec.to_builtins(recipe)
    return {
        "format": "checkpoint_v1",
        "task": recipe.task,
        "step": step,
        "brain": msgspec.to_builtins(brain),
        "recipe": plain,
        "recipe_hash": hashlib.sha256(canonical_json(plain)).hexdigest(),
    }


def run_training(job: TrainJob, trainer: Trainer, rhythm: Rhythm) -> TrainOutcome:
    """Train to the end, from ``resume.checkpoint_v1`` if the job says so and there is one.

    Stops early, with everything saved, when ``job.should_stop()`` says so: then KeyboardInterrupt is raised.
    """
    (job.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    offsets = dict.fromkeys(_ROWS, 0)
    if job.resume and (job.folder / RESUME).exists():
        offsets = trainer.load()
    with ExitStack() as stack:
        files = _Files(
            progress=stack.enter_context(Appender(_rows(job, "progress"), at=offsets["progress"])),
            monitor=stack.enter_context(Appender(_rows(job, "monitor"), at=offsets["monitor"])),
            tail=stack.enter_context(Tail(_rows(job, "episodes"), resume_at=offsets["episodes"])),
        )
        _advance_to_end(job, trainer, rhythm, files)
        files.tail.drain()
    tail = files.tail
    write_atomically(job.folder / SELECTED, [(job.folder / trainer.best_checkpoint).read_bytes()])
    return TrainOutcome(
        outputs={"selected": job.folder / SELECTED} | {name: _rows(job, name) for name in _ROWS},
        counts={"steps": trainer.step, "tail_written": tail.num_written, "tail_dropped": tail.num_dropped},
        notes={"selected": trainer.best_checkpoint} | ({"tail_error": str(tail.error)} if tail.error else {}),
    )


@dataclass(frozen=True)
class _Files:
    progress: Appender
    monitor: Appender
    tail: Tail

    def sync(self) -> dict[str, int]:
        """Their lengths, once they are on the disk: a power cut must not leave a checkpoint ahead of its files."""
        self.progress.flush(sync=True)
        self.monitor.flush(sync=True)
        return {"progress": self.progress.offset, "monitor": self.monitor.offset, "episodes": self.tail.drain()}


def _rows(job: TrainJob, name: str) -> Path:
    return job.folder / f"{name}.jsonl"


def _advance_to_end(job: TrainJob, trainer: Trainer, rhythm: Rhythm, files: _Files) -> None:
    """Advance, reporting, monitoring and saving on the way."""
    while trainer.step < rhythm.num_steps:
        before = trainer.step
        trainer.advance(files.progress, files.tail)
        done = trainer.step >= rhythm.num_steps
        if _passed(rhythm.report_every, before, trainer.step):
            files.progress.flush()
            job.report(trainer.step, rhythm.num_steps, trainer.facts())
        if done or _passed(rhythm.monitor_every, before, trainer.step):
            files.monitor.append(trainer.monitor())
            files.monitor.flush()
        if done:
            break
        if job.should_stop():
            trainer.save(files.sync())
            raise KeyboardInterrupt
        if _passed(rhythm.checkpoint_every, before, trainer.step):
            trainer.save(files.sync())
    trainer.save(files.sync())


def _passed(every: int, before: int, step: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, step]."""
    return step // every > before // every
