"""Mixtures of Gaussians over places: density, moments, and the region of highest density that a place lies in.

A batch holds N mixtures of K components, each mixture in a local frame of its own (`geo`); one that has fewer has
components of weight 0. What a row says of them is written by `told` and read by `of_predictions`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import PROBABILITIES, SCALES, are_covariances, ellipses
from pipeline.tasks.localization.geo import place_at
from pipeline.tasks.localization.rows import Component, Covariance, Prediction, fix_of

NUM_POINTS = 512  # of each component, for regions: see `region`
NUM_POINTS_OF_ELLIPSES = 128  # of each component: see `ellipse_scales`
NUM_TOGETHER = 256  # mixtures whose regions are found, so that what they need stays in the processor's cache
NUM_TOGETHER_OF_ELLIPSES = 8
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


Part = tuple[float, float, float, float, float, float]
"""A component of one mixture as `Mixtures` have it: its weight, mean (2) and covariance (3)."""


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
        squared = _squared_distance(points - mixtures.means[:, None, k], mixtures.covariances[:, k])
        np.logaddexp(total, heights[:, k, None] - squared / 2, out=total)
    return total


def second_moments(parts: Sequence[Part], about: Sequence[float]) -> Covariance:
    """The covariance of a mixture as a whole, about a place: that of its mean, or a larger one."""
    east_east = both = north_north = 0.0
    for weight, x, y, *own in parts:
        east, north = x - about[0], y - about[1]
        east_east += weight * (own[0] + east * east)
        both += weight * (own[1] + east * north)
        north_north += weight * (own[2] + north * north)
    return east_east, both, north_north


def ellipse_scales(
    mixtures: Sequence[Sequence[Part]], about: Sequence[Sequence[float]], wholes: Sequence[Covariance]
) -> Floats:
    """How many standard deviations of their `second_moments` the ellipses of N mixtures reach, to contain each of
    `PROBABILITIES`: [N, P].

    It is found from `NUM_POINTS_OF_ELLIPSES` fixed points of each component: in 900 mixtures of 2 to 4 components what
    lies within was off by .004 on average and .03 at most.
    """
    numbers, num = np.array(mixtures), NUM_POINTS_OF_ELLIPSES
    offsets = numbers[..., 1:3] - np.array(about)[:, None]
    points = _spiral(num) @ _cholesky(numbers[..., 3:]).swapaxes(-1, -2) + offsets[:, :, None]
    squared = _squared_distance(points.reshape(len(numbers), -1, 2), np.array(wholes))
    rows, order = np.arange(len(numbers))[:, None], squared.argsort(axis=1)
    shares = (numbers[..., 0] / num)[rows, order // num]
    within = shares.cumsum(axis=1) - shares / 2  # half of a point lies within its own distance
    return np.sqrt([np.interp(PROBABILITIES, *one) for one in zip(within, squared[rows, order], strict=True)])


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
        found[chunk] = _region_of_several(mixtures[chunk], points[chunk])
    return found


def _region_of_one(mixtures: Mixtures, points: Floats) -> Floats:
    rows, k = np.arange(len(mixtures)), mixtures.weights.argmax(axis=1)
    offsets = points - mixtures.means[rows, k]
    return np.asarray(-np.expm1(-_squared_distance(offsets[:, None], mixtures.covariances[rows, k])[:, 0] / 2))


def _squared_distance(offsets: Floats, covariances: Floats) -> Floats:
    """In standard deviations of ``covariances`` [N, 3]: of offsets [N, M, 2], [N, M]."""
    east, north = offsets[..., 0], offsets[..., 1]
    a, b, c = covariances.T[..., None]
    return np.asarray((c * east**2 - 2 * b * east * north + a * north**2) / (a * c - b * b))


def _region_of_several(mixtures: Mixtures, points: Floats) -> Floats:
    limit = log_density(mixtures, points)
    east, north = _spiral(NUM_POINTS).T
    found = np.zeros(len(mixtures))
    for k in range(mixtures.weights.shape[1]):
        (first, _), (corner, last) = np.moveaxis(_cholesky(mixtures.covariances[:, k]), 0, -1)[..., None]
        offsets = np.stack([first * east, corner * east + last * north], axis=-1)
        likelier = log_density(mixtures, mixtures.means[:, None, k] + offsets) > limit[:, None]
        found += mixtures.weights[:, k] * likelier.mean(axis=1)
    return found


@cache
def _spiral(num: int) -> Floats:
    """Points [num, 2] that stand for a standard Gaussian, each for the same probability.

    Radii are the quantiles of their distribution, angles go on by the golden angle, so that no direction is left out.
    """
    order = np.arange(num)
    radii = np.sqrt(-2 * np.log1p(-(order + 0.5) / num))
    angles = order * GOLDEN_ANGLE
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _cholesky(covariances: Floats) -> Floats:
    """The lower factors [..., 2, 2] of covariances [..., 3], also where they have no area."""
    factors = np.zeros((*covariances.shape[:-1], 2, 2))
    factors[..., 0, 0] = first = np.sqrt(covariances[..., 0])
    factors[..., 1, 0] = corner = covariances[..., 1] / np.where(first > 0, first, 1)
    factors[..., 1, 1] = np.sqrt(np.maximum(covariances[..., 2] - corner**2, 0))
    return factors


def told(
    mixtures: Sequence[Sequence[Part]], fixes: Sequence[Sequence[float]], centres: Sequence[Sequence[float]]
) -> list[dict[str, Any]]:
    """What a prediction says of each mixture and its fix, in the frame about its centre: fields by name.

    Ellipses about a fix have the shape of the `second_moments` and the size that contains each probability: that of one
    Gaussian, or `ellipse_scales`. Covariances are turned to the north of the place that they belong to. Raises
    UserError where the moments are no covariance.
    """
    wholes = [second_moments(parts, fix) for parts, fix in zip(mixtures, fixes, strict=True)]
    scales: list[Sequence[float]] = [SCALES] * len(wholes)
    several = [n for n, parts in enumerate(mixtures) if sum(part[0] > 0 for part in parts) > 1]
    for start in range(0, len(several), NUM_TOGETHER_OF_ELLIPSES):
        chunk = several[start : start + NUM_TOGETHER_OF_ELLIPSES]
        found = ellipse_scales([mixtures[n] for n in chunk], [fixes[n] for n in chunk], [wholes[n] for n in chunk])
        for n, own in zip(chunk, found.tolist(), strict=True):
            scales[n] = own
    return [*map(_told, mixtures, fixes, centres, wholes, scales)]


def _told(
    parts: Sequence[Part], fix: Sequence[float], centre: Sequence[float], whole: Covariance, scales: Sequence[float]
) -> dict[str, Any]:
    latitude, longitude, covariance = _placed(fix, whole, centre)
    components = [_component(part[0], *_placed(part[1:3], part[3:], centre)) for part in parts if part[0] > 0]
    return {
        "fix_latitude": latitude,
        "fix_longitude": longitude,
        "covariance_m2": covariance,
        "components": tuple(components) if len(components) > 1 else (),
        "ellipses": ellipses(covariance, scales),
    }


def _component(weight: float, latitude: float, longitude: float, covariance: Covariance) -> Component:
    return Component(weight=weight, latitude=latitude, longitude=longitude, covariance_m2=covariance)


def _placed(
    local: Sequence[float], covariance: Sequence[float], centre: Sequence[float]
) -> tuple[float, float, Covariance]:
    """Latitude and longitude of a place in a frame, and the covariance by the north of that place."""
    latitude, longitude, angle = place_at(local, centre)
    return latitude, longitude, _turn(covariance, math.cos(angle), math.sin(angle))


def _turn(covariance: Any, cos: Any, sin: Any) -> tuple[Any, Any, Any]:
    """A covariance (or arrays of its parts) in axes that are turned clockwise: the new north is (sin, cos)."""
    east_east, both, north_north = covariance
    return (
        cos * cos * east_east - 2 * cos * sin * both + sin * sin * north_north,
        cos * sin * (east_east - north_north) + (cos * cos - sin * sin) * both,
        sin * sin * east_east + 2 * cos * sin * both + cos * cos * north_north,
    )


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
        fix = fix_of(p)
        if fix is None or p.covariance_m2 is None:
            raise UserError("a prediction has neither a fix with its covariance nor an error", where=f"record {p.id!r}")
        fixes[n] = places[n] = fix
        parts = p.components or (_component(1.0, *fix, p.covariance_m2),)
        weights[n, : len(parts)] = [c.weight for c in parts]
        covariances[n, : len(parts)] = [c.covariance_m2 for c in parts]
        places[n, : len(parts)] = [(c.latitude, c.longitude) for c in parts]
    _refuse_bad(predictions, weights, covariances)
    angles = -geo.turned(places, fixes[:, None])
    covariances = np.stack(_turn(np.moveaxis(covariances, -1, 0), np.cos(angles), np.sin(angles)), axis=-1)
    return Mixtures(weights, geo.to_local(places, fixes[:, None]), covariances), fixes


def _refuse_bad(predictions: Sequence[Prediction], weights: Floats, covariances: Floats) -> None:
    determinants = covariances[..., 0] * covariances[..., 2] - covariances[..., 1] ** 2
    checks = (
        (~are_covariances(covariances).all(axis=1), "what stands as a covariance has a negative variance"),
        (~(determinants > 0).all(axis=1), "a covariance has no area: the model is infinitely sure"),
        (~np.isclose(weights.sum(axis=1), 1, atol=1e-6) | (weights < 0).any(axis=1), "the weights of the components do "
         "not add up to 1, or one is negative"),
    )  # fmt: skip
    for wrong, what in checks:
        if wrong.any():
            raise UserError(
                what,
                where=f"record {predictions[int(wrong.argmax())].id!r}",
                remedy="a record of which a model can say nothing is a row with an error",
            )
