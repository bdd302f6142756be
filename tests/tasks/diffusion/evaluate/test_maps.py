"""How well a map keeps neighbourhoods, against another library and by hand."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as theirs

from pipeline.tasks.diffusion.evaluate.maps import aligned, neighbours, shared_neighbours, trustworthiness

SPACE = np.random.default_rng(0).standard_normal((60, 5))


def test_trustworthiness_is_that_of_its_paper() -> None:
    plane = SPACE[:, :2]
    for count in (3, 12):
        assert trustworthiness(SPACE, plane, count).mean() == pytest.approx(theirs(SPACE, plane, n_neighbors=count))
    assert trustworthiness(SPACE, SPACE, 5).mean() == 1.0


def test_neighbours_are_the_nearest_others() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert neighbours(line, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    turned = np.array([[7.0], [1.0], [3.0], [0.0]])
    assert shared_neighbours(line, line, 2).tolist() == [1.0] * 4
    assert shared_neighbours(line, turned, 1).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_map_that_was_turned_mirrored_and_scaled_is_aligned_again() -> None:
    turn = np.array([[0.0, -3.0], [-3.0, 0.0]])
    assert np.allclose(aligned(SPACE[:, :2] @ turn + 5.0, SPACE[:, :2]), SPACE[:, :2])
