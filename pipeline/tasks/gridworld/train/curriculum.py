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
        self.index = self.num_episodes = 0
        self.changes: list[tuple[int, int]] = []
        names = ("survived", "lived", "entropy")
        self._windows: dict[str, deque[float]] = {name: deque(maxlen=options.window_episodes) for name in names}

    @property
    def stage(self) -> Stage:
        return self.options.stages[self.index]

    def record_episode(self, *, lived: float, survived: bool, stage: int) -> None:
        """One finished episode: the share of the cap it lived, whether it reached it. Other stages do not count."""
        if stage == self.index:
            self._windows["survived"].append(survived)
            self._windows["lived"].append(lived)
            self.num_episodes += 1

    def record_entropy(self, entropy: float) -> None:
        """Normalised policy entropy of one batch of decisions, 0 (decided) to 1 (uniform over the legal actions)."""
        self._windows["entropy"].append(entropy)

    @property
    def survival_rate(self) -> float:
        return self._mean("survived", 0.0)

    @property
    def learning_progress(self) -> float:
        """Mean share lived of the later half of the window minus that of the earlier half."""
        lived = np.asarray(self._windows["lived"])
        half = len(lived) // 2
        return float(lived[half:].mean() - lived[:half].mean()) if half else 0.0

    @property
    def entropy(self) -> float:
        return self._mean("entropy", 1.0)

    def _mean(self, name: str, default: float) -> float:
        return float(np.mean(self._windows[name])) if self._windows[name] else default

    def update(self, step: int) -> int:
        """Advance (+1), retreat (-1) or stay (0), and say which. ``step`` is kept with the change."""
        options, survival = self.options, self.survival_rate
        if self.num_episodes < options.min_episodes or len(self._windows["survived"]) < options.window_episodes:
            return 0
        move = -1 if survival < options.retreat_survival else 0
        improving = self.learning_progress > 0 or survival >= options.saturated_survival
        if survival > options.advance_survival and improving and self.entropy < options.max_entropy:
            move = 1
        target = min(max(self.index + move, 0), len(options.stages) - 1)
        move = target - self.index
        if move:
            self.index, self.num_episodes = target, 0
            self.changes.append((step, target))
            for window in self._windows.values():
                window.clear()
        return move

    def get_state(self) -> dict[str, Any]:
        """Builtins only, for checkpoints."""
        changes = [list(change) for change in self.changes]
        windows = {name: list(window) for name, window in self._windows.items()}
        return {"index": self.index, "num_episodes": self.num_episodes, "changes": changes, **windows}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.index, self.num_episodes = state["index"], state["num_episodes"]
        self.changes = [(step, stage) for step, stage in state["changes"]]
        for name, window in self._windows.items():
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
