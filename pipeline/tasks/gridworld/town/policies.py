"""Scripted policies, the bars that a learner is held against, and whole plays of them.

All of them read the whole state, also on levels with a window: they are bars, not learners. Each is a compiled
loop over packed rows; what it does in a town depends on that town and its seed alone, never on the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.arrays import Tables, tables
from pipeline.tasks.gridworld.town.rules import Level, find_level
from pipeline.tasks.gridworld.town.script import TUNED, follow_script, go_to
from pipeline.tasks.gridworld.town.seeds import mix, uniforms
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import Tally

Act = Callable[[TownBatch, Tables, NDArray[np.uint64], int], NDArray[np.int64]]
"""(towns, their rules, one seed a town, number of the step) -> actions int64 [N]."""

# For each meter the place that the heuristic goes to when that meter is the lowest.
_HELP: dict[int, int] = {
    rules.ENERGY: rules.BED,
    rules.HYGIENE: rules.SHOWER,
    rules.SATIATION: rules.HOME_MEAL,
    rules.MONEY: rules.JOB,
    rules.MOOD: rules.RECREATION,
    rules.SOCIAL: rules.BAR,
    rules.HEALTH: rules.DOCTOR,
    rules.FITNESS: rules.GYM,
}
_LOW_MONEY = 0.06


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A scripted policy: what it does in a sentence, and its function."""

    name: str
    description: str
    act: Act


def _random(town: TownBatch, _: Tables, seeds: NDArray[np.uint64], step: int) -> NDArray[np.int64]:
    legal = town.mask.cumsum(axis=1)
    wanted = np.floor(uniforms(seeds, step, 0) * legal[:, -1]) + 1
    actions: NDArray[np.int64] = (legal >= wanted[:, None]).argmax(axis=1)
    return actions


def _always(action: int) -> Act:
    def act(town: TownBatch, _: Tables, __: NDArray[np.uint64], ___: int) -> NDArray[np.int64]:
        return np.full(town.num_envs, action, dtype=np.int64)

    return act


def _heuristic(town: TownBatch, level: Tables, _: NDArray[np.uint64], __: int) -> NDArray[np.int64]:
    help_for = np.array([_HELP[meter] for meter in range(len(rules.METERS))], dtype=np.int64)
    helped = np.where(np.isin(help_for, level.places), town.meters, np.inf)  # meters that this town can raise
    goals = help_for[helped.argmin(axis=1)]
    in_use = town.packed[:, rules.PACKED.place_in_use].astype(np.int64)
    return go_to(town.packed, town.mask, level, np.where((in_use >= 0) & town.mask[:, rules.INTERACT], in_use, goals))


def _two_places(town: TownBatch, level: Tables, _: NDArray[np.uint64], __: int) -> NDArray[np.int64]:
    return go_to(
        town.packed, town.mask, level, np.where(town.meters[:, rules.MONEY] < _LOW_MONEY, rules.JOB, rules.BED)
    )


def _tuned_script(town: TownBatch, level: Tables, _: NDArray[np.uint64], __: int) -> NDArray[np.int64]:
    other = TUNED["temporal" if town.level.temporal else "full"]
    parameters = TUNED.get(town.level.name, other)
    return follow_script(town.packed, level, parameters)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy(name="random", description="a random legal action", act=_random),
        Policy(name="always_wait", description="WAIT at every step", act=_always(rules.WAIT)),
        Policy(name="always_rest", description="REST at every step", act=_always(rules.REST)),
        Policy(name="heuristic", description="go to the place for the lowest meter; finish a use", act=_heuristic),
        Policy(name="two_places", description="job when money is below 0.06, else bed", act=_two_places),
        Policy(
            name="tuned_script",
            description="the place worth most for its time, by 20 parameters tuned by random search",
            act=_tuned_script,
        ),
    )
}


def play(
    policy: str | Act,
    level: Level | str,
    seeds: NDArray[np.uint64],
    multiplier: float | NDArray[np.float64] = 1.0,
    *,
    policy_seed: int = 0,
) -> tuple[TownBatch, Tally]:
    """Play one episode for each seed, by a policy of `POLICIES` or a function of the same kind.

    seeds uint64 [N], multiplier of the base decay one number or [N]; `policy_seed` matters to "random" alone.
    Returns the towns as the episodes left them, and what was counted on the way.
    """
    act = POLICIES[policy].act if isinstance(policy, str) else policy
    level = find_level(level)
    arrays = tables(level)
    town = TownBatch(level, len(seeds))
    town.reset(seeds, multiplier)
    tally = Tally(len(seeds), rules.REWARDS)
    with np.errstate(over="ignore"):
        draws = mix(np.asarray(seeds, dtype=np.uint64) + mix(np.full(1, policy_seed, dtype=np.uint64)))
    for step in range(level.cap):
        played = ~town.finished
        if not played.any():
            break
        town.step(act(town, arrays, draws, step))
        tally.add(town, town.rewards, played)
    return town, tally
