"""Whole greedy episodes of a model in given scenarios: for monitoring a training and for inference alike.

A scenario's episode depends on the model, the scenario and the decoding options alone, never on its neighbours in the
batch: the town is a function of its seed, and a random action (epsilon) of the scenario's own stream and step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town import seeds
from pipeline.tasks.gridworld.town.arrays import F32, F64, I8, I64, U64, Bools
from pipeline.tasks.gridworld.town.observe import Encoding, encode
from pipeline.tasks.gridworld.town.rules import REWARDS, Level
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import GREEDY, RANDOM, Recorded, Recorder, Tally, place_positions

Answer = Callable[[F32, Any], tuple[F32, Any]]
"""(observations [N, D], hidden or None) -> (Q-values [N, A], hidden). The first call of a rollout passes None."""
Combine = Callable[[F32, Bools], tuple[NDArray[Any], F64]]
"""(what several models answered [N, M, A], mask [N, A]) -> (scores [N, A], how far they differ [N, A])."""


@dataclass(frozen=True)
class Scenarios:
    """N scenarios of one level: seeds uint64 [N], multipliers float64 [N], streams uint64 [N] for random actions."""

    level: Level
    encoding: Encoding
    seeds: U64
    multipliers: F64
    streams: U64

    def take(self, chosen: Sequence[int]) -> "Scenarios":
        """Some of them, in the order of their indices."""
        at = np.array(chosen)
        return replace(self, seeds=self.seeds[at], multipliers=self.multipliers[at], streams=self.streams[at])


@dataclass(frozen=True)
class Episode:
    """One finished episode: the account's fields, the places; if traced also the steps and hidden states [L, H]. Of
    several models also the mean over the steps of how far they differ about the action that was taken."""

    account: dict[str, Any]
    grid_places: dict[str, tuple[int, int]]
    recorded: Recorded | None
    hidden: F32 | None
    uncertainty: float | None = None


def choose(q: NDArray[Any], mask: Bools, streams: U64, step: int, epsilon: float) -> tuple[I64, I8]:
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


def play(
    answer: Answer, scenarios: Scenarios, *, epsilon: float = 0.0, num_traces: int = 0, combine: Combine | None = None
) -> list[Episode]:
    """One episode a scenario, in their order; the first ``num_traces`` with every step. With ``combine``, ``answer``
    gives the Q-values of several models [N, M, A]."""
    num = len(scenarios.seeds)
    town = TownBatch(scenarios.level, num)
    town.reset(scenarios.seeds, scenarios.multipliers)
    tally = Tally(num, REWARDS)
    recorder = Recorder(np.arange(min(num_traces, num)), scenarios.level.cap, len(REWARDS))
    hidden: Any = None
    remembered: list[F32] = []  # hidden states after each step, of those that are recorded
    uncertainty = np.zeros(num)  # summed over the steps
    step = 0
    while not town.finished.all():
        q, hidden = answer(encode(town.packed, scenarios.level, scenarios.encoding), hidden)
        if combine is not None:
            q, differ = combine(q, town.mask)
        elif num_traces and hidden is not None:
            remembered.append(np.asarray(hidden[:num_traces], dtype=np.float32).copy())
        actions, modes = choose(q, town.mask, scenarios.streams, step, epsilon)
        at, played = np.full(num, step), ~town.finished
        if combine is not None:
            uncertainty += np.where(played, differ[np.arange(num), actions], 0.0)
        recorder.record(at, played, packed=town.packed, mask=town.mask, q=q, actions=actions, modes=modes)
        town.step(actions)
        recorder.record(at, played, rewards=town.rewards, completed=town.interacted)
        tally.add(town, town.rewards, played)
        step += 1
    episodes = []
    for env in range(num):
        account = tally.account(env, town)
        recorded = recorder.episode(env, account["num_steps"], town.packed[env])
        states = _before(remembered, env, account["num_steps"]) if recorded and remembered else None
        unsure = None if combine is None else float(uncertainty[env]) / max(account["num_steps"], 1)
        episodes.append(Episode(account, place_positions(town.packed[env], town.level), recorded, states, unsure))
    return episodes


def play_traced(
    answer: Answer, scenarios: Scenarios, *, epsilon: float, num_traces: int, combine: Combine | None = None
) -> list[Episode]:
    """`play`, with every step of those that died, too: which they are, only playing shows, and again it is the same."""
    episodes = play(answer, scenarios, epsilon=epsilon, num_traces=num_traces, combine=combine)
    dead = [n for n, episode in enumerate(episodes) if episode.account["died"] and episode.recorded is None]
    if dead:
        again = play(answer, scenarios.take(dead), epsilon=epsilon, num_traces=len(dead), combine=combine)
        for n, episode in zip(dead, again, strict=True):
            episodes[n] = episode
    return episodes


def _before(remembered: list[F32], env: int, num_steps: int) -> F32:
    """The hidden states of ``env`` before each of its steps, [L, H]: none yet before the first."""
    after = [states[env] for states in remembered[: num_steps - 1]]
    return np.stack([np.zeros_like(remembered[0][env]), *after])
