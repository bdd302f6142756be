"""Where a transmitter is by its times of arrival: classical multilateration, by least squares or Cauchy's loss.

Starts are both solutions of the closed form: of all receivers and, for Cauchy's loss, of all but each. From each the
nearest minimum is found (`multilateration`); the one that explains the times best is the answer.
"""

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from pipeline.stats import Floats
from pipeline.tasks.localization.geo import to_cartesian
from pipeline.tasks.localization.measured import Measured
from pipeline.tasks.localization.multilateration import Arrivals, arrivals, closed_form, least_squares

Loss = Literal["squares", "cauchy"]

LEAST_HEARD = 3  # place and moment of emission are three unknowns
CAUCHY_SCALE = 2.385  # in standard deviations: loses 5 % where all errors are Gaussian (Holland and Welsch, 1977)
_NUM_STEPS = 16
_ALIKE = 0.5  # of the loss: a likelihood that differs by less than a factor of 1.6
_NEVER = 1e12  # squared dB: behind all that explain the times alike
_NUM_TOGETHER = 512  # records


class Solutions(NamedTuple):
    """Of N records up to S places each, the best first; NaN where there is none.

    ``places`` [N, S, 2] in degrees, ``covariances`` [N, S, 3] in square metres (of the linearised problem), ``costs``
    [N, S]: the loss that is left, half a squared standard deviation each.
    """

    places: Floats
    covariances: Floats
    costs: Floats


def multilaterate(heard: Measured, loss: Loss) -> Solutions:
    """The places that explain the times of each record best. None where fewer than three receivers have one.

    The height of the transmitter is that of the record, or the mean height of its receivers where there is none.
    """
    shape = len(heard), 2 if loss == "squares" else 2 + 2 * heard.arrival_ns.shape[1]
    found = Solutions(np.full((*shape, 2), np.nan), np.full((*shape, 3), np.nan), np.full(shape, np.inf))
    solvable = np.flatnonzero(heard.timed.sum(axis=1) >= LEAST_HEARD)
    for start in range(0, len(solvable), _NUM_TOGETHER):
        chunk = solvable[start : start + _NUM_TOGETHER]
        for column, part in zip(found, _solved(heard[chunk], loss), strict=True):
            column[chunk] = part
    return found


def information(heard: Measured, places: Floats) -> Floats:
    """What the times of N records say of ``places`` [N, 2], the moment of emission unknown: Fisher's information as
    [N, 3] (east east, east north, north north), per square metre. Its inverse is the bound of Cramer and Rao."""
    problem = arrivals(heard)
    return least_squares(problem, places[:, None], problem.weight[:, None] > 0, num_steps=0).information[:, 0]


def inverse(matrices: Floats) -> Floats:
    """Inverses of symmetric matrices [..., 3] (east east, east north, north north); NaN where there is none."""
    a, b, c = np.moveaxis(matrices, -1, 0)
    determinant = a * c - b * b
    usable = determinant > 1e-12 * np.maximum(a * c, 1e-300)  # else the directions differ by rounding alone
    return np.asarray(np.stack([c, -b, a], axis=-1) / np.where(usable, determinant, np.nan)[..., None])


def _solved(heard: Measured, loss: Loss) -> Solutions:
    problem, timed = arrivals(heard), heard.timed[:, None]
    believed = timed
    if loss == "cauchy":
        others = timed & ~np.eye(timed.shape[-1], dtype=np.bool_)
        enough = others.sum(axis=-1, keepdims=True) >= LEAST_HEARD
        believed = np.concatenate([timed, np.where(enough, others, timed)], axis=1)
    starts = closed_form(problem, believed).reshape(len(heard), -1, 2)
    believed = np.repeat(believed, 2, axis=1)
    found, scale = least_squares(problem, starts, believed, num_steps=_NUM_STEPS), 1.0
    if loss == "cauchy":
        scale = CAUCHY_SCALE**2
        softer = replace(problem, weight=problem.weight / scale)
        every = np.broadcast_to(timed, believed.shape)
        found = least_squares(softer, found.places, every, cauchy=True, num_steps=_NUM_STEPS)
    costs = scale * found.cost / 2
    order = _order(heard, problem, found.places, costs)
    return Solutions(
        np.take_along_axis(found.places, order[..., None], axis=1),
        np.take_along_axis(inverse(scale * found.information), order[..., None], axis=1),
        np.take_along_axis(costs, order, axis=1),
    )


def _order(heard: Measured, problem: Arrivals, places: Floats, costs: Floats) -> np.ndarray:
    """The order of places [N, S], the best first.

    Of those that explain the times alike - three receivers give two branches of a hyperbola - the one is first that
    explains the levels best: at an exponent of the path loss of 3, they say the same power of the transmitter. Without
    levels the place that is nearer to the receivers is first.
    """
    ways = to_cartesian(places, problem.altitude_m[:, None])[:, :, None] - problem.receivers[:, None]
    lost = np.where(heard.timed[:, None], 30 * np.log10(np.linalg.norm(ways, axis=-1).clip(min=1.0)), np.nan)
    power = heard.level_dbm[:, None] + lost
    known = np.isfinite(power)
    mean = np.where(known, power, 0).sum(axis=-1, keepdims=True) / np.maximum(known.sum(axis=-1, keepdims=True), 1)
    spread = (np.where(known, power - mean, 0) ** 2).sum(axis=-1)
    chosen_by = np.where(known.sum(axis=-1) > 1, spread, np.nansum(lost, axis=-1))
    alike = costs <= costs.min(axis=1, keepdims=True) + _ALIKE
    return np.argsort(np.where(alike, chosen_by, _NEVER + costs), axis=1, kind="stable")
