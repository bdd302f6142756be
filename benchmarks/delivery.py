"""How late a follower in another process sees an episode, while the training keeps a core busy."""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.harness import Claim, Report, Samples
from benchmarks.training import ROOT
from pipeline.errors import UserError

_BATON = Path(sys.executable).parent / "baton"
_LIMIT_MS = 50.0
_STOP_S = 60.0  # a training that is asked to stop writes its checkpoint first
_LATENCY = re.compile(r"latency_ms=(\d+\.\d+)")
_DROPPED = re.compile(r"\((\d+) dropped before it\)")


def run(quick: bool) -> Report:
    """`baton train` and `baton follow --plain --latency`, as one would start them in two terminals."""
    seconds = 5 if quick else 90
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        lines = _follow_a_training(folder, seconds)
    late_ms = [float(found[1]) for line in lines if (found := _LATENCY.search(line))]
    if not late_ms:
        raise UserError("the follower saw no episode", remedy="run `baton train` and `baton follow` by hand")
    dropped = sum(int(found[1]) for line in lines if (found := _DROPPED.search(line)))
    p50, p99, worst = np.percentile(late_ms, [50, 99, 100]).tolist()
    return Report(
        title="from the end of an episode to the follower",
        method=(
            "`baton train gridworld --recipe full` and `baton follow --plain --latency`, two processes, two cores. "
            "Time from the moment an episode ended in the trainer to its arrival in the follower: queue, building the "
            "row, writing, waking, decoding."
        ),
        samples=[Samples("delivery", "ms", tuple(late_ms))],
        claims=[
            Claim(
                f"p99 of {len(late_ms)} episodes", p99, min(late_ms), worst, "ms", f"<= {_LIMIT_MS:g}", p99 <= _LIMIT_MS
            )
        ],
        notes=(f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {worst:.2f} ms; {dropped} episodes dropped by the tail.",),
    )


def _follow_a_training(folder: Path, seconds: float) -> list[str]:
    """The follower's lines from the first episode on, for so many seconds."""
    train = [_BATON, "train", "gridworld", "--recipe", "full", "--seed", "1", "--out", folder / "train"]
    follow = [_BATON, "follow", "gridworld", "--input", folder / "train/episodes.jsonl", "--plain", "--latency"]
    with (
        (folder / "lines.txt").open("w") as lines,
        _process([str(part) for part in follow], lines),
        _process([str(part) for part in train], subprocess.DEVNULL) as training,
    ):
        _wait_for_text(folder / "lines.txt", training)
        time.sleep(seconds)
    return (folder / "lines.txt").read_text(encoding="utf-8").splitlines()


def _wait_for_text(path: Path, training: "subprocess.Popen[bytes]") -> None:
    while not path.stat().st_size:
        if training.poll() is not None:
            raise UserError(
                "the training ended before its first episode", remedy="run it by hand: make train RECIPE=full"
            )
        time.sleep(0.1)


@contextmanager
def _process(command: list[str], stdout: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Start it; at the end interrupt it as Ctrl-C does, and wait."""
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, cwd=ROOT)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
