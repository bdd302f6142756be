"""kill -9 of a whole sweep at random moments, resumed each time: the same table as one that nothing disturbed.

    python -m tests.sweep.killed gridworld curves FOLDER [--kills 5] [--workers 2]

Runs ``baton sweep`` on a sweep of runs/sweeps twice, in two folders: once as it is, once killed (with every stage it
has started: its process group) so many times, at moments drawn over all that happens in it. Compares table.md,
sweep.jsonl, report.html and the figures byte by byte, and counts in the ledger how often a part was finished.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from pipeline.files import read_all
from schemas.sweep import Cell
from tests.conftest import ROOT

LEDGER = "ledger.jsonl"


def start(arguments: list[str], runs: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "stages", "sweep", *arguments, "--runs-dir", str(runs)]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)


def outputs(folder: Path) -> dict[str, bytes]:
    """What a sweep says, by file: a pure function of its grid and its results."""
    paths = [folder / "table.md", folder / "sweep.jsonl", folder / "report.html", *folder.glob("figures/*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def undisturbed(arguments: list[str], runs: Path) -> float:
    """Run a sweep to its end; the seconds it took."""
    begun = time.monotonic()
    assert start(arguments, runs).wait() == 0
    return time.monotonic() - begun


def kill_and_resume(arguments: list[str], runs: Path, ledger: Path, num_events: list[int], after_s: list[float]) -> int:
    """Start a sweep and kill it so many seconds after its ledger has so many rows; once more for each of these.

    Then let it end. Returns how many kills met it at work.
    """
    num_kills = 0
    for num, seconds in zip(num_events, after_s, strict=True):
        process = start(arguments, runs)
        while process.poll() is None and num_rows(ledger) < num:
            time.sleep(0.02)
        time.sleep(seconds)
        if process.poll() is None:
            num_kills += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(arguments, runs).wait() == 0
    return num_kills


def num_rows(ledger: Path) -> int:
    """How much has happened."""
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def finished(folder: Path) -> Counter[str]:
    """How often the ledger says of each part that it was finished."""
    return Counter(row.key for row in read_all(folder / LEDGER, Cell) if row.event == "finished")


def has_ended(started: Cell, rows: list[Cell]) -> bool:
    """Whether an attempt came to an end of its own."""
    return any((row.key, row.attempt) == (started.key, started.attempt) and row.event != "started" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    arguments = [given.task, "--name", given.name, "--workers", str(given.workers)]
    whole, killed = given.folder / "whole", given.folder / "killed"
    seconds = undisturbed(arguments, whole)
    folders = [runs / given.task / given.name / "sweep" for runs in (whole, killed)]
    generator = random.Random(given.seed)
    num_events = sorted(generator.randrange(1, num_rows(folders[0] / LEDGER)) for _ in range(given.kills))
    after_s = [generator.uniform(0.0, 5.0) for _ in range(given.kills)]
    num_kills = kill_and_resume(arguments, killed, folders[1] / LEDGER, num_events, after_s)
    one, other = map(outputs, folders)
    rows = read_all(folders[1] / LEDGER, Cell)
    ended = [row.label for row in rows if row.event == "started" and not has_ended(row, rows)]
    print(f"undisturbed: {seconds:.0f} s; killed {num_kills} times, when the ledger had {num_events} rows")
    print(f"parts finished: {len(finished(folders[1]))}, each {max(finished(folders[1]).values())} time at most")
    print(f"attempts that a kill ended: {ended}")
    print(f"the same bytes in {sorted(one)}: {one == other}")
    sys.exit(one != other)


if __name__ == "__main__":
    main()
