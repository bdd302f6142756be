"""Commands of `baton` that a benchmark runs as one would in terminals: a training, and those who watch it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.training import ROOT
from pipeline.errors import UserError

Process = subprocess.Popen[str]
_STOP_S = 60.0  # a training that is asked to stop writes its checkpoint first
_TICKS_S = os.sysconf("SC_CLK_TCK")


@contextmanager
def baton(*words: str | Path, out: int | IO[str] = subprocess.DEVNULL) -> Iterator[Process]:
    """A command at work; at the end it is interrupted as Ctrl-C does, and waited for."""
    command = [sys.executable, "-m", "stages", *map(str, words)]
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def training(folder: Path) -> Sequence[str | Path]:
    """The words of the training that is watched: recipe full, learning from the second vector step on, for longer than
    it is watched."""
    settings = ("--set", "train.warmup_steps=256", "--set", "train.num_steps=100000000", "--seed", "1")
    return ("train", "gridworld", "--recipe", "full", *settings, "--out", folder)


def wait_until(is_so: Callable[[], bool], process: Process) -> None:
    """Until something is so that the training brings about. Raises UserError when that ends first."""
    while not is_so():
        if process.poll() is not None:
            what = "the training ended before its first episode"
            raise UserError(what, remedy="run it by hand: make train RECIPE=full")
        time.sleep(0.1)


def processor_s(process: Process) -> float:
    """Processor time that a process has taken so far, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def memory_mb(process: Process) -> float:
    """Memory that a process holds."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1000
