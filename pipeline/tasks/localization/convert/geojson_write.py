"""Rows as GeoJSON (RFC 7946): receivers, truths, fixes, and the ellipses about them as polygons."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.tasks.localization.convert.geojson_read import GIVEN
from pipeline.tasks.localization.convert.outline import as_geometry
from pipeline.tasks.localization.ellipse import ring
from pipeline.tasks.localization.rows import Ellipse, Example, Measurement, Prediction

Record = Example | Prediction


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
        if one.receiver not in seen and one.latitude is not None and one.longitude is not None:
            seen.add(one.receiver)
            point = _point(one.latitude, one.longitude, one.altitude_m)
            yield _feature(f"receiver/{one.receiver}", point, {"role": "receiver", "receiver": one.receiver})


def _transmission(record: Record) -> dict[str, Any]:
    known = record.latitude is not None and record.longitude is not None
    given = {name: value for name in GIVEN if (value := getattr(record, name)) is not None}
    properties = {"role": "truth", "record": record.id} | given
    measurements = [_measured(one) for one in record.measurements]
    point = _point(record.latitude, record.longitude) if known else None
    return _feature(f"{record.id}/truth", point, properties | {"measurements": measurements})


def _measured(one: Measurement) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(one).items() if value is not None}


def _answer(row: Prediction) -> Iterator[dict[str, Any]]:
    if row.fix_latitude is None or row.fix_longitude is None:
        return
    said = {"role": "fix", "record": row.id, "model": row.model, "covariance_m2": row.covariance_m2}
    yield _feature(f"{row.id}/fix", _point(row.fix_latitude, row.fix_longitude), said)
    for ellipse in sorted(row.ellipses, key=lambda one: -one.probability):
        if not ellipse.degenerate or ellipse.semi_minor_m > 0:
            yield _ellipse(row, ellipse)


def _ellipse(row: Prediction, ellipse: Ellipse) -> dict[str, Any]:
    assert row.fix_latitude is not None and row.fix_longitude is not None
    outline = ring(row.fix_latitude, row.fix_longitude, ellipse)
    properties = {"role": "ellipse", "record": row.id} | msgspec.to_builtins(ellipse)
    return _feature(f"{row.id}/ellipse/{ellipse.probability:g}", as_geometry(outline), properties)


def _point(latitude: Any, longitude: Any, altitude_m: float | None = None) -> dict[str, Any]:
    height = [] if altitude_m is None else [altitude_m]
    return {"type": "Point", "coordinates": [longitude, latitude, *height]}


def _feature(id: str, geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "id": id, "geometry": geometry, "properties": properties}
