"""The curriculum advances when an agent does well, retreats when it fails, and otherwise stays."""

import numpy as np
import pytest

from pipeline.tasks.gridworld.recipe import Curriculum
from pipeline.tasks.gridworld.train.curriculum import CurriculumState, policy_entropy

OPTIONS = Curriculum(min_episodes=20, window_episodes=20)


def _after(
    survival: float, *, stage: int = 1, rising: bool = True, entropy: float = 0.1, episodes: int = 20
) -> CurriculumState:
    state = CurriculumState(OPTIONS)
    state.index = stage
    state.record_entropy(entropy)
    for number in range(episodes):
        trend = number / 100 if rising else -number / 100
        state.record_episode(lived=0.5 + trend, survived=number < survival * episodes, stage=stage)
    return state


def test_it_advances_when_survival_is_high_and_the_agent_still_learns_and_is_decided() -> None:
    state = _after(0.8)
    assert state.update(step=7) == 1 and state.index == 2 and state.changes == [(7, 2)]


@pytest.mark.parametrize(
    ("why", "facts"),
    [
        ("survival is middling", {"survival": 0.5}),
        ("it no longer learns", {"survival": 0.8, "rising": False}),
        ("it is undecided", {"survival": 0.8, "entropy": 0.9}),
        ("too few episodes", {"survival": 1.0, "episodes": 19}),
    ],
)
def test_it_stays_when(why: str, facts: dict[str, float]) -> None:
    assert _after(**facts).update(step=0) == 0, why  # type: ignore[arg-type]  # keywords of mixed types


def test_saturated_survival_advances_even_without_learning_progress() -> None:
    assert _after(1.0, rising=False).update(step=0) == 1


def test_it_retreats_when_survival_collapses() -> None:
    state = _after(0.1)
    assert state.update(step=0) == -1 and state.index == 0


def test_it_neither_leaves_the_first_nor_the_last_stage() -> None:
    assert _after(0.0, stage=0).update(step=0) == 0
    assert _after(1.0, stage=len(OPTIONS.stages) - 1).update(step=0) == 0


def test_a_new_stage_is_judged_by_its_own_episodes_only() -> None:
    state = _after(1.0)
    state.update(step=0)
    assert state.survival_rate == 0.0 and state.num_episodes == 0
    state.record_episode(lived=1.0, survived=True, stage=1)  # a straggler of the stage before
    assert state.num_episodes == 0


def test_a_restored_curriculum_decides_the_same() -> None:
    state, other = _after(0.8), CurriculumState(OPTIONS)
    other.set_state(state.get_state())
    assert other.update(step=3) == state.update(step=3) == 1
    assert other.get_state() == state.get_state()


def test_entropy_is_one_for_equal_values_and_zero_for_a_clear_choice() -> None:
    mask = np.array([[True, True, True, False]])
    assert policy_entropy(np.zeros((1, 4)), mask, 0.02) == pytest.approx(1.0)
    assert policy_entropy(np.array([[1.0, 0.0, 0.0, 9.0]]), mask, 0.02) == pytest.approx(0.0, abs=1e-9)
    assert policy_entropy(np.zeros((1, 4)), np.array([[False, True, False, False]]), 0.02) == 0.0
