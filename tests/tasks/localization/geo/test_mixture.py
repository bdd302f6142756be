from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization import geo, mixture
from pipeline.tasks.localization.mixture import (
    Mixtures,
    Part,
    ellipse_scales,
    log_density,
    of_predictions,
    region,
    second_moments,
    told,
)
from pipeline.tasks.localization.rows import Component, Prediction

ONE = Mixtures(np.ones((1, 1)), np.array([[[100.0, -50.0]]]), np.array([[[4e4, 1e4, 1e4]]]))
TWO = Mixtures(
    np.array([[0.7, 0.3]]),
    np.array([[[0.0, 0.0], [60_000.0, 20_000.0]]]),
    np.array([[[1e8, 3e7, 5e7], [4e8, 0.0, 1e7]]]),
)


def parts(mixtures: Mixtures) -> list[Part]:
    """The components of the first mixture."""
    numbers = np.concatenate([mixtures.weights[0][:, None], mixtures.means[0], mixtures.covariances[0]], axis=1)
    return [*map(tuple, numbers.tolist())]


def middle(mixtures: Mixtures) -> Floats:
    """The mean of the first mixture."""
    return np.asarray(mixtures.weights[0] @ mixtures.means[0])


def say(mixtures: Mixtures, centre: tuple[float, float]) -> dict[str, Any]:
    """What a prediction says of the first mixture, its fix at the mean."""
    return told([parts(mixtures)], [middle(mixtures).tolist()], [centre])[0]


def draw(mixtures: Mixtures, num: int, seed: int) -> Floats:
    """Points [num, 2] of the first mixture."""
    rng = np.random.default_rng(seed)
    which = rng.choice(mixtures.weights.shape[1], size=num, p=mixtures.weights[0])
    points = np.empty((num, 2))
    for k in range(mixtures.weights.shape[1]):
        own = which == k
        points[own] = rng.multivariate_normal(mixtures.means[0, k], matrix(mixtures.covariances[0, k]), own.sum())
    return points


def matrix(covariance: Floats) -> Floats:
    return covariance[[0, 1, 1, 2]].reshape(2, 2)


def prediction(**fields: object) -> Prediction:
    return Prediction(id="a", model="m", measurements=(), **fields)  # type: ignore[arg-type]


def test_density_is_scipys() -> None:
    points = draw(TWO, 5, 1)
    expected = sum(
        w * stats.multivariate_normal(m, matrix(c)).pdf(points)
        for w, m, c in zip(TWO.weights[0], TWO.means[0], TWO.covariances[0], strict=True)
    )
    np.testing.assert_allclose(np.exp(log_density(TWO, points[None])[0]), expected)


def test_moments_are_those_of_the_points_drawn_from_it() -> None:
    points = draw(TWO, 400_000, 2)
    np.testing.assert_allclose(middle(TWO), points.mean(axis=0), atol=200)
    for about, expected in ((points.mean(axis=0), np.cov(points.T)), (np.zeros(2), points.T @ points / len(points))):
        np.testing.assert_allclose(matrix(np.array(second_moments(parts(TWO), about))), expected, rtol=0.01)


def test_the_region_of_one_gaussian_is_exact() -> None:
    assert region(ONE, [[100.0, -50.0]])[0] == 0
    points = np.array([[300.0, 100.0]])
    offset = points[0] - ONE.means[0, 0]
    squared = offset @ np.linalg.inv(matrix(ONE.covariances[0, 0])) @ offset
    assert region(ONE, points)[0] == pytest.approx(stats.chi2(2).cdf(squared), rel=1e-12)


def test_a_component_without_weight_changes_nothing() -> None:
    padded = Mixtures(
        np.array([[1.0, 0.0]]), np.array([[[100.0, -50.0], [0, 0]]]), np.array([[[4e4, 1e4, 1e4], [1, 0, 1]]])
    )
    points = np.array([[300.0, 100.0]])
    assert region(padded, points) == region(ONE, points)
    np.testing.assert_allclose(log_density(padded, points), log_density(ONE, points))


