"""GeoJSON: what goes out comes back, and outlines are what RFC 7946 asks for wherever they lie."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Geod

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.files import read_all, write_all
from pipeline.tasks.localization.convert.convert import convert
from pipeline.tasks.localization.convert.outline import as_geometry
from pipeline.tasks.localization.ellipse import PROBABILITIES, ellipses, ring
from pipeline.tasks.localization.rows import Example, Measurement, Prediction

GEOD = Geod(ellps="WGS84")
HEARD = (
    Measurement(receiver="north", latitude=45.3, longitude=7.5, altitude_m=300.0, level_dbm=-80.0),
    Measurement(receiver="south", latitude=44.6, longitude=8.0, arrival_ns=10.5, sigma_ns=99.0),
    Measurement(receiver="somewhere", level_dbm=-99.5),
)
RECORD: dict[str, Any] = {"id": "a/1", "measurements": HEARD, "frequency_mhz": 145.0, "group": "g", "time": "noon"}
COVARIANCE = (4e6, 1e6, 2e6)


def prediction(latitude: float, longitude: float, covariance: tuple[float, float, float] = COVARIANCE) -> Prediction:
    said: dict[str, Any] = {"fix_latitude": latitude, "fix_longitude": longitude, "covariance_m2": covariance}
    return Prediction(**RECORD, model="m", latitude=45.0, longitude=7.7, **said, ellipses=ellipses(covariance))


def to_geojson(rows: list[Any], folder: Path) -> dict[str, Any]:
    write_all(folder / "rows.jsonl", rows)
    convert(ConvertJob("to", "geojson", {"input": folder / "rows.jsonl"}, folder / "map"))
    found: dict[str, Any] = json.loads((folder / "map/map.geojson").read_text())
    return found


def from_geojson(path: Path, folder: Path, **changes: Any) -> list[Example]:
    convert(ConvertJob("from", "geojson", {"input": path}, folder / "back", **changes))
    return read_all(folder / "back/examples.jsonl", Example)


def parts(geometry: dict[str, Any]) -> list[np.ndarray]:
    """The outer rings of a polygon, or of several: (longitude, latitude)."""
    listed = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    assert all(len(polygon) == 1 for polygon in listed)
    return [np.array(polygon[0]) for polygon in listed]


def area_m2(ring: np.ndarray) -> float:
    """By the geodesics between corners; positive where they go round counter-clockwise."""
    return float(GEOD.polygon_area_perimeter(ring[:, 0], ring[:, 1])[0])


def test_examples_come_back_as_they_were(tmp_path: Path) -> None:
    known, unknown = Example(**RECORD, latitude=45.0, longitude=7.7), Example(**RECORD | {"id": "b"}, altitude_m=10.0)
    document = to_geojson([known, unknown], tmp_path)
    assert [one["id"] for one in document["features"]] == ["receiver/north", "receiver/south", "a/1/truth", "b/truth"]
    assert document["features"][0]["geometry"] == {"type": "Point", "coordinates": [7.5, 45.3, 300.0]}
    assert document["features"][3]["geometry"] is None
    assert from_geojson(tmp_path / "map/map.geojson", tmp_path) == [known, unknown]


def test_predictions_have_fixes_and_ellipses_which_are_no_transmissions(tmp_path: Path) -> None:
    document = to_geojson([prediction(45.01, 7.72)], tmp_path)
    roles = [one["properties"]["role"] for one in document["features"]]
    assert roles == ["receiver", "receiver", "truth", "fix", "ellipse", "ellipse", "ellipse", "ellipse"]
    said = [one["properties"]["probability"] for one in document["features"][4:]]
    assert said == sorted(PROBABILITIES, reverse=True)
    assert from_geojson(tmp_path / "map/map.geojson", tmp_path) == [Example(**RECORD, latitude=45.0, longitude=7.7)]


def test_levels_by_name_take_the_places_of_points_beside_them(tmp_path: Path) -> None:
    def feature(properties: dict[str, Any], point: list[float]) -> dict[str, Any]:
        return {"type": "Feature", "properties": properties, "geometry": {"type": "Point", "coordinates": point}}

    features = [feature({"measurements": {"A": -70}}, [7.0, 45.0]), feature({"name": "A"}, [7.1, 45.1, 250])]
    path = tmp_path / "in.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    heard = Measurement(receiver="A", latitude=45.1, longitude=7.1, altitude_m=250.0, level_dbm=-70.0)
    assert from_geojson(path, tmp_path) == [Example(id="0", measurements=(heard,), latitude=45.0, longitude=7.0)]


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        ({"properties": {"measurements": {"A": "loud"}}, "geometry": None}, "wrong_type"),
        ({"properties": {"measurements": {}}, "geometry": None}, "not_heard"),
        ({"properties": {"measurements": {"A": -70}}, "geometry": {"type": "LineString"}}, "wrong_type"),
        ({"properties": {"measurements": {"A": -70}}, "geometry": {"type": "Point", "coordinates": [7, 95]}}, "out_of"),
        ({"properties": {"measurements": [{"receiver": "A"}, {"receiver": "A"}]}}, "receiver_twice"),
        ({"id": "x", "properties": {"measurements": {"A": -70}}}, "id_twice"),
        ({"properties": {}, "geometry": {"type": "Point", "coordinates": [7, 45]}}, "no_place"),
        ("text", "wrong_type"),
    ],
)
def test_a_bad_feature_is_listed_and_refused_or_left_out(tmp_path: Path, feature: Any, kind: str) -> None:
    good = {"id": "x", "properties": {"measurements": {"A": -70}}, "geometry": None}
    path = tmp_path / "in.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [good, feature]}))
    with pytest.raises(UserError) as refused:
        from_geojson(path, tmp_path)
    assert "features[1]" in str(refused.value.where)
    assert [one.id for one in from_geojson(path, tmp_path, on_bad="skip")] == ["x"]
    assert kind in (tmp_path / "back/bad.jsonl").read_text()


@pytest.mark.parametrize(
    "place", [(45.0, 7.7), (80.0, 20.0), (80.0, 179.9), (-16.8, -179.99), (0.0, 180.0), (64.0, -180.0)]
)
@pytest.mark.parametrize("covariance", [COVARIANCE, (9e8, -4e8, 3e8)])
def test_axes_and_areas_are_geodesic_and_rings_are_closed(
    tmp_path: Path, place: tuple[float, float], covariance: tuple[float, float, float]
) -> None:
    document = to_geojson([prediction(*place, covariance)], tmp_path)
    for feature in document["features"][4:]:
        said = feature["properties"]
        rings = parts(feature["geometry"])
        corners = np.concatenate([ring[:-1] for ring in rings])
        assert all((ring[0] == ring[-1]).all() and area_m2(ring) > 0 for ring in rings)
        assert np.abs(corners[:, 0]).max() <= 180
        assert len(rings) == (2 if abs(place[1]) > 179 else 1)
        assert all(np.ptp(ring[:, 0]) < 90 for ring in rings)
        area = np.pi * said["semi_major_m"] * said["semi_minor_m"]
        assert sum(map(area_m2, rings)) == pytest.approx(area, rel=1e-3)
        middle = np.tile(place, (len(corners), 1))
        _, _, distances = GEOD.inv(middle[:, 1], middle[:, 0], corners[:, 0], corners[:, 1])
        assert max(distances) == pytest.approx(said["semi_major_m"], rel=1e-3)
        uncut = [d for d, (longitude, _) in zip(distances, corners, strict=True) if abs(longitude) < 180]
        assert min(uncut) == pytest.approx(said["semi_minor_m"], rel=1e-3)


@pytest.mark.parametrize("latitude", [89.9, -89.9])
@pytest.mark.parametrize("longitude", [30.0, 179.9, -180.0])
def test_an_area_with_a_pole_goes_to_it_along_the_antimeridian(latitude: float, longitude: float) -> None:
    ellipse = ellipses((1e9, 2e8, 1e9))[-1]
    (found,) = parts(as_geometry(ring(latitude, longitude, ellipse)))
    assert (found[0] == found[-1]).all()
    assert (found[:, 0].min(), found[:, 0].max()) == (-180.0, 180.0)
    assert [180.0, np.sign(latitude) * 90.0] in found.tolist() and [-180.0, np.sign(latitude) * 90.0] in found.tolist()
    x, y = found.T
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0  # counter-clockwise on the map
    area = np.pi * ellipse.semi_major_m * ellipse.semi_minor_m
    assert area_m2(found) == pytest.approx(area, rel=1e-3)
