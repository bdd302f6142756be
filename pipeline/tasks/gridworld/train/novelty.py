"""Intrinsic novelty by random network distillation (Burda et al. 2018), as a reward component of its own.

A predictor learns to answer as a fixed random network does; where it still fails, the state is new. Errors are divided
by their running standard deviation, so that ``weight`` means the same throughout a training.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.tasks.gridworld.recipe import Novelty
from pipeline.tasks.gridworld.town.arrays import F32

_BATCH = 256
_MEMORY = 0.999  # of the running mean square of the errors
_PARTS = ("fixed", "predictor", "optimizer")  # that have a state


def _embed(input_size: int, options: Novelty, generator: torch.Generator) -> nn.Sequential:
    first, last = nn.Linear(input_size, options.hidden), nn.Linear(options.hidden, options.embedding_size)
    with torch.no_grad():
        for layer in (first, last):
            nn.init.orthogonal_(layer.weight, gain=2**0.5, generator=generator)
            layer.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), last)


class NoveltyBonus:
    """``rewards(observations, step)`` pays for novelty and learns from the same observations."""

    def __init__(self, options: Novelty, input_size: int, seed: int) -> None:
        self.options = options
        generator = torch.Generator().manual_seed(seed)
        self.fixed = _embed(input_size, options, generator).requires_grad_(False)
        self.predictor = _embed(input_size, options, generator)
        self.optimizer = torch.optim.Adam(self.predictor.parameters(), options.learning_rate)
        self.mean_square = 0.0

    def rewards(self, observations: F32, step: int) -> F32:
        """float32 [N]: annealed weight * error / running deviation of the error, for observations [N, D]."""
        weight = self.options.weight * max(1.0 - step / self.options.anneal_steps, 0.0)
        if weight == 0.0:
            return np.zeros(len(observations), np.float32)
        inputs = torch.from_numpy(observations)
        errors: Tensor = (self.predictor(inputs) - self.fixed(inputs)).square().mean(1)
        loss = errors[:_BATCH].mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        values = errors.detach().numpy()
        square = float(np.square(values).mean())
        self.mean_square = _MEMORY * self.mean_square + (1 - _MEMORY) * square if self.mean_square else square
        scaled: F32 = (weight * values / max(self.mean_square**0.5, 1e-8)).astype(np.float32)
        return scaled

    def get_state(self) -> dict[str, Any]:
        """Tensors and builtins, for checkpoints."""
        states = {name: getattr(self, name).state_dict() for name in _PARTS}
        return {**states, "mean_square": self.mean_square}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.mean_square = state["mean_square"]
