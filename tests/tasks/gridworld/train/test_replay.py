"""Replay memory: n-step returns, what ends them, what is never learnt from, sequences, priorities, exact state."""

from typing import Any

import numpy as np
import pytest

from pipeline.tasks.gridworld.recipe import QLearning
from pipeline.tasks.gridworld.recipe import Replay as ReplayOptions
from pipeline.tasks.gridworld.town.rules import PACKED
from pipeline.tasks.gridworld.train.replay import DIED, DUMMY, EXPLORED, FIRST, RETIRED, Replay

GAMMA = 0.5


def _filled(flags: list[int], *, steps: int = 2, hidden_size: int = 0, cut: bool = False, **options: Any) -> Replay:
    """One environment whose row t has state t, action t % 8, reward 1 and flags[t]."""
    replay = Replay(
        ReplayOptions(**({"capacity": 64} | options)),
        QLearning(gamma=GAMMA, num_step_return=steps, cut_at_exploration=cut),
        1,
        hidden_size,
    )
    for t, flag in enumerate(flags):
        state = np.full((1, PACKED.width), t, np.float32)
        hidden = np.full((1, hidden_size), t, np.float32) if hidden_size else None
        replay.begin(state, hidden)
        replay.finish(np.array([t % 8]), np.ones(1, np.float32), np.array([flag], np.uint8))
    return replay


def _samples(replay: Replay, start: int) -> Any:
    """The sampled transition that begins in state ``start``: (return, discount, bootstrap state, valid)."""
    batch = replay.sample(np.random.default_rng(0), 32, 0.4)
    where = np.flatnonzero(batch.states[:, 0] == start)
    assert len(where), f"state {start} was never sampled"
    b = where[0]
    return batch.returns[b], batch.discounts[b], batch.bootstrap[b, 0], batch.valid[b]


def test_the_return_sums_discounted_rewards_and_bootstraps_n_steps_later() -> None:
    assert _samples(_filled([0] * 6), 1) == (1 + GAMMA, GAMMA**2, 3, 1)


def test_a_death_ends_the_return_without_a_bootstrap() -> None:
    assert _samples(_filled([0, DIED, DUMMY, FIRST, 0, 0, 0]), 1) == (1, 0, 2, 1)


def test_retirement_ends_the_return_and_bootstraps_from_the_final_state() -> None:
    returned, discount, bootstrap, _ = _samples(_filled([0, RETIRED, DUMMY, FIRST, 0, 0, 0]), 1)
    assert (returned, discount, bootstrap) == (1, GAMMA, 2)


def test_the_idle_row_between_episodes_is_never_learnt_from() -> None:
    assert _samples(_filled([0, DIED, DUMMY, FIRST, 0, 0, 0]), 2)[3] == 0


def test_a_later_random_action_cuts_the_return_when_asked_and_only_then() -> None:
    flags = [0, 0, 0, EXPLORED, 0, 0, 0, 0]
    assert _samples(_filled(flags, steps=4, cut=True), 1) == (1 + GAMMA, GAMMA**2, 3, 1)
    assert _samples(_filled(flags, steps=4), 1)[1:3] == (GAMMA**4, 5)
    assert _samples(_filled(flags, steps=2, cut=True), 3)[1:3] == (GAMMA**2, 5)  # its own action may be random


def test_only_complete_samples_are_drawn_and_the_oldest_fall_out() -> None:
    replay = _filled([0] * 100)
    starts = set()
    for seed in range(50):
        starts |= set(replay.sample(np.random.default_rng(seed), 32, 0.4).states[:, 0].astype(int).tolist())
    assert starts == set(range(100 - 64 + 1, 100 - 2))


def test_sequences_begin_where_the_hidden_state_was_stored_and_say_where_episodes_begin() -> None:
    flags = [FIRST, 0, 0, DIED, DUMMY, FIRST, *[0] * 20]
    replay = _filled(flags, hidden_size=3, burn_in=2, sequence=4)
    batch = replay.sample(np.random.default_rng(0), 16, 0.4)
    assert batch.states.shape == (2 + 4 + 2, 4, PACKED.width)
    for b in range(4):
        first = int(batch.states[0, b, 0])
        assert first % 2 == 0 and (batch.hidden[b] == first).all()
        assert batch.states[:, b, 0].tolist() == list(range(first, first + 8))
        assert batch.resets[:, b].tolist() == [t > 0 and first + t == 5 for t in range(8)]
        assert batch.actions[:, b].tolist() == [(first + 2 + k) % 8 for k in range(4)]
        for k in range(4):
            at = first + 2 + k
            steps = 1 if at == 3 else 2
            assert batch.bootstrap[k, b] == 2 + k + steps
            assert batch.valid[k, b] == (at != 4)
            assert batch.discounts[k, b] == (0 if at in (2, 3) else GAMMA**2)


def test_prioritized_sampling_follows_the_priorities_and_corrects_for_them() -> None:
    replay = _filled([0] * 20, type="prioritized", alpha=1.0, priority_epsilon=0.0)
    slots = np.arange(18)
    replay.update_priorities(slots, np.where(slots == 7, 9.0, 1.0 / 17).astype(np.float32))
    batch = replay.sample(np.random.default_rng(0), 64, beta=1.0)
    share = (batch.slots == 7).mean()
    assert 0.85 < share < 0.95  # 9 of 10
    rare, common = batch.weights[batch.slots != 7], batch.weights[batch.slots == 7]
    assert rare.min() == 1.0 and common.max() == pytest.approx(1 / (9 * 17), rel=1e-5)


def test_prioritized_never_draws_dummies_or_overwritten_rows() -> None:
    flags = [DIED if t % 10 == 8 else DUMMY if t % 10 == 9 else 0 for t in range(150)]
    replay = _filled(flags, type="prioritized")
    for seed in range(30):
        batch = replay.sample(np.random.default_rng(seed), 32, 0.4)
        assert batch.valid.all()
        assert batch.states[:, 0].min() > 150 - 64 and batch.states[:, 0].max() <= 147


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_a_restored_memory_samples_the_same_bytes(kind: str) -> None:
    replay, other = _filled([0] * 90, type=kind), _filled([], type=kind)
    other.set_state({k: v.copy() if isinstance(v, np.ndarray) else v for k, v in replay.get_state().items()})
    one, two = (memory.sample(np.random.default_rng(5), 32, 0.4) for memory in (replay, other))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
