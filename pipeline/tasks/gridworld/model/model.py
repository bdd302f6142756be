"""What `load_model` returns for gridworld: observations in, Q-values and actions out, nothing kept in between."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from pipeline.errors import UserError
from pipeline.model.layers import one_thread
from pipeline.tasks.gridworld.model.layers import Linear
from pipeline.tasks.gridworld.model.network import QNetwork
from pipeline.tasks.gridworld.town.arrays import F32, I64, Bools
from schemas.brain import BrainSpec

TILE_ROWS = 64
"""Rows that are evaluated together, always exactly so many (short batches are padded).

A matrix product picks its kernel, and with it the order of its sums, by the number of rows: with free batch sizes
(1 to 777 rows) the same observation was answered differently in the last bits for 3 to 8 of 14 sizes tried, on every
kind of network. In tiles, and with narrow layers widened (`layers.STEADY_OUTPUTS`), for none.
"""


@dataclass(frozen=True)
class Decision:
    """q_values float32 [B, A], actions int64 [B], hidden float32 [B, H] (None if the model does not remember).

    For a single observation [D] the leading axis is absent, and ``actions`` is an int.
    """

    q_values: F32
    actions: Any
    hidden: F32 | None


class GridworldModel:
    """A Q-network behind one pure method: the same input gives the same output, bit for bit, in any batch.

    brain         the spec the network was built from
    metadata      what the file says about the training, the input and the output
    weights_hash  sha256 (64 hexadecimal digits) that names the weights
    module        the torch module, in evaluation mode
    """

    def __init__(
        self, module: torch.nn.Module, brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str
    ) -> None:
        if not isinstance(module, QNetwork):
            raise TypeError(f"a gridworld model needs a QNetwork, not {type(module).__name__}")
        self.module, self.brain, self.metadata, self.weights_hash = module, brain, metadata, weights_hash
        if module.training:
            module.eval()
        for part in module.modules():
            if isinstance(part, Linear):
                part.steady = True

    @property
    def hidden_size(self) -> int:
        """Numbers of memory a row; 0 if the model does not remember."""
        return self.module.hidden_size

    def predict(
        self, observations: ArrayLike, hidden: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Decision:
        """Q-values and actions.

        observations  float32 [B, D], or [D] for a single one
        hidden        float32 [B, H] (or [H]) from the step before; None at the start of an episode
        mask          bool [B, A] (or [A]): which actions are allowed; at least one a row

        The action is the allowed one with the highest Q, the lowest number among equals. The Q-values are not masked.
        Raises UserError when a shape, a value or a combination does not fit.
        """
        rows = np.asarray(observations, dtype=np.float32)
        single = rows.ndim == 1
        if single:
            rows = rows[None]
        size = self.brain.input_size
        if rows.ndim != 2 or rows.shape[1] != size:
            raise UserError(
                f"observations have shape {list(np.shape(observations))}, but the model takes [B, {size}] or [{size}]",
                remedy="metadata['input'] of the model lists what the numbers are",
            )
        _refuse_not_finite("observations", rows)
        q, after = self._evaluate(rows, self._hidden_rows(hidden, len(rows)))
        actions: I64 = np.where(self._mask_rows(mask, len(rows)), q, -np.inf).argmax(axis=1)
        if single:
            return Decision(q[0], int(actions[0]), None if after is None else after[0])
        return Decision(q, actions, after)

    def _hidden_rows(self, hidden: ArrayLike | None, num_rows: int) -> F32 | None:
        """What the caller gave as [B, H], or zeros; None if the model does not remember."""
        shape = (num_rows, self.hidden_size)
        if hidden is None:
            return np.zeros(shape, np.float32) if self.hidden_size else None
        if not self.hidden_size:
            raise UserError("this model does not remember, so it takes no hidden state", remedy="leave `hidden` out")
        rows = np.atleast_2d(np.asarray(hidden, dtype=np.float32))
        if rows.shape != shape:
            raise UserError(
                f"hidden has shape {list(np.shape(hidden))}, but these observations need {list(shape)}",
                remedy="pass the `hidden` of the prediction before, or None at the start of an episode",
            )
        _refuse_not_finite("hidden", rows)
        return rows

    def _mask_rows(self, mask: ArrayLike | None, num_rows: int) -> Bools:
        shape = (num_rows, self.brain.output_size)
        if mask is None:
            return np.ones(shape, np.bool_)
        rows = np.atleast_2d(np.asarray(mask))
        if rows.shape != shape or rows.dtype != np.bool_:
            raise UserError(
                f"mask is {rows.dtype} {list(np.shape(mask))}, but these observations need bool {list(shape)}"
            )
        if not rows.any(axis=1).all():
            raise UserError("mask allows no action", where=f"row {int((~rows.any(axis=1)).argmax())}")
        return rows

    def _evaluate(self, rows: F32, hidden: F32 | None) -> tuple[F32, F32 | None]:
        q = np.empty((len(rows), self.brain.output_size), np.float32)
        after = None if hidden is None else np.empty_like(hidden)
        device = next(self.module.parameters()).device
        with torch.inference_mode(), one_thread():
            for start in range(0, len(rows), TILE_ROWS):
                tile = slice(start, min(start + TILE_ROWS, len(rows)))
                num = tile.stop - start
                state = None if hidden is None else _tile(hidden[tile]).to(device)
                tile_q, tile_after = self.module(_tile(rows[tile]).to(device), state)
                q[tile] = tile_q[:num].cpu().numpy()
                if after is not None:
                    after[tile] = tile_after[:num].cpu().numpy()
        return q, after


def _tile(rows: F32) -> torch.Tensor:
    """The rows, padded with zeros to TILE_ROWS, in memory of torch's alignment."""
    tile = torch.zeros(TILE_ROWS, rows.shape[1])
    tile.numpy()[: len(rows)] = rows
    return tile


def _refuse_not_finite(name: str, rows: F32) -> None:
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise UserError(f"NaN or infinity in {name}", where=f"row {bad.argmax()}")
