"""Mixtures of Gaussians over places: density, moments, and the region of highest density that a place lies in.

A batch holds N mixtures of K components, each mixture in a local frame of its own (`geo`); one that has fewer has
components of weight 0. What a row says of them is written by `told` and read by `of_predictions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import axes, ellipses
from pipeline.tasks.localization.rows import Component, Prediction

NUM_POINTS = 512  # of each component, for regions: see `region`
NUM_TOGETHER = 256  # mixtures: what they need at once stays in the processor's cache
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Mixtures:
    """``weights`` [N, K] add up to 1, ``means`` [N, K, 2] are (east, north) in metres, ``covariances`` [N, K, 3] (east
    east, east north, north north) in square metres."""

    weights: Floats
    means: Floats
    covariances: Floats

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, which: Any) -> "Mixtures":
        """Those of a slice, a mask or an array of indices."""
        return Mixtures(self.weights[which], self.means[which], self.covariances[which])


def log_density(mixtures: Mixtures, points: ArrayLike) -> Floats:
    """The logarithm of the density per square metre at ``points``: [N, M, 2] gives [N, M], [N, 2] gives [N]."""
    points = np.asarray(points, np.float64)
    if points.ndim == 2:
        return log_density(mixtures, points[:, None])[:, 0]
    east_east, both, north_north = np.moveaxis(mixtures.covariances, -1, 0)
    determinant = east_east * north_north - both**2
    with np.errstate(divide="ignore"):
        heights = np.log(mixtures.weights) - np.log(2 * np.pi) - np.log(determinant) / 2
    total = np.full(points.shape[:2], -np.inf)
    for k in range(mixtures.weights.shape[1]):
        east, north = np.moveaxis(points - mixtures.means[:, None, k], -1, 0)
        a, b, c = (part[:, k, None] for part in (north_north, both, east_east))
        squared = (a * east**2 - 2 * b * east * north + c * north**2) / determinant[:, k, None]
        np.logaddexp(total, heights[:, k, None] - squared / 2, out=total)
    return total


def moments(mixtures: Mixtures) -> tuple[Floats, Floats]:
    """The mean [N, 2] and the covariance [N, 3] of each mixture as a whole."""
    means = np.einsum("nk,nkd->nd", mixtures.weights, mixtures.means)
    east, north = np.moveaxis(mixtures.means - means[:, None], -1, 0)
    spread = np.stack([east**2, east * north, north**2], axis=-1)
    return means, np.einsum("nk,nkd->nd", mixtures.weights, mixtures.covariances + spread)


def region(mixtures: Mixtures, points: ArrayLike) -> Floats:
    """The probability of all places that are likelier than ``points`` [N, 2]: of the least region of highest density
    that contains each, in [0, 1]. Uniform for points that are drawn from their mixtures.

    Exact for one Gaussian (chi-square). For several it is the share of `NUM_POINTS` fixed points of each component
    (`_spiral`): against 200 times as many it was off by .0007 on average and .006 at most, in 1,800 mixtures of 2 to 4
    components; .4 ms a mixture of 4.
    """
    points = np.asarray(points, np.float64)
    found = np.empty(len(mixtures))
    one = (mixtures.weights > 0).sum(axis=1) == 1
    found[one] = _region_of_one(mixtures[one], points[one])
    several = np.flatnonzero(~one)
    for start in range(0, len(several), NUM_TOGETHER):
        chunk = several[start : start + NUM_TOGETHER]
        found[chunk] = _region_of_several(mixtures[chunk], points[chunk], NUM_POINTS)
    return found


def _region_of_one(mixtures: Mixtures, points: Floats) -> Floats:
    rows = np.arange(len(mixtures))
    k = mixtures.weights.argmax(axis=1)
    east_east, both, north_north = mixtures.covariances[rows, k].T
    east, north = (points - mixtures.means[rows, k]).T
    squared = north_north * east**2 - 2 * both * east * north + east_east * north**2
    within: Floats = -np.expm1(-squared / (east_east * north_north - both**2) / 2)
    return within


def _region_of_several(mixtures: Mixtures, points: Floats, num_points: int) -> Floats:
    limit = log_density(mixtures, points)
    sample = _spiral(num_points)
    found = np.zeros(len(mixtures))
    for k in range(mixtures.weights.shape[1]):
        factors = _cholesky(mixtures.covariances[:, k])
        places = mixtures.means[:, None, k] + np.einsum("nij,mj->nmi", factors, sample)
        likelier = log_density(mixtures, places) > limit[:, None]
        found += mixtures.weights[:, k] * likelier.mean(axis=1)
    return found


def _spiral(num: int) -> Floats:
    """Points [num, 2] that stand for a standard Gaussian, each for the same probability.

    Radii are the quantiles of their distribution, angles go on by the golden angle, so that no direction is left out.
    """
    order = np.arange(num)
    radii = np.sqrt(-2 * np.log1p(-(order + 0.5) / num))
    angles = order * GOLDEN_ANGLE
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _cholesky(covariances: Floats) -> Floats:
    """The lower factors [N, 2, 2] of covariances [N, 3], also where they have no area."""
    east_east, both, north_north = covariances.T
    factors = np.zeros((len(covariances), 2, 2))
    factors[:, 0, 0] = np.sqrt(east_east)
    factors[:, 1, 0] = both / np.where(east_east > 0, factors[:, 0, 0], 1)
    factors[:, 1, 1] = np.sqrt((north_north - factors[:, 1, 0] ** 2).clip(0))
    return factors


def told(mixtures: Mixtures, centre: ArrayLike) -> list[dict[str, Any]]:
    """What a prediction says of each mixture about ``centre`` [N, 2]: its fields by name, ready for the row.

    The fix is the mean of the mixture and the ellipses are those of its moments. Covariances are turned to the north of
    the place that they belong to. Raises UserError for what is no covariance.
    """
    centre = np.broadcast_to(np.asarray(centre, np.float64), (len(mixtures), 2))
    means, covariances = moments(mixtures)
    fixes = geo.to_degrees(means, centre)
    covariances = _turn(covariances, geo.turned(fixes, centre))
    places = geo.to_degrees(mixtures.means, centre[:, None])
    own = _turn(mixtures.covariances, geo.turned(places, centre[:, None]))
    answers = []
    for n, fix in enumerate(fixes):
        used = np.flatnonzero(mixtures.weights[n] > 0)
        axes(own[n, used])
        components = [
            Component(
                weight=float(mixtures.weights[n, k]),
                latitude=float(places[n, k, 0]),
                longitude=float(places[n, k, 1]),
                covariance_m2=_as_tuple(own[n, k]),
            )
            for k in used
        ]
        answers.append(
            {
                "fix_latitude": float(fix[0]),
                "fix_longitude": float(fix[1]),
                "covariance_m2": _as_tuple(covariances[n]),
                "components": tuple(components) if len(components) > 1 else (),
                "ellipses": ellipses(_as_tuple(covariances[n])),
            }
        )
    return answers


def of_predictions(predictions: Sequence[Prediction]) -> tuple[Mixtures, Floats]:
    """What predictions without errors say: their mixtures, each about its fix, and the fixes [N, 2] in degrees.

    Raises UserError for a prediction without a fix, and for what is no covariance or has no area: a density that is
    infinite.
    """
    fixes, num = np.empty((len(predictions), 2)), max((len(p.components) or 1 for p in predictions), default=1)
    places = np.empty((len(predictions), num, 2))
    weights = np.zeros((len(predictions), num))
    covariances = np.tile([1.0, 0.0, 1.0], (len(predictions), num, 1))
    for n, p in enumerate(predictions):
        if p.fix_latitude is None or p.fix_longitude is None or p.covariance_m2 is None:
            raise UserError("a prediction has neither a fix with its covariance nor an error", where=f"record {p.id!r}")
        fixes[n] = p.fix_latitude, p.fix_longitude
        places[n] = fixes[n]
        parts = p.components or (
            Component(weight=1, latitude=fixes[n, 0], longitude=fixes[n, 1], covariance_m2=p.covariance_m2),
        )
        weights[n, : len(parts)] = [c.weight for c in parts]
        covariances[n, : len(parts)] = [c.covariance_m2 for c in parts]
        places[n, : len(parts)] = [(c.latitude, c.longitude) for c in parts]
    _refuse_bad(predictions, weights, covariances)
    covariances = _turn(covariances, -geo.turned(places, fixes[:, None]))
    return Mixtures(weights, geo.to_local(places, fixes[:, None]), covariances), fixes


def _refuse_bad(predictions: Sequence[Prediction], weights: Floats, covariances: Floats) -> None:
    if not len(predictions):
        return
    try:
        flat = (axes(covariances.reshape(-1, 3)).minor_m == 0).reshape(weights.shape).any(axis=1)
    except UserError:
        for prediction, own in zip(predictions, covariances, strict=True):
            try:
                axes(own)
            except UserError as error:
                raise error.at(f"record {prediction.id!r}, {error.where}") from error
        raise
    wrong = ~np.isclose(weights.sum(axis=1), 1, atol=1e-6) | (weights < 0).any(axis=1)
    if flat.any():
        raise UserError(
            "a covariance has no area: the model is infinitely sure",
            where=f"record {predictions[int(flat.argmax())].id!r}",
            remedy="a record of which nothing can be said is a row with an error",
        )
    if wrong.any():
        raise UserError(
            "the weights of the components do not add up to 1", where=f"record {predictions[int(wrong.argmax())].id!r}"
        )


def _turn(covariances: Floats, radians: Floats) -> Floats:
    """Covariances [..., 3] in axes that are turned clockwise by ``radians`` [...]."""
    east_east, both, north_north = np.moveaxis(covariances, -1, 0)
    cos, sin = np.cos(radians), np.sin(radians)  # the new east is (cos, -sin), the new north (sin, cos)
    return np.stack(
        [
            cos**2 * east_east - 2 * cos * sin * both + sin**2 * north_north,
            cos * sin * (east_east - north_north) + (cos**2 - sin**2) * both,
            sin**2 * east_east + 2 * cos * sin * both + cos**2 * north_north,
        ],
        axis=-1,
    )


def _as_tuple(covariance: Floats) -> tuple[float, float, float]:
    east_east, both, north_north = covariance.tolist()
    return east_east, both, north_north
