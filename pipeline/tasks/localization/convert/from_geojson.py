"""Transmissions and receivers from a GeoJSON file (RFC 7946).

A feature with ``measurements`` in its properties is a transmission, and its point the truth (null: nobody knows); any
other point is a receiver, called by ``receiver`` or ``name`` of its properties or by its id. A third coordinate is the
height. What `to_geojson` makes of fixes and ellipses is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.files.document import read_json
from pipeline.records.findings import Findings, Place, Wrong
from pipeline.tasks.localization.convert.table import check_place, distinct
from pipeline.tasks.localization.convert.to_geojson import GIVEN
from pipeline.tasks.localization.rows import Example, Measurement, place_of

DRAWN = ("fix", "ellipse")  # roles of features that say what a model answered


class Feature(NamedTuple):
    """A feature of the file: where it stands there, the id it is known by, its properties and its point (longitude,
    latitude and perhaps height)."""

    at: Place
    id: str | None
    properties: Mapping[str, Any]
    point: tuple[float, ...] | None


def read_messages(job: ConvertJob, findings: Findings) -> tuple[list[Example], list[str]]:
    """The transmissions of a file, by their ids or numbered from 0. A measurement without a place has that of the
    receiver of its name, if the file has it. What is bad is left out, and noted. Raises UserError."""
    features = list(_features(job.files["input"], findings))
    sites = _sites(features, findings)

    def messages() -> Iterator[tuple[Place, str, Example]]:
        for number, one in enumerate(one for one in features if "measurements" in one.properties):
            name = one.id or str(number)
            with findings.at(one.at, name):
                yield one.at, name, _message(name, one, sites)

    return list(distinct(messages(), findings)), []


def read_sites(path: Path, findings: Findings) -> dict[str, Measurement]:
    """The receivers of a file by name, as measurements that say nothing but places. Raises UserError."""
    return _sites(list(_features(path, findings)), findings)


def _features(path: Path, findings: Findings) -> Iterator[Feature]:
    document = read_json(path)
    listed = document.get("features") if isinstance(document, dict) else None
    if not isinstance(listed, list) or document.get("type") != "FeatureCollection":
        remedy = 'its JSON is {"type": "FeatureCollection", "features": [...]}'
        raise UserError("this is no collection of GeoJSON features", where=str(path), remedy=remedy)
    for index, one in enumerate(listed):
        at = Place(path, "features", index)
        with findings.at(at):
            properties = one.get("properties") or {} if isinstance(one, dict) else None
            if not isinstance(properties, dict):
                raise Wrong("wrong_type", "a feature is an object, and so are its properties")
            if properties.get("role") not in DRAWN:
                name = properties.get("record", one.get("id"))
                yield Feature(at, None if name is None else str(name), properties, _point(one.get("geometry")))


def _point(geometry: Any) -> tuple[float, ...] | None:
    if geometry is None:
        return None
    try:
        kind, found = geometry["type"], msgspec.convert(geometry["coordinates"], tuple[float, ...])
    except (TypeError, KeyError, msgspec.ValidationError):
        kind, found = None, ()
    if kind != "Point" or len(found) < 2:
        raise Wrong("wrong_type", "it is neither a point nor without a geometry", "geometry")
    check_place(found[1], found[0])
    return found


def _sites(features: Sequence[Feature], findings: Findings) -> dict[str, Measurement]:
    def sites() -> Iterator[tuple[Place, str, Measurement]]:
        for one in (one for one in features if "measurements" not in one.properties):
            with findings.at(one.at, one.id):
                name = one.properties.get("receiver", one.properties.get("name", one.id))
                if one.point is None or name is None:
                    raise Wrong("no_place", "a receiver has a name and a point")
                longitude, latitude, altitude_m = (*one.point, None)[:3]
                said = {"latitude": latitude, "longitude": longitude, "altitude_m": altitude_m}
                yield one.at, str(name), Measurement(receiver=str(name), **said)

    return {one.receiver: one for one in distinct(sites(), findings)}


def _message(id: str, feature: Feature, sites: Mapping[str, Measurement]) -> Example:
    said = feature.properties["measurements"]
    if isinstance(said, dict):  # the level of each receiver
        said = [{"receiver": name, "level_dbm": level} for name, level in said.items()]
    longitude, latitude = feature.point[:2] if feature.point else (None, None)
    given = {name: feature.properties[name] for name in GIVEN if feature.properties.get(name) is not None}
    fields = given | {"id": id, "measurements": said, "latitude": latitude, "longitude": longitude}
    try:
        example = msgspec.convert(fields, Example)
    except msgspec.ValidationError as error:
        raise Wrong("wrong_type", str(error), "properties") from None
    heard = example.measurements
    if len({one.receiver for one in heard}) < len(heard):
        raise Wrong("receiver_twice", "a receiver stands twice in measurements", "properties.measurements")
    if not heard and example.recording is None:
        raise Wrong("not_heard", "no receiver heard it", "properties.measurements")
    return msgspec.structs.replace(example, measurements=tuple(_placed(one, sites) for one in heard))


def _placed(one: Measurement, sites: Mapping[str, Measurement]) -> Measurement:
    site = sites.get(one.receiver)
    if site is None or place_of(one) is not None:
        return one
    return msgspec.structs.replace(one, latitude=site.latitude, longitude=site.longitude, altitude_m=site.altitude_m)
