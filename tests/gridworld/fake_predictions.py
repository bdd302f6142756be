"""Predictions for tests of pictures: a simple rule plays real episodes; Q-values and hidden states are made up.

Rule: satisfy the lowest meter at the place for it, work when poor. `carelessness` is the share of random actions.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.environment import TownBatch
from pipeline.tasks.gridworld.rows import GridworldPrediction, Step
from pipeline.tasks.gridworld.rules import (
    ACTIONS,
    BAR,
    BED,
    DOWN,
    GYM,
    HOME_MEAL,
    HOSPITAL,
    INTERACT,
    JOB,
    LEFT,
    METERS,
    MONEY,
    NEEDS,
    PACKED,
    PARK,
    PLACES,
    REST,
    REWARDS,
    RIGHT,
    SHOWER,
    UP,
)

# The place that restores each meter, in the order of METERS.
REMEDIES = np.array([BED, SHOWER, HOME_MEAL, JOB, PARK, BAR, HOSPITAL, GYM])


@dataclass(frozen=True, kw_only=True)
class Fake:
    """What to make up: `num_traces` episodes keep their steps, `hidden_size` > 0 gives them hidden states."""

    level: str = "full"
    num_records: int = 20
    num_traces: int = 4
    multiplier: float = 1.0
    carelessness: float = 0.1
    hidden_size: int = 0
    seed: int = 0
    first_seed: int = 1_000_003
    model: str = "0123456789abcdef"


@dataclass
class _Recording:
    steps: list[Step] = field(default_factory=list)
    hidden: list[list[float]] = field(default_factory=list)


def choose(town: TownBatch, generator: np.random.Generator, carelessness: float) -> NDArray[np.int64]:
    """The rule's actions [N]."""
    packed, size = town.packed, town.level.size
    meters = packed[:, PACKED.meters].copy()
    cells = packed[:, PACKED.place_cells].astype(np.int64)
    wanted = np.full(meters.shape, 2.0)
    wanted[:, NEEDS] = meters[:, NEEDS]
    wanted[cells[:, REMEDIES] < 0] = 2.0
    if JOB in town.level.places:
        wanted[meters[:, MONEY] < 0.2, MONEY] = -1.0
    target = cells[np.arange(len(cells)), REMEDIES[wanted.argmin(axis=1)]]
    agent = packed[:, PACKED.agent_cell].astype(np.int64)
    dx, dy = target % size - agent % size, target // size - agent // size
    actions = np.where(dx > 0, RIGHT, np.where(dx < 0, LEFT, np.where(dy > 0, DOWN, np.where(dy < 0, UP, INTERACT))))
    actions = np.where(town.mask[np.arange(len(agent)), actions] & (wanted.min(axis=1) < 0.85), actions, REST)
    draws = generator.random(town.mask.shape) * town.mask
    return np.where(generator.random(len(agent)) < carelessness, draws.argmax(axis=1), actions).astype(np.int64)


def _made_up_q(meters: NDArray[Any], action: int, generator: np.random.Generator) -> list[float]:
    value = 12.0 * float(meters.min()) + 6.0 * float(meters[0] * meters[6])
    q = value - 0.4 - 0.5 * generator.random(len(ACTIONS))
    q[action] = value
    return [round(float(v), 3) for v in q]


def _made_up_hidden(before: list[list[float]], facts: NDArray[Any], weights: NDArray[Any]) -> list[float]:
    last = np.array(before[-1]) if before else np.zeros(weights.shape[1])
    return [round(float(v), 3) for v in 0.7 * last + 0.3 * np.tanh(facts @ weights)]


