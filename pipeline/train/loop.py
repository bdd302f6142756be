"""The loop around a task's trainer: what every training leaves in its folder, when it saves, and how it goes on.

A task has the trainer (`Trainer`: its whole state, and how to advance it). `run_training` writes into the job's folder:

- ``progress.jsonl``          what `Trainer.advance` appends: complete, short rows
- ``episodes.jsonl``          what it offers to the live tail
- ``monitor.jsonl``           the row of `Trainer.monitor`, every ``monitor_every`` steps and at the end
- ``checkpoints/``            what `Trainer.monitor` keeps
- ``selected.checkpoint_v1``  a copy of the best of them
- ``resume.checkpoint_v1``    everything that is needed to go on, by `Trainer.save`

A training that was stopped or killed and goes on from there ends in the same bytes. So does a finished one that goes on
to a larger ``num_steps``, where nothing that it does on the way (the learning rate, for one) depends on that number.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.errors import UserError
from pipeline.files import Appender
from pipeline.files.atomic import write_atomically
from pipeline.train.learner import Diverged
from pipeline.train.start import check_start, freeze, take_weights
from pipeline.train.tail import Tail
from pipeline.train.trainer import RESUME, Trainer
from schemas.recipe import Training

SELECTED = "selected.checkpoint_v1"
_ROWS = ("progress", "monitor", "episodes")


@contextmanager
def arithmetic(num_threads: int) -> Iterator[None]:
    """How trainings compute: on so many threads, and with denormal numbers taken for 0, which are slow."""
    torch.set_num_threads(num_threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)  # or recipes would go unchecked: to msgspec "above 0" is the least denormal


def run_training(job: TrainJob, make: Callable[[TrainJob], Trainer[Any]]) -> TrainOutcome:
    """Train to the end, from ``resume.checkpoint_v1`` if the job says so and there is one.

    The recipe has a section ``train``, which is a `Training`.

    Stops early, with everything saved, when ``job.should_stop()`` says so: then KeyboardInterrupt is raised.
    """
    options: Training = job.recipe.train  # type: ignore[attr-defined]  # the envelope does not say it
    check_start(options)
    (job.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    with arithmetic(options.num_threads), ExitStack() as stack:
        trainer = make(job)
        if options.frozen:
            freeze(trainer.learner, options.frozen)
        offsets = dict.fromkeys(_ROWS, 0)
        if job.resume and (job.folder / RESUME).exists():
            offsets = trainer.load()
        elif job.start is not None:
            trainer.started_from = take_weights(trainer.learner, job.start, options)
        files = _Files(
            progress=stack.enter_context(Appender(_rows(job, "progress"), at=offsets["progress"])),
            monitor=stack.enter_context(Appender(_rows(job, "monitor"), at=offsets["monitor"])),
            tail=stack.enter_context(Tail(_rows(job, "episodes"), resume_at=offsets["episodes"])),
        )
        _advance_to_end(job, options, trainer, files)
        files.tail.drain()
    tail = files.tail
    write_atomically(job.folder / SELECTED, [(job.folder / trainer.best_checkpoint).read_bytes()])
    counts = {"steps": trainer.step, "tail_written": tail.num_written, "tail_dropped": tail.num_dropped}
    started = {"started_from": trainer.started_from} if trainer.started_from else {}
    notes = {"selected": trainer.best_checkpoint} | started | ({"tail_error": str(tail.error)} if tail.error else {})
    return TrainOutcome(
        outputs={"selected": job.folder / SELECTED} | {name: _rows(job, name) for name in _ROWS},
        counts={**counts, **trainer.counts()},
        notes={**notes, **trainer.notes(), "depends_on_length": trainer.depends_on_length},
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


def _advance_to_end(job: TrainJob, options: Training, trainer: Trainer[Any], files: _Files) -> None:
    """Advance, reporting, monitoring and saving on the way."""
    while trainer.step < options.num_steps:
        before = trainer.step
        _advance(job, trainer, files)
        if _passed(trainer.report_every, before, trainer.step):
            files.progress.flush()
            job.report(trainer.step, options.num_steps, trainer.facts())
        if _passed(options.monitor_every, before, trainer.step):
            _monitor(trainer, files)
        if trainer.step >= options.num_steps:
            break
        if job.should_stop():
            trainer.save(files.sync())
            raise KeyboardInterrupt
        if _passed(options.checkpoint_every, before, trainer.step):
            trainer.save(files.sync())
    trainer.save(files.sync())  # before what the end alone adds: a longer training goes on as if it had not ended here
    trainer.finish(files.progress)
    if trainer.kept_at != trainer.step:
        _monitor(trainer, files)


def _advance(job: TrainJob, trainer: Trainer[Any], files: _Files) -> None:
    """One step. Raises UserError where it diverged; what was saved before stays."""
    try:
        trainer.advance(files.progress, files.tail)
    except Diverged as error:
        good = f"; {trainer.best_checkpoint} is the best before it" if trainer.best_checkpoint else ""
        raise UserError(
            f"the training diverged at step {trainer.step:,}: {error}",
            where=f"{job.folder}{good}",
            remedy="start anew with a smaller optimizer.learning_rate (a tenth), a longer optimizer.warmup_updates, or "
            "a smaller optimizer.max_grad_norm: --set optimizer.learning_rate=... --force",
        ) from error


def _monitor(trainer: Trainer[Any], files: _Files) -> None:
    files.monitor.append(trainer.monitor())
    files.monitor.flush()


def _passed(every: int, before: int, step: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, step]."""
    return step // every > before // every
