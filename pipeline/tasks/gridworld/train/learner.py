"""Deep Q-learning: one update of the online network from one sampled batch.

n-step double Q-learning with a target network (Mnih et al. 2015; van Hasselt et al. 2016); recurrent networks learn
from stored hidden states with burn-in (Kapturowski et al. 2019). What is monitored and exported is an exponential
average of the online weights.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.tasks.gridworld.model.network import QNetwork, build
from pipeline.tasks.gridworld.recipe import GridworldRecipe, Optimizer
from pipeline.tasks.gridworld.town.observe import Encoding, encode, legal_actions
from pipeline.tasks.gridworld.town.rules import LEVELS
from pipeline.tasks.gridworld.train.replay import Batch
from schemas.brain import BrainSpec

_AVERAGE_WARMUP = 10  # the average starts as a plain mean of the first weights, not as their initial value


def _make_optimizer(options: Optimizer, parameters: list[Tensor]) -> torch.optim.Optimizer:
    rate, decay = options.learning_rate, options.weight_decay
    match options.type:
        case "adam":
            return torch.optim.Adam(parameters, rate, eps=options.epsilon, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, eps=options.epsilon, weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, eps=options.epsilon, weight_decay=decay)
        case "sgd":
            return torch.optim.SGD(parameters, rate, weight_decay=decay)


def learning_rate(options: Optimizer, update: int, num_updates: int) -> float:
    """The learning rate of update number ``update`` of ``num_updates``: warm-up, then the schedule."""
    done = min(update / max(num_updates, 1), 1.0)
    if options.schedule == "linear":
        fraction = 1.0 - (1.0 - options.final_fraction) * done
    elif options.schedule == "cosine":
        fraction = options.final_fraction + (1.0 - options.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * done))
    else:
        fraction = 1.0
    warmup = min((update + 1) / options.warmup_updates, 1.0) if options.warmup_updates else 1.0
    return options.learning_rate * fraction * warmup


class Learner:
    """Online, target and average network and the optimizer. ``num_updates`` is the length of the schedule."""

    def __init__(self, recipe: GridworldRecipe, brain: BrainSpec, num_updates: int, device: str) -> None:
        self.options, self.q_learning, self.burn_in = recipe.optimizer, recipe.q_learning, recipe.replay.burn_in
        self.level, self.encoding = LEVELS[recipe.environment.level], recipe.environment.encoding
        self.num_updates, self.device = num_updates, torch.device(device)
        self.online = self._network(brain, recipe.seed)
        self.target = self._network(brain, recipe.seed).requires_grad_(False)
        self.average = self._network(brain, recipe.seed).requires_grad_(False).eval()
        # Listed once: walking the modules for them takes longer than moving the targets does.
        self._weights: list[Tensor] = list(self.online.parameters())
        self._target_weights: list[Tensor] = list(self.target.parameters())
        self._average_weights: list[Tensor] = list(self.average.parameters())
        self.optimizer = _make_optimizer(self.options, self._weights)
        self.update_count = 0

    def _network(self, brain: BrainSpec, seed: int) -> QNetwork:
        return build(brain, torch.Generator().manual_seed(seed)).to(self.device)

    @property
    def hidden_size(self) -> int:
        return self.online.hidden_size

    def act(
        self, observations: NDArray[np.float32], hidden: Tensor | None
    ) -> tuple[NDArray[np.float32], Tensor | None]:
        """Online Q-values [N, A] and next hidden state [N, H] for observations [N, D]."""
        return answer(self.online, observations, hidden)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return aligned(array).to(self.device)

    def _observe(self, packed: NDArray[np.float32], encoding: Encoding) -> Tensor:
        flat = encode(packed.reshape(-1, packed.shape[-1]), self.level, encoding)
        return self._tensor(flat).reshape(*packed.shape[:-1], -1)

    def update(self, batch: Batch) -> tuple[float, NDArray[np.float32]]:
        """One gradient step. Returns the loss and the absolute TD error of each sample [B]."""
        q, target = self._sequence_values(batch) if self.hidden_size else self._values(batch)
        if self.q_learning.loss == "huber":
            each = nn.functional.smooth_l1_loss(q, target, reduction="none")
        else:
            each = nn.functional.mse_loss(q, target, reduction="none")
        scale = self._tensor(batch.valid * batch.weights)
        loss = (each * scale).sum() / scale.sum().clamp(min=1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.update_count, self.num_updates)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._weights, self.options.max_grad_norm)
        self.optimizer.step()
        self.update_count += 1
        self._move_targets()
        errors = (q - target).detach().abs() * self._tensor(batch.valid)
        # A sequence's priority mixes its largest and its mean error (Kapturowski et al. 2019, eta = 0.9).
        each_error = 0.9 * errors.amax(0) + 0.1 * errors.mean(0) if self.hidden_size else errors
        return float(loss.detach()), each_error.cpu().numpy()

    def _values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Q of the actions taken [B], and their targets [B]."""
        q = self.online(self._observe(batch.states, self.encoding))[0]
        q = q.gather(1, self._tensor(batch.actions).unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            after = self._observe(batch.bootstrap, self.encoding)
            illegal = self._tensor(~legal_actions(batch.bootstrap, self.level))
            chooser = self.online(after)[0] if self.q_learning.double else None
            value = self._best_value(chooser, self.target(after)[0], illegal)
            target = self._scaled(batch.returns) + self._tensor(batch.discounts) * value
        return q, target

    def _sequence_values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same for sequences: Q and targets [L, B] of the positions after the burn-in."""
        observations = self._observe(batch.states, self.encoding)
        hidden, resets = self._tensor(batch.hidden), self._tensor(batch.resets)
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
        q = online_q[:num_learnt].gather(2, self._tensor(batch.actions).unsqueeze(2)).squeeze(2)
        with torch.no_grad():
            flat = batch.states[after_burn_in:].reshape(-1, batch.states.shape[-1])
            illegal = self._tensor(~legal_actions(flat, self.level)).reshape(*rest.shape[:2], -1)
            chooser = online_q.detach() if self.q_learning.double else None
            values = self._best_value(chooser, target_q[after_burn_in:], illegal)
            value = values.gather(0, self._tensor(batch.bootstrap) - after_burn_in)
            target = self._scaled(batch.returns) + self._tensor(batch.discounts) * value
        return q, target

    def _best_value(self, online_q: Tensor | None, target_q: Tensor, illegal: Tensor) -> Tensor:
        """[..., A] -> [...]: the target's value of the best legal action, which the online network chooses if given."""
        if online_q is not None:
            best = online_q.masked_fill(illegal, -torch.inf).argmax(-1, keepdim=True)
            return target_q.gather(-1, best).squeeze(-1)
        return target_q.masked_fill(illegal, -torch.inf).amax(-1)

    def _scaled(self, returns: NDArray[np.float32]) -> Tensor:
        return self._tensor(returns) * self.q_learning.reward_scale

    @torch.no_grad()
    def _move_targets(self) -> None:
        if not self.q_learning.target_every:
            torch._foreach_lerp_(self._target_weights, self._weights, self.q_learning.polyak)
        elif self.update_count % self.q_learning.target_every == 0:
            self.target.load_state_dict(self.online.state_dict())
        keep = min(self.q_learning.average_decay, self.update_count / (self.update_count + _AVERAGE_WARMUP))
        torch._foreach_lerp_(self._average_weights, self._weights, 1.0 - keep)

    def get_state(self) -> dict[str, Any]:
        """Tensors and builtins, for checkpoints (``weights_only=True`` loads them)."""
        return {
            "weights": self.online.state_dict(),
            "target_weights": self.target.state_dict(),
            "average_weights": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "update_count": self.update_count,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.online.load_state_dict(state["weights"])
        self.target.load_state_dict(state["target_weights"])
        self.average.load_state_dict(state["average_weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update_count = state["update_count"]


def aligned(array: NDArray[Any]) -> Tensor:
    """A copy in memory of torch's alignment (64 bytes).

    numpy aligns to 16, and where a matrix begins decides in which order a product adds up: with arrays as they come,
    a resumed training was seen to differ from an uninterrupted one in the last bits.
    """
    return torch.from_numpy(array).clone()


@torch.inference_mode()
def answer(
    network: QNetwork, observations: NDArray[np.float32], hidden: Tensor | None
) -> tuple[NDArray[np.float32], Tensor | None]:
    """Q-values [N, A] and next hidden state [N, H] of any network, for observations [N, D]."""
    q, hidden = network(aligned(observations).to(next(network.parameters()).device), hidden)
    return q.cpu().numpy(), hidden
