"""The scripted policies come out where the rules say they do, and plays are accounted for rightly."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town import arrays as tables
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.policies import POLICIES, play
from pipeline.tasks.gridworld.town.rules import PACKED
from pipeline.tasks.gridworld.town.script import NUM_PARAMETERS, TUNED, follow_script
from pipeline.tasks.gridworld.town.seeds import EXAMPLES, derive
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import Tally
from tests.tasks.gridworld.town import oracle

SCENARIOS = derive(EXAMPLES, 77, np.arange(300))


@cache
def played(policy: str, level: str, multiplier: float = 1.0) -> tuple[TownBatch, Tally]:
    """All scenarios, once for all tests."""
    return play(policy, level, SCENARIOS, multiplier)


def seeds(count: int) -> NDArray[np.uint64]:
    return np.arange(count, dtype=np.uint64)


# (policy, level, survived steps, wellbeing, tolerance): published figures of this rule set on 1,000 episodes. The
# tolerance is at least four standard errors of the 300 episodes played here.
PUBLISHED = [
    ("always_wait", "full", 191, 93.4, 0.1),
    ("always_wait", "temporal", 191, 93.4, 0.1),
    ("always_rest", "full", 247, 134.0, 0.1),
    ("always_rest", "temporal", 247, 134.0, 0.1),
    ("random", "full", 137, 72, 11),
    ("random", "temporal", 139, 68, 4),
    ("two_places", "full", 500, 427, 7.5),
    ("two_places", "temporal", 372, 259, 5),
]


@pytest.mark.parametrize(("policy", "level", "steps", "wellbeing", "tolerance"), PUBLISHED)
def test_trivial_policies_reach_the_published_figures(
    policy: str, level: str, steps: float, wellbeing: float, tolerance: float
) -> None:
    _, tally = played(policy, level)
    assert tally.num_steps.mean() == pytest.approx(steps, abs=tolerance)
    assert tally.wellbeing.mean() == pytest.approx(wellbeing, abs=tolerance)


def test_the_bars_stand_in_order_on_both_levels() -> None:
    for level in ("full", "temporal"):
        order = ("random", "always_wait", "always_rest", "heuristic", "tuned_script")
        wellbeing = [played(policy, level)[1].wellbeing.mean() for policy in order]
        assert wellbeing == sorted(wellbeing)


@pytest.mark.parametrize(("level", "wellbeing"), [("full", 472), ("partial", 472), ("temporal", 455)])
def test_the_tuned_script_survives_and_holds_the_bar(level: str, wellbeing: float) -> None:
    towns, tally = played("tuned_script", level)
    assert towns.died.mean() < 0.01
    assert tally.wellbeing.mean() > wellbeing
    assert (tally.uses > 0).sum(axis=1).mean() > 4


def test_harder_decay_tells_the_policies_apart_on_temporal() -> None:
    heuristic = [played("heuristic", "temporal", x)[1].num_steps.mean() for x in (1.0, 1.5, 2.0)]
    script = [played("tuned_script", "temporal", x)[1].num_steps.mean() for x in (1.0, 1.5, 2.0)]
    assert heuristic[0] > heuristic[1] > heuristic[2]
    assert script[1] > 490 > script[2] > heuristic[2] + 100


@pytest.mark.parametrize("policy", POLICIES)
def test_an_episode_does_not_depend_on_the_batch_it_is_played_in(policy: str) -> None:
    together, counted_together = play(policy, "temporal", SCENARIOS[:20])
    apart, counted_apart = play(policy, "temporal", SCENARIOS[13:17])
    for env in range(4):
        assert counted_together.account(13 + env, together) == counted_apart.account(env, apart)


def test_the_random_policy_is_drawn_from_its_seed() -> None:
    first, again, other = (play("random", "full", seeds(50), policy_seed=s)[1].wellbeing for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_random_policy_takes_every_legal_action_equally_often_and_no_other() -> None:
    town = TownBatch("minimal", 6000)
    town.reset(seeds(6000))
    actions = POLICIES["random"](town, tables.tables("minimal"), seeds(6000), 0)
    assert town.mask[np.arange(6000), actions].all()
    kinds, which = np.unique(town.mask, axis=0, return_inverse=True)
    for kind, mask in enumerate(kinds):
        counts = np.bincount(actions[which == kind], minlength=8)[mask]
        assert counts.min() > 0.7 * counts.mean()


def test_accounts_equal_a_replay_in_the_scalar_rules() -> None:
    taken: list[NDArray[np.int64]] = []

    def recorded(town: TownBatch, level: tables.Tables, draws: NDArray[np.uint64], step: int) -> NDArray[np.int64]:
        taken.append(POLICIES["tuned_script"](town, level, draws, step))
        return taken[-1]

    multipliers = np.array([1.0, 2.5, 4.0])
    towns, tally = play(recorded, "temporal", seeds(3), multipliers)
    assert towns.died.any() and not towns.died.all()
    for i in range(3):
        scalar = oracle.Town("temporal", i, multipliers[i])
        wellbeing, lowest, uses = [], [], []
        while not (scalar.died or scalar.retired):
            scalar.step(int(taken[scalar.num_steps][i]))
            wellbeing.append(scalar.rewards[0])
            lowest.append(scalar.lowest_need())
            uses += [scalar.completed] if scalar.completed else []
        account = tally.account(i, towns)
        assert account["num_steps"] == len(wellbeing)
        assert account["wellbeing"] == pytest.approx(sum(wellbeing))
        expected = {"wellbeing": sum(wellbeing), "retirement": float(scalar.retired), "shaping": 0.0}
        assert account["returns"] == pytest.approx(expected, rel=1e-6)
        assert account["mean_lowest_meter"] == pytest.approx(np.mean(lowest), rel=1e-5)
        assert account["place_uses"] == {place: uses.count(place) for place in rules.PLACES if place in uses}
        assert account["final_meters"] == [round(meter, 6) for meter in scalar.meters.values()]
        assert (account["died"], account["cause"]) == (scalar.died, scalar.cause)


def script_in(level: str, agent: int, **meters: float) -> int:
    """What the tuned script does with the agent on that cell of town 0, all other meters full, at noon."""
    town = TownBatch(level, 1)
    town.reset(seeds(1))
    town.packed[0, PACKED.agent_cell] = agent
    town.packed[0, PACKED.hour] = 12
    town.packed[0, PACKED.meters] = [meters.get(name, 1.0) for name in rules.METERS]
    return int(follow_script(town.packed, tables.tables(level), TUNED[level])[0])


def cell_of(level: str, place: int) -> int:
    town = TownBatch(level, 1)
    town.reset(seeds(1))
    return int(town.packed[0, PACKED.place_cells][place])


@pytest.mark.parametrize("level", ["full", "temporal"])
def test_the_script_rests_when_all_is_well_and_uses_what_helps(level: str) -> None:
    assert script_in(level, cell_of(level, rules.BED)) == rules.REST
    assert script_in(level, cell_of(level, rules.BED), energy=0.2) == rules.INTERACT
    assert script_in(level, cell_of(level, rules.JOB), money=0.0) == rules.INTERACT
    assert script_in(level, cell_of(level, rules.HOSPITAL), money=0.0, health=0.2) != rules.INTERACT


def test_every_level_has_a_script_of_twenty_parameters() -> None:
    for level in rules.LEVELS:
        assert TUNED[level].shape == (NUM_PARAMETERS,)
        assert (TUNED[level] > 0).all()
