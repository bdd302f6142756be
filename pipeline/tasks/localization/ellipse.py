"""Ellipses of a Gaussian in two dimensions: their axes, and their outline on WGS84.

A Gaussian has the probability p within the ellipse at sqrt(-2 ln(1 - p)) standard deviations (1.177 for .5, 1.510 for
.68, 2.146 for .9, 2.448 for .95): the squared distance is chi-square with two degrees of freedom.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization.geo import to_degrees
from pipeline.tasks.localization.rows import Covariance, Ellipse

PROBABILITIES = (0.5, 0.68, 0.9, 0.95)
NUM_CORNERS = 128  # of an outline: its area is .04 % less than that of the ellipse
ROUNDING = 1e-9  # of the larger variance: less than this is no extent, and no difference between axes


def scale(probability: float) -> float:
    """How many standard deviations the ellipse of ``probability`` reaches."""
    return math.sqrt(-2 * math.log1p(-probability))


SCALES = tuple(map(scale, PROBABILITIES))


def are_covariances(covariances: ArrayLike) -> NDArray[np.bool_]:
    """Which of ``covariances`` [..., 3] are finite and have no negative variance in any direction: [...]."""
    east, both, north = np.moveaxis(np.asarray(covariances, np.float64), -1, 0)
    with np.errstate(invalid="ignore", over="ignore"):
        major = (east + north) / 2 + np.hypot((east - north) / 2, both)
        return np.asarray(np.isfinite(major) & (east + north - major >= -ROUNDING * major))


def ellipses(covariance: Covariance, scales: Sequence[float] = SCALES) -> tuple[Ellipse, ...]:
    """The ellipses of a covariance (east east, east north, north north) in square metres, one for each of
    `PROBABILITIES`. ``scales`` are how many standard deviations they reach, where it is not a Gaussian that has it.

    Raises UserError where it is not finite, or has a negative variance in some direction. It is not changed to fit.
    """
    east, both, north = covariance
    mean, difference = (east + north) / 2, (east - north) / 2
    radius = math.hypot(difference, both)
    major, minor = mean + radius, mean - radius
    if not (math.isfinite(major) and minor >= -ROUNDING * major):
        raise UserError(
            f"({east:g}, {both:g}, {north:g}) is no covariance: it must be finite and have no negative variance",
            where="covariance_m2 (east east, east north, north north)",
            remedy="write what the model answered: a covariance that was changed to fit is no longer its own",
        )
    equal = radius <= ROUNDING * major
    azimuth = 0.0 if equal else math.degrees(math.atan2(both, -difference) / 2) % 180
    return tuple(
        Ellipse(
            probability=probability,
            semi_major_m=math.sqrt(major) * reach,
            semi_minor_m=math.sqrt(max(minor, 0.0)) * reach,
            azimuth_deg=0.0 if azimuth >= 180 else azimuth,  # -1e-20 % 180 is 180
            degenerate=equal or minor <= ROUNDING * major,
        )
        for probability, reach in zip(PROBABILITIES, scales, strict=True)
    )


def ring(latitude: float, longitude: float, ellipse: Ellipse, num_corners: int = NUM_CORNERS) -> Floats:
    """The outline of an ellipse about a place: (latitude, longitude) in degrees, float64 [num_corners + 1, 2].

    The last corner is the first one again; seen from above they go round counter-clockwise. Every corner lies where
    the geodesic from the middle says. Longitudes are in [-180, 180]: what crosses the antimeridian jumps there.
    """
    angles = np.linspace(0, 2 * np.pi, num_corners, endpoint=False)
    along = ellipse.semi_major_m * np.cos(angles)
    left = ellipse.semi_minor_m * np.sin(angles)
    azimuth = np.radians(ellipse.azimuth_deg)
    east = along * np.sin(azimuth) - left * np.cos(azimuth)
    north = along * np.cos(azimuth) + left * np.sin(azimuth)
    corners = to_degrees(np.stack([east, north], axis=1), (latitude, longitude))
    return np.concatenate([corners, corners[:1]])