def test_the_region_of_a_mixture_is_the_share_of_likelier_places() -> None:
    points = np.array(
        [[0.0, 0.0], [12_000.0, 5_000.0], [60_000.0, 20_000.0], [90_000.0, 25_000.0], [30_000.0, 9_000.0]]
    )
    many = TWO[np.zeros(len(points), dtype=int)]
    places = draw(TWO, 200_000, 3)
    densities = log_density(TWO, places[None])[0]
    expected = [(densities > limit).mean() for limit in log_density(many, points)]
    np.testing.assert_allclose(region(many, points), expected, atol=0.012)
    assert region(many, points).tolist() == region(many, points).tolist()


def test_regions_of_honest_mixtures_are_uniform() -> None:
    points = draw(TWO, 4_000, 4)
    found = region(TWO[np.zeros(len(points), dtype=int)], points)
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_row_says_the_mixture_from_which_it_was_written() -> None:
    fields = say(TWO, (80.0, 179.9))
    read, fixes = of_predictions([prediction(**fields)])
    points = np.array([[10_000.0, 5_000.0], [60_000.0, 20_000.0]])
    seen = geo.to_local(geo.to_degrees(points, (80.0, 179.9)), fixes[0])
    np.testing.assert_allclose(log_density(read, seen[None]), log_density(TWO, points[None]), atol=0.01)
    assert fixes[0].tolist() == [fields["fix_latitude"], fields["fix_longitude"]]
    assert len(fields["components"]) == 2 and len(fields["ellipses"]) == 4


def test_the_ellipses_of_a_mixture_contain_what_they_say_of_it() -> None:
    points = draw(TWO, 200_000, 5)
    offsets, whole = points - middle(TWO), second_moments(parts(TWO), middle(TWO))
    distances = np.sqrt(np.einsum("ni,ij,nj->n", offsets, np.linalg.inv(matrix(np.array(whole))), offsets))
    shares = (distances[:, None] <= ellipse_scales([parts(TWO)], [middle(TWO)], [whole])).mean(axis=0)
    np.testing.assert_allclose(shares, [0.5, 0.68, 0.9, 0.95], atol=0.01)
    assert abs((distances <= 1.177).mean() - 0.5) > 0.012  # as one Gaussian they would not


def test_the_ellipses_of_one_gaussian_are_those_of_chi_square() -> None:
    found = say(ONE, (45.0, 7.0))["ellipses"]
    major = np.sqrt(np.linalg.eigvalsh(matrix(ONE.covariances[0, 0]))[1])
    assert [one.semi_major_m / major for one in found] == pytest.approx([1.177, 1.510, 2.146, 2.448], rel=1e-3)


def test_what_is_told_of_a_mixture_does_not_depend_on_those_beside_it() -> None:
    fixes, centres = [middle(TWO).tolist()] * 20, [(45.0, 7.0)] * 19 + [(10.0, 20.0)]
    assert told([parts(TWO)] * 20, fixes, centres)[-1] == say(TWO, (10.0, 20.0))


def test_one_gaussian_has_no_components() -> None:
    fields = say(ONE, (45.0, 7.0))
    assert fields["components"] == ()
    read, _ = of_predictions([prediction(**fields)])
    np.testing.assert_allclose(read.covariances[0, 0], ONE.covariances[0, 0], rtol=1e-4)


GOOD = {"fix_latitude": 45.0, "fix_longitude": 7.0, "covariance_m2": (4.0, 0.0, 1.0)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"covariance_m2": (1.0, 2.0, 1.0)}, "negative variance"),
        ({"covariance_m2": (4.0, 2.0, 1.0)}, "no area"),
        ({"covariance_m2": None}, "neither a fix"),
        (
            {"components": (Component(weight=0.5, latitude=45, longitude=7, covariance_m2=(4.0, 0.0, 1.0)),)},
            "do not add up",
        ),
    ],
)
def test_rows_that_mean_nothing_are_refused_by_name(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        of_predictions([prediction(**GOOD), prediction(**{**GOOD, **wrong})])
    assert caught.value.where is not None and "'a'" in caught.value.where


def test_nothing_is_an_empty_batch() -> None:
    mixtures, fixes = of_predictions([])
    assert len(mixtures) == 0 and fixes.shape == (0, 2)
    assert mixture.region(mixtures, fixes).shape == (0,)
