"""How late those who watch in a browser get an episode, what that costs the training, and what the deaf cost others."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Claim, Report, Samples
from benchmarks.training import ROOT
from pipeline.errors import UserError

_BATON = (sys.executable, "-m", "stages")
_P50_MS, _P99_MS, _SLOWER_PERCENT, _DEAF_RATIO, _MEMORY_MB = 50.0, 200.0, 2.0, 1.5, 300.0
_STEP = re.compile(rb'"step":(\d+)')
_STOP_S = 60.0


@dataclass(frozen=True)
class Phase:
    """One crowd for a while: milliseconds of all episodes, training steps a second, memory of the server in MB."""

    late_ms: list[float]
    num_dropped: int
    steps_per_s: float
    memory_mb: float


def run(quick: bool) -> Report:
    """One training, one server, and crowds that take turns."""
    seconds, rounds = (8.0, 1) if quick else (30.0, 4)
    crowds = {"nobody": (0, 0), "1": (1, 0), "10": (10, 0), "50": (50, 0), "10 and 5 deaf": (10, 5)}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with _training(folder), _server(folder) as (url, server):
            _wait_for_episodes(folder)
            phases: dict[str, list[Phase]] = {name: [] for name in crowds}
            for _ in range(rounds):
                for name, (count, num_deaf) in crowds.items():
                    phases[name].append(_phase(folder, url, server.pid, count, num_deaf, seconds))
    late = {name: [ms for phase in of for ms in phase.late_ms] for name, of in phases.items() if name != "nobody"}
    if not all(late.values()):
        raise UserError("somebody saw no episode", remedy="run `baton train` and `baton follow --web` by hand")
    return Report(
        title="from the end of an episode to those who watch in a browser",
        method=(
            "`baton train gridworld --recipe full` and `baton follow --web`; watchers in a third process read and "
            "acknowledge as the page does, and draw nothing. Time from the end of an episode in the trainer to its "
            "first frame in the watcher. Crowds take turns; speed is that of the training meanwhile."
        ),
        samples=[Samples(f"first frame, watchers: {name}", "ms", tuple(values)) for name, values in late.items()]
        + [
            Samples(f"speed of the training, watchers: {name}", "steps/s", tuple(phase.steps_per_s for phase in of))
            for name, of in phases.items()
        ],
        claims=[*_lateness_claims(late), *_cost_claims(phases, late)],
        notes=tuple(
            f"Watchers: {name}: {sum(phase.num_dropped for phase in of)} episodes dropped and told, "
            f"{max(phase.memory_mb for phase in of):.0f} MB in the server."
            for name, of in phases.items()
        ),
    )


def _lateness_claims(late: dict[str, list[float]]) -> Iterator[Claim]:
    for name in ("1", "10", "50"):
        for percent, limit in ((50, _P50_MS), (99, _P99_MS)):
            value = float(np.percentile(late[name], percent))
            what, target = f"p{percent}, {name} watching", f"<= {limit:g}"
            yield Claim(what, value, min(late[name]), max(late[name]), "ms", target, value <= limit)


def _cost_claims(phases: dict[str, list[Phase]], late: dict[str, list[float]]) -> Iterator[Claim]:
    pairs = zip(phases["nobody"], phases["50"], strict=True)
    slower = [100 * (alone.steps_per_s / watched.steps_per_s - 1) for alone, watched in pairs]
    value, target = float(np.median(slower)), f"<= {_SLOWER_PERCENT:g}"
    yield Claim("training slower, 50 watching", value, min(slower), max(slower), "%", target, value <= _SLOWER_PERCENT)
    p99 = {name: float(np.percentile(late[name], 99)) for name in ("10", "10 and 5 deaf")}
    ratio = p99["10 and 5 deaf"] / p99["10"]
    yield Claim("p99 with 5 deaf, over without", ratio, ratio, ratio, "x", f"<= {_DEAF_RATIO:g}", ratio <= _DEAF_RATIO)
    used = [phase.memory_mb for phase in phases["10 and 5 deaf"]]
    target, most = f"<= {_MEMORY_MB:g}", max(used)
    yield Claim("memory of the server, 5 deaf", most, min(used), most, "MB", target, most <= _MEMORY_MB)


def _phase(folder: Path, url: str, server: int, count: int, num_deaf: int, seconds: float) -> Phase:
    progress = folder / "train/progress.jsonl"
    command = [sys.executable, "-m", "benchmarks.peers.watchers", url, *map(str, (count, num_deaf, seconds))]
    began, first = time.monotonic(), _last_step(progress)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    speed = (_last_step(progress) - first) / (time.monotonic() - began)
    seen = json.loads(done.stdout)
    return Phase(seen["late_ms"], seen["dropped"], speed, _memory_mb(server))


def _last_step(progress: Path) -> int:
    with progress.open("rb") as file:
        file.seek(max(progress.stat().st_size - 4096, 0))
        return int(_STEP.findall(file.read())[-1])


def _memory_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1000


@contextmanager
def _training(folder: Path) -> Iterator[None]:
    command = [*_BATON, "train", "gridworld", "--recipe", "full", "--seed", "1", "--out", str(folder / "train")]
    with _process(command, subprocess.DEVNULL):
        yield


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    command = [*_BATON, "follow", "gridworld", "--input", str(folder / "train/episodes.jsonl"), "--web", "--port", "0"]
    with _process(command, subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1], process


@contextmanager
def _process(command: list[str], stdout: int) -> Iterator["subprocess.Popen[str]"]:
    """Start it; at the end interrupt it as Ctrl-C does, and wait."""
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, cwd=ROOT, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_episodes(folder: Path) -> None:
    """Until the training has begun and some episodes have ended."""
    deadline = time.monotonic() + 300
    while not (path := folder / "train/episodes.jsonl").exists() or path.stat().st_size < 1 << 16:
        if time.monotonic() > deadline:
            raise UserError("the training recorded nothing", remedy="run it by hand: make train RECIPE=full")
        time.sleep(0.1)
