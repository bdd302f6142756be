"""The Gymnasium wrapper passes Gymnasium's checker and is the same town as the batch."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from pipeline.errors import UserError
from pipeline.tasks.gridworld.town import observe as observation
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.gym import TownEnv
from pipeline.tasks.gridworld.town.observe import Encoding
from pipeline.tasks.gridworld.town.step import RewardOptions, TownBatch

FITTING: list[tuple[str, Encoding]] = [("minimal", "grid"), ("full", "places"), ("temporal", "window")]


@pytest.mark.parametrize(("level", "encoding"), FITTING)
@pytest.mark.filterwarnings("error")
def test_gymnasiums_own_checker_passes_without_a_warning(level: str, encoding: Encoding) -> None:
    check_env(gymnasium.make("baton/Town-v0", level=level, encoding=encoding).unwrapped)


def test_the_wrapped_town_is_the_town_of_that_seed_in_a_batch() -> None:
    env = TownEnv("temporal", "memory", reward=RewardOptions(shaping_weight=0.5))
    batch = TownBatch("temporal", 1, reward=RewardOptions(shaping_weight=0.5))
    seen, info = env.reset(seed=42)
    batch.reset(np.array([42], dtype=np.uint64), 1.0)
    rng = np.random.default_rng(0)
    for _ in range(60):
        assert np.array_equal(seen, observation.encode(batch.packed, "temporal", "memory")[0])
        assert np.array_equal(info["action_mask"], batch.mask[0])
        action = np.int64(rng.integers(8))
        seen, reward, terminated, truncated, info = env.step(action)
        batch.step(np.array([action]))
        assert reward == pytest.approx(batch.rewards.sum())
        assert (terminated, truncated) == (batch.died[0], batch.retired[0])
        assert list(info["rewards"].values()) == batch.rewards[0].tolist()


def test_death_terminates_and_names_its_cause() -> None:
    env = TownEnv("full")
    env.reset(seed=0)
    for _ in range(190):
        assert env.step(np.int64(rules.WAIT))[2] is False
    *_, terminated, truncated, info = env.step(np.int64(rules.WAIT))
    assert (terminated, truncated) == (True, False)
    assert info["cause"] == "energy"


def test_retirement_truncates() -> None:
    level = rules.Level(name="short", size=3, places=(rules.BED,), cap=2)
    env = TownEnv(level)
    env.reset(seed=0)
    env.step(np.int64(rules.WAIT))
    *_, terminated, truncated, info = env.step(np.int64(rules.WAIT))
    assert (terminated, truncated) == (False, True)
    assert info["rewards"]["retirement"] == 1.0


def test_resets_without_a_seed_draw_new_towns_reproducibly() -> None:
    def three_towns() -> list[list[float]]:
        env = TownEnv("full")
        env.reset(seed=5)
        return [env.reset()[0].tolist() for _ in range(3)]

    towns = three_towns()
    assert towns == three_towns()
    assert towns[0] != towns[1] != towns[2]


def test_the_multiplier_given_at_a_reset_stays() -> None:
    env = TownEnv("full", multiplier=1.0)
    env.reset(seed=0, options={"multiplier": 0.0})
    env.reset(seed=0)
    seen = env.step(np.int64(rules.WAIT))[0]
    meters = next(block for block in env.blocks if block.name == "meters")
    energy = meters.start + rules.ENERGY
    assert seen[energy] == 1.0


def test_an_encoding_that_does_not_fit_the_level_is_refused() -> None:
    with pytest.raises(UserError, match="window"):
        TownEnv("full", "window")
