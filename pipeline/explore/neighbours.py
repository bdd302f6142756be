"""The nearest records by activations of a layer at one noise level: all are compared, so none is missed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 2048  # at 512 features of float32 a block stays in the processor's cache


class Neighbour(NamedTuple):
    """A record, by its place in the arrays, and its Euclidean distance in the space of activations."""

    number: int
    distance: float


def neighbours(activations: NDArray[np.floating[Any]], level: int, number: int, count: int) -> list[Neighbour]:
    """The ``count`` nearest to record ``number`` among activations [N, num_noise_levels, num_features], nearest first.

    It is not its own neighbour. Of equal distances the earlier record comes first.
    """
    squares = np.concatenate(
        [
            _squares(activations[start : start + _BLOCK_ROWS, level], activations[number, level])
            for start in range(0, len(activations), _BLOCK_ROWS)
        ]
    )
    squares[number] = np.inf
    count = min(count, len(squares) - 1)
    if count <= 0:
        return []
    near = np.flatnonzero(squares <= np.partition(squares, count - 1)[count - 1])
    order = near[np.argsort(squares[near], kind="stable")][:count]
    return [Neighbour(int(one), float(np.sqrt(squares[one]))) for one in order]


def distances(
    activations: NDArray[np.floating[Any]], level: int, number: int, others: Sequence[int]
) -> list[Neighbour]:
    """How far these records are, in their order."""
    squares = _squares(activations[list(others), level], activations[number, level])
    return [Neighbour(one, float(np.sqrt(square))) for one, square in zip(others, squares, strict=True)]


def _squares(block: NDArray[Any], point: NDArray[Any]) -> NDArray[np.float32]:
    """Squared distances of rows [N, num_features] from a point; in float32, for float16 overflows."""
    apart = block.astype(np.float32) - point.astype(np.float32)
    squares: NDArray[np.float32] = np.einsum("ij,ij->i", apart, apart)
    return squares
