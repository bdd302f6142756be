"""The curriculum: stages of rising difficulty, advanced and retreated by what the episodes show.

Survival is read from the window of finished episodes before the window is cleared for the next stage: a curriculum
that reads it afterwards can never advance.
"""

from collections import deque
from typing import Any

import numpy as np

from pipeline.tasks.gridworld.recipe import Curriculum, Stage


class CurriculumState:
    """Which stage is on, and the window of episodes and decisions that decides what comes next."""

    def __init__(self, options: Curriculum) -> None:
        self.options = options
        self.index = 0
        self.num_episodes = 0
        self.changes: list[tuple[int, int]] = []
        self._survived: deque[bool] = deque(maxlen=options.window_episodes)
        self._lived: deque[float] = deque(maxlen=options.window_episodes)
        self._entropy: deque[float] = deque(maxlen=options.window_episodes)

    @property
    def stage(self) -> Stage:
        return self.options.stages[self.index]

    def record_episode(self, *, lived: float, survived: bool, stage: int) -> None:
        """One finished episode: the share of the cap it lived, whether it reached it. Other stages do not count."""
        if stage == self.index:
            self._survived.append(survived)
            self._lived.append(lived)
            self.num_episodes += 1

    def record_entropy(self, entropy: float) -> None:
        """Normalised policy entropy of one batch of decisions, 0 (decided) to 1 (uniform over the legal actions)."""
        self._entropy.append(entropy)

    @property
    def survival_rate(self) -> float:
        return float(np.mean(self._survived)) if self._survived else 0.0

    @property
    def learning_progress(self) -> float:
        """Mean share lived of the later half of the window minus that of the earlier half."""
        lived = np.asarray(self._lived)
        half = len(lived) // 2
        return float(lived[half:].mean() - lived[:half].mean()) if half else 0.0

    @property
    def entropy(self) -> float:
        return float(np.mean(self._entropy)) if self._entropy else 1.0

    def update(self, step: int) -> int:
        """Advance (+1), retreat (-1) or stay (0), and say which. ``step`` is kept with the change."""
        options = self.options
        if self.num_episodes < options.min_episodes or len(self._survived) < options.window_episodes:
            return 0
        move = 0
        improving = self.learning_progress > 0 or self.survival_rate >= options.saturated_survival
        if self.survival_rate > options.advance_survival and improving and self.entropy < options.max_entropy:
            move = 1
        elif self.survival_rate < options.retreat_survival:
            move = -1
        target = min(max(self.index + move, 0), len(options.stages) - 1)
        move = target - self.index
        if move:
            self.index = target
            self.changes.append((step, target))
            self.num_episodes = 0
            self._survived.clear()
            self._lived.clear()
            self._entropy.clear()
        return move

    def get_state(self) -> dict[str, Any]:
        """Builtins only, for checkpoints."""
        return {
            "index": self.index,
            "num_episodes": self.num_episodes,
            "changes": [list(change) for change in self.changes],
            "survived": list(self._survived),
            "lived": list(self._lived),
            "entropy": list(self._entropy),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.index = state["index"]
        self.num_episodes = state["num_episodes"]
        self.changes = [(step, stage) for step, stage in state["changes"]]
        for window, name in ((self._survived, "survived"), (self._lived, "lived"), (self._entropy, "entropy")):
            window.clear()
            window.extend(state[name])


def policy_entropy(q: np.ndarray, mask: np.ndarray, temperature: float) -> float:
    """Mean normalised entropy of softmax(q / temperature) over the legal actions.

    q float [N, A], mask bool [N, A]; 1 is uniform. States with one legal action are left out; 0 if none is left.
    """
    logits = np.where(mask, q / temperature, -np.inf)
    logits = logits - logits.max(axis=1, keepdims=True)
    weights = np.exp(logits)
    p = weights / weights.sum(axis=1, keepdims=True)
    h = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    legal = mask.sum(axis=1)
    choice = legal > 1
    return float((h[choice] / np.log(legal[choice])).mean()) if choice.any() else 0.0
