"""The receivers of the simulated world, and distances to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_EQUATOR_M, _FLATTENING = 6_378_137.0, 1.0 / 298.257223563  # WGS84
_ECCENTRICITY_2 = _FLATTENING * (2.0 - _FLATTENING)


@dataclass(frozen=True)
class Receiver:
    """Where a receiver stands: degrees on WGS84, metres above its ellipsoid."""

    name: str
    latitude: float
    longitude: float
    altitude_m: float


SITES = (
    Receiver("Aquila di Giaveno", 45.02, 7.29, 600.0),
    Receiver("Montanaro", 45.234, 7.857, 300.0),
    Receiver("Torino", 45.044, 7.672, 250.0),
    Receiver("Coazze", 45.03, 7.27, 700.0),
    Receiver("Passo dei Giovi", 44.561, 8.956, 480.0),
    Receiver("Genova", 44.395, 8.956, 100.0),
    Receiver("Milano-Baggio", 45.478, 9.123, 120.0),
)


def earth_centred_m(latitude: ArrayLike, longitude: ArrayLike, altitude_m: ArrayLike) -> Floats:
    """Places as Cartesian coordinates that turn with the earth: float64 [..., 3], in metres."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    height = np.asarray(altitude_m, np.float64)
    normal = _EQUATOR_M / np.sqrt(1.0 - _ECCENTRICITY_2 * np.sin(phi) ** 2)
    across = (normal + height) * np.cos(phi)
    up = (normal * (1.0 - _ECCENTRICITY_2) + height) * np.sin(phi)
    return np.stack([across * np.cos(lam), across * np.sin(lam), np.broadcast_to(up, np.shape(across * lam))], -1)


def places_m(receivers: Sequence[Receiver]) -> Floats:
    """`earth_centred_m` of receivers: [R, 3]."""
    rows = np.array([(one.latitude, one.longitude, one.altitude_m) for one in receivers])
    return earth_centred_m(*rows.T)


def ranges_m(latitude: ArrayLike, longitude: ArrayLike, altitude_m: ArrayLike, receivers: Floats) -> Floats:
    """Straight lines from transmitters [...] to receivers ([R, 3], of `places_m`): float64 [..., R], in metres."""
    sources = earth_centred_m(latitude, longitude, altitude_m)
    return np.asarray(np.linalg.norm(sources[..., None, :] - receivers, axis=-1))
