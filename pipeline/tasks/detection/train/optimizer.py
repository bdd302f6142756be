"""Two optimizers under one roof: Muon for the matrices inside the network, AdamW for everything else."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.model.layers import Conv, Linear

# Coefficients of the quintic iteration that pushes all singular values towards 1 (Jordan et al. 2024, "Muon").
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_ADAM_RMS = 0.2  # root mean square of AdamW's updates, so that one learning rate serves both (Liu et al. 2025)


class MuonAdamW(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal before they are applied; AdamW where ``use_muon`` is not set."""

    def __init__(self, module: nn.Module, learning_rate: float, weight_decay: float) -> None:
        matrices, others = split_weights(module)
        groups = [
            {"params": matrices, "use_muon": True, "weight_decay": weight_decay},
            {"params": [w for w in others if w.dim() > 1], "use_muon": False, "weight_decay": weight_decay},
            {"params": [w for w in others if w.dim() <= 1], "use_muon": False, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"lr": learning_rate, "momentum": 0.95, "betas": (0.9, 0.98), "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update from the gradients that are there."""
        assert closure is None, "the loss is computed before"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            (self._step_muon if group["use_muon"] else self._step_adam)(weights, group)

    def _step_muon(self, weights: Iterable[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            state, gradient = self.state[weight], weight.grad
            assert gradient is not None
            if not state:
                state["momentum"] = torch.zeros_like(weight)
            state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
            ahead = gradient.lerp(state["momentum"], group["momentum"])  # Nesterov's
            matrix = ahead.flatten(1)
            update = orthogonal(matrix).view_as(ahead) * (_ADAM_RMS * max(matrix.shape) ** 0.5)
            weight.mul_(1.0 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])

    def _step_adam(self, weights: Iterable[Tensor], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for weight in weights:
            state, gradient = self.state[weight], weight.grad
            assert gradient is not None
            if not state:
                state.update(count=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
            state["count"] += 1
            state["mean"].lerp_(gradient, 1.0 - first)
            state["square"].mul_(second).addcmul_(gradient, gradient, value=1.0 - second)
            scale = (state["square"] / (1.0 - second ** state["count"])).sqrt_().add_(group["eps"])
            weight.mul_(1.0 - group["lr"] * group["weight_decay"])
            weight.addcdiv_(state["mean"], scale, value=-group["lr"] / (1.0 - first ** state["count"]))


def split_weights(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices of linear maps and convolutions, and all other parameters (tables, norms, biases, narrow maps)."""
    matrices = {
        id(part.weight)
        for part in module.modules()
        if isinstance(part, Linear | Conv) and min(part.weight.flatten(1).shape) >= 24
    }
    every = list(module.parameters())
    return [w for w in every if id(w) in matrices], [w for w in every if id(w) not in matrices]


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix whose singular values are all the same, near 1 (0.7 to 1.2): [M, N] -> [M, N]."""
    x = matrix.to(torch.bfloat16)
    turned = x.shape[0] > x.shape[1]
    if turned:
        x = x.t().contiguous()
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    y: Tensor = (x.t() if turned else x).to(matrix.dtype)
    return y
