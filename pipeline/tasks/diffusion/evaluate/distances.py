"""Distances between two sets of images by their features, and what of one set lies in the other. Plain arrays.

Shapes: N and M images, F features, B weightings of images: how often each counts, as resamples draw them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats


@dataclass(frozen=True)
class Moments:
    """Mean [..., F] and covariance [..., F, F] of features."""

    mean: Floats
    covariance: Floats


def moments(features: Floats) -> Moments:
    """Of features [N, F]."""
    return Moments(features.mean(axis=0), np.cov(features, rowvar=False))


def weighted_moments(features: Floats, weights: Floats) -> list[Moments]:
    """Of features [N, F], for every weighting [B, N]."""
    centred = features - features.mean(axis=0)
    found = []
    for row in weights:
        total = row.sum()
        mean = row @ centred / total
        covariance = (centred * row[:, None]).T @ centred - total * np.outer(mean, mean)
        found.append(Moments(mean + features.mean(axis=0), covariance / max(total - 1.0, 1.0)))
    return found


def frechet_distance(one: Moments, other: Moments) -> float:
    """Squared Frechet distance between normal distributions of these moments (Dowson and Landau 1982; of features of
    images, Heusel et al. 2017)."""
    root = _root(one.covariance)
    mixed = np.linalg.eigvalsh(root @ other.covariance @ root)
    trace = np.trace(one.covariance) + np.trace(other.covariance) - 2.0 * np.sqrt(np.clip(mixed, 0.0, None)).sum()
    return max(0.0, float(((one.mean - other.mean) ** 2).sum() + trace))


def frechet_distances(made: Floats, real: Floats, weights: Floats) -> Floats:
    """`frechet_distance` of features made [N, F] and real [N, F] for every weighting [B, N] of both: [B]."""
    pairs = zip(weighted_moments(made, weights), weighted_moments(real, weights), strict=True)
    return np.array([frechet_distance(one, other) for one, other in pairs], np.float64)


def _root(matrix: Floats) -> Floats:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return root


def kernel_distances(made: Floats, real: Floats, weights: Floats) -> Floats:
    """Unbiased squared maximum mean discrepancy of the cubic kernel (x y / F + 1)^3 (Binkowski et al. 2018) between
    made [N, F] and real [M, F] features, for every weighting [B, N] of either set by number: [B]. N is M."""
    within = [_mean_of_pairs(_cubic(one, one), weights) for one in (made, real)]
    total = weights.sum(axis=1)
    across = np.einsum("bn,nm,bm->b", weights, _cubic(made, real), weights, optimize=True) / total**2
    distance: Floats = within[0] + within[1] - 2.0 * across
    return distance


def _cubic(one: Floats, other: Floats) -> Floats:
    kernel: Floats = (one @ other.T / one.shape[1] + 1.0) ** 3
    return kernel


def _mean_of_pairs(values: Floats, weights: Floats) -> Floats:
    """The mean of a table [N, N] over pairs of two different images, for every weighting [B, N]: [B]."""
    whole = np.einsum("bn,nm,bm->b", weights, values, weights, optimize=True) - weights**2 @ np.diag(values)
    num_pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    mean: Floats = whole / np.maximum(num_pairs, 1.0)
    return mean


def distances_between(one: Floats, other: Floats) -> Floats:
    """Euclidean distances between features [N, F] and [M, F]: [N, M]."""
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2.0 * one @ other.T
    distances: Floats = np.sqrt(np.clip(squared, 0.0, None))
    return distances


def diversities(features: Floats, labels: NDArray[np.int64], weights: Floats) -> Floats:
    """Mean distance between two images of one class, by features [N, F] and labels [N], for every weighting: [B]."""
    distances = distances_between(features, features)
    is_pair = np.equal.outer(labels, labels)
    np.fill_diagonal(is_pair, False)
    total = np.einsum("bn,nm,bm->b", weights, distances * is_pair, weights, optimize=True)
    count = np.einsum("bn,nm,bm->b", weights, is_pair.astype(np.float64), weights, optimize=True)
    mean: Floats = total / np.maximum(count, 1.0)
    return mean


def covered(points: Floats, manifold: Floats, num_neighbours: int) -> NDArray[np.bool_]:
    """Which points [N, F] lie in a manifold: nearer to some image of it [M, F] than that is to its k-th nearest
    neighbour there (Kynkaanniemi et al. 2019). Precision is the share of made ones in the real manifold, recall that of
    real ones in the made one."""
    own = np.sort(distances_between(manifold, manifold), axis=1)
    radii = own[:, min(num_neighbours, len(manifold) - 1)]  # the first is the image itself
    inside: NDArray[np.bool_] = np.any(distances_between(points, manifold) <= radii, axis=1)
    return inside
