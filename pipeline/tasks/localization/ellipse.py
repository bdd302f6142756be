"""Ellipses of a Gaussian in two dimensions: their axes, and their outline on WGS84.

A Gaussian has the probability p within the ellipse at sqrt(-2 ln(1 - p)) standard deviations (1.177 for .5, 1.510 for
.68, 2.146 for .9, 2.448 for .95): the squared distance is chi-square with two degrees of freedom.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization.geo import to_degrees
from pipeline.tasks.localization.rows import Covariance, Ellipse

PROBABILITIES = (0.5, 0.68, 0.9, 0.95)
NUM_CORNERS = 128  # of an outline: its area is .04 % less than that of the ellipse
ROUNDING = 1e-9  # of the larger variance: less than this is no extent, and no difference between axes


class Axes(NamedTuple):
    """Of N Gaussians: standard deviations along both axes and direction of the major one. All are [N].

    ``azimuth_deg`` is clockwise from north, in [0, 180), and 0 where the axes are equal. ``degenerate`` are those whose
    minor axis has no length, or whose axes are equal.
    """

    major_m: Floats
    minor_m: Floats
    azimuth_deg: Floats
    degenerate: NDArray[np.bool_]


def scale(probability: float) -> float:
    """How many standard deviations the ellipse of ``probability`` reaches."""
    return float(np.sqrt(-2 * np.log1p(-probability)))


def axes(covariances: ArrayLike) -> Axes:
    """The axes of ``covariances`` [N, 3]: (east east, east north, north north), in square metres.

    Raises UserError for a covariance that is not finite, or that has a negative variance in some direction. None is
    changed to fit.
    """
    covariances = np.asarray(covariances, np.float64).reshape(-1, 3)
    east, both, north = covariances.T
    mean, difference = (east + north) / 2, (east - north) / 2
    radius = np.hypot(difference, both)
    with np.errstate(invalid="ignore"):  # infinity less infinity: refused below
        major, minor = mean + radius, mean - radius
    bad = ~np.isfinite(covariances).all(axis=1) | ~(minor >= -ROUNDING * np.abs(major))
    if bad.any():
        values = ", ".join(f"{value:g}" for value in covariances[bad.argmax()])
        raise UserError(
            f"({values}) is no covariance: it must be finite, and no direction may have a negative variance",
            where="covariance_m2 (east east, east north, north north)",
            remedy="say what the model answered: a covariance that had to be changed would no longer be its own",
        )
    equal = radius <= ROUNDING * major
    azimuth = np.degrees(np.arctan2(both, -difference) / 2) % 180  # of the larger variance, from north to east
    return Axes(
        major_m=np.sqrt(major.clip(0)),
        minor_m=np.sqrt(minor.clip(0)),
        azimuth_deg=np.where(equal | (azimuth >= 180), 0.0, azimuth),  # -1e-20 % 180 is 180
        degenerate=equal | (minor <= ROUNDING * major),
    )


def ellipses(covariance: Covariance) -> tuple[Ellipse, ...]:
    """The ellipses of a prediction, one for each of `PROBABILITIES`. Raises UserError as `axes`."""
    found = axes(covariance)
    return tuple(
        Ellipse(
            probability=probability,
            semi_major_m=float(found.major_m[0]) * scale(probability),
            semi_minor_m=float(found.minor_m[0]) * scale(probability),
            azimuth_deg=float(found.azimuth_deg[0]),
            degenerate=bool(found.degenerate[0]),
        )
        for probability in PROBABILITIES
    )


def area_m2(covariances: ArrayLike, probability: float) -> Floats:
    """Square metres within the ellipses of ``covariances`` [N, 3]. Raises UserError as `axes`."""
    found = axes(covariances)
    return np.pi * scale(probability) ** 2 * found.major_m * found.minor_m


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
