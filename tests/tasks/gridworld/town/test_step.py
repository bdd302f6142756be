"""The environment keeps its promises about seeds, state, time, money and rewards; the rules by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.rules import PACKED
from pipeline.tasks.gridworld.town.step import RewardOptions, TownBatch


def seeds(count: int, first: int = 0) -> NDArray[np.uint64]:
    return np.arange(first, first + count, dtype=np.uint64)


def town(level: str = "full", num_envs: int = 1, multiplier: float = 1.0, **reward: Any) -> TownBatch:
    batch = TownBatch(level, num_envs, reward=RewardOptions(**reward))
    batch.reset(seeds(num_envs), multiplier)
    return batch


def step(batch: TownBatch, action: int, times: int = 1) -> None:
    for _ in range(times):
        batch.step(np.full(batch.num_envs, action, dtype=np.int64))


def stand_on(batch: TownBatch, place: int, hour: int = rules.START_HOUR) -> None:
    """Put every agent on a place at an hour, with the meters it has."""
    state = batch.get_state()
    state["packed"][:, PACKED.agent_cell] = state["packed"][:, PACKED.place_cells][:, place]
    state["packed"][:, PACKED.hour] = hour
    batch.set_state(state)


def set_meters(batch: TownBatch, **values: float) -> None:
    state = batch.get_state()
    for meter, value in values.items():
        state["meters"][:, rules.METERS.index(meter)] = value
    state["packed"][:, PACKED.meters] = state["meters"]
    batch.set_state(state)


def test_reward_options_replaced_during_an_episode_make_the_next_episodes_sparse() -> None:
    batch = town("full", num_envs=2)
    batch.reward = RewardOptions(sparse=True)
    batch.reset_where(np.array([False, True]), seeds(2))
    step(batch, rules.WAIT)
    assert batch.rewards[0, 0] > 0.9
    assert batch.rewards[1, 0] == 0.0


def test_a_town_depends_on_its_seed_and_not_on_its_place_in_the_batch() -> None:
    forward, backward = TownBatch("temporal", 50), TownBatch("temporal", 50)
    forward.reset(seeds(50))
    backward.reset(seeds(50)[::-1])
    assert np.array_equal(forward.packed, backward.packed[::-1])
    assert len(np.unique(forward.packed[:, PACKED.agent_cell])) > 20


def test_agent_and_places_start_on_distinct_cells_spread_evenly() -> None:
    batch = TownBatch("full", 20_000)
    batch.reset(seeds(20_000))
    cells = np.column_stack([batch.packed[:, PACKED.agent_cell], batch.packed[:, PACKED.place_cells]])
    assert all(len(set(row)) == 15 for row in cells[:500].tolist())
    for column in cells.T:  # 312.5 expected a cell, standard deviation 17.5
        counts = np.bincount(column.astype(int), minlength=64)
        assert counts.min() > 312.5 - 5 * 17.5
        assert counts.max() < 312.5 + 5 * 17.5


def test_reset_where_leaves_the_others_alone() -> None:
    batch = town("full", num_envs=3)
    step(batch, rules.WAIT, 4)
    before = batch.get_state()
    batch.reset_where(np.array([False, True, False]), seeds(3, first=100), 0.5)
    assert batch.packed[:, PACKED.num_steps].tolist() == [4.0, 0.0, 4.0]
    assert batch.packed[1, PACKED.multiplier] == 0.5
    for name, array in batch.get_state().items():
        assert np.array_equal(array[[0, 2]], before[name][[0, 2]]), name
    other = TownBatch("full", 1)
    other.reset(seeds(1, first=101), 0.5)
    assert np.array_equal(batch.packed[1], other.packed[0])


def test_a_restored_state_continues_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 8, (60, 16))
    whole = town("temporal", num_envs=16)
    for row in actions[:30]:
        whole.step(row)
    resumed = TownBatch("temporal", 16)
    resumed.set_state(whole.get_state())
    assert np.array_equal(resumed.mask, whole.mask)
    for row in actions[30:]:
        whole.step(row)
        resumed.step(row)
    for name, array in resumed.get_state().items():
        assert np.array_equal(array, whole.get_state()[name]), name
    assert np.array_equal(resumed.mask, whole.mask)


@pytest.mark.parametrize(
    ("name", "value"),
    [("meters", np.zeros((2, 8), np.float32)), ("meters", np.zeros((3, 8))), ("packed", None)],
    ids=["wrong dtype", "wrong shape", "missing"],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(name: str, value: Any) -> None:
    batch = town("full", num_envs=2)
    state = batch.get_state()
    before = batch.packed.copy()
    state["packed"][:] = 7.0
    del state[name]
    if value is not None:
        state[name] = value
    with pytest.raises(ValueError, match=name):
        batch.set_state(state)
    assert np.array_equal(batch.packed, before)


def test_a_finished_town_ignores_steps_and_remembers_how_it_ended() -> None:
    batch = town("full")
    step(batch, rules.WAIT, 191)
    assert batch.finished[0] and batch.died[0]
    ended = batch.packed.copy()
    step(batch, rules.UP)
    assert np.array_equal(batch.packed, ended)
    assert batch.rewards.tolist() == [[0.0, 0.0, 0.0]]
    assert batch.died[0] and batch.cause[0] == rules.ENERGY
    batch.reset(seeds(1))
    assert not batch.finished[0] and not batch.died[0] and batch.cause[0] == -1


def test_a_batch_that_was_never_reset_is_finished() -> None:
    assert TownBatch("full", 2).finished.all()


def test_reaching_the_cap_pays_the_bonus_once() -> None:
    batch = town("minimal", multiplier=0.0)
    set_meters(batch, fitness=1.0)
    step(batch, rules.WAIT, 999)
    assert not batch.finished[0]
    step(batch, rules.WAIT)
    assert batch.retired[0] and not batch.died[0]
    assert batch.rewards[0, 1] == 1.0
    step(batch, rules.WAIT)
    assert batch.rewards[0, 1] == 0.0


def test_dying_on_the_last_step_is_not_retirement() -> None:
    batch = town("full")
    state = batch.get_state()
    state["packed"][:, PACKED.num_steps] = 499
    batch.set_state(state)
    set_meters(batch, energy=0.004)
    step(batch, rules.WAIT)
    assert batch.died[0] and not batch.retired[0]
    assert batch.rewards[0].tolist() == [0.0, 0.0, 0.0]


def test_an_instant_use_grants_the_whole_effect_at_any_hour_for_the_whole_price() -> None:
    batch = town("full", multiplier=0.0)
    stand_on(batch, rules.DOCTOR, hour=3)
    set_meters(batch, health=0.5)
    assert batch.mask[0, rules.INTERACT]
    step(batch, rules.INTERACT)
    assert batch.interacted[0] == rules.DOCTOR
    assert batch.meters[0, rules.MONEY] == pytest.approx(0.42)
    assert batch.meters[0, rules.HEALTH] == pytest.approx(0.5 + 0.344 - 0.0005)


def test_ticks_spread_three_quarters_and_completion_grants_the_rest() -> None:
    batch = town("temporal", multiplier=0.0)
    stand_on(batch, rules.SHOWER)
    set_meters(batch, hygiene=0.4)
    hygiene, completed, money = [], [], []
    for _ in range(3):
        step(batch, rules.INTERACT)
        hygiene.append(batch.meters[0, rules.HYGIENE])
        money.append(batch.meters[0, rules.MONEY])
        completed.append(int(batch.interacted[0]))
    assert hygiene == pytest.approx([0.5, 0.6, 0.8])
    assert money == pytest.approx([0.49, 0.48, 0.47])
    assert completed == [-1, -1, rules.SHOWER]
    assert batch.packed[0, PACKED.place_in_use] == -1


def test_waiting_keeps_the_progress_of_a_use_and_leaving_loses_it() -> None:
    batch = town("temporal", multiplier=0.0)
    stand_on(batch, rules.BED)
    step(batch, rules.INTERACT, 2)
    step(batch, rules.REST)
    assert batch.packed[0, PACKED.ticks_done] == 2
    away = int(np.flatnonzero(batch.mask[0, :4])[0])
    step(batch, away)
    assert batch.packed[0, PACKED.ticks_done] == 0
    assert batch.packed[0, PACKED.place_in_use] == -1


def test_a_use_that_cannot_be_paid_costs_the_energy_and_does_nothing() -> None:
    for level in ("full", "temporal"):
        batch = town(level, multiplier=0.0)
        stand_on(batch, rules.HOSPITAL)
        set_meters(batch, money=0.02, health=0.5)
        step(batch, rules.INTERACT)
        assert batch.interacted[0] == -1
        assert batch.meters[0, rules.MONEY] == 0.02
        assert batch.meters[0, rules.HEALTH] < 0.5
        assert batch.meters[0, rules.ENERGY] == pytest.approx(0.995)
        assert batch.mask[0, rules.INTERACT], "affordability is not masked"


def test_money_for_a_whole_use_pays_all_of_its_ticks_in_spite_of_rounding() -> None:
    for place, kind in enumerate(rules.PLACE_TYPES):
        batch = town("temporal", multiplier=0.0)
        stand_on(batch, place, hour=18 if place == rules.BAR else 8)
        set_meters(batch, money=kind.price)
        step(batch, rules.INTERACT, kind.ticks)
        assert batch.interacted[0] == place, kind.key


@pytest.mark.parametrize(
    ("place", "open_hours"),
    [(rules.DOCTOR, range(8, 18)), (rules.BAR, (*range(18, 24), *range(4))), (rules.BED, range(24))],
    ids=["by day", "over midnight", "always"],
)
def test_closed_places_are_masked_and_do_nothing(place: int, open_hours: Any) -> None:
    batch = TownBatch("temporal", 24)
    batch.reset(np.zeros(24, dtype=np.uint64), 0.0)
    stand_on(batch, place)
    state = batch.get_state()
    state["packed"][:, PACKED.hour] = np.arange(24)
    batch.set_state(state)
    is_open = np.isin(np.arange(24), list(open_hours))
    assert np.array_equal(batch.mask[:, rules.INTERACT], is_open)
    step(batch, rules.INTERACT)
    assert np.array_equal(batch.packed[:, PACKED.ticks_done] == 1, is_open)


@pytest.mark.parametrize(
    "changes",
    [
        {"places": (rules.BED, rules.BED)},
        {"places": (14,)},
        {"size": 2, "places": (0, 1, 2, 3)},
        {"window": 4},
        {"cap": 0},
    ],
    ids=["place twice", "unknown place", "too small", "even window", "no steps"],
)
def test_levels_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        rules.Level(**{"name": "odd", "size": 4, "places": (rules.BED,), "cap": 10, **changes})


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        TownBatch("ful", 1)
    assert "full" in (caught.value.remedy or "")


@pytest.mark.parametrize("actions", [[8, 0], [-1, 0], [0]], ids=["too high", "negative", "too few"])
def test_actions_outside_the_table_are_refused(actions: list[int]) -> None:
    with pytest.raises(ValueError, match="actions"):
        town("full", num_envs=2).step(np.array(actions))
