import numpy as np
import pytest
from pyproj import Geod

from pipeline.tasks.localization import geo

PLACES = [(45.0, 7.5), (80.0, -179.99), (-89.5, 10.0), (0.0, 180.0)]


@pytest.mark.parametrize("centre", PLACES)
def test_degrees_to_metres_and_back_is_exact(centre: tuple[float, float]) -> None:
    local = np.array([[0.0, 0.0], [1.0, 0.0], [-30_000.0, 40_000.0], [0.0, 200_000.0]])
    places = geo.to_degrees(local, centre)
    np.testing.assert_allclose(geo.to_local(places, centre), local, atol=1e-6)
    np.testing.assert_allclose(geo.distance_m(places, centre), np.hypot(*local.T), atol=1e-6)


def test_east_is_east_and_north_is_north() -> None:
    places = geo.to_degrees([[100.0, 0.0], [0.0, 100.0]], (45.0, 7.0))
    assert places[0, 1] > 7 and places[0, 0] == pytest.approx(45, abs=1e-6)
    assert places[1, 0] > 45 and places[1, 1] == pytest.approx(7)


def test_each_place_has_its_own_frame() -> None:
    local = geo.to_local([(45.0, 7.0), (10.0, 20.0)], [(45.0, 7.0), (10.0, 20.0)])
    assert local.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_north_of_a_place_is_turned_as_two_geodesics_say() -> None:
    centre, place = (60.0, 10.0), (60.5, 14.0)
    ahead = Geod(ellps="WGS84").fwd(place[1], place[0], 0, 10.0)
    here, there = geo.to_local([place, (ahead[1], ahead[0])], centre)
    east, north = there - here
    assert geo.turned(place, centre) == pytest.approx(np.arctan2(east, north), abs=1e-4)
    assert geo.turned(centre, centre) == pytest.approx(0)


def test_cartesian_places_are_those_of_the_ellipsoid() -> None:
    np.testing.assert_allclose(geo.to_cartesian((0.0, 90.0), 5.0), [0, 6_378_142, 0], atol=1e-6)
    np.testing.assert_allclose(geo.to_cartesian((-90.0, 0.0), 0.0), [0, 0, -6_356_752.3142], atol=1e-4)


def test_a_short_chord_is_as_long_as_its_geodesic() -> None:
    places = [(45.0, 7.0), (45.001, 7.001)]
    chord = np.linalg.norm(np.subtract(*geo.to_cartesian(places, 0.0)))
    assert chord == pytest.approx(geo.distance_m(*places), rel=1e-7)


def test_a_single_place_is_as_those_of_many() -> None:
    latitude, longitude, angle = geo.place_at((30e3, 40e3), (80.0, 179.9))
    np.testing.assert_allclose(geo.to_degrees((30e3, 40e3), (80.0, 179.9)), (latitude, longitude), rtol=1e-12)
    assert np.sin(angle) == pytest.approx(np.sin(geo.turned((latitude, longitude), (80.0, 179.9))))
