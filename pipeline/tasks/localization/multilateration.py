"""Places from times of arrival: all hypotheses of many records at once, in float64, each record by itself.

A place is where the least squares of the differences of arrival say, at a known height, along straight lines through
air. What is not known, the moment of emission, is eliminated. Shapes: B records, C hypotheses of who is to be believed,
R receivers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import Measured
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

_STEPS = 8  # of Levenberg and Marquardt; from the closed form on, most need four
_LONGEST_M = 40_000.0  # step
_FURTHEST_M = 1.5e6  # start from the middle of the receivers
_EARTH_M = 6_371_000.0
_CAUCHY_STEPS = 3  # of the moment of emission, for each of the place


@dataclass(frozen=True)
class Arrivals:
    """Receivers at ``receivers`` [B, R, 3] (Cartesian, metres) heard at ``range_m`` [B, R]: speed times arrival.

    ``weight`` [B, R] is one over the variance in square metres, 0 where nothing was heard. ``centre`` [B, 2] in
    degrees, ``altitude_m`` [B] of the transmitter.
    """

    receivers: Floats
    range_m: Floats
    weight: Floats
    centre: Floats
    altitude_m: Floats


class Solutions(NamedTuple):
    """``places`` [B, C, 2] in degrees, ``cost`` [B, C] (sum of weighted squares), ``residual_m`` [B, C, R] (measured
    less calculated, of all receivers), ``information`` [B, C, 3] (east east, east north, north north, per square
    metre)."""

    places: Floats
    cost: Floats
    residual_m: Floats
    information: Floats


def arrivals(heard: Measured) -> Arrivals:
    """Of the receivers that have a time; an unknown height is theirs on average."""
    used = heard.timed
    num = np.maximum(used.sum(1, keepdims=True), 1)
    filled = np.where(used[..., None], heard.places, 0.0)
    first = np.take_along_axis(filled[..., 1], used.argmax(1)[:, None], axis=1)
    longitudes = first + (filled[..., 1] - first + 180.0) % 360.0 - 180.0  # without a jump at the antimeridian
    filled[..., 1] = np.where(used, longitudes, 0.0)
    middle = filled.sum(1) / num
    filled = np.where(used[..., None], filled, middle[:, None])
    first = np.where(used, heard.arrival_ns, np.inf).min(1, keepdims=True)
    return Arrivals(
        receivers=geo.to_cartesian(filled[..., :2], filled[..., 2]),
        range_m=np.where(used, SPEED_M_PER_NS * (heard.arrival_ns - np.where(np.isfinite(first), first, 0.0)), 0.0),
        weight=np.where(used, 1.0 / (SPEED_M_PER_NS * np.where(used, heard.sigma_ns, 1.0)) ** 2, 0.0),
        centre=middle[:, :2],
        altitude_m=np.where(np.isfinite(heard.altitude_m), heard.altitude_m, middle[:, 2]),
    )


def closed_form(heard: Arrivals, believed: NDArray[np.bool_]) -> Floats:
    """Both solutions of each hypothesis ``believed`` [B, C, R] on a plane: degrees [B, C, 2, 2].

    After Bancroft (1985): a linear system in the place and the moment, and a quadratic equation for what is left.
    """
    origin = geo.to_cartesian(heard.centre, heard.altitude_m)[:, None]
    across = np.stack(_axes(heard.centre[:, None]), -1)
    flat = ((heard.receivers - origin)[..., None] * across).sum(2) / 1000.0
    rows = np.concatenate([flat, heard.range_m[..., None] / 1000.0], -1)[:, None]  # [B, 1, R, 3]
    signs = np.array([1.0, 1.0, -1.0])
    weight = (heard.weight[:, None] * believed)[..., None]
    weight = weight / np.maximum(weight.sum(2, keepdims=True), 1e-30)
    normal = (rows[..., :, None] * (weight * rows)[..., None, :]).sum(2)
    normal += 1e-9 * np.eye(3) * (1.0 + normal.trace(axis1=-2, axis2=-1)[..., None, None])
    alpha = 0.5 * (rows**2 * signs).sum(-1, keepdims=True)
    sides = np.stack([(weight * rows * alpha).sum(2), (weight * rows).sum(2)], -1)
    constant, slope = np.moveaxis(np.linalg.solve(normal, sides), -1, 0)
    square = (slope**2 * signs).sum(-1)
    half = (constant * slope * signs).sum(-1) - 1.0
    rest = (constant**2 * signs).sum(-1)
    root = np.sqrt(np.maximum(half**2 - square * rest, 0.0))
    square = np.where(np.abs(square) < 1e-12, 1e-12, square)
    factors = np.stack([-half - root, -half + root], -1) / square[..., None]
    place = (constant[..., None, :] + factors[..., None] * slope[..., None, :])[..., :2] * 1000.0
    length = np.linalg.norm(place, axis=-1, keepdims=True)
    place *= np.minimum(1.0, _FURTHEST_M / np.maximum(length, 1.0))
    return _moved(np.broadcast_to(heard.centre[:, None, None], place.shape), place)


def least_squares(
    heard: Arrivals, start: Floats, believed: NDArray[np.bool_], *, cauchy: bool = False, num_steps: int = _STEPS
) -> Solutions:
    """The nearest minimum from ``start`` [B, C, 2] in degrees, of receivers ``believed`` [B, C, R].

    With ``cauchy`` the loss is log(1 + squares), which an arrival that is far off hardly moves. After no steps, it is
    the starts that are judged.
    """
    weight = np.ascontiguousarray(np.moveaxis(heard.weight[:, None] * believed, 2, 0))
    place, damping = start, np.full(start.shape[:-1], 1e-3)
    now = _look(heard, place, weight, cauchy)
    for _ in range(num_steps):
        trial = _moved(place, _step(now, damping))
        then = _look(heard, trial, weight, cauchy)
        better = then.cost < now.cost
        place = np.where(better[..., None], trial, place)
        now = _Look(*(np.where(better, new, old) for new, old in zip(then, now, strict=True)))
        damping = np.where(better, damping * 0.2, damping * 8.0)
    return Solutions(place, now.cost, np.moveaxis(now.residual, 0, 2), np.moveaxis(now.information, 0, 2))


def _axes(places: Floats) -> tuple[Floats, Floats]:
    """The directions of east and north at places [..., 2]: [..., 3] each."""
    latitude, longitude = np.radians(places[..., 0]), np.radians(places[..., 1])
    sin, cos = np.sin(latitude), np.cos(latitude)
    east = np.stack([-np.sin(longitude), np.cos(longitude), np.zeros_like(sin)], -1)
    north = np.stack([-sin * np.cos(longitude), -sin * np.sin(longitude), cos], -1)
    return east, north


def _moved(places: Floats, metres: Floats) -> Floats:
    """Places [..., 2] after steps [..., 2] east and north, nearly: where they end is measured anew."""
    latitude = places[..., 0] + np.degrees(metres[..., 1] / _EARTH_M)
    latitude = np.clip(latitude, -89.9, 89.9)
    longitude = places[..., 1] + np.degrees(metres[..., 0] / (_EARTH_M * np.cos(np.radians(latitude))))
    return np.stack([latitude, (longitude + 180.0) % 360.0 - 180.0], -1)


class _Look(NamedTuple):
    """What is seen from places: cost [B, C], residuals [R, B, C], information [3, B, C] and the gradient [2, B, C].

    Receivers come first: numpy adds up along a short last axis ten times as slowly.
    """

    cost: Floats
    residual: Floats
    information: Floats
    gradient: Floats


def _look(heard: Arrivals, places: Floats, weight: Floats, cauchy: bool) -> _Look:
    """``weight`` is [R, B, C]."""
    source = geo.to_cartesian(places, heard.altitude_m[:, None])
    away = [source[..., axis] - heard.receivers[..., axis].T[:, :, None] for axis in range(3)]  # [R, B, C] each
    ranges = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
    difference = heard.range_m.T[:, :, None] - ranges
    used, residual = weight, _centred(difference, weight)
    if cauchy:
        for _ in range(_CAUCHY_STEPS):
            used = weight / (1.0 + weight * residual**2)
            residual = _centred(difference, used)
        used = weight / (1.0 + weight * residual**2)
    squares = weight * residual**2
    cost = (np.log1p(squares) if cauchy else squares).sum(0)
    closeness = 1.0 / np.maximum(ranges, 1.0)
    east, north = (
        _centred((away[0] * axis[..., 0] + away[1] * axis[..., 1] + away[2] * axis[..., 2]) * closeness, used)
        for axis in _axes(places)
    )
    pulled_east, pulled_north = used * east, used * north
    information = np.stack([(pulled_east * east).sum(0), (pulled_east * north).sum(0), (pulled_north * north).sum(0)])
    return _Look(
        cost, residual, information, np.stack([(pulled_east * residual).sum(0), (pulled_north * residual).sum(0)])
    )


def _centred(values: Floats, weight: Floats) -> Floats:
    """Less their weighted mean: what the unknown moment of emission leaves."""
    return np.asarray(values - (weight * values).sum(0) / np.maximum(weight.sum(0), 1e-30))


def _step(now: _Look, damping: Floats) -> Floats:
    east, both, north = now.information
    extra = damping * (east + north) + 1e-14
    east, north = east + extra, north + extra
    first, last = now.gradient
    determinant = east * north - both**2
    step = np.stack([(north * first - both * last) / determinant, (east * last - both * first) / determinant], -1)
    length = np.hypot(step[..., 0], step[..., 1])[..., None]
    return np.asarray(step * np.minimum(1.0, _LONGEST_M / np.maximum(length, 1.0)))
