"""kill -9 at random moments of train, infer and evaluate, resumed each time: the same bytes as if undisturbed.

The kills fall on one run folder one after the other, each on the command that goes on with what the one before left,
until the run completes in spite of them; then on a new folder. Where a kill lands is up to the machine, its delay is
drawn from a seeded generator; what must hold, must hold wherever it lands.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pipeline.run.manifest import load_manifest, verify
from pipeline.train.trainer import RESUME
from tests.support.run_files import different_files
from tests.support.zygote import Zygote

NUM_KILLS = 20
NUM_AMID_WORK = 10  # at least so many of them must fall on a run that then has work to go on with, or to begin again
MOST_KILLS = 400  # a machine on which that needs more is not what the tests are about
PATIENCE = 5  # kills of one run after which the delays grow: on a machine that became slower it would never complete

TRAIN = (
    "environment.level=minimal",
    "replay.capacity=1024",
    "train.num_steps=2048",
    "train.warmup_steps=256",
    "train.updates_per_step=0.25",
    "train.monitor_every=512",
    "train.monitor_episodes=4",
    "train.checkpoint_every=256",
)
INFER = ("infer.batch_size=3", "infer.num_traces=2")
NUM_SCENARIOS = 12  # of recipe "tiny"


@dataclass(frozen=True)
class Job:
    """One stage's command, and what can be seen of its work in its folder.

    ``kept`` counts what a resumed run must not lose: it never falls from one kill to the next. ``phase`` says where a
    kill landed in a run that had started; those that left work behind, or cut it off, are ``amid``.
    """

    zygote: Zygote
    arguments: tuple[str | Path, ...]
    phase: Callable[[Path], str]
    amid: tuple[str, ...]
    kept: Callable[[Path], int]


@dataclass
class Kills:
    """What the kills did: in which phase they landed, and how many runs it took."""

    phases: Counter[str] = field(default_factory=Counter)
    num_runs: int = 0
    most_in_one_run: int = 0

    def amid(self, job: Job) -> int:
        return sum(self.phases[phase] for phase in job.amid)

    def enough(self, job: Job) -> bool:
        return self.phases.total() >= NUM_KILLS and self.amid(job) >= NUM_AMID_WORK


def command(stage: str, *more: str | Path, settings: tuple[str, ...] = ()) -> tuple[str | Path, ...]:
    return (stage, "gridworld", "--recipe", "tiny", *more, *[text for value in settings for text in ("--set", value)])


def test_train_killed_many_times(zygote: Zygote, tmp_path: Path) -> None:
    def phase(folder: Path) -> str:
        if any(folder.rglob("*.tmp")):
            return "writing a file"
        return "between checkpoints" if (folder / RESUME).exists() else "before the first checkpoint"

    def num_steps(folder: Path) -> int:
        return int(torch.load(folder / RESUME, weights_only=True)["step"]) if (folder / RESUME).exists() else 0

    amid = ("writing a file", "between checkpoints")
    job = Job(zygote, command("train", settings=TRAIN), phase, amid, num_steps)
    kill_and_resume(job, tmp_path)


def test_infer_killed_many_times(zygote: Zygote, tiny_runs: Path, tmp_path: Path) -> None:
    def num_lines(folder: Path) -> int:
        path = folder / "predictions.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def phase(folder: Path) -> str:
        num = num_lines(folder)
        return "before the first line" if num == 0 else "between lines" if num < NUM_SCENARIOS else "behind the last"

    arguments = command("infer", "--runs-dir", tiny_runs, settings=INFER)
    job = Job(zygote, arguments, phase, ("between lines",), num_lines)
    kill_and_resume(job, tmp_path)
    num_resumed = [load_manifest(folder).counts["num_resumed"] for folder in tmp_path.glob("run-*")]
    assert 0 < max(num_resumed) <= NUM_SCENARIOS


def test_evaluate_killed_many_times(zygote: Zygote, tiny_runs: Path, tmp_path: Path) -> None:
    def phase(folder: Path) -> str:
        written = [name for name in ("metrics.jsonl", "scores.jsonl", "table.md") if (folder / name).exists()]
        return "between outputs" if written else "computing"

    arguments = command("evaluate", "--runs-dir", tiny_runs)
    job = Job(zygote, arguments, phase, ("computing", "between outputs"), lambda folder: 0)
    kill_and_resume(job, tmp_path)


def kill_and_resume(job: Job, tmp_path: Path) -> None:
    """Kill runs of ``job`` until `Kills.enough`, and check each that completes."""
    whole = tmp_path / "whole"
    begun = time.monotonic()
    done = job.zygote.run(*job.arguments, "--out", whole)
    duration_s = time.monotonic() - begun
    assert done.code == 0, done.err
    kills, delays_s = Kills(), moments(random.Random(0), duration_s)
    while not kills.enough(job):
        folder = tmp_path / f"run-{kills.num_runs}"
        complete(job, folder, delays_s, kills)
        kills.num_runs += 1
        assert load_manifest(folder).status == "ok" and verify(folder) == []
        assert different_files(whole, folder) == []
        assert kills.phases.total() < MOST_KILLS
    print(f"{job.arguments[0]}, {duration_s:.2f} s undisturbed: {kills.phases.total()} kills of {kills.num_runs} runs,")
    print(f"  at most {kills.most_in_one_run} of one; where: {dict(kills.phases.most_common())}")
    assert kills.most_in_one_run > 1  # a resumed run, too, was killed and resumed


def moments(generator: random.Random, duration_s: float) -> Iterator[float]:
    """Seconds after the start: eight in ten anywhere, one in ten very early, one in ten around the end."""
    while True:
        kind = generator.random()
        low, high = (0.0, 0.05) if kind < 0.1 else (0.9, 1.1) if kind < 0.2 else (0.0, 1.0)
        yield generator.uniform(low, high) * duration_s


def complete(job: Job, folder: Path, delays_s: Iterator[float], kills: Kills) -> None:
    """Kill the command and start it again, until it ends by itself or there were enough kills."""
    num_kills = kept = 0
    while not kills.enough(job):
        running = job.zygote.start(*job.arguments, "--out", folder)
        longer = 1.25 ** max(0, num_kills - PATIENCE)
        if running.wait(timeout_s=next(delays_s) * longer) is not None or running.kill() != -signal.SIGKILL:
            break
        num_kills += 1
        kills.phases[where(job, folder)] += 1
        kept, before = job.kept(folder), kept
        assert kept >= before, "a resumed run lost work that had survived the kill before it"
    else:
        running = job.zygote.start(*job.arguments, "--out", folder)
    done = running.finish()
    assert done.code == 0, done.err
    kills.most_in_one_run = max(kills.most_in_one_run, num_kills)


def where(job: Job, folder: Path) -> str:
    """The phase that a killed process was in; its manifest is whole or not there."""
    if not (folder / "manifest.json").exists():
        return "before the manifest"
    status = load_manifest(folder).status
    if status == "ok":
        return "after the manifest said ok"
    assert status == "started"
    return job.phase(folder)
