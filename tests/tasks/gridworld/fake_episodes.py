"""Rows of episodes.jsonl without a training: scripted play in the real town, with made-up Q-values that agree with it.

As a program it writes them to a file as a trainer would, one after the other, for tests that need another process:
``python -m tests.tasks.gridworld.fake_episodes FILE --count 5 --every-s 0.2``.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.files import encode
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.rules import find_level
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import GREEDY, RANDOM, Recorder, Tally, build_trace, place_positions


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


def play(plan: Play) -> GridworldEpisode:
    """Play one episode. The same plan gives the same row, except for ``ended_unix_s``."""
    rng = np.random.default_rng(plan.seed)
    level = find_level(plan.level)
    town = TownBatch(level, 1)
    town.reset(np.array([plan.seed], dtype=np.uint64), plan.multiplier)
    recorder, tally = Recorder(np.arange(1), level.cap, len(rules.REWARDS)), Tally(1, rules.REWARDS)
    while not town.finished[0] and tally.num_steps[0] < plan.max_steps:
        greedy = bool(rng.random() < plan.skill)
        wanted = _wanted(town.packed[0], level.size)
        action = wanted if greedy and town.mask[0, wanted] else int(rng.choice(np.flatnonzero(town.mask[0])))
        q = np.round(20 + rng.normal(0, 0.4, len(rules.ACTIONS)), 4)
        q[wanted] = q.max() + 0.1
        at, played, actions = tally.num_steps.copy(), np.ones(1, np.bool_), np.array([action])
        now = {"packed": town.packed, "mask": town.mask, "q": q[None], "actions": actions}
        recorder.record(at, played, modes=np.array([GREEDY if greedy else RANDOM]), **now)
        town.step(actions)
        recorder.record(at, played, rewards=town.rewards, completed=town.interacted)
        tally.add(town, town.rewards, played)
    return _row(plan, town, tally, recorder)


def _wanted(packed: NDArray[np.float32], size: int) -> int:
    """Finish a use, else towards the open place that restores the lowest meter most (money first when poor)."""
    hour, in_use = int(packed[rules.PACKED.hour]), int(packed[rules.PACKED.place_in_use])
    if in_use >= 0 and rules.PLACE_TYPES[in_use].is_open(hour):
        return rules.INTERACT
    cells = packed[rules.PACKED.place_cells]
    gains = np.zeros((len(rules.PLACES), len(rules.METERS)))
    for number, place in enumerate(rules.PLACE_TYPES):
        if cells[number] >= 0 and place.is_open(hour):
            gains[number, list(place.effects)] = list(place.effects.values())
    levels = np.where(gains.max(axis=0) > 0, packed[rules.PACKED.meters], np.inf)
    if not np.isfinite(levels).any():
        return rules.WAIT
    lowest = rules.MONEY if levels[rules.MONEY] < 0.2 else int(np.argmin(levels))
    y, x = divmod(int(packed[rules.PACKED.agent_cell]), size)
    there_y, there_x = divmod(int(cells[int(np.argmax(gains[:, lowest]))]), size)
    if (x, y) == (there_x, there_y):
        return rules.INTERACT
    if x != there_x:
        return rules.RIGHT if there_x > x else rules.LEFT
    return rules.DOWN if there_y > y else rules.UP


def _row(plan: Play, town: TownBatch, tally: Tally, recorder: Recorder) -> GridworldEpisode:
    level = town.level
    recorded = recorder.episode(0, int(tally.num_steps[0]), town.packed[0])
    assert recorded is not None
    return GridworldEpisode(
        id=f"env{plan.index % 4}-{plan.index:05d}",
        step=1000 * (plan.index + 1),
        ended_unix_s=time.time(),
        num_dropped_before=plan.num_dropped_before,
        level=level.name,
        seed=plan.seed,
        multiplier=plan.multiplier,
        **tally.account(0, town),
        env_index=plan.index % 4,
        episode_index=plan.index // 4,
        epsilon=round(0.4 * 0.9**plan.index, 4),
        stage=plan.stage,
        size=level.size,
        window=level.window,
        cap=level.cap,
        grid_places=place_positions(recorded.final, level),
        reward_components=list(rules.REWARDS),
        trace=build_trace(recorded, level),
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
