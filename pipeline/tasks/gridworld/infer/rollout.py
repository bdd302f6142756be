"""Whole greedy episodes of a model in given scenarios: for monitoring a training and for inference alike.

A scenario's episode depends on the model, the scenario and the decoding options alone, never on its neighbours in the
batch: the town is a function of its seed, and a random action (epsilon) of the scenario's own stream and step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town import seeds
from pipeline.tasks.gridworld.town.observe import Encoding, encode
from pipeline.tasks.gridworld.town.rules import REWARDS, Level
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import GREEDY, RANDOM, Recorded, Tally, place_positions

Answer = Callable[[NDArray[np.float32], Any], tuple[NDArray[np.float32], Any]]
"""(observations [N, D], hidden or None) -> (Q-values [N, A], hidden). The first call of a rollout passes None."""


@dataclass(frozen=True)
class Scenarios:
    """N scenarios of one level: seeds uint64 [N], multipliers float64 [N], streams uint64 [N] for random actions."""

    level: Level
    encoding: Encoding
    seeds: NDArray[np.uint64]
    multipliers: NDArray[np.float64]
    streams: NDArray[np.uint64]


@dataclass(frozen=True)
class Episode:
    """One finished episode: the account's fields, the places; if traced also the steps and hidden states [L, H]."""

    account: dict[str, Any]
    grid_places: dict[str, tuple[int, int]]
    recorded: Recorded | None
    hidden: NDArray[np.float32] | None


class _Recorder:
    """Keeps every step of the first ``num_traces`` scenarios."""

    def __init__(self, num_traces: int) -> None:
        self.num_traces = num_traces
        self.steps: list[tuple[NDArray[Any], ...]] = []
        self.hidden: list[NDArray[np.float32]] = []

    def record(self, *columns: NDArray[Any]) -> None:
        if self.num_traces:
            self.steps.append(tuple(column[: self.num_traces].copy() for column in columns))

    def episode(self, env: int, num_steps: int, final: NDArray[np.float32]) -> Recorded:
        packed, mask, q, actions, modes, rewards, completed = (
            np.stack([step[i][env] for step in self.steps[:num_steps]]) for i in range(7)
        )
        return Recorded(packed, mask, q, actions, modes, rewards, completed, final)


def choose(
    q: NDArray[np.float32], mask: NDArray[np.bool_], streams: NDArray[np.uint64], step: int, epsilon: float
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Greedy legal actions [N], replaced by random legal ones with chance ``epsilon``; and the modes [N].

    Ties go to the lowest action number.
    """
    actions = np.where(mask, q, -np.inf).argmax(axis=1)
    modes = np.full(len(q), GREEDY, np.int8)
    if epsilon > 0:
        explore = seeds.uniforms(streams, step, 0) < epsilon
        order = (seeds.uniforms(streams, step, 1) * mask.sum(axis=1)).astype(np.int64)
        chosen = ((mask.cumsum(axis=1) - 1 == order[:, None]) & mask).argmax(axis=1)
        actions, modes = np.where(explore, chosen, actions), np.where(explore, RANDOM, GREEDY).astype(np.int8)
    return actions, modes


def play(answer: Answer, scenarios: Scenarios, *, epsilon: float = 0.0, num_traces: int = 0) -> list[Episode]:
    """One episode a scenario, in their order; the first ``num_traces`` with every step."""
    num = len(scenarios.seeds)
    town = TownBatch(scenarios.level, num)
    town.reset(scenarios.seeds, scenarios.multipliers)
    tally = Tally(num, REWARDS)
    recorder = _Recorder(num_traces)
    hidden: Any = None
    step = 0
    while not town.finished.all():
        observations = encode(town.packed, scenarios.level, scenarios.encoding)
        if num_traces and hidden is not None:
            recorder.hidden.append(np.asarray(hidden[:num_traces], dtype=np.float32).copy())
        q, hidden = answer(observations, hidden)
        actions, modes = choose(q, town.mask, scenarios.streams, step, epsilon)
        before, mask, played = town.packed[:num_traces].copy(), town.mask[:num_traces].copy(), ~town.finished
        town.step(actions)
        tally.add(town, town.rewards, played)
        recorder.record(before, mask, q, actions, modes, town.rewards, town.interacted)
        step += 1
    return [_episode(env, town, tally, recorder) for env in range(num)]


def _episode(env: int, town: TownBatch, tally: Tally, recorder: _Recorder) -> Episode:
    account = tally.account(env, town)
    recorded, hidden = None, None
    if env < recorder.num_traces:
        recorded = recorder.episode(env, account["num_steps"], town.packed[env].copy())
        if recorder.hidden:
            states = [np.zeros_like(recorder.hidden[0][env])] + [h[env] for h in recorder.hidden]
            hidden = np.stack(states[: account["num_steps"]])
    return Episode(account, place_positions(town.packed[env], town.level), recorded, hidden)
