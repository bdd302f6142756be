"""Transmissions and receivers from a GeoJSON file (RFC 7946).

A feature with ``measurements`` in its properties is a transmission, and its point the truth (null: nobody knows); any
other point is a receiver, called by ``receiver`` or ``name`` of its properties or by its id. A third coordinate is the
height. What `geojson_write` makes of fixes and ellipses is passed over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files.document import read_json
from pipeline.records.findings import Findings, Place, Wrong
from pipeline.tasks.localization.convert.table import checked_place
from pipeline.tasks.localization.rows import Example, Measurement

DRAWN = ("fix", "ellipse")  # roles of features that say what a model answered
GIVEN = ("frequency_mhz", "altitude_m", "kind", "group", "time", "recording")  # fields of an example among properties


@dataclass(frozen=True)
class Feature:
    """A feature of the file: where it stands there, the id it is known by, its properties and its point."""

    at: Place
    id: str | None
    properties: Mapping[str, Any]
    point: tuple[float, ...] | None


def read_receivers(path: Path, findings: Findings) -> list[Measurement]:
    """The receivers of a file, as measurements that say nothing but places. Raises UserError."""
    features = list(_features(path, findings))
    return [*_receivers([one for one in features if "measurements" not in one.properties], findings).values()]


def read_examples(path: Path, findings: Findings) -> list[Example]:
    """The transmissions of a file. A measurement without a place has that of the receiver of its name, if the file has
    it. What is bad is left out, and noted. Raises UserError."""
    features = list(_features(path, findings))
    receivers = _receivers([one for one in features if "measurements" not in one.properties], findings)
    examples: dict[str, Example] = {}
    for number, feature in enumerate(one for one in features if "measurements" in one.properties):
        with findings.at(feature.at, feature.id):
            example = _example(feature.id or str(number), feature, receivers)
            if example.id in examples:
                raise Wrong("id_twice", f"the id {example.id!r} stands more than once")
            examples[example.id] = example
    return [*examples.values()]


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
            if properties.get("role") in DRAWN:
                continue
            name = properties.get("record", one.get("id"))
            yield Feature(at, None if name is None else str(name), properties, _point(one.get("geometry")))


def _point(geometry: Any) -> tuple[float, ...] | None:
    """Longitude, latitude and perhaps height. Raises Wrong."""
    if geometry is None:
        return None
    try:
        kind, found = geometry["type"], msgspec.convert(geometry["coordinates"], tuple[float, ...])
    except (TypeError, KeyError, msgspec.ValidationError):
        kind, found = None, ()
    if kind != "Point" or len(found) < 2:
        raise Wrong("wrong_type", "it is neither a point nor without a geometry", "geometry")
    checked_place(found[1], found[0])
    return found


def _receivers(features: list[Feature], findings: Findings) -> dict[str, Measurement]:
    found: dict[str, Measurement] = {}
    for one in features:
        with findings.at(one.at, one.id):
            name = one.properties.get("receiver", one.properties.get("name", one.id))
            if one.point is None or name is None:
                raise Wrong("no_place", "a receiver has a name and a point")
            if str(name) in found:
                raise Wrong("id_twice", f"the receiver {name!r} stands more than once")
            height = one.point[2] if len(one.point) > 2 else None
            found[str(name)] = Measurement(
                receiver=str(name), latitude=one.point[1], longitude=one.point[0], altitude_m=height
            )
    return found


def _example(id: str, feature: Feature, receivers: Mapping[str, Measurement]) -> Example:
    said = feature.properties["measurements"]
    if isinstance(said, dict):  # the level of each receiver
        said = [{"receiver": name, "level_dbm": level} for name, level in said.items()]
    try:
        measurements = msgspec.convert(said, tuple[Measurement, ...])
        given = {name: feature.properties[name] for name in GIVEN if feature.properties.get(name) is not None}
        example = msgspec.convert({"id": id, "measurements": [], **given}, Example)
    except msgspec.ValidationError as error:
        raise Wrong("wrong_type", str(error), "properties") from None
    if len({one.receiver for one in measurements}) < len(measurements):
        raise Wrong("receiver_twice", "a receiver stands twice in measurements", "properties.measurements")
    if not measurements and example.recording is None:
        raise Wrong("not_heard", "no receiver heard it", "properties.measurements")
    return msgspec.structs.replace(
        example,
        measurements=tuple(_placed(one, receivers) for one in measurements),
        latitude=None if feature.point is None else feature.point[1],
        longitude=None if feature.point is None else feature.point[0],
    )


def _placed(one: Measurement, receivers: Mapping[str, Measurement]) -> Measurement:
    site = receivers.get(one.receiver)
    if one.latitude is not None or site is None:
        return one
    return msgspec.structs.replace(one, latitude=site.latitude, longitude=site.longitude, altitude_m=site.altitude_m)
