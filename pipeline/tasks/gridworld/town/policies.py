"""Scripted policies, the bars that a learner is held against, and whole plays of them.

All of them read the whole state, also on levels with a window: they are bars, not learners. Each is a compiled
loop over packed rows; what it does in a town depends on that town and its seed alone, never on the batch.
"""

from collections.abc import Callable

import numpy as np

from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.arrays import F64, I64, U64, Tables, tables
from pipeline.tasks.gridworld.town.rules import Level, find_level
from pipeline.tasks.gridworld.town.script import TUNED, follow_script, go_to
from pipeline.tasks.gridworld.town.seeds import mix, uniforms
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import Tally

Act = Callable[[TownBatch, Tables, U64, int], I64]
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


def _random(town: TownBatch, _: Tables, seeds: U64, step: int) -> I64:
    """A random legal action."""
    legal = town.mask.cumsum(axis=1)
    wanted = np.floor(uniforms(seeds, step, 0) * legal[:, -1]) + 1
    actions: I64 = (legal >= wanted[:, None]).argmax(axis=1)
    return actions


def _always(action: int) -> Act:
    def act(town: TownBatch, _: Tables, __: U64, ___: int) -> I64:
        return np.full(town.num_envs, action, dtype=np.int64)

    return act


def _heuristic(town: TownBatch, level: Tables, _: U64, __: int) -> I64:
    """Go to the place for the lowest meter; finish a use."""
    help_for = np.array([_HELP[meter] for meter in range(len(rules.METERS))], dtype=np.int64)
    helped = np.where(np.isin(help_for, level.places), town.meters, np.inf)  # meters that this town can raise
    goals = help_for[helped.argmin(axis=1)]
    in_use = town.packed[:, rules.PACKED.place_in_use].astype(np.int64)
    return go_to(town.packed, town.mask, level, np.where((in_use >= 0) & town.mask[:, rules.INTERACT], in_use, goals))


def _two_places(town: TownBatch, level: Tables, _: U64, __: int) -> I64:
    return go_to(
        town.packed, town.mask, level, np.where(town.meters[:, rules.MONEY] < _LOW_MONEY, rules.JOB, rules.BED)
    )


def _tuned_script(town: TownBatch, level: Tables, _: U64, __: int) -> I64:
    other = TUNED["temporal" if town.level.temporal else "full"]
    parameters = TUNED.get(town.level.name, other)
    return follow_script(town.packed, level, parameters)


POLICIES: dict[str, Act] = {
    "random": _random,
    "always_wait": _always(rules.WAIT),
    "always_rest": _always(rules.REST),
    "heuristic": _heuristic,
    "two_places": _two_places,
    "tuned_script": _tuned_script,
}


def play(
    policy: str | Act, level: Level | str, seeds: U64, multiplier: float | F64 = 1.0, *, policy_seed: int = 0
) -> tuple[TownBatch, Tally]:
    """Play one episode for each seed, by a policy of `POLICIES` or a function of the same kind.

    seeds uint64 [N], multiplier of the base decay one number or [N]; `policy_seed` matters to "random" alone.
    Returns the towns as the episodes left them, and what was counted on the way.
    """
    act = POLICIES[policy] if isinstance(policy, str) else policy
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
