"""How well a map keeps neighbourhoods. Plain arrays: N points, in a space of K dimensions and on a map of two."""

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.diffusion.evaluate.distances import distances_between

Ints = NDArray[np.int64]


def neighbours(points: Floats, count: int) -> Ints:
    """Numbers of the ``count`` nearest other points of each [N, K] -> [N, count], the nearest first."""
    distances = distances_between(points, points)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


def trustworthiness(space: Floats, plane: Floats, count: int) -> Floats:
    """How far the neighbours on the map are neighbours in the space, of each point, 1 at best (Venna and Kaski 2001).

    Of each of the ``count`` nearest on the map counts how far down it is in the space's order; the mean over points is
    what the paper defines. Needs count < N / 2.
    """
    num = len(space)
    distances = distances_between(space, space)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, num + 1)[None, :].repeat(num, axis=0), axis=1)
    beyond = np.take_along_axis(ranks, neighbours(plane, count), axis=1) - count
    scale = 2.0 / (count * (2 * num - 3 * count - 1))
    kept: Floats = 1.0 - scale * np.clip(beyond, 0, None).sum(axis=1)
    return kept


def aligned(plane: Floats, onto: Floats) -> Floats:
    """A map [N, 2] turned, mirrored, scaled and moved to lie as near as it can on another of the same points: which way
    a map lies means nothing (Procrustes; Schoenemann 1966)."""
    centred, target = plane - plane.mean(axis=0), onto - onto.mean(axis=0)
    left, sizes, right = np.linalg.svd(centred.T @ target)
    scale = sizes.sum() / max((centred**2).sum(), 1e-12)
    moved: Floats = scale * centred @ (left @ right) + onto.mean(axis=0)
    return moved


def shared_neighbours(one: Floats, other: Floats, count: int) -> Floats:
    """Share of the ``count`` nearest that are the same in both, of each point [N]: space and map, or two models."""
    first, second = neighbours(one, count), neighbours(other, count)
    return np.array([len(np.intersect1d(a, b)) for a, b in zip(first, second, strict=True)], np.float64) / count
