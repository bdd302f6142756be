import numpy as np
import pytest
from pyproj import Geod

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization.ellipse import are_covariances, ellipses, ring, scale
from pipeline.tasks.localization.rows import Ellipse

GEOD = Geod(ellps="WGS84")
PLACES = [(45.0, 7.5), (80.0, 20.0), (0.0, 179.95), (80.0, -179.9), (-60.0, 180.0)]


def ellipse(major: float, minor: float, azimuth: float) -> Ellipse:
    return Ellipse(probability=0.95, semi_major_m=major, semi_minor_m=minor, azimuth_deg=azimuth)


def covariance(major: float, minor: float, azimuth: float) -> tuple[float, float, float]:
    sin, cos = np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
    along, across = np.array([sin, cos]), np.array([cos, -sin])
    matrix = major**2 * np.outer(along, along) + minor**2 * np.outer(across, across)
    return float(matrix[0, 0]), float(matrix[0, 1]), float(matrix[1, 1])


def extents(outline: Floats, place: tuple[float, float]) -> tuple[float, float, float]:
    """Half the longest and the shortest way across, and the azimuth of the longest, measured along geodesics."""
    latitudes, longitudes = outline[:-1].T
    azimuths, _, lengths = GEOD.inv(
        np.full_like(longitudes, place[1]), np.full_like(latitudes, place[0]), longitudes, latitudes
    )
    return float(lengths.max()), float(lengths.min()), float(azimuths[lengths.argmax()] % 180)


@pytest.mark.parametrize(
    ("probability", "expected"), [(0.5, 1.177), (0.68, 1.510), (0.9, 2.146), (0.95, 2.448), (0.99, 3.035)]
)
def test_scale_is_that_of_two_dimensions(probability: float, expected: float) -> None:
    assert scale(probability) == pytest.approx(expected, abs=5e-4)


def test_the_ellipse_of_a_probability_contains_that_share_of_its_gaussian() -> None:
    points = np.random.default_rng(1).multivariate_normal([0, 0], [[4e6, 1e6], [1e6, 1e6]], 200_000)
    found = ellipses((4e6, 1e6, 1e6))
    for one in found:
        azimuth = np.radians(one.azimuth_deg)
        along = points @ [np.sin(azimuth), np.cos(azimuth)]
        across = points @ [np.cos(azimuth), -np.sin(azimuth)]
        within = np.hypot(along / one.semi_major_m, across / one.semi_minor_m) <= 1
        assert within.mean() == pytest.approx(one.probability, abs=0.004)
    assert [one.probability for one in found] == [0.5, 0.68, 0.9, 0.95]


@pytest.mark.parametrize("azimuth", [0.0, 30.0, 90.0, 135.0, 179.0])
def test_azimuth_is_clockwise_from_north(azimuth: float) -> None:
    found = ellipses(covariance(5000, 1000, azimuth), (1.0, 2.0, 3.0, 4.0))[0]
    assert found.azimuth_deg == pytest.approx(azimuth)
    assert (found.semi_major_m, found.semi_minor_m) == (pytest.approx(5000), pytest.approx(1000))
    assert not found.degenerate


def test_azimuth_never_reaches_180() -> None:
    assert ellipses((1.0, -1e-20, 4.0))[0].azimuth_deg == 0


@pytest.mark.parametrize("one", [(4.0, 0.0, 4.0), (4.0, 2.0, 1.0), (0.0, 0.0, 0.0)])
def test_a_circle_and_a_line_and_a_point_are_told_to_be_degenerate(one: tuple[float, float, float]) -> None:
    assert all(found.degenerate for found in ellipses(one))


def test_the_azimuth_of_a_circle_is_0() -> None:
    assert ellipses((4.0, 0.0, 4.0))[0].azimuth_deg == 0


@pytest.mark.parametrize("bad", [(1.0, 2.0, 1.0), (-1.0, 0.0, -1.0), (1.0, float("nan"), 1.0), (1.0, 0.0, np.inf)])
def test_what_is_no_covariance_is_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="is no covariance"):
        ellipses(bad)
    assert are_covariances([(1.0, 0.0, 1.0), bad]).tolist() == [True, False]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("azimuth", [0.0, 40.0, 120.0])
def test_axes_and_area_of_an_outline_are_the_geodesic_ones(place: tuple[float, float], azimuth: float) -> None:
    outline = ring(*place, ellipse(20_000, 6_000, azimuth))
    major, minor, direction = extents(outline, place)
    assert major == pytest.approx(20_000, rel=1e-3)
    assert minor == pytest.approx(6_000, rel=1e-3)
    assert (direction - azimuth + 90) % 180 - 90 == pytest.approx(0, abs=0.01)
    area, _ = GEOD.polygon_area_perimeter(outline[:, 1], outline[:, 0])
    assert area == pytest.approx(np.pi * 20_000 * 6_000, rel=1e-3)


def test_an_outline_is_closed_and_counter_clockwise() -> None:
    outline = ring(45.0, 7.0, ellipse(1000, 500, 20))
    assert outline[0].tolist() == outline[-1].tolist() and len(outline) == 129
    north, east = outline[:-1].T
    assert np.sum(east * np.roll(north, -1) - np.roll(east, -1) * north) > 0
