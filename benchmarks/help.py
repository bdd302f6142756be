"""`baton evaluate --help`, against a bare typer program of two commands, each a process of its own."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Measure, Report, Samples, at_most, quotients, take_turns
from pipeline.errors import UserError

_BATON = Path(sys.executable).parent / "baton"
_BARE = Path(__file__).parent / "peers/bare_typer.py"


def run(quick: bool) -> Report:
    """Wall time from the start of the process to its end."""
    if not _BATON.exists():
        raise UserError("the command `baton` is not installed", where=str(_BATON), remedy="make install")
    times = take_turns(
        {
            "baton": _process([str(_BATON), "evaluate", "--help"]),
            "typer": _process([sys.executable, str(_BARE), "one", "--help"]),
        },
        3 if quick else 25,
        warmups=2,
    )
    return Report(
        title="time to the help text",
        method="A process of its own each time, from its start to its end; output to a pipe; bytecode compiled before.",
        samples=[
            Samples("baton evaluate --help", "ms", tuple(1000 * s for s in times["baton"])),
            Samples("bare typer program of two commands", "ms", tuple(1000 * s for s in times["typer"])),
        ],
        claims=[at_most("against a bare typer program", quotients(times["baton"], times["typer"]), 1.3)],
    )


def _process(command: list[str]) -> Measure:
    def measure() -> float:
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=True)
        seconds = time.perf_counter() - start
        assert b"--help" in done.stdout
        return seconds

    return measure
