"""Distances between sets of features, against what can be worked out by hand or by another library."""

import numpy as np
import pytest
from scipy import linalg

from pipeline.tasks.diffusion.evaluate.distances import (
    covered,
    diversities,
    frechet_distance,
    frechet_distances,
    kernel_distances,
    moments,
    weighted_moments,
)

ONE = np.random.default_rng(0).standard_normal((60, 4))
OTHER = np.random.default_rng(1).standard_normal((60, 4)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 1.0, 0.0, 0.0]


def test_the_frechet_distance_is_that_of_its_formula() -> None:
    a, b = moments(ONE), moments(OTHER)
    root = linalg.sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2.0 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)


def test_weights_count_images_as_often_as_repeating_them_would() -> None:
    weights = np.random.default_rng(2).integers(0, 3, (2, 60)).astype(np.float64)
    for row, found in zip(weights, weighted_moments(ONE, weights), strict=True):
        repeated = moments(ONE.repeat(row.astype(int), axis=0))
        assert np.allclose(found.mean, repeated.mean) and np.allclose(found.covariance, repeated.covariance)
    assert frechet_distances(ONE, OTHER, np.ones((1, 60)))[0] == pytest.approx(
        frechet_distance(moments(ONE), moments(OTHER))
    )


def test_the_kernel_distance_has_no_bias_and_sees_a_shift() -> None:
    ones = np.ones((1, 60))
    same = [kernel_distances(*np.random.default_rng(seed).standard_normal((2, 60, 4)), ones)[0] for seed in range(200)]
    assert abs(np.mean(same)) < 3.0 * np.std(same) / 200**0.5
    assert kernel_distances(ONE, OTHER, ones)[0] > 10.0 * np.std(same)


def test_an_image_is_in_the_manifold_where_it_is_nearer_than_the_neighbours_are() -> None:
    manifold = np.array([[0.0], [1.0], [2.0], [10.0]])
    points = np.array([[0.5], [3.0], [3.5], [11.0], [30.0]])
    # With one neighbour radii are 1, 1, 1 and 8.
    assert covered(points, manifold, 1).tolist() == [True, True, True, True, False]
    assert covered(np.array([[-1.5]]), manifold, 1).tolist() == [False]


def test_diversity_is_taken_within_classes() -> None:
    features = np.array([[0.0], [2.0], [100.0], [104.0]])
    labels = np.array([0, 0, 1, 1])
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 0, 0], [1, 1, 2, 2]])
    assert diversities(features, labels, weights) == pytest.approx([3.0, 2.0, (2 * 2 + 8 * 4) / 10])
