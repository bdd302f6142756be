"""How late a follower in another process sees an episode, while the training keeps a core busy."""

import re
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Claim, Report, Samples
from benchmarks.harness.commands import baton, training, wait_until
from pipeline.errors import UserError

_LIMIT_MS = 50.0
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
    told, tail = folder / "lines.txt", folder / "train/episodes.jsonl"
    with (
        told.open("w") as lines,
        baton("follow", "gridworld", "--input", tail, "--plain", "--latency", out=lines),
        baton(*training(folder / "train")) as process,
    ):
        wait_until(lambda: told.stat().st_size > 0, process)
        time.sleep(seconds)
    return told.read_text(encoding="utf-8").splitlines()
