"""Neighbours in the space of activations: exact, at one noise level, whatever lies at the others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.explore.neighbours import Space

POINTS = np.array([[0, 0], [3, 4], [0, 1], [0, 1], [6, 8]], np.float16)
LEVELS = np.stack([np.zeros_like(POINTS), POINTS], axis=1)  # at the first level all are one


def test_the_nearest_come_first_and_one_is_not_its_own() -> None:
    space = Space(LEVELS, 1)
    assert space.nearest(0, 3) == [(2, 1.0), (3, 1.0), (1, 5.0)]
    assert space.nearest(4, 1) == [(1, 5.0)]
    assert space.distances(0, [4, 2]) == [(4, 10.0), (2, 1.0)]  # in the order in which they were asked for


def test_another_level_has_other_neighbours() -> None:
    assert Space(LEVELS, 0).nearest(4, 2) == [(0, 0.0), (1, 0.0)]


def test_there_are_no_more_than_there_are() -> None:
    assert len(Space(LEVELS, 1).nearest(0, 20)) == 4
    assert Space(LEVELS[:1], 1).nearest(0, 20) == []
    assert Space(LEVELS, 1).nearest(0, 0) == []


def test_large_float16_activations_do_not_overflow() -> None:
    far = np.array([[[-60000.0]], [[60000.0]]], np.float16)
    assert Space(far, 0).nearest(0, 1) == [(1, 120000.0)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 20), st.sampled_from([0.0, 1e4]))
def test_they_are_those_of_a_full_sort_also_far_from_the_origin(seed: int, num: int, count: int, far: float) -> None:
    rng = np.random.default_rng(seed)
    activations = (rng.normal(0, 1, (num, 2, 30)) + far).astype(np.float32)
    number = int(rng.integers(num))
    apart = activations[:, 1] - activations[number, 1]
    squares = np.einsum("ij,ij->i", apart, apart)
    order = [one for one in np.argsort(squares, kind="stable") if one != number][:count]
    assert [one.number for one in Space(activations, 1).nearest(number, count)] == order
