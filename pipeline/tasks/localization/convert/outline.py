"""The outline of an area on Earth as a geometry of GeoJSON: closed, counter-clockwise, cut where maps end.

RFC 7946 asks that what crosses the antimeridian be cut there (section 3.1.9), and that the outer ring go round
counter-clockwise (3.1.6). An area that holds a pole goes along the antimeridian to it and back.
"""

from typing import Any

import numpy as np

from pipeline.stats import Floats

HALF_TURN, TURN = 180.0, 360.0


def as_geometry(ring: Floats) -> dict[str, Any]:
    """A Polygon, or a MultiPolygon of parts on both sides of the antimeridian.

    ``ring`` [N, 2] is (latitude, longitude) in degrees, closed and counter-clockwise as seen from above; no two corners
    that follow one another are 180 degrees of longitude apart, or more.
    """
    longitudes = np.unwrap(ring[:, 1], period=TURN)
    corners = np.stack([longitudes, ring[:, 0]], axis=1)
    turns = round((longitudes[-1] - longitudes[0]) / TURN)
    if turns:
        return {"type": "Polygon", "coordinates": [_closed(_about_pole(corners[:-1], turns))]}
    parts = []
    for shift in (-TURN, 0.0, TURN):
        part = _beyond(_beyond(corners[:-1], shift - HALF_TURN, 1), shift + HALF_TURN, -1)
        if len(part) >= 3:
            parts.append(_closed(part - (shift, 0.0)))
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": [parts[0]]}
    return {"type": "MultiPolygon", "coordinates": [[part] for part in parts]}


def _about_pole(corners: Floats, turns: int) -> Floats:
    """The ring of an area that holds the north pole (it goes round eastward, ``turns`` 1) or the south pole (-1)."""
    start = -HALF_TURN * turns
    offset = (corners[:, 0] - start) * turns % TURN  # degrees that each corner lies beyond the antimeridian
    first = int(offset.argmin())
    ordered, offset = np.roll(corners[:, 1], -first), np.roll(offset, -first)
    share = offset[0] / (offset[0] - offset[-1] + TURN)
    crossing = ordered[0] + share * (ordered[-1] - ordered[0])
    pole = 90.0 * turns
    along = np.stack([start + turns * offset, ordered], axis=1)
    return np.concatenate([[(start, crossing)], along, [(-start, crossing), (-start, pole), (start, pole)]])


def _beyond(corners: Floats, limit: float, sign: int) -> Floats:
    """The part of an area east (``sign`` 1) or west (-1) of a meridian (Sutherland and Hodgman 1974): [M, 2]."""
    kept: list[Floats] = []
    for one, following in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ahead, behind = sign * (one[0] - limit), sign * (following[0] - limit)
        if ahead >= 0:
            kept.append(one)
        if ahead * behind < 0:
            share = ahead / (ahead - behind)
            kept.append(np.array([limit, one[1] + share * (following[1] - one[1])]))
    return np.array(kept).reshape(-1, 2)


def _closed(corners: Floats) -> list[list[float]]:
    listed: list[list[float]] = corners.tolist()
    return [*listed, listed[0]]
