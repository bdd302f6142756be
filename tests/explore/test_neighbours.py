"""Neighbours in the space of activations: exact, at one noise level, whatever lies at the others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.explore.neighbours import distances, neighbours

POINTS = np.array([[0, 0], [3, 4], [0, 1], [0, 1], [6, 8]], np.float16)
LEVELS = np.stack([np.zeros_like(POINTS), POINTS], axis=1)  # at the first level all are one


def test_the_nearest_come_first_and_one_is_not_its_own() -> None:
    assert neighbours(LEVELS, 1, 0, 3) == [(2, 1.0), (3, 1.0), (1, 5.0)]
    assert neighbours(LEVELS, 1, 4, 1) == [(1, 5.0)]


def test_another_level_has_other_neighbours() -> None:
    assert neighbours(LEVELS, 0, 4, 2) == [(0, 0.0), (1, 0.0)]


def test_there_are_no_more_than_there_are() -> None:
    assert len(neighbours(LEVELS, 1, 0, 20)) == 4
    assert neighbours(LEVELS[:1], 1, 0, 20) == []
    assert neighbours(LEVELS, 1, 0, 0) == []


def test_distances_are_those_of_the_ones_that_were_asked_for_in_their_order() -> None:
    assert distances(LEVELS, 1, 0, [4, 2]) == [(4, 10.0), (2, 1.0)]


def test_large_float16_activations_do_not_overflow() -> None:
    far = np.array([[[-60000.0]], [[60000.0]]], np.float16)
    assert neighbours(far, 0, 0, 1) == [(1, float(np.float32(59999) + 60001))]


@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.integers(1, 20))
def test_they_are_those_of_a_full_sort(seed: int, num: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    activations = rng.integers(-9, 9, (num, 2, 3)).astype(np.float32)  # whole numbers: sums are exact
    number = int(rng.integers(num))
    squares = ((activations[:, 1] - activations[number, 1]) ** 2).sum(1)
    order = [one for one in np.argsort(squares, kind="stable") if one != number][:count]
    assert [one.number for one in neighbours(activations, 1, number, count)] == order
