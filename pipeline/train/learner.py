"""The learning half of a training, as all tasks do it: a gradient step, and the average of the weights behind it."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from schemas.recipe import Optimizer, Schedule

_AVERAGE_WARMUP = 10  # the average starts as a plain mean of the first weights, not as their initial value

Network = TypeVar("Network", bound=nn.Module)


def learning_rate(options: Optimizer, schedule: Schedule, update: int, num_updates: int) -> float:
    """The learning rate of update ``update`` (from 0) of ``num_updates``: a linear warm-up times the schedule."""
    done = min(update / max(num_updates, 1), 1.0)
    if schedule == "linear":
        fraction = 1.0 - (1.0 - options.final_fraction) * done
    elif schedule == "cosine":
        fraction = options.final_fraction + (1.0 - options.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * done))
    else:
        fraction = 1.0
    warmup = min((update + 1) / options.warmup_updates, 1.0) if options.warmup_updates else 1.0
    return options.learning_rate * fraction * warmup


class Diverged(ArithmeticError):
    """A loss or its gradient was not finite: nothing that is learnt from it would mean anything."""

    def __init__(self, loss: float, norm: float, update: int, rate: float) -> None:
        super().__init__(
            f"the loss of update {update + 1:,} is {loss:g} and the length of its gradient {norm:g}, at learning rate "
            f"{rate:g}"
        )


class AveragedLearner(Generic[Network]):
    """The network that learns (``online``), its exponential average (``average``), and the optimizer.

    A task's learner gives the loss. ``make`` returns a network with its first weights, the same each time it is called;
    ``num_updates`` is the length of the schedule.
    """

    schedule: Schedule = "cosine"

    def __init__(self, options: Optimizer, make: Callable[[], Network], num_updates: int, device: str) -> None:
        self.options, self.num_updates, self.device = options, num_updates, torch.device(device)
        self.online = make().to(self.device)
        self.average = make().to(self.device).requires_grad_(False).eval()
        # Listed once: walking the modules for them takes longer than moving the average does.
        self.weights: list[Tensor] = list(self.online.parameters())
        self._average_weights: list[Tensor] = list(self.average.parameters())
        self.optimizer = self.make_optimizer()
        self.update_count = 0

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the online network's weights. Its learning rate is set before each update."""
        raise NotImplementedError

    def learning_rate(self, update: int) -> float:
        """The learning rate of an update, from 0."""
        return learning_rate(self.options, self.schedule, update, self.num_updates)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """A copy on the device."""
        return aligned(array).to(self.device)

    def descend(self, loss: Tensor) -> None:
        """One update of the online network from a loss; the average follows.

        Raises Diverged, with the weights as they were, where the loss or its gradient is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.update_count)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(self.weights, self.options.max_grad_norm)
        if not (loss.detach() + norm).isfinite():
            raise Diverged(float(loss), float(norm), self.update_count, self.learning_rate(self.update_count))
        self.optimizer.step()
        self.update_count += 1
        keep = min(self.options.average_decay, self.update_count / (self.update_count + _AVERAGE_WARMUP))
        with torch.no_grad():
            torch._foreach_lerp_(self._average_weights, self.weights, 1.0 - keep)

    def begin_here(self) -> None:
        """After the weights of ``online`` were set from outside: all that follows them begins there."""
        self.average.load_state_dict(self.online.state_dict())

    def get_state(self) -> dict[str, Any]:
        """Tensors and builtins, for checkpoints (``weights_only=True`` loads them)."""
        return {
            "weights": self.online.state_dict(),
            "average_weights": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "update_count": self.update_count,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.online.load_state_dict(state["weights"])
        self.average.load_state_dict(state["average_weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update_count = state["update_count"]


def aligned(array: NDArray[Any]) -> Tensor:
    """A copy in memory of torch's alignment (64 bytes).

    numpy aligns to 16, and where a matrix begins decides in which order a product adds up: with arrays as they come,
    a resumed training was seen to differ from an uninterrupted one in the last bits.
    """
    return torch.from_numpy(array).clone()
