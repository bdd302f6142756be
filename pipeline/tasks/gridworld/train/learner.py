"""Deep Q-learning: one update of the online network from one sampled batch.

n-step double Q-learning with a target network (Mnih et al. 2015; van Hasselt et al. 2016); recurrent networks learn
from stored hidden states with burn-in (Kapturowski et al. 2019).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.tasks.gridworld.model.network import QNetwork, build
from pipeline.tasks.gridworld.recipe import GridworldRecipe, Optimizer
from pipeline.tasks.gridworld.town.arrays import F32
from pipeline.tasks.gridworld.town.observe import Encoding, encode, legal_actions
from pipeline.tasks.gridworld.town.rules import LEVELS
from pipeline.tasks.gridworld.train.replay import Batch
from pipeline.train.learner import AveragedLearner, aligned
from schemas.brain import BrainSpec


class Learner(AveragedLearner[QNetwork]):
    """Adds the target network, which moves towards the online one. ``num_updates`` is the length of the schedule."""

    options: Optimizer

    def __init__(self, recipe: GridworldRecipe, brain: BrainSpec, num_updates: int, device: str) -> None:
        self.schedule = recipe.optimizer.schedule
        self.q_learning, self.burn_in = recipe.q_learning, recipe.replay.burn_in
        self.level, self.encoding = LEVELS[recipe.environment.level], recipe.environment.encoding

        def make() -> QNetwork:
            return build(brain, torch.Generator().manual_seed(recipe.seed))

        super().__init__(recipe.optimizer, make, num_updates, device)
        self.target = make().to(self.device).requires_grad_(False)
        self._target_weights: list[Tensor] = list(self.target.parameters())

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Of the type that the recipe names."""
        rate, decay, epsilon = self.options.learning_rate, self.options.weight_decay, self.options.epsilon
        match self.options.type:
            case "adam":
                return torch.optim.Adam(self.weights, rate, eps=epsilon, weight_decay=decay, fused=True)
            case "adamw":
                return torch.optim.AdamW(self.weights, rate, eps=epsilon, weight_decay=decay, fused=True)
            case "rmsprop":
                return torch.optim.RMSprop(self.weights, rate, eps=epsilon, weight_decay=decay)
            case "sgd":
                return torch.optim.SGD(self.weights, rate, weight_decay=decay)

    @property
    def hidden_size(self) -> int:
        return self.online.hidden_size

    def _observe(self, packed: F32, encoding: Encoding) -> Tensor:
        flat = encode(packed.reshape(-1, packed.shape[-1]), self.level, encoding)
        return self.tensor(flat).reshape(*packed.shape[:-1], -1)

    def update(self, batch: Batch) -> tuple[float, F32]:
        """One gradient step. Returns the loss and the absolute TD error of each sample [B]."""
        q, target = self._sequence_values(batch) if self.hidden_size else self._values(batch)
        if self.q_learning.loss == "huber":
            each = nn.functional.smooth_l1_loss(q, target, reduction="none")
        else:
            each = nn.functional.mse_loss(q, target, reduction="none")
        scale = self.tensor(batch.valid * batch.weights)
        loss = (each * scale).sum() / scale.sum().clamp(min=1.0)
        self.descend(loss)
        self._move_target()
        errors = (q - target).detach().abs() * self.tensor(batch.valid)
        # A sequence's priority mixes its largest and its mean error (Kapturowski et al. 2019, eta = 0.9).
        each_error = 0.9 * errors.amax(0) + 0.1 * errors.mean(0) if self.hidden_size else errors
        return float(loss.detach()), each_error.cpu().numpy()

    def _values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Q of the actions taken [B], and their targets [B]."""
        q = self.online(self._observe(batch.states, self.encoding))[0]
        q = q.gather(1, self.tensor(batch.actions).unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            after = self._observe(batch.bootstrap, self.encoding)
            illegal = self.tensor(~legal_actions(batch.bootstrap, self.level))
            chooser = self.online(after)[0] if self.q_learning.double else None
            value = self._best_value(chooser, self.target(after)[0], illegal)
            target = self._scaled(batch.returns) + self.tensor(batch.discounts) * value
        return q, target

    def _sequence_values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same for sequences: Q and targets [L, B] of the positions after the burn-in."""
        observations = self._observe(batch.states, self.encoding)
        hidden, resets = self.tensor(batch.hidden), self.tensor(batch.resets)
        after_burn_in = self.burn_in
        with torch.no_grad():
            target_q, _ = self.target.unroll(observations, hidden, resets)
            if after_burn_in:
                _, warm = self.online.unroll(observations[:after_burn_in], hidden, resets[:after_burn_in])
                assert warm is not None
                hidden = warm
        rest = observations[after_burn_in:]
        online_q, _ = self.online.unroll(rest, hidden, resets[after_burn_in:])
        num_learnt = len(batch.actions)
        q = online_q[:num_learnt].gather(2, self.tensor(batch.actions).unsqueeze(2)).squeeze(2)
        with torch.no_grad():
            flat = batch.states[after_burn_in:].reshape(-1, batch.states.shape[-1])
            illegal = self.tensor(~legal_actions(flat, self.level)).reshape(*rest.shape[:2], -1)
            chooser = online_q.detach() if self.q_learning.double else None
            values = self._best_value(chooser, target_q[after_burn_in:], illegal)
            value = values.gather(0, self.tensor(batch.bootstrap) - after_burn_in)
            target = self._scaled(batch.returns) + self.tensor(batch.discounts) * value
        return q, target

    def _best_value(self, online_q: Tensor | None, target_q: Tensor, illegal: Tensor) -> Tensor:
        """[..., A] -> [...]: the target's value of the best legal action, which the online network chooses if given."""
        if online_q is not None:
            best = online_q.masked_fill(illegal, -torch.inf).argmax(-1, keepdim=True)
            return target_q.gather(-1, best).squeeze(-1)
        return target_q.masked_fill(illegal, -torch.inf).amax(-1)

    def _scaled(self, returns: F32) -> Tensor:
        return self.tensor(returns) * self.q_learning.reward_scale

    @torch.no_grad()
    def _move_target(self) -> None:
        if not self.q_learning.target_every:
            torch._foreach_lerp_(self._target_weights, self.weights, self.q_learning.polyak)
        elif self.update_count % self.q_learning.target_every == 0:
            self.target.load_state_dict(self.online.state_dict())

    def begin_here(self) -> None:
        """The target network, too."""
        super().begin_here()
        self.target.load_state_dict(self.online.state_dict())

    def get_state(self) -> dict[str, Any]:
        """Of all three networks and the optimizer."""
        return super().get_state() | {"target_weights": self.target.state_dict()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        super().set_state(state)
        self.target.load_state_dict(state["target_weights"])


@torch.inference_mode()
def answer(network: QNetwork, observations: F32, hidden: Tensor | None) -> tuple[F32, Tensor | None]:
    """Q-values [N, A] and next hidden state [N, H] of any network, for observations [N, D]."""
    q, hidden = network(aligned(observations).to(next(network.parameters()).device), hidden)
    return q.cpu().numpy(), hidden