def _record(
    town: TownBatch, fake: Fake, actions: NDArray[Any], tapes: list[_Recording], generator: Any
) -> list[dict[str, Any]]:
    """The part of a step that is known before it, for every traced town that still lives."""
    weights = np.random.default_rng(fake.seed).normal(size=(len(METERS) + 2, max(fake.hidden_size, 1)))
    before = []
    for i, tape in enumerate(tapes):
        row, size = town.packed[i], town.level.size
        hour, cell, meters = int(row[PACKED.hour]), int(row[PACKED.agent_cell]), row[PACKED.meters].astype(float)
        there = np.flatnonzero(row[PACKED.place_cells] == cell)
        if fake.hidden_size and not town.finished[i]:
            angle = 2 * np.pi * hour / 24
            facts = np.concatenate([2 * meters - 1, [np.sin(angle), np.cos(angle)]])
            tape.hidden.append(_made_up_hidden(tape.hidden, facts, weights))
        before.append(
            {
                "hour": hour,
                "position": (cell % size, cell // size),
                "meters": [round(float(m), 4) for m in meters],
                "underfoot": int(there[0]) if len(there) else -1,
                "use_place": int(row[PACKED.place_in_use]),
                "use_ticks": int(row[PACKED.ticks_done]),
                "mask": town.mask[i].tolist(),
                "q": _made_up_q(meters, int(actions[i]), generator),
                "action": int(actions[i]),
                "mode": "greedy",
            }
        )
    return before


def fake_predictions(fake: Fake) -> list[GridworldPrediction]:
    """The rows that infer would write, in the order of the scenarios."""
    count, generator = fake.num_records, np.random.default_rng(fake.seed)
    town = TownBatch(fake.level, count)
    town.reset(np.arange(fake.first_seed, fake.first_seed + count, dtype=np.uint64), fake.multiplier)
    places = town.packed[:, PACKED.place_cells].astype(int).copy()
    tapes = [_Recording() for _ in range(min(fake.num_traces, count))]
    returns, uses = np.zeros((count, len(REWARDS))), np.zeros((count, len(PLACES)), dtype=int)
    lowest, lengths = np.zeros(count), np.zeros(count, dtype=int)
    while not town.finished.all():
        alive = ~town.finished
        actions = choose(town, generator, fake.carelessness)
        before = _record(town, fake, actions, tapes, generator)
        town.step(actions)
        for i, tape in enumerate(tapes):
            if alive[i]:
                rewards = [round(float(r), 5) for r in town.rewards[i]]
                tape.steps.append(Step(**before[i], rewards=rewards, completed=int(town.interacted[i])))
        returns += town.rewards
        lengths += alive
        lowest += np.where(alive, town.meters[:, NEEDS].min(axis=1), 0.0)
        used = alive & (town.interacted >= 0)
        uses[used, town.interacted[used]] += 1
    lowest /= lengths
    return [_row(fake, town, i, tapes, (returns, uses, lowest, lengths, places)) for i in range(count)]


def _row(fake: Fake, town: TownBatch, i: int, tapes: list[_Recording], totals: tuple[Any, ...]) -> GridworldPrediction:
    returns, uses, lowest, lengths, places = totals
    level, died, seed = town.level, bool(town.died[i]), fake.first_seed + i
    return GridworldPrediction(
        id=f"{fake.level}-x{fake.multiplier:g}-{seed}",
        model=fake.model,
        level=level.name,
        seed=seed,
        multiplier=fake.multiplier,
        num_steps=int(lengths[i]),
        died=died,
        cause=METERS[town.cause[i]] if died else None,
        wellbeing=float(returns[i, 0]),
        mean_lowest_meter=float(lowest[i]),
        returns=dict(zip(REWARDS, returns[i].tolist(), strict=True)),
        place_uses={place: int(n) for place, n in zip(PLACES, uses[i], strict=True) if n},
        final_meters=town.meters[i].tolist(),
        epsilon=0.0,
        size=level.size,
        window=level.window,
        cap=level.cap,
        stage=None,
        grid_places={PLACES[p]: (int(c) % level.size, int(c) // level.size) for p, c in enumerate(places[i]) if c >= 0},
        reward_components=list(REWARDS),
        trace=tapes[i].steps if i < len(tapes) else None,
        hidden=tapes[i].hidden if i < len(tapes) and fake.hidden_size else None,
    )
