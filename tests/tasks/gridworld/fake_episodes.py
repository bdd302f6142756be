"""Rows of episodes.jsonl without a training: scripted play in the real town, with made-up Q-values that agree with it.

As a program it writes them to a file as a trainer would, one after the other, for tests that need another process:
``python -m tests.tasks.gridworld.fake_episodes FILE --count 5 --every-s 0.2``.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.files import encode
from pipeline.tasks.gridworld.rows import ExploreMode, GridworldEpisode, Step
from pipeline.tasks.gridworld.town.rules import (
    ACTIONS,
    DOWN,
    INTERACT,
    LEFT,
    METERS,
    MONEY,
    PACKED,
    PLACE_TYPES,
    PLACES,
    REWARDS,
    RIGHT,
    UP,
    WAIT,
    find_level,
)
from pipeline.tasks.gridworld.town.step import TownBatch


@dataclass(frozen=True, kw_only=True)
class Play:
    """One episode: ``skill`` is the share of steps that go for the place of the lowest meter; the rest are random."""

    level: str = "temporal"
    seed: int = 1
    skill: float = 0.9
    multiplier: float = 1.0
    stage: int = 0
    max_steps: int = 10_000
    index: int = 0
    num_dropped_before: int = 0


class Choice(NamedTuple):
    """An action in the state that it was taken in."""

    packed: NDArray[np.float32]
    mask: NDArray[np.bool_]
    q: NDArray[np.float64]
    action: int
    mode: ExploreMode


def play(plan: Play) -> GridworldEpisode:
    """Play one episode. The same plan gives the same row, except for ``ended_unix_s``."""
    rng = np.random.default_rng(plan.seed)
    level = find_level(plan.level)
    town = TownBatch(level, 1)
    town.reset(np.array([plan.seed], dtype=np.uint64), plan.multiplier)
    trace: list[Step] = []
    while not town.finished[0] and len(trace) < plan.max_steps:
        packed, mask = town.packed[0].copy(), town.mask[0].copy()
        greedy = bool(rng.random() < plan.skill)
        wanted = _wanted(packed, level.size)
        action = wanted if greedy and mask[wanted] else int(rng.choice(np.flatnonzero(mask)))
        q = np.round(20 + rng.normal(0, 0.4, len(ACTIONS)), 4)
        q[wanted] = q.max() + 0.1
        town.step(np.array([action]))
        trace.append(_step(Choice(packed, mask, q, action, "greedy" if greedy else "random"), town))
    return _row(plan, town, trace)


def _wanted(packed: NDArray[np.float32], size: int) -> int:
    """Finish a use, else towards the open place that restores the lowest meter most (money first when poor)."""
    hour, in_use = int(packed[PACKED.hour]), int(packed[PACKED.place_in_use])
    if in_use >= 0 and PLACE_TYPES[in_use].is_open(hour):
        return INTERACT
    cells = packed[PACKED.place_cells]
    gains = np.zeros((len(PLACES), len(METERS)))
    for number, place in enumerate(PLACE_TYPES):
        if cells[number] >= 0 and place.is_open(hour):
            gains[number, list(place.effects)] = list(place.effects.values())
    levels = np.where(gains.max(axis=0) > 0, packed[PACKED.meters], np.inf)
    if not np.isfinite(levels).any():
        return WAIT
    lowest = MONEY if levels[MONEY] < 0.2 else int(np.argmin(levels))
    y, x = divmod(int(packed[PACKED.agent_cell]), size)
    there_y, there_x = divmod(int(cells[int(np.argmax(gains[:, lowest]))]), size)
    if (x, y) == (there_x, there_y):
        return INTERACT
    if x != there_x:
        return RIGHT if there_x > x else LEFT
    return DOWN if there_y > y else UP


def _step(choice: Choice, town: TownBatch) -> Step:
    packed = choice.packed
    y, x = divmod(int(packed[PACKED.agent_cell]), town.level.size)
    here = np.flatnonzero(packed[PACKED.place_cells] == packed[PACKED.agent_cell])
    return Step(
        hour=int(packed[PACKED.hour]),
        position=(x, y),
        meters=[round(float(value), 4) for value in packed[PACKED.meters]],
        underfoot=int(here[0]) if len(here) else -1,
        use_place=int(packed[PACKED.place_in_use]),
        use_ticks=int(packed[PACKED.ticks_done]),
        mask=choice.mask.tolist(),
        q=choice.q.tolist(),
        action=choice.action,
        mode=choice.mode,
        rewards=[round(float(value), 4) for value in town.rewards[0]],
        completed=int(town.interacted[0]),
    )


def _row(plan: Play, town: TownBatch, trace: list[Step]) -> GridworldEpisode:
    level = town.level
    cells = town.packed[0][PACKED.place_cells]
    uses = [PLACES[step.completed] for step in trace if step.completed >= 0]
    died = bool(town.died[0])
    return GridworldEpisode(
        id=f"env{plan.index % 4}-{plan.index:05d}",
        step=1000 * (plan.index + 1),
        ended_unix_s=time.time(),
        num_dropped_before=plan.num_dropped_before,
        level=level.name,
        seed=plan.seed,
        multiplier=plan.multiplier,
        num_steps=len(trace),
        died=died,
        cause=METERS[town.cause[0]] if died else None,
        wellbeing=round(sum(step.rewards[0] for step in trace), 4),
        mean_lowest_meter=round(float(np.mean([min(step.meters) for step in trace])), 4),
        returns={name: round(sum(step.rewards[c] for step in trace), 4) for c, name in enumerate(REWARDS)},
        place_uses={key: uses.count(key) for key in PLACES if key in uses},
        final_meters=[round(float(value), 6) for value in town.meters[0]],
        env_index=plan.index % 4,
        episode_index=plan.index // 4,
        epsilon=round(0.4 * 0.9**plan.index, 4),
        stage=plan.stage,
        size=level.size,
        window=level.window,
        cap=level.cap,
        grid_places={PLACES[p]: (int(cells[p]) % level.size, int(cells[p]) // level.size) for p in level.places},
        reward_components=list(REWARDS),
        trace=trace,
    )


def plans(count: int, level: str = "temporal") -> list[Play]:
    """Plans of a training that gets better: skill grows from 0 to 0.95, through three stages."""
    return [
        Play(
            level=level,
            seed=100 + index,
            skill=0.95 * index / max(count - 1, 1),
            multiplier=(0.5, 0.8, 1.0)[min(3 * index // max(count, 1), 2)],
            stage=min(3 * index // max(count, 1), 2),
            index=index,
            num_dropped_before=2 if index == 3 else 0,
        )
        for index in range(count)
    ]


def main() -> None:
    """Write episodes to a file, one every so many seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--every-s", type=float, default=0.0)
    parser.add_argument("--level", default="temporal")
    options = parser.parse_args()
    with options.file.open("ab", buffering=0) as file:
        for plan in plans(options.count, options.level):
            file.write(encode(play(plan)))
            time.sleep(options.every_s)


if __name__ == "__main__":
    main()
