"""Intervals of score matrices, against rliable, and a comparison of a million pairs."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.harness import Report, Samples, at_least, at_most, quotients
from benchmarks.harness.turns import Worker
from benchmarks.training import ROOT
from pipeline import stats
from pipeline.compare.judge import Judge
from pipeline.compare.pairs import Settings
from pipeline.contract.metrics import MetricDefinition, RecordMetric
from pipeline.errors import UserError
from pipeline.records.join import Joined, Slice

_PEER_PYTHON = ROOT / ".venv-rliable/bin/python"
_NUM_PAIRS = 1_000_000
_RUNS, _TASKS = 10, 26  # as in rliable's own example: Atari 100k
_STATISTICS = ("mean", "median", "iqm")


def run(quick: bool) -> Report:
    """The interquartile mean in turns with rliable; a million pairs in a process of its own."""
    if not _PEER_PYTHON.exists():
        raise UserError("rliable is not installed", where=str(_PEER_PYTHON), remedy="make bench installs it")
    num_resamples, rounds, num_pairs = (100, 2, 20_000) if quick else (2000, 5, _NUM_PAIRS)
    scores = np.random.default_rng(5).gamma(2.0, size=(_RUNS, _TASKS))
    options = stats.Bootstrap(num_resamples=num_resamples)
    seconds: dict[str, list[float]] = {"Baton": [], "rliable": []}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/scores.npy", scores)
        command = [str(_PEER_PYTHON), "-m", "benchmarks.peers.statistics_peer", f"{folder}/scores.npy"]
        with Worker([*command, str(num_resamples)], ROOT) as peer:
            for number in range(-1, rounds):  # the first round warms both up
                start = time.perf_counter()
                interval = _iqm(scores, options)
                took = time.perf_counter() - start
                told = peer.turn()
                if number >= 0:
                    seconds["Baton"].append(took)
                    seconds["rliable"].append(told["seconds"])
        versions = peer.hello["versions"]
    pairs = [_million(num_pairs) for _ in range(2 if quick else 5)]
    samples = [Samples(f"iqm, {side}", "s", tuple(took)) for side, took in seconds.items()]
    samples += [
        Samples(f"{num_pairs:,} pairs, {name}", "s", tuple(one["seconds"][name] for one in pairs))
        for name in _STATISTICS
    ]
    return Report(
        title="intervals and comparisons",
        method=(
            f"{_RUNS} runs of {_TASKS} tasks, {num_resamples:,} stratified resamples: interval of the interquartile "
            f"mean, in turns with rliable in its own environment. And {num_pairs:,} pairs as compare compares them, "
            f"by {', '.join(_STATISTICS)}: difference with interval, permutation test, effect size, win rate, and, "
            "found with the first and shared, probability of improvement with interval. Each time in a new process, "
            "which also tells the most memory it had, the scores themselves and Python included."
        ),
        samples=samples,
        claims=(
            at_least("interval of the IQM, against rliable", quotients(seconds["rliable"], seconds["Baton"]), 20.0),
            at_most("difference of the IQM to rliable's", [abs(interval.value - told["value"])], 1e-12, ""),
            at_most(f"{num_pairs:,} pairs compared", [sum(one["seconds"].values()) for one in pairs], 10.0, "s"),
            at_most(f"{num_pairs:,} pairs compared", [one["gigabytes"] for one in pairs], 1.0, "GB"),
        ),
        notes=(f"The peer's environment: {', '.join(f'{name} {version}' for name, version in versions.items())}.",),
    )


def _iqm(scores: stats.Floats, options: stats.Bootstrap) -> stats.Interval:
    tasks = np.tile(np.arange(scores.shape[1]), len(scores))
    return stats.bootstrap(scores.ravel(), stats.interquartile_mean, np.random.default_rng(0), options, tasks)


def _million(num_pairs: int) -> dict[str, Any]:
    """Compare so many pairs in a new process: seconds by statistic, and the most memory it had."""
    command = [sys.executable, "-m", "benchmarks.statistics", str(num_pairs)]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return found


def _compare(num_pairs: int) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    old = generator.normal(size=num_pairs)
    new = 0.8 * old + generator.normal(0.002, 0.6, size=num_pairs)
    part = Slice("all", "all", None)
    joined = Joined(
        files={},
        ids=[str(n) for n in range(num_pairs)],
        positions={},
        values={"new": {"score": new}, "old": {"score": old}},
        slices=[part],
        strata=None,
    )
    task: Any = SimpleNamespace(name="benchmark")
    metrics = [RecordMetric("score", statistic) for statistic in _STATISTICS]
    judge = Judge(
        task, joined, metrics, {"score": MetricDefinition("score", "points", "higher", "a score")}, Settings()
    )
    seconds = {}
    for metric in metrics:
        start = time.perf_counter()
        assert judge.compare(("new", "old"), metric, part) is not None
        seconds[metric.statistic] = time.perf_counter() - start
    return {"seconds": seconds, "gigabytes": _peak_bytes() / 1e9}


def _peak_bytes() -> int:
    """Most memory of this process. On Linux not from ``getrusage``: a process begins with the peak of the one that
    started it, which here has loaded every library that was measured before."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(_compare(int(sys.argv[1]))))
