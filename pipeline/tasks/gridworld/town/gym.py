"""One town as a Gymnasium environment, for libraries that speak that interface.

    env = TownEnv(level="full", encoding="places")
    observation, info = env.reset(seed=0)

or by name: `gymnasium.make("pipeline.tasks.gridworld.town.gym:baton/Town-v0", level="temporal")`.
For speed use `step.TownBatch`, which steps thousands of towns in one call.
"""

from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.tasks.gridworld.town import observe
from pipeline.tasks.gridworld.town.arrays import F32
from pipeline.tasks.gridworld.town.observe import Encoding
from pipeline.tasks.gridworld.town.rules import ACTIONS, METERS, REWARDS, Level, find_level
from pipeline.tasks.gridworld.town.step import RewardOptions, TownBatch

try:
    import gymnasium
except ModuleNotFoundError as missing:
    what = "a town as a Gymnasium environment needs gymnasium, which is not installed"
    raise UserError(what, remedy="pip install 'baton-pipeline[gym]'") from missing


class TownEnv(gymnasium.Env[F32, np.int64]):
    """A batch of one town.

    Observations are those of `observe.encode`; `blocks` is their layout. The reward is the sum of the
    components of REWARDS. Death terminates, retirement at the cap truncates. `info` holds "action_mask"
    (bool [8]) and after a step "rewards" (by component); when a town died, "cause" names the meter.

    `reset(seed=s)` starts the town that seed s has everywhere in this project; a reset without a seed
    draws the next town. `reset(options={"multiplier": 1.5})` changes the decay from then on.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  Gymnasium declares it so

    def __init__(
        self,
        level: Level | str = "full",
        encoding: Encoding = "places",
        *,
        multiplier: float = 1.0,
        reward: RewardOptions | None = None,
    ) -> None:
        self.level = find_level(level)
        self.encoding = encoding
        self.multiplier = multiplier
        self.blocks = observe.layout(self.level, encoding)
        lengths = [block.stop - block.start for block in self.blocks]
        self.observation_space = gymnasium.spaces.Box(
            low=np.repeat(np.array([block.low for block in self.blocks], dtype=np.float32), lengths),
            high=np.repeat(np.array([block.high for block in self.blocks], dtype=np.float32), lengths),
            dtype=np.float32,
        )
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self._town = TownBatch(self.level, 1, reward=reward)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[F32, dict[str, Any]]:
        """Start a town: (observation, info)."""
        super().reset(seed=seed)
        self.multiplier = float((options or {}).get("multiplier", self.multiplier))
        town_seed = int(self.np_random.integers(2**53)) if seed is None else seed
        self._town.reset(np.array([town_seed], dtype=np.uint64), self.multiplier)
        return self._observe(), {"action_mask": self._town.mask[0].copy()}

    def step(self, action: np.int64) -> tuple[F32, float, bool, bool, dict[str, Any]]:
        """One step: (observation, reward, terminated, truncated, info)."""
        town = self._town
        town.step(np.array([action], dtype=np.int64))
        died = bool(town.died[0])
        rewards = town.rewards[0].tolist()
        info = {"action_mask": town.mask[0].copy(), "rewards": dict(zip(REWARDS, rewards, strict=True))}
        if died:
            info["cause"] = METERS[town.cause[0]]
        return self._observe(), float(sum(rewards)), died, bool(town.retired[0]), info

    def _observe(self) -> F32:
        seen: F32 = observe.encode(self._town.packed, self.level, self.encoding)[0]
        return seen


gymnasium.register(id="baton/Town-v0", entry_point="pipeline.tasks.gridworld.town.gym:TownEnv")
