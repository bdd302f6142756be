"""Steps a second of the batched towns on one core, against Gymnasium's SyncVectorEnv over the same towns."""

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Measure, Report, Samples, at_least, quotients, take_turns
from pipeline.tasks.gridworld.town.gym import TownEnv
from pipeline.tasks.gridworld.town.observe import Encoding, encode, observation_size
from pipeline.tasks.gridworld.town.step import TownBatch

NUM_ENVS = 1024
LEVELS: tuple[tuple[str, Encoding], ...] = (("full", "places"), ("temporal", "memory"))


def run(quick: bool) -> Report:
    """Both levels, in the encodings of their recipes."""
    rounds, batched_steps, gym_steps = (2, 50, 2) if quick else (9, 1000, 10)
    samples, claims = [], []
    for level, encoding in LEVELS:
        ours = take_turns(
            {
                "baton": _batched(level, encoding, batched_steps),
                "gymnasium": _gymnasium(level, encoding, gym_steps),
            },
            rounds,
        )
        samples += [
            Samples(f"TownBatch, {level}", "M steps/s", tuple(rate / 1e6 for rate in ours["baton"])),
            Samples(f"SyncVectorEnv, {level}", "M steps/s", tuple(rate / 1e6 for rate in ours["gymnasium"])),
        ]
        claims += [
            at_least(f"{level}: steps on one core", [rate / 1e6 for rate in ours["baton"]], 3.0, "M steps/s"),
            at_least(f"{level}: against SyncVectorEnv", quotients(ours["baton"], ours["gymnasium"]), 200.0),
        ]
    return Report(
        title="steps a second",
        method=(
            f"{NUM_ENVS:,} towns, random legal actions drawn while the clock stands still. The clock runs while a step "
            "is made, finished towns are reset, and observations and masks are written. One thread."
        ),
        samples=samples,
        claims=claims,
    )


def _batched(level: str, encoding: Encoding, num_steps: int) -> Measure:
    """Environment steps a second of a `TownBatch`."""
    town = TownBatch(level, NUM_ENVS)
    observations = np.empty((NUM_ENVS, observation_size(level, encoding)), np.float32)
    seeds = np.arange(NUM_ENVS, dtype=np.uint64)
    town.reset(seeds)

    def step(actions: NDArray[np.int64]) -> NDArray[np.bool_]:
        town.step(actions)
        if town.finished.any():
            np.add(seeds, np.uint64(NUM_ENVS), out=seeds, where=town.finished)
            town.reset_where(town.finished.copy(), seeds)
        encode(town.packed, level, encoding, observations)
        return town.mask

    return _rate(step, town.mask, num_steps)


def _gymnasium(level: str, encoding: Encoding, num_steps: int) -> Measure:
    """The same of a `SyncVectorEnv` over `TownEnv`, which resets finished towns by itself."""

    def make() -> gymnasium.Env[Any, Any]:
        return TownEnv(level, encoding)

    vector: Any = gymnasium.vector.SyncVectorEnv([make] * NUM_ENVS)
    _, info = vector.reset(seed=0)

    def step(actions: NDArray[np.int64]) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = vector.step(actions)[4]["action_mask"]
        return mask

    return _rate(step, info["action_mask"], num_steps)


def _rate(step: Callable[[NDArray[np.int64]], NDArray[np.bool_]], mask: NDArray[np.bool_], num_steps: int) -> Measure:
    """Environment steps a second over ``num_steps`` vector steps; ``step`` takes actions [N], returns masks [N, A]."""
    generator = np.random.default_rng(0)

    def measure() -> float:
        nonlocal mask
        nanoseconds = 0
        for _ in range(num_steps):
            actions = np.where(mask, generator.random(mask.shape), -1.0).argmax(axis=1)
            start = time.perf_counter_ns()
            mask = step(actions)
            nanoseconds += time.perf_counter_ns() - start
        return NUM_ENVS * num_steps / (nanoseconds / 1e9)

    return measure
