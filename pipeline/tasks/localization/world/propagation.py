"""How a transmission comes to the receivers, and what is drawn anew for each: all constants of the simulated world."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pipeline.stats import Floats
from pipeline.tasks.localization.world.receivers import Receiver, places_m

REFRACTIVE_INDEX = 1.000315  # of air at the ground, 315 N-units (ITU-R P.453)
SPEED_M_PER_NS = 0.299792458 / REFRACTIVE_INDEX

# Where transmitters are, and how high above the ellipsoid.
LATITUDES, LONGITUDES, ALTITUDE_M = (44.3, 45.6), (7.1, 9.3), 10.0
BANDS_MHZ = ((144.0, 146.0), (430.0, 440.0))

EIRP_DBM = (40.0, 6.0)  # mean and standard deviation
REFERENCE_M = 1000.0  # up to here a signal spreads as in free space
SHADOWING_RANGE_M = 20_000.0  # distance of two receivers at which their shadowing has correlation 1/e
LEVEL_NOISE_DB = 1.0
SENSITIVITY_DBM = -110.0
DROPOUT = 0.08
LEAST_HEARD = 3

_HORIZON_DB_PER_KM, _HORIZON_MOST_DB = 0.3, 30.0
_GROUND_M, _LEAST_HEIGHT_M = 100.0, 10.0  # receivers look over ground of this height


def free_space_db(range_m: ArrayLike, frequency_mhz: ArrayLike) -> Floats:
    """Path loss in free space (ITU-R P.525)."""
    return np.asarray(20.0 * np.log10(range_m) + 20.0 * np.log10(frequency_mhz) - 27.55)


def horizon_loss_db(range_m: ArrayLike, receiver_altitude_m: ArrayLike) -> Floats:
    """What is lost beyond the radio horizon of a receiver, by its height [R] and distance [..., R]."""
    height = np.maximum(np.asarray(receiver_altitude_m) - _GROUND_M, _LEAST_HEIGHT_M)
    horizon_km = 4.12 * (np.sqrt(height) + np.sqrt(ALTITUDE_M))
    beyond_km = np.maximum(np.asarray(range_m) / 1000.0 - horizon_km, 0.0)
    return np.asarray(np.minimum(_HORIZON_DB_PER_KM * beyond_km, _HORIZON_MOST_DB))


def path_loss_db(range_m: Floats, frequency_mhz: ArrayLike, exponent: ArrayLike, altitude_m: ArrayLike) -> Floats:
    """Mean loss on the way to receivers of altitudes [R]: [..., R], from ranges [..., R].

    ``frequency_mhz`` and ``exponent`` are [..., 1] or numbers. A mean level is the EIRP less this.
    """
    further = 10.0 * np.asarray(exponent) * np.log10(np.maximum(range_m, 1.0) / REFERENCE_M)
    return free_space_db(REFERENCE_M, frequency_mhz) + further + horizon_loss_db(range_m, altitude_m)


def shadowing_correlation(receivers: Sequence[Receiver]) -> Floats:
    """Correlation of the shadowing between receivers: [R, R]."""
    places = places_m(receivers)
    distances = np.linalg.norm(places[:, None] - places[None, :], axis=-1)
    return np.asarray(np.exp(-distances / SHADOWING_RANGE_M))
