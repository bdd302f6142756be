"""One stage as a process of its own: its command line, its log, and the error block it ends with.

A process, and not a call: a stage locks its folder, answers to signals, resumes and fails alone, and what it leaks
(memory, threads, a device) ends with it.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pipeline.run.folder import is_at_work

POLL_S = 0.05
PATIENCE_S = 10.0  # between asking a stage to end and killing it
_MAX_ERROR = 2000  # characters of a stage's error that the ledger keeps

RunStage = Callable[[Sequence[str], Path, Callable[[], bool]], int]
"""``run(arguments, log, should_end)``: run ``baton ARGUMENTS``, its output into ``log``; returns its exit code."""


def run_stage(arguments: Sequence[str], log: Path, should_end: Callable[[], bool]) -> int:
    """Run ``baton ARGUMENTS`` and return its exit code (negative: the signal that ended it).

    When ``should_end()`` says so, the stage is asked to end (SIGTERM), and killed if it does not.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stages", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        return wait_for_end(process, process.poll, should_end)


class Process(Protocol):
    """A process of `subprocess` or of `multiprocessing`."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def wait_for_end(process: Process, code: Callable[[], int | None], should_end: Callable[[], bool]) -> int:
    """The exit code of a process, which ``code()`` gives once it has ended. See `run_stage` for ``should_end``."""
    try:
        while code() is None and not should_end():
            time.sleep(POLL_S)
    finally:
        if (found := code()) is None:
            process.terminate()
            deadline = time.monotonic() + PATIENCE_S
            while (found := code()) is None:
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(POLL_S)
    return found


def error_of(log: Path, code: int) -> str:
    """What a stage that failed said: its error block, or the end of its output."""
    text = log.read_text(errors="replace") if log.exists() else ""
    blocks = re.split(r"^(?=error: |failed: )", text, flags=re.MULTILINE)
    told = blocks[-1].strip() if len(blocks) > 1 else "\n".join(text.splitlines()[-5:])
    how = f"signal {-code} ended it" if code < 0 else f"exit code {code}"
    return f"{told[:_MAX_ERROR]}\n({how})" if told else how


def wait_until_free(folder: Path, patience_s: float, should_end: Callable[[], bool]) -> bool:
    """Wait until no process works in a run folder; False when one still does after ``patience_s`` or at the end.

    A worker that was killed alone leaves the stage it had started, which takes a moment to notice and to end.
    """
    deadline = time.monotonic() + patience_s
    while is_at_work(folder):
        if time.monotonic() > deadline or should_end():
            return False
        time.sleep(POLL_S)
    return True
