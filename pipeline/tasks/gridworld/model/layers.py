"""Building blocks of the Q-networks: perceptrons, recurrent cells, dueling; and their first weights."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model import layers
from pipeline.model.layers import LayerNorm
from pipeline.tasks.gridworld.recipe import Style

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "elu": F.elu,
}


STEADY_OUTPUTS = 16
"""From so many outputs on, a row's result does not depend on its place in the batch.

Measured with MKL (torch 2.13, AVX-512) over 64 widths times 42 depths, 64 and 896 rows: products with 2 to 11 outputs
and a depth that is not a multiple of 4 differ in the last bit from place to place; none with 12 or more outputs does.
"""


SHALLOW_INPUTS = 16
"""Below so many inputs the weight is turned row-major first, which decides how torch computes its gradient.

Measured for 3,584 rows (256 observations of 14 places), 9 inputs and 64 outputs on one core: 69 us instead of 295.
"""


class Linear(layers.Linear):
    """With `steady` set, narrow layers are computed with rows of zeros added to the weight, see `STEADY_OUTPUTS`."""

    steady = False

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.steady and self.out_features < STEADY_OUTPUTS
        if not narrow and self.in_features >= SHALLOW_INPUTS:
            return F.linear(x, self.weight, self.bias)
        weight = F.pad(self.weight, (0, 0, 0, STEADY_OUTPUTS - self.out_features)) if narrow else self.weight
        y = torch.matmul(x, weight.t().contiguous())[..., : self.out_features]
        return y if self.bias is None else y + self.bias


class Layer(nn.Module):
    """Linear, LayerNorm, activation, dropout: [..., in] -> [..., out]."""

    def __init__(self, in_features: int, out_features: int, style: Style) -> None:
        super().__init__()
        # He et al. 2015: relu-like functions halve the variance, tanh does not.
        self.linear = Linear(in_features, out_features, gain=1.0 if style.activation == "tanh" else math.sqrt(2.0))
        self.norm = LayerNorm(out_features) if style.layer_norm else None
        self.activation = ACTIVATIONS[style.activation]
        self.dropout = style.dropout

    def finish(self, x: Tensor) -> Tensor:
        """Everything after the linear map."""
        if self.norm is not None:
            x = self.norm(x)
        x = self.activation(x)
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.linear(x))


class Perceptron(nn.Sequential):
    """Hidden layers of the given sizes; the identity when there are none."""

    def __init__(self, in_features: int, sizes: Sequence[int], style: Style) -> None:
        widths = (in_features, *sizes)
        super().__init__(*(Layer(a, b, style) for a, b in itertools.pairwise(widths)))
        self.out_features = widths[-1]


class Convolution(Linear):
    """3x3 cells of each channel, zeros around the edge: [N, in, H, W] -> [N, out, H, W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(9 * in_channels, out_channels, gain=math.sqrt(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.view(self.out_features, -1, 3, 3), self.bias, padding=1)


class QHead(nn.Module):
    """Features to Q-values: [..., in] -> [..., A].

    Dueling (Wang et al. 2016, equation 9): Q = V + A - mean(A), both from one linear map.
    """

    def __init__(self, in_features: int, num_actions: int, dueling: bool) -> None:
        super().__init__()
        self.dueling = dueling
        # A small gain: Q starts near 0 for every state, so that the first targets are rewards and not noise.
        self.linear = Linear(in_features, num_actions + dueling, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return duel(out[..., :1], out[..., 1:]) if self.dueling else out


def duel(value: Tensor, advantages: Tensor) -> Tensor:
    """V [..., 1] and A [..., A] to Q [..., A]: V + A - mean(A)."""
    return value + (advantages - advantages.mean(-1, keepdim=True))


class Cell(nn.Module):
    """A recurrent cell whose state is one flat vector, so that whoever stores it need not know its kind.

    `project` maps inputs of all time steps at once; `advance` is the only part that has to be called step by step.
    """

    state_size: int
    hidden_size: int

    def __init__(self, in_features: int, hidden_size: int, num_gates: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.inputs = Linear(in_features, num_gates * hidden_size)
        self.recurrent = Linear(hidden_size, num_gates * hidden_size)

    def project(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., gates * hidden_size]."""
        projected: Tensor = self.inputs(x)
        return projected

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        """[B, gates * hidden_size] and [B, state_size] -> the next state [B, state_size]."""
        raise NotImplementedError

    def output(self, state: Tensor) -> Tensor:
        """The visible part of a state: [..., state_size] -> [..., hidden_size]."""
        return state[..., : self.hidden_size]


class GruCell(Cell):
    """Gated recurrent unit (Cho et al. 2014, in the form of cuDNN and `torch.nn.GRU`); the state is h."""

    def __init__(self, in_features: int, hidden_size: int) -> None:
        super().__init__(in_features, hidden_size, 3)
        self.state_size = hidden_size

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        n = self.hidden_size
        recurrent = self.recurrent(state)
        gates = torch.sigmoid(projected[..., : 2 * n] + recurrent[..., : 2 * n])
        reset, keep = gates[..., :n], gates[..., n:]
        new = torch.tanh(torch.addcmul(projected[..., 2 * n :], reset, recurrent[..., 2 * n :]))
        return torch.lerp(new, state, keep)


class LstmCell(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gate); the state is h and c side by side."""

    def __init__(self, in_features: int, hidden_size: int) -> None:
        super().__init__(in_features, hidden_size, 4)
        self.state_size = 2 * hidden_size

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        n = self.hidden_size
        gates = projected + self.recurrent(state[..., :n])
        open_ = torch.sigmoid(gates[..., : 3 * n])
        enter, forget, leave = open_[..., :n], open_[..., n : 2 * n], open_[..., 2 * n :]
        memory = forget * state[..., n:] + enter * torch.tanh(gates[..., 3 * n :])
        return torch.cat((leave * torch.tanh(memory), memory), dim=-1)


CELLS: dict[str, Callable[[int, int], Cell]] = {"gru": GruCell, "lstm": LstmCell}


def run_cell(cell: Cell, projected: Tensor, state: Tensor, resets: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run a cell over time.

    projected float32 [T, N, gates * hidden_size], state float32 [N, state_size], resets bool [T, N] or None: the state
    is zeroed where true, before the step. Returns outputs [T, N, hidden_size] and the last state [N, state_size].
    """
    outputs = []
    keep = None if resets is None else (~resets).to(state.dtype).unsqueeze(-1)
    for step in range(projected.shape[0]):
        if keep is not None:
            state = state * keep[step]
        state = cell.advance(projected[step], state)
        outputs.append(cell.output(state))
    return torch.stack(outputs), state


def initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """Orthogonal weights (Saxe et al. 2014) scaled by the layer's gain, zero biases; cells start by remembering.

    The bias of the gate that keeps the old state starts at 1 (Jozefowicz et al. 2015).
    """
    for parameter in module.parameters(recurse=False):
        nn.init.zeros_(parameter)
    for part in module.modules():
        if isinstance(part, Linear):
            nn.init.orthogonal_(part.weight, part.gain, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        if isinstance(part, LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, Cell):
            n = part.hidden_size
            with torch.no_grad():
                part.inputs.bias[n : 2 * n] = 1.0
