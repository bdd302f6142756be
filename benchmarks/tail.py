"""What the live tail costs a training: the same training with four watched environments and with none."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import Claim, Report, Samples, take_turns
from benchmarks.training import Bench, bench_recipe
from pipeline.stats import Bootstrap, percentile_interval, resample_means

_LIMIT_PERCENT = 2.0


def run(quick: bool) -> Report:
    """Two trainings in one process, a few steps each in turn. They take the same actions and learn the same."""
    rounds, chunk = (3, 10) if quick else (100, 40)
    with tempfile.TemporaryDirectory() as folder:
        with_tail = Bench(bench_recipe("train.num_watched=4"), Path(folder) / "with")
        without = Bench(bench_recipe("train.num_watched=0"), Path(folder) / "without")
        clocks = {"with": _Clocks(with_tail, chunk), "without": _Clocks(without, chunk)}
        take_turns({name: clock.measure for name, clock in clocks.items()}, rounds, warmups=2)
        written, dropped = with_tail.tail.num_written, with_tail.tail.num_dropped
        same = with_tail.trainer.loss == without.trainer.loss
        with_tail.close()
        without.close()
    steps = chunk * with_tail.trainer.recipe.train.num_envs
    samples = [
        Samples(f"{label} the tail, {kind} time of {steps:,} steps", "ms", tuple(1000 * s for s in seconds[-rounds:]))
        for label, clock in clocks.items()
        for kind, seconds in (("wall", clock.wall_s), ("processor", clock.cpu_s))
    ]
    claims = [
        _slower("slower by the clock", clocks["with"].wall_s[-rounds:], clocks["without"].wall_s[-rounds:]),
        _slower("more processor time", clocks["with"].cpu_s[-rounds:], clocks["without"].cpu_s[-rounds:]),
    ]
    return Report(
        title="a training with and without its tail",
        method=(
            "Recipe full, 256 environments, in chunks that alternate; a chunk with the tail ends when the tail has "
            "written all it was offered. The figure is the total of the chunks with the tail over the total of those "
            "without, less 1; in brackets its 95 % interval (bootstrap over the chunks)."
        ),
        samples=samples,
        claims=claims,
        notes=(
            f"{written} episodes written, {dropped} dropped, each with every step.",
            f"Both trainings {'had the same loss to the last bit' if same else 'DIFFERED IN THEIR LOSS'} at the end.",
        ),
    )


class _Clocks:
    """Wall and processor time of each chunk; the processor time is that of all threads, the tail's too."""

    def __init__(self, bench: Bench, chunk: int) -> None:
        self.bench, self.chunk = bench, chunk
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []

    def measure(self) -> float:
        wall, cpu = time.perf_counter(), time.process_time()
        self.bench.advance(self.chunk)
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(time.process_time() - cpu)
        return self.wall_s[-1]


def _slower(what: str, with_tail: Sequence[float], without: Sequence[float]) -> Claim:
    """The share by which the chunks with the tail took longer in all.

    Totals, not medians: what the tail costs comes in bursts, when episodes end, and a median would hide it.
    """
    options, seconds = Bootstrap(), np.array([with_tail, without]).T
    means = resample_means(seconds, np.random.default_rng(0), options.num_resamples)
    ratio = percentile_interval(float(np.mean(with_tail) / np.mean(without)), means[:, 0] / means[:, 1], options)
    percent, low, high = (100 * (value - 1) for value in (ratio.value, ratio.low, ratio.high))
    return Claim(what, percent, low, high, "%", f"<= {_LIMIT_PERCENT:g}", percent <= _LIMIT_PERCENT)
