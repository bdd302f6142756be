"""Sweeps with stages that only pretend: for tests of who runs what, and when.

As a program, ``python -m tests.sweep.sweep_parts FOLDER NUM_CELLS [--seconds S] [--lease S] [--workers N] [--meet N]``,
it is a worker process like `baton sweep`, whose stages write a line to ``FOLDER/log`` when they begin and when they
end. With ``--meet N`` none ends before N processes have begun one: a process that starts late finds something to do.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.sweep.plan import OutputOf, Part, Plan, Step, part_key
from pipeline.sweep.workers import Crew, Work
from schemas.sweep import Cell, Sweep
from tests.conftest import ROOT


def part(label: str, *needs: Part, kind: Any = "train") -> Part:
    """A part of one step; it reads what it needs. Cells are of kind "export" here: they have no metrics to read."""
    key = part_key(kind, "gridworld", {need.label: need.key for need in needs}, {"label": label})
    steps = (Step("train", tuple(OutputOf(need.key, "train/out") for need in needs)),)
    return Part(kind, "gridworld", key, label, steps, needs, {"model": label})


def plan_of(cells: Sequence[Part]) -> Plan:
    """A plan of these cells and what they need."""
    found: dict[str, Part] = {}

    def collect(one: Part) -> None:
        for need in one.needs:
            collect(need)
        found.setdefault(one.key, one)

    for cell in cells:
        collect(cell)
    sweep = Sweep(schema="sweep_v1", task="gridworld", name="pretended")
    return Plan(sweep, tuple(cells), tuple(found.values()), None)


def grid(num_cells: int) -> Plan:
    """Cells in pairs, each pair with a training that it shares."""
    trainings = [part(f"training {number}") for number in range(-(-num_cells // 2))]
    return plan_of([part(f"cell {number}", trainings[number // 2]) for number in range(num_cells)])


def pretend(log: Path, seconds: float, failing: str | None = None, meet: int = 1) -> Callable[..., int]:
    """A `RunStage` that takes ``seconds``, watched for the end, and writes to ``log`` what it does. It waits until
    ``meet`` processes are there."""

    def run(arguments: Sequence[str], output: Path, should_end: Callable[[], bool]) -> int:
        name = Path(arguments[arguments.index("--out") + 1]).parent.name
        note(log, f"begin {name}")
        gives_up = time.monotonic() + 60
        while len({process for _, _, process in lines(log.parent)}) < meet and time.monotonic() < gives_up:
            time.sleep(0.01)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if should_end():
                note(log, f"give up {name}")
                return -15
            time.sleep(0.01)
        folder = Path(arguments[arguments.index("--out") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        if failing is not None and name.startswith(failing):
            output.write_text("loading\nerror: it does not converge\n  next:  a lower learning rate\n")
            return 2
        (folder / "out").write_text("done")
        note(log, f"end {name}")
        return 0

    return run


def note(log: Path, text: str) -> None:
    """One line, in one write: lines of several processes do not mix."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{text} {os.getpid()}\n".encode())
    os.close(descriptor)


def lines(folder: Path) -> list[list[str]]:
    """The log: what, of which part, by which process."""
    path = folder / "log"
    return [line.rsplit(" ", 2) for line in path.read_text().splitlines()] if path.exists() else []


def events(folder: Path, plan: Plan, event: str) -> list[Cell]:
    """The rows of the ledger about an event."""
    work = Work(plan=plan, folder=folder)
    return [row for row in Crew(work).ledger.rows() if row.event == event]


def worker(folder: Path, num_cells: int, *more: str) -> "subprocess.Popen[bytes]":
    """A worker process that leads a process group of its own."""
    command = [sys.executable, "-m", "tests.sweep.sweep_parts", str(folder), str(num_cells), *more]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("num_cells", type=int)
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--meet", type=int, default=1)
    given = parser.parse_args()
    run = pretend(given.folder / "log", given.seconds, meet=given.meet)
    Crew(Work(plan=grid(given.num_cells), folder=given.folder, lease_s=given.lease, run_stage=run)).run(given.workers)


if __name__ == "__main__":
    main()
