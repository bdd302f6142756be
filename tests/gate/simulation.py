"""How often a gate fails when nothing changed, and when something did, by simulation.

python -m tests.gate.simulation    prints the table of docs/gate.md (some minutes)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.metrics import Measurements, MetricDefinition
from pipeline.gate.change import compare_pairs
from pipeline.gate.rule import judge
from pipeline.gate.spec import Checked, Key
from pipeline.records.read import Records
from schemas.gate import Check, GateSpec

Noise = Literal["normal", "same", "luck", "misfortune", "rare", "mixed"]


@dataclass(frozen=True, kw_only=True)
class World:
    """What two runs on the same records look like. ``drop`` is what the second truly lost, in standard deviations of a
    record's change (of "rare": in shares of records).

    Changes of a record are "normal", the "same" for all metrics, log-normal with the tail on the better ("luck") or the
    worse side ("misfortune"), or "rare": a record succeeds in 95 of 100 runs. Their mean is -``drop``. Of "mixed",
    every second metric is of "luck" and has no drop, the others are normal.
    """

    noise: Noise = "normal"
    num_records: int = 64
    num_metrics: int = 10
    drop: float = 0.0


def one_run(world: World, spec: GateSpec, random: np.random.Generator) -> list[str]:
    """The outcome of each check of one simulated re-run."""
    names = [f"m{index}" for index in range(world.num_metrics)]
    before, now = (_records(dict(zip(names, values.T, strict=True))) for values in _values(world, random))
    checks = [
        Checked(
            key=Key(name, "mean"),
            check=Check(metric=name),
            definition=MetricDefinition(name=name, unit="", better="higher", definition=""),
        )
        for name in names
    ]
    found, _ = compare_pairs(now, before, checks, spec)
    return [judge(one, check.rule(spec, one.baseline))[0] for one, check in zip(found, checks, strict=True)]


def _records(values: dict[str, NDArray[np.float64]]) -> Records:
    num = len(next(iter(values.values())))
    measured = Measurements(values=values, scored=np.ones(num, np.bool_), metrics=())
    truth = np.arange(num)
    return Records(label="run", path=Path("run"), ids=[str(n) for n in truth], truth=truth, measured=measured)


def share_of_failing_gates(world: World, num_runs: int, num_resamples: int = 400, seed: int = 0) -> float:
    """Share of re-runs in which any check fails."""
    random = np.random.default_rng(seed)
    failing = 0
    for run in range(num_runs):
        spec = GateSpec(schema="gate_v1", task="none", name="simulated", num_resamples=num_resamples, seed=run)
        failing += "fails" in one_run(world, spec, random)
    return failing / num_runs


def _values(world: World, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both runs: [N, M] each."""
    shape = (world.num_records, world.num_metrics)
    if world.noise == "rare":
        before, now = random.random(shape) < 0.95, random.random(shape) < 0.95 - world.drop
        return before.astype(np.float64), now.astype(np.float64)
    hard = random.normal(0.0, 5.0, size=(world.num_records, 1))  # what records differ by; pairs do not see it
    change = _changes(world, random) - np.where(_drops(world), world.drop, 0.0)
    before = np.repeat(hard, world.num_metrics, axis=1)
    return before, before + change


def _drops(world: World) -> NDArray[np.bool_]:
    """Which metrics have the drop: [M]."""
    return (np.arange(world.num_metrics) % 2 == 0) | (world.noise != "mixed")


def _changes(world: World, random: np.random.Generator) -> NDArray[np.float64]:
    """What each record changes by, around 0: [N, M]."""
    shape = (world.num_records, world.num_metrics)
    if world.noise == "normal":
        return random.normal(size=shape)
    if world.noise == "same":
        return np.repeat(random.normal(size=(world.num_records, 1)), world.num_metrics, axis=1)
    skewed = (random.lognormal(size=shape) - np.exp(0.5)) / float(np.sqrt((np.e - 1.0) * np.e))
    if world.noise == "mixed":
        return np.where(_drops(world), random.normal(size=shape), skewed)
    return skewed if world.noise == "luck" else -skewed


def main() -> None:
    """The table of docs/gate.md."""
    for noise in ("normal", "same", "rare", "misfortune", "luck"):
        for num_records in (24, 64):
            for num_metrics in (1, 10):
                world = World(noise=noise, num_records=num_records, num_metrics=num_metrics)  # type: ignore[arg-type]
                print(world, f"{share_of_failing_gates(world, 600, num_resamples=1000):.4f}", flush=True)
    for noise in ("normal", "luck", "mixed"):
        for drop in (0.25, 0.35, 0.5):
            world = World(noise=noise, drop=drop)  # type: ignore[arg-type]  # a literal of the tuple above
            print(world, f"{share_of_failing_gates(world, 400, num_resamples=1000):.4f}", flush=True)


if __name__ == "__main__":
    main()
