"""The receivers of the simulated world, and distances to them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.stats import Floats
from pipeline.tasks.localization.geo import to_cartesian


class Receiver(NamedTuple):
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


def places_m(receivers: Sequence[Receiver]) -> Floats:
    """Receivers in Cartesian coordinates (`geo.to_cartesian`): [R, 3]."""
    places = [(one.latitude, one.longitude) for one in receivers]
    return to_cartesian(places, [one.altitude_m for one in receivers])


def ranges_m(places: ArrayLike, altitude_m: ArrayLike, receivers: Floats) -> Floats:
    """Straight lines from ``places`` [..., 2] in degrees to receivers [R, 3] of `places_m`: float64 [..., R]."""
    sources = to_cartesian(places, altitude_m)
    return np.asarray(np.linalg.norm(sources[..., None, :] - receivers, axis=-1))
