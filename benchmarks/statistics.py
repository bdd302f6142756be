"""Intervals of score matrices, against rliable, and a comparison of a million pairs."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Report, Samples, at_least, at_most, quotients
from benchmarks.harness.turns import Worker
from benchmarks.training import ROOT
from pipeline import stats
from pipeline.errors import UserError

_PEER_PYTHON = ROOT / ".venv-rliable/bin/python"
_NUM_PAIRS = 1_000_000
_RUNS, _TASKS = 10, 26  # as in rliable's own example: Atari 100k


def run(quick: bool) -> Report:
    """IQM and probability of improvement in turns with rliable; a million pairs in a process of its own."""
    if not _PEER_PYTHON.exists():
        raise UserError("rliable is not installed", where=str(_PEER_PYTHON), remedy="make bench installs it")
    num_resamples, rounds, num_pairs = (100, 2, 20_000) if quick else (2000, 5, _NUM_PAIRS)
    num_chances = num_resamples // 10  # rliable takes a tenth of a second for each
    generator = np.random.default_rng(5)
    first, second = generator.gamma(2.0, size=(_RUNS, _TASKS)), generator.gamma(1.7, size=(_RUNS, _TASKS))
    ours = {
        "iqm": lambda: _iqm(first, stats.Bootstrap(num_resamples=num_resamples)),
        "probability_of_improvement": lambda: _chance(first, second, stats.Bootstrap(num_resamples=num_chances)),
    }
    seconds: dict[str, dict[str, list[float]]] = {name: {"Baton": [], "rliable": []} for name in ours}
    values: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "scores.npz", first=first, second=second)
        command = [str(_PEER_PYTHON), "-m", "benchmarks.peers.statistics_peer", f"{folder}/scores.npz"]
        command += [str(num_resamples), str(num_chances)]
        with Worker(command, ROOT) as peer:
            for number in range(-1, rounds):  # the first round warms both up
                for name, work in ours.items():
                    took, interval = _timed(work)
                    told = peer.turn()
                    values[name] = (interval, told)
                    if number >= 0:
                        seconds[name]["Baton"].append(took)
                        seconds[name]["rliable"].append(told["seconds"])
        versions = peer.hello["versions"]
    pairs = [_million(num_pairs) for _ in range(2 if quick else 5)]
    samples = [Samples(f"{name}, {side}", "s", tuple(v)) for name, by in seconds.items() for side, v in by.items()]
    samples += [
        Samples(f"{num_pairs:,} pairs, {part}", "s", tuple(one["seconds"][part] for one in pairs))
        for part in pairs[0]["seconds"]
    ]
    return Report(
        title="intervals and comparisons",
        method=(
            f"{_RUNS} runs of {_TASKS} tasks, {num_resamples:,} stratified resamples: interval of the interquartile "
            f"mean, and, of {num_chances:,}, of the probability of improvement, in turns with rliable in its own "
            f"environment. And {num_pairs:,} pairs: difference with interval, permutation test of 10,000 permutations, "
            "effect size, win rate, probability of improvement with interval, each time in a new process, which also "
            "tells the most memory it had, the scores themselves and Python included."
        ),
        samples=samples,
        claims=(
            at_least("interval of the IQM, against rliable", _ratio(seconds["iqm"]), 20.0),
            at_least(
                "interval of the probability of improvement, against rliable",
                _ratio(seconds["probability_of_improvement"]),
                100.0,
            ),
            at_most("largest difference of a value to rliable's", [_largest(values)], 1e-12, ""),
            at_most(f"{num_pairs:,} pairs compared", [sum(one["seconds"].values()) for one in pairs], 10.0, "s"),
            at_most(f"{num_pairs:,} pairs compared", [one["gigabytes"] for one in pairs], 1.0, "GB"),
        ),
        notes=(f"The peer's environment: {', '.join(f'{name} {version}' for name, version in versions.items())}.",),
    )


def _iqm(scores: stats.Floats, options: stats.Bootstrap) -> stats.Interval:
    tasks = np.tile(np.arange(scores.shape[1]), len(scores))
    return stats.bootstrap(scores.ravel(), stats.interquartile_mean, np.random.default_rng(0), options, tasks)


def _chance(first: stats.Floats, second: stats.Floats, options: stats.Bootstrap) -> stats.Interval:
    return stats.mean_probability_of_improvement_interval(first, second, np.random.default_rng(0), options)


def _timed(work: Callable[[], stats.Interval]) -> tuple[float, stats.Interval]:
    start = time.perf_counter()
    interval = work()
    return time.perf_counter() - start, interval


def _ratio(seconds: dict[str, list[float]]) -> list[float]:
    return quotients(seconds["rliable"], seconds["Baton"])


def _largest(values: dict[str, Any]) -> float:
    return max(abs(float(interval.value - told["value"])) for interval, told in values.values())


def _million(num_pairs: int) -> dict[str, Any]:
    """Compare so many pairs in a new process: seconds by part, and the most memory it had."""
    command = [sys.executable, "-m", "benchmarks.statistics", str(num_pairs)]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return found


def _compare(num_pairs: int) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    second = generator.normal(size=num_pairs)
    first = 0.8 * second + generator.normal(0.002, 0.6, size=num_pairs)
    parts: dict[str, Callable[[], object]] = {
        "difference": lambda: stats.paired_difference(first, second, generator),
        "permutation test": lambda: stats.paired_permutation_test(first, second, generator),
        "effect size": lambda: stats.paired_effect_size(first, second),
        "win rate": lambda: stats.paired_win_rate(first, second),
        "probability of improvement": lambda: stats.probability_of_improvement_interval(first, second, generator),
    }
    seconds = {}
    for name, work in parts.items():
        start = time.perf_counter()
        work()
        seconds[name] = time.perf_counter() - start
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
