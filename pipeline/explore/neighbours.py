"""The nearest records by activations of a layer at one noise level: all are compared, so none is missed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_EPSILON = float(np.finfo(np.float32).eps)


class Neighbour(NamedTuple):
    """A record, by its place in the arrays, and its Euclidean distance in the space of activations."""

    number: int
    distance: float


class Space:
    """Records as points [N, D] of a layer at one noise level, ready for one product of a matrix a question.

    ``activations`` are [N, num_noise_levels, D], of float16 or float32; float32 is kept, for float16 overflows.
    """

    def __init__(self, activations: NDArray[np.floating[Any]], level: int) -> None:
        self._points = activations[:, level].astype(np.float32)
        self._squares = np.einsum("ij,ij->i", self._points, self._points)
        # What rounding can make of a squared distance that is a sum of products.
        self._slack = 4 * _EPSILON * self._points.shape[1] * self._squares.max()

    def nearest(self, number: int, count: int) -> list[Neighbour]:
        """The ``count`` nearest to a record, nearest first; of equal distances the earlier record comes first.

        It is not its own neighbour.
        """
        count = min(count, len(self._points) - 1)
        if count <= 0:
            return []
        products = np.einsum("ij,j->i", self._points, self._points[number])  # not `@`, which wakes threads of its own
        squares = self._squares - 2 * products + self._squares[number]
        squares[number] = np.inf
        near = np.flatnonzero(squares <= np.partition(squares, count - 1)[count - 1] + self._slack)
        return sorted(self.distances(number, near.tolist()), key=lambda one: one.distance)[:count]

    def distances(self, number: int, others: Sequence[int]) -> list[Neighbour]:
        """How far other records are from one, in their order."""
        apart = self._points[list(others)] - self._points[number]
        squares = np.einsum("ij,ij->i", apart, apart)
        return [Neighbour(one, float(np.sqrt(square))) for one, square in zip(others, squares, strict=True)]
