"""Rows as GeoJSON (RFC 7946): receivers, truths, fixes, and the ellipses about them as polygons."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.tasks.localization.convert.outline import as_geometry
from pipeline.tasks.localization.ellipse import ring
from pipeline.tasks.localization.rows import Degrees, Example, Prediction, fix_of, place_of

Record = Example | Prediction
GIVEN = ("frequency_mhz", "altitude_m", "kind", "group", "time", "recording")  # fields of an example among properties


def document(records: Sequence[Record]) -> dict[str, Any]:
    """A collection of features: receivers, then of each record its truth (a transmission without a geometry where
    nobody knows it), its fix and its ellipses, the largest first."""
    features = [*_receivers(records)]
    for record in records:
        features.append(_transmission(record))
        if isinstance(record, Prediction):
            features += _answer(record)
    return {"type": "FeatureCollection", "features": features}


def _receivers(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Each receiver where it stood first."""
    seen: set[str] = set()
    for one in (one for record in records for one in record.measurements):
        place = place_of(one)
        if one.receiver not in seen and place is not None:
            seen.add(one.receiver)
            said = {"role": "receiver", "receiver": one.receiver}
            yield _feature(f"receiver/{one.receiver}", _point(place, one.altitude_m), said)


def _transmission(record: Record) -> dict[str, Any]:
    place = place_of(record)
    given = {name: value for name in GIVEN if (value := getattr(record, name)) is not None}
    said = {"role": "truth", "record": record.id} | given
    measurements = [
        {name: value for name, value in msgspec.to_builtins(one).items() if value is not None}
        for one in record.measurements
    ]
    return _feature(f"{record.id}/truth", place and _point(place), said | {"measurements": measurements})


def _answer(row: Prediction) -> Iterator[dict[str, Any]]:
    fix = fix_of(row)
    if fix is None:
        return
    said = {"role": "fix", "record": row.id, "model": row.model, "covariance_m2": row.covariance_m2}
    yield _feature(f"{row.id}/fix", _point(fix), said)
    for one in sorted(row.ellipses, key=lambda one: -one.probability):
        if not one.degenerate or one.semi_minor_m > 0:
            outline = as_geometry(ring(*fix, one))
            said = {"role": "ellipse", "record": row.id} | msgspec.to_builtins(one)
            yield _feature(f"{row.id}/ellipse/{one.probability:g}", outline, said)


def _point(place: Degrees, altitude_m: float | None = None) -> dict[str, Any]:
    latitude, longitude = place
    height = [] if altitude_m is None else [altitude_m]
    return {"type": "Point", "coordinates": [longitude, latitude, *height]}


def _feature(id: str, geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "id": id, "geometry": geometry, "properties": properties}
