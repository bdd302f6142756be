"""Places on WGS84: degrees to local metres and back, distances along geodesics, and Cartesian coordinates.

A local frame is the azimuthal equidistant projection about a centre: a place lies in it as far from the origin, and in
that direction, as the geodesic from the centre says (Snyder, Map Projections, 1987, chapter 25). Only what starts at
the centre is true to scale: 100 km away other lengths are too long by up to .004 %, and north is turned (`turned`).

Places are float64 [..., 2], (latitude, longitude) in degrees; local ones (east, north) in metres.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pyproj import Geod

from pipeline.stats import Floats

GEOD = Geod(ellps="WGS84")


def to_local(places: ArrayLike, centre: ArrayLike) -> Floats:
    """Where ``places`` [..., 2] lie in the frames about ``centre`` [..., 2], which broadcast against each other."""
    azimuths, _, distances = _inverse(centre, places)
    radians = np.radians(azimuths)
    return np.stack([distances * np.sin(radians), distances * np.cos(radians)], axis=-1)


def to_degrees(local: ArrayLike, centre: ArrayLike) -> Floats:
    """The places at ``local`` [..., 2] in the frames about ``centre`` [..., 2]; longitudes in [-180, 180]."""
    local, centre = np.broadcast_arrays(np.asarray(local, np.float64), np.asarray(centre, np.float64))
    azimuths = np.degrees(np.arctan2(local[..., 0], local[..., 1]))
    distances = np.hypot(local[..., 0], local[..., 1])
    longitudes, latitudes, _ = GEOD.fwd(centre[..., 1], centre[..., 0], azimuths, distances)
    return np.stack([latitudes, longitudes], axis=-1)


def distance_m(places: ArrayLike, others: ArrayLike) -> Floats:
    """The length of the geodesic between places [..., 2] and others [..., 2]."""
    return np.asarray(_inverse(places, others)[2], np.float64)


def turned(places: ArrayLike, centre: ArrayLike) -> Floats:
    """By how many radians, clockwise, north at ``places`` is turned against that of the frames about ``centre``."""
    azimuths, back_azimuths, _ = _inverse(centre, places)
    return np.radians(azimuths - (back_azimuths + 180))


def place_at(local: Sequence[float], centre: Sequence[float]) -> tuple[float, float, float]:
    """`to_degrees` and `turned` of a single place: its latitude, its longitude, and how far its north is turned."""
    (east, north), (latitude, longitude) = local, centre
    azimuth, distance = math.degrees(math.atan2(east, north)), math.hypot(east, north)
    there, up, back_azimuth = GEOD.fwd(longitude, latitude, azimuth, distance)
    return up, there, math.radians(azimuth - (back_azimuth + 180))


def to_cartesian(places: ArrayLike, altitude_m: ArrayLike) -> Floats:
    """Metres from the centre of the Earth, [..., 3] (Earth-centred, Earth-fixed), at heights above the ellipsoid."""
    latitude, longitude = np.radians(np.moveaxis(np.asarray(places, np.float64), -1, 0))
    height = np.asarray(altitude_m, np.float64)
    to_axis = GEOD.a / np.sqrt(1 - GEOD.es * np.sin(latitude) ** 2)  # from the surface, along the vertical
    from_axis = (to_axis + height) * np.cos(latitude)
    up = (to_axis * (1 - GEOD.es) + height) * np.sin(latitude)
    return np.stack(np.broadcast_arrays(from_axis * np.cos(longitude), from_axis * np.sin(longitude), up), axis=-1)


def _inverse(start: ArrayLike, end: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Azimuths at the start, azimuths back at the end (degrees), lengths (metres)."""
    start, end = np.broadcast_arrays(np.asarray(start, np.float64), np.asarray(end, np.float64))
    azimuths, back_azimuths, lengths = GEOD.inv(start[..., 1], start[..., 0], end[..., 1], end[..., 0])
    return azimuths, back_azimuths, lengths
