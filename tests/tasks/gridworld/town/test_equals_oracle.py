"""The compiled environment equals the scalar rules of `oracle.py`, step by step and bit for bit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.rules import PACKED
from pipeline.tasks.gridworld.town.step import RewardOptions, TownBatch
from tests.tasks.gridworld.town import oracle

LEVELS = tuple(rules.LEVELS)


def seeds(count: int, first: int = 0) -> NDArray[np.uint64]:
    return np.arange(first, first + count, dtype=np.uint64)


def float32(values: Sequence[float]) -> list[float]:
    return [float(np.float32(value)) for value in values]


def index(names: tuple[str, ...], name: str | None) -> int:
    return -1 if name is None else names.index(name)


def cells_seen(row: NDArray[np.float32]) -> set[int]:
    """Cell c is bit c % 24 of column c // 24."""
    return {cell for cell in range(72) if int(row[PACKED.cells_seen][cell // 24]) >> (cell % 24) & 1}


def assert_equal_to_oracle(batch: TownBatch, i: int, scalar: oracle.Town) -> None:
    row = batch.packed[i]
    places = [scalar.places.get(key) for key in rules.PLACES]
    cells = [-1 if at is None else at[1] * scalar.size + at[0] for at in places]
    meters = [scalar.meters[m] for m in rules.METERS]
    seen = sum(1 << rules.PLACES.index(key) for key in scalar.seen)
    assert batch.meters[i].tolist() == meters
    assert row[PACKED.meters].tolist() == float32(meters)
    assert row[PACKED.agent_cell] == scalar.y * scalar.size + scalar.x
    assert row[PACKED.place_cells].tolist() == cells
    assert cells_seen(row) == {y * scalar.size + x for x, y in scalar.cells_seen}
    assert (row[PACKED.seen], row[PACKED.hour], row[PACKED.num_steps]) == (seen, scalar.hour, scalar.num_steps)
    assert (row[PACKED.place_in_use], row[PACKED.ticks_done]) == (
        index(rules.PLACES, scalar.in_use),
        scalar.ticks_done,
    )
    assert batch.mask[i].tolist() == scalar.legal()
    assert batch.rewards[i].tolist() == float32(scalar.rewards)
    assert (batch.died[i], batch.retired[i]) == (scalar.died, scalar.retired)
    assert batch.finished[i] == (scalar.died or scalar.retired)
    assert batch.cause[i] == index(rules.METERS, scalar.cause)
    assert batch.interacted[i] == index(rules.PLACES, scalar.completed)


HELP = {
    "energy": "luxury_bed",
    "hygiene": "shower",
    "satiation": "home_meal",
    "money": "job",
    "mood": "recreation",
    "social": "bar",
    "health": "doctor",
    "fitness": "gym",
}


def errand(scalar: oracle.Town, rng: np.random.Generator) -> int:
    """Go to the place that helps the lowest meter and use it; now and then to a place that is just next in turn."""
    goal = HELP[min(scalar.meters, key=lambda m: scalar.meters[m] * (1.5 if m == "money" else 1.0))]
    block = scalar.num_steps // 25
    if block % 3 == 1 or goal not in scalar.places:
        goal = list(scalar.places)[(scalar.seed + block) % len(scalar.places)]
    (x, y), (ax, ay) = scalar.places[goal], (scalar.x, scalar.y)
    if (x, y) == (ax, ay):
        return rules.INTERACT
    if x != ax and (y == ay or rng.random() < 0.5):
        return rules.RIGHT if x > ax else rules.LEFT
    return rules.DOWN if y > ay else rules.UP


def random_action(scalar: oracle.Town, rng: np.random.Generator) -> int:
    """Any action, also illegal ones; half of the time INTERACT on a place."""
    if scalar.underfoot() and rng.random() < 0.5:
        return rules.INTERACT
    return int(rng.integers(8))


@pytest.mark.parametrize("policy", [random_action, errand])
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_scalar_rules_bit_for_bit(level: str, policy: Any) -> None:
    rng = np.random.default_rng(LEVELS.index(level))
    multipliers = np.array([0.2, 1.0, 2.0])
    reward: dict[str, Any] = {"shaping_weight": 0.3, "shaping_gamma": 0.97}
    batch = TownBatch(level, 3, reward=RewardOptions(**reward))
    batch.reset(seeds(3, first=2**63), multipliers)
    scalars = [oracle.Town(level, 2**63 + i, multipliers[i], **reward) for i in range(3)]
    for i, scalar in enumerate(scalars):
        scalar.rewards = (0.0, 0.0, 0.0)
        assert_equal_to_oracle(batch, i, scalar)
    while not batch.finished.all():
        alive = ~batch.finished
        actions = np.array([policy(scalar, rng) for scalar in scalars])
        batch.step(actions)
        for i in np.flatnonzero(alive).tolist():
            scalars[i].step(int(actions[i]))
            assert_equal_to_oracle(batch, i, scalars[i])


def test_errands_reach_retirement_and_death_and_use_many_places() -> None:
    """The traces above are worth something only if much happens in them."""
    used, ends = set(), set()
    for level in ("full", "temporal"):
        for seed in range(12):
            rng = np.random.default_rng(seed)
            scalar = oracle.Town(level, seed, multiplier=0.2 if seed % 2 else 2.0)
            while not (scalar.died or scalar.retired):
                scalar.step(errand(scalar, rng))
                used.add(scalar.completed)
            ends.add((scalar.died, scalar.cause))
    assert used >= set(rules.PLACES)
    assert {(False, None), (True, "energy")} <= ends


@pytest.mark.parametrize("level", LEVELS)
def test_one_step_from_any_state_equals_the_scalar_rules(level: str) -> None:
    """States that play rarely reaches: several meters low at once, last ticks, every hour, dying both ways."""
    rng = np.random.default_rng(7)
    count = 500
    batch = TownBatch(level, count)
    batch.reset(seeds(count))
    scalars = [oracle.Town(level, seed) for seed in range(count)]
    state = batch.get_state()
    for i, scalar in enumerate(scalars):
        values = (rng.random(8) * rng.choice([0.02, 0.4, 1.0], 8)).tolist()
        scalar.meters = dict(zip(rules.METERS, values, strict=True))
        key = str(rng.choice(list(scalar.places)))
        scalar.x, scalar.y = scalar.places[key]
        scalar.look()
        scalar.hour = int(rng.integers(24))
        ticks = oracle.PLACES[key][2]
        if scalar.temporal and rng.random() < 0.5 and ticks > 1:
            scalar.in_use, scalar.ticks_done = key, int(rng.integers(1, ticks))
        state["meters"][i] = values
        row = state["packed"][i]
        row[PACKED.agent_cell], row[PACKED.hour] = scalar.y * scalar.size + scalar.x, scalar.hour
        row[PACKED.place_in_use], row[PACKED.ticks_done] = index(rules.PLACES, scalar.in_use), scalar.ticks_done
        row[PACKED.seen] = sum(1 << rules.PLACES.index(seen) for seen in scalar.seen)
        known = [y * scalar.size + x for x, y in scalar.cells_seen]
        row[PACKED.cells_seen] = [sum(1 << c % 24 for c in known if c // 24 == column) for column in range(3)]
    batch.set_state(state)
    actions = np.where(rng.random(count) < 0.5, rules.INTERACT, rng.integers(0, 8, count))
    batch.step(actions)
    for i, scalar in enumerate(scalars):
        scalar.step(int(actions[i]))
        assert_equal_to_oracle(batch, i, scalar)
    assert {rules.ENERGY, rules.HEALTH} <= set(batch.cause.tolist())


def test_sparse_rewards_equal_the_scalar_rules_and_pay_at_the_end_only() -> None:
    batch = TownBatch("full", 1, reward=RewardOptions(sparse=True))
    batch.reset(seeds(1))
    scalar = oracle.Town("full", 0, sparse=True)
    paid = []
    while not scalar.died:
        batch.step(np.array([rules.WAIT]))
        scalar.step(rules.WAIT)
        assert batch.rewards[0].tolist() == float32(scalar.rewards)
        paid.append(float(batch.rewards[0].sum()))
    assert paid[:-1] == [0.0] * (len(paid) - 1)
    assert paid[-1] == pytest.approx(len(paid) / 500)
