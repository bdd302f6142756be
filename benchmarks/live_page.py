"""How late an episode is drawn in a browser, what watching costs the training, and what the deaf cost others."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Claim, Report, Samples, at_most, quotients
from benchmarks.harness.commands import Process, baton, memory_mb, processor_s, training, wait_until
from benchmarks.training import ROOT
from pipeline.errors import UserError
from tests.support.browser import Page, find_browser, open_browser

_P50_MS, _P99_MS, _SLOWER_PERCENT, _DEAF_RATIO, _MEMORY_MB = 50.0, 200.0, 2.0, 1.5, 300.0
_EPISODE_MS = 200.0  # processor time of the server for an episode, all of whose frames 50 watchers get
_STEP = re.compile(rb'"step":(\d+)')
_CROWDS = {  # by name: pages in a browser, others that read, others that never do
    "1": (1, 0, 0),
    "10": (1, 9, 0),
    "50": (1, 49, 0),
    "10, no browser": (0, 10, 0),
    "nobody": (0, 0, 0),  # beside the crowd that it is compared with: the machine is not the same for long
    "50, no browser": (0, 50, 0),
    "10 and 5 deaf, no browser": (0, 10, 5),
}
_WAIT_AT_THE_END = """(() => {
  window.late_ms = [];
  const opened_unix_s = Date.now() / 1000, drawAll = draw;
  let seen = at.id;
  draw = () => {
    drawAll();
    const play = drawn.play;
    if (!play || play.id === seen) return;
    seen = play.id;
    requestAnimationFrame(() => setTimeout(() => {  // after what was drawn is on the screen
      if (play.summary.ended_unix_s > opened_unix_s) late_ms.push(Date.now() - 1000 * play.summary.ended_unix_s);
      Object.assign(at, { frame: numFrames() - 1, held: HOLD_S });
    }));
  };
  acts.newest();
  Object.assign(at, { frame: numFrames() - 1, held: HOLD_S });
})()"""


@dataclass(frozen=True)
class Phase:
    """One crowd for a while: how late each had every episode and the page of the browser had drawn it, training steps
    and episodes, and processor time by who took it."""

    seconds: float
    late_ms: list[float]
    drawn_ms: list[float]
    num_dropped: int
    num_bytes: int
    num_steps: int
    num_episodes: int
    memory_mb: float
    processor_s: Mapping[str, float]

    def ms_an_episode(self, who: str) -> float:
        """Processor time of one of the processes for an episode that was recorded."""
        return 1000 * self.processor_s[who] / max(self.num_episodes, 1)


@dataclass(frozen=True)
class _Stage:
    """The processes that are watched, and where the training writes."""

    folder: Path
    url: str
    trainer: Process
    server: Process
    page: Page


def run(quick: bool) -> Report:
    """One training, one server, and crowds that take turns."""
    if (program := find_browser()) is None:
        raise UserError("there is no browser", remedy="apt-get install chromium")
    seconds, rounds = (8.0, 1) if quick else (12.0, 5)
    phases: dict[str, list[Phase]] = {name: [] for name in _CROWDS}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        tail = folder / "episodes.jsonl"
        with (
            baton(*training(folder)) as trainer,
            baton("follow", "gridworld", "--input", tail, "--web", "--port", "0", out=subprocess.PIPE) as server,
            open_browser(program) as page,
        ):
            assert server.stdout is not None
            stage = _Stage(folder, server.stdout.readline().split()[1], trainer, server, page)
            wait_until(lambda: tail.exists() and tail.stat().st_size > 1 << 16, trainer)
            for _ in range(rounds):
                for name, crowd in _CROWDS.items():
                    phases[name].append(_phase(stage, *crowd, seconds=seconds))
    drawn = {name: [ms for one in phases[name] for ms in one.drawn_ms] for name, crowd in _CROWDS.items() if crowd[0]}
    late = {name: [ms for one in phases[name] for ms in one.late_ms] for name, crowd in _CROWDS.items() if crowd[1]}
    if not all([*drawn.values(), *late.values()]):
        raise UserError("somebody saw no episode", remedy="run `baton train` and `baton follow --web` by hand")
    return Report(
        title="from the end of an episode to those who watch in a browser",
        method=(
            "`baton train gridworld --recipe full` and `baton follow --web`. One of a crowd is a page in Chromium that "
            "waits at the end of the episode before: time from the end of an episode in the trainer to the "
            "moment after its first frame is on the screen. The others, in a third process, read, acknowledge and ask "
            "for all frames of each episode as pages do, and draw nothing. Crowds take turns; "
            "speed is that of the training meanwhile. All processes share the cores of the machine: how much of them "
            "each took is told apart, the browser's left out."
        ),
        samples=[*_samples(phases, drawn, late)],
        claims=[*_lateness_claims(drawn), *_cost_claims(phases, late)],
        notes=[_note(name, of) for name, of in phases.items()],
    )


def _samples(
    phases: Mapping[str, list[Phase]], drawn: Mapping[str, list[float]], late: Mapping[str, list[float]]
) -> Iterator[Samples]:
    for name, values in drawn.items():
        yield Samples(f"drawn, watchers: {name}", "ms", tuple(values))
    for name, values in late.items():
        yield Samples(f"first frame at the others, watchers: {name}", "ms", tuple(values))
    for name, of in phases.items():
        speeds = tuple(phase.num_steps / phase.seconds for phase in of)
        yield Samples(f"speed of the training, watchers: {name}", "steps/s", speeds)
    for who in ("server", "watchers"):
        for name, of in phases.items():
            took = tuple(phase.ms_an_episode(who) for phase in of)
            yield Samples(f"processor time of the {who} for an episode, watchers: {name}", "ms", took)


def _note(name: str, of: list[Phase]) -> str:
    shares = {who: sum(phase.processor_s[who] for phase in of) for who in of[0].processor_s}
    seconds, num_episodes = sum(phase.seconds for phase in of), sum(phase.num_episodes for phase in of)
    told = ", ".join(f"{who} {100 * took / seconds:.1f} %" for who, took in shares.items())
    return (
        f"Watchers: {name}: of one core took {told}; {num_episodes / seconds:.2f} episodes a second, "
        f"{sum(phase.num_bytes for phase in of) / max(num_episodes, 1) / 1e3:,.0f} kB sent for each; "
        f"{sum(phase.num_dropped for phase in of)} dropped and told, "
        f"{max(phase.memory_mb for phase in of):.0f} MB in the server."
    )


def _lateness_claims(drawn: Mapping[str, list[float]]) -> Iterator[Claim]:
    for name in ("1", "10", "50"):
        for percent, limit in ((50, _P50_MS), (99, _P99_MS)):
            value = float(np.percentile(drawn[name], percent))
            what, target = f"drawn, p{percent}, {name} watching", f"<= {limit:g}"
            yield Claim(what, value, min(drawn[name]), max(drawn[name]), "ms", target, value <= limit)


def _cost_claims(phases: Mapping[str, list[Phase]], late: Mapping[str, list[float]]) -> Iterator[Claim]:
    alone, watched = phases["nobody"], phases["50, no browser"]
    speeds = quotients(*([phase.num_steps / phase.seconds for phase in of] for of in (alone, watched)))
    yield at_most("training slower, 50 watching", [100 * (ratio - 1) for ratio in speeds], _SLOWER_PERCENT, "%")
    costs = quotients(*([phase.processor_s["trainer"] / phase.num_steps for phase in of] for of in (watched, alone)))
    more = [100 * (ratio - 1) for ratio in costs]
    yield at_most("processor time of a training step more, 50 watching", more, _SLOWER_PERCENT, "%")
    took = [phase.ms_an_episode("server") for phase in watched]
    yield at_most("processor time of the server for an episode, 50 watching", took, _EPISODE_MS, "ms")
    p99 = {name: float(np.percentile(late[name], 99)) for name in ("10, no browser", "10 and 5 deaf, no browser")}
    yield at_most(
        "p99 with 5 deaf, over without", [p99["10 and 5 deaf, no browser"] / p99["10, no browser"]], _DEAF_RATIO
    )
    used = max(phase.memory_mb for phase in phases["10 and 5 deaf, no browser"])
    yield at_most("memory of the server, 5 deaf", [used], _MEMORY_MB, "MB")


def _phase(stage: _Stage, num_pages: int, num_others: int, num_deaf: int, *, seconds: float) -> Phase:
    words = map(str, (num_others, num_deaf, seconds))
    command = [sys.executable, "-m", "benchmarks.peers.watchers", stage.url, *words]
    if num_pages:
        stage.page.go(stage.url)
        stage.page.wait("link.isOpen && at.id !== null")
        stage.page.run(_WAIT_AT_THE_END)
    began, before = time.monotonic(), _counters(stage)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    after, passed_s, seen = _counters(stage), time.monotonic() - began, json.loads(done.stdout)
    grown = {name: value - before[name] for name, value in after.items()}
    drawn_ms = stage.page.run("late_ms") if num_pages else []
    stage.page.go("data:text/html,nobody")
    return Phase(
        seconds=passed_s,
        late_ms=seen["late_ms"],
        drawn_ms=drawn_ms,
        num_dropped=seen["dropped"],
        num_bytes=seen["num_bytes"],
        num_steps=int(grown["steps"]),
        num_episodes=int(grown["episodes"]),
        memory_mb=memory_mb(stage.server),
        processor_s={
            "trainer": grown["trainer"],
            "server": grown["server"],
            "watchers": seen["processor_s"],
        },
    )


def _counters(stage: _Stage) -> dict[str, float]:
    """What grows: steps and recorded episodes of the training, processor seconds of it and of the server."""
    with (stage.folder / "progress.jsonl").open("rb") as file:
        file.seek(max(file.seek(0, 2) - 4096, 0))
        steps = int(_STEP.findall(file.read())[-1])
    return {
        "steps": steps,
        "episodes": (stage.folder / "episodes.jsonl").read_bytes().count(b"\n"),
        "trainer": processor_s(stage.trainer),
        "server": processor_s(stage.server),
    }
