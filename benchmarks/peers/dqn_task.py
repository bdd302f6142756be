"""The training that both sides of the DQN benchmark do, and the scenarios on which both are judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.infer.rollout import Answer, Scenarios, play
from pipeline.tasks.gridworld.town import seeds
from pipeline.tasks.gridworld.town.observe import Encoding
from pipeline.tasks.gridworld.town.rules import LEVELS

LEVEL = "full"
ENCODING: Encoding = "places"
HIDDEN = (256, 256)
LEARNING_RATE, FINAL_FRACTION = 1e-3, 0.1  # falls linearly over the training
GAMMA, NUM_STEP_RETURN, MAX_GRAD_NORM = 0.99, 5, 10.0
POLYAK = {32: 0.01, 256: 0.05}
"""How far the target network moves at an update, by the samples of an update.

The better of the two for its side: stable-baselines3 with one town reached a wellbeing of 138 with 0.01 (three seeds)
and of 127 with 0.05 (one seed).
"""
REWARD_SCALE = 0.1
RANDOM_STARTS = 0.8  # of our episodes
CAPACITY = 400_000


@dataclass(frozen=True)
class Plan:
    """Environment steps: in all, in a turn, before learning begins, until epsilon is at its end."""

    num_steps: int
    turn: int
    warmup: int
    anneal: int

    @property
    def arguments(self) -> list[str]:
        """For the command line of a worker."""
        return [str(value) for value in (self.num_steps, self.turn, self.warmup, self.anneal)]


def wellbeing(answer: Answer, num_scenarios: int) -> NDArray[np.float64]:
    """Wellbeing [N] of the greedy policy over legal actions, on scenarios that no training has."""
    index = np.arange(num_scenarios)
    scenarios = Scenarios(
        level=LEVELS[LEVEL],
        encoding=ENCODING,
        seeds=seeds.derive(seeds.EXAMPLES, 0, index),
        multipliers=np.ones(num_scenarios),
        streams=seeds.derive(seeds.EXAMPLES, 1, index),
    )
    return np.array([episode.account["wellbeing"] for episode in play(answer, scenarios)])
