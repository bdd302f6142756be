"""Predictions for tests of pictures: a script plays real episodes; Q-values and hidden states are made up.

`carelessness` is the share of random actions, so that some episodes go wrong.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.arrays import tables
from pipeline.tasks.gridworld.town.policies import POLICIES
from pipeline.tasks.gridworld.town.rules import ACTIONS, METERS, PACKED, REWARDS, Level
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import GREEDY, Recorder, Tally, build_trace, place_positions


@dataclass(frozen=True, kw_only=True)
class Fake:
    """What to make up: `num_traces` episodes keep their steps, `hidden_size` > 0 gives them hidden states."""

    level: str = "full"
    policy: str = "heuristic"
    num_records: int = 20
    num_traces: int = 4
    multiplier: float = 1.0
    carelessness: float = 0.1
    hidden_size: int = 0
    seed: int = 0
    first_seed: int = 1_000_003
    model: str = "0123456789abcdef"


def fake_predictions(fake: Fake) -> list[GridworldPrediction]:
    """The rows that infer would write, in the order of the scenarios."""
    count, generator = fake.num_records, np.random.default_rng(fake.seed)
    town = TownBatch(fake.level, count)
    seeds = np.arange(fake.first_seed, fake.first_seed + count, dtype=np.uint64)
    town.reset(seeds, fake.multiplier)
    tally = Tally(count, REWARDS)
    recorder = Recorder(np.arange(min(fake.num_traces, count)), town.level.cap, len(REWARDS))
    act, rules = POLICIES[fake.policy], tables(town.level)
    for step in range(town.level.cap):
        played = ~town.finished
        if not played.any():
            break
        actions = _careless(act(town, rules, seeds, step), town.mask, generator, fake.carelessness)
        q = _made_up_q(town.packed, actions, generator)
        now = {"packed": town.packed, "mask": town.mask, "q": q, "actions": actions}
        recorder.record(np.full(count, step), played, modes=np.full(count, GREEDY), **now)
        town.step(actions)
        recorder.record(np.full(count, step), played, rewards=town.rewards, completed=town.interacted)
        tally.add(town, town.rewards, played)
    return [_row(fake, town, i, tally, recorder) for i in range(count)]


def _careless(
    actions: NDArray[np.int64], mask: NDArray[np.bool_], generator: np.random.Generator, share: float
) -> NDArray[np.int64]:
    draws = (generator.random(mask.shape) * mask).argmax(axis=1)
    return np.where(generator.random(len(mask)) < share, draws, actions).astype(np.int64)


def _made_up_q(packed: NDArray[Any], actions: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.float32]:
    meters = packed[:, PACKED.meters]
    value = 12.0 * meters.min(axis=1) + 6.0 * meters[:, 0] * meters[:, 6]
    q = value[:, None] - 0.4 - 0.5 * generator.random((len(packed), len(ACTIONS)))
    q[np.arange(len(packed)), actions] = value
    return q.astype(np.float32)


def _made_up_hidden(packed: NDArray[Any], size: int) -> list[list[float]]:
    """A leaky memory of meters and clock."""
    weights = np.random.default_rng(0).normal(size=(len(METERS) + 2, size))
    angle = 2 * np.pi * packed[:, PACKED.hour, None] / 24
    facts = np.concatenate([2 * packed[:, PACKED.meters] - 1, np.sin(angle), np.cos(angle)], axis=1)
    states = [np.zeros(size)]
    for row in np.tanh(facts @ weights):
        states.append(0.7 * states[-1] + 0.3 * row)
    return [np.round(state, 3).tolist() for state in states[: len(packed)]]


def _row(fake: Fake, town: TownBatch, i: int, tally: Tally, recorder: Recorder) -> GridworldPrediction:
    level: Level = town.level
    recorded = recorder.episode(i, int(tally.num_steps[i]), town.packed[i])
    return GridworldPrediction(
        id=f"{fake.level}-x{fake.multiplier:g}-{fake.first_seed + i}",
        model=fake.model,
        level=level.name,
        seed=fake.first_seed + i,
        multiplier=fake.multiplier,
        **tally.account(i, town),
        epsilon=0.0,
        size=level.size,
        window=level.window,
        cap=level.cap,
        stage=None,
        grid_places=place_positions(town.packed[i], level),
        reward_components=list(REWARDS),
        trace=build_trace(recorded, level) if recorded else None,
        hidden=_made_up_hidden(recorded.packed, fake.hidden_size) if recorded and fake.hidden_size else None,
    )
