"""Classical solutions as candidates that a network weighs, and what speaks for each. No torch.

The hypotheses are who is to be believed: all receivers, which has two solutions (three receivers leave two branches of
hyperbolas), or all but one. The last two candidates minimise a loss that outliers hardly move.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import Measured
from pipeline.tasks.localization.multilateration import Arrivals, Solutions, arrivals, closed_form, least_squares
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

_LEAST_M = 5.0  # standard deviation of a candidate in any direction
_MOST_M = 200_000.0
_NOMINAL_EXPONENT = 2.75  # by which levels fall with distance, where a candidate is judged by them


@dataclass(frozen=True)
class Candidates:
    """C = R + 4 candidates a record.

    places     [B, C, 2] in degrees
    factors    [B, C, 3]: a b c of the lower factor [[a, 0], [b, c]] of the covariance, in metres
    valid      [B, C]: solvable, and not one that came before
    facts      [B, C, NUM_FACTS] of a candidate, pairs [B, C, R, NUM_PAIR_FACTS] of it and a receiver
    """

    places: Floats
    factors: Floats
    valid: NDArray[np.bool_]
    facts: Floats
    pairs: Floats


def find_candidates(measured: Measured) -> Candidates:
    """Those of records, by the times that have a standard deviation."""
    heard = arrivals(measured)
    num_records, num_receivers = heard.weight.shape
    timed, everyone = heard.weight > 0, np.ones((1, num_receivers), np.bool_)
    who = np.concatenate([everyone, everyone, ~np.eye(num_receivers, dtype=np.bool_)])
    starts = _starts(heard, who[1:])
    found = least_squares(heard, starts, who[None])
    # Leaving out who said nothing is no other hypothesis.
    valid = ((timed[:, None] & who).sum(-1) >= 3) & np.concatenate([np.ones((num_records, 2), np.bool_), timed], 1)
    both = Solutions(*(np.concatenate(pair, 1) for pair in zip(found, _robust(heard, found, valid), strict=True)))
    valid = np.concatenate([valid, valid[:, :2]], 1)
    who = np.concatenate([who, everyone, everyone])
    factors = _factors(both.information)
    for first in (0, -2):
        valid[:, first + 1] &= ~_same(both.places[:, first], both.places[:, first + 1], factors[:, first])
    facts, pairs = _facts(measured, heard, both, factors, who)
    return Candidates(both.places, factors, valid, facts, pairs)


def _starts(heard: Arrivals, who: NDArray[np.bool_]) -> Floats:
    """Both closed solutions of all receivers, and of others the one that fits all better: [B, R + 2, 2]."""
    num_records, num_hypotheses = len(heard.weight), len(who)
    roots = closed_form(heard, np.broadcast_to(who, (num_records, *who.shape)))
    flat, believed = roots.reshape(num_records, -1, 2), np.repeat(who, 2, axis=0)[None]
    cost = least_squares(heard, flat, believed, num_steps=0).cost
    cost = cost + least_squares(heard, flat, np.ones_like(believed), cauchy=True, num_steps=0).cost
    better = cost.reshape(num_records, num_hypotheses, 2).argmin(2)[..., None, None]
    chosen = np.take_along_axis(roots, better, 2)[:, :, 0]
    return np.concatenate([roots[:, 0], chosen[:, 1:]], 1)


def _robust(heard: Arrivals, found: Solutions, valid: NDArray[np.bool_]) -> Solutions:
    """Minima of the Cauchy loss of all receivers, from the two candidates that have the least of it."""
    everyone = np.ones((1, 1, heard.weight.shape[1]), np.bool_)
    judged = least_squares(heard, found.places, everyone, cauchy=True, num_steps=0)
    order = np.argsort(np.where(valid, judged.cost, np.inf), axis=1, kind="stable")[:, :2, None]
    return least_squares(heard, np.take_along_axis(found.places, order, 1), everyone, cauchy=True)


def _factors(information: Floats) -> Floats:
    """Lower factors of covariances that are neither smaller nor larger than is of use: [B, C, 3] in metres."""
    east, both, north = np.moveaxis(information, -1, 0)
    east, north = east + _MOST_M**-2, north + _MOST_M**-2
    determinant = east * north - both**2
    first = np.sqrt(north / determinant + _LEAST_M**2)
    corner = -both / determinant / first
    return np.stack([first, corner, np.sqrt(east / determinant + _LEAST_M**2 - corner**2)], -1)


def _same(places: Floats, others: Floats, factors: Floats) -> NDArray[np.bool_]:
    """Whether others [B, 2] are within a standard deviation of places [B, 2]."""
    step = steps_m(others, places)
    first = step[:, 0] / factors[:, 0]
    last = (step[:, 1] - factors[:, 1] * first) / factors[:, 2]
    return np.asarray(first**2 + last**2 < 1.0)


def steps_m(places: Floats, origins: Floats) -> Floats:
    """Metres east and north from places [..., 2] to near ones, nearly."""
    north = np.radians(places[..., 0] - origins[..., 0]) * 6_371_000.0
    turn = (places[..., 1] - origins[..., 1] + 180.0) % 360.0 - 180.0
    return np.stack([np.radians(turn) * 6_371_000.0 * np.cos(np.radians(origins[..., 0])), north], -1)


def _facts(
    measured: Measured, heard: Arrivals, found: Solutions, factors: Floats, believed: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """What speaks for candidates, as numbers of about 1."""
    weight = heard.weight[:, None]
    in_sigmas = found.residual_m * np.sqrt(weight)
    timed = np.broadcast_to(weight > 0, in_sigmas.shape)
    away = geo.to_cartesian(found.places, heard.altitude_m[:, None])[:, :, None] - heard.receivers[:, None]
    log_range = np.log10(np.maximum(np.sqrt((away**2).sum(-1)), 100.0) / 30_000.0)
    levels, level_spread = _level_residuals(measured, log_range)
    trusted = timed & believed
    num_trusted = trusted.sum(-1)
    own = (np.where(trusted, in_sigmas, 0.0) ** 2).sum(-1)
    facts = [
        np.log1p(own),
        np.minimum(own, 30.0) / 10.0,
        np.log1p((in_sigmas**2).sum(-1)),
        np.log1p(in_sigmas**2).sum(-1) / 5.0,
        num_trusted / 4.0,
        (num_trusted < timed.sum(-1)).astype(np.float64),
        np.log10(factors[..., 0] / 1000.0),
        np.log10(factors[..., 2] / 1000.0),
        np.linalg.norm(steps_m(found.places, heard.centre[:, None]), axis=-1) / 100_000.0,
        level_spread,
    ]
    pairs = [
        _squeezed(in_sigmas),
        _squeezed(found.residual_m / (1000.0 * SPEED_M_PER_NS)) * timed,
        trusted.astype(np.float64),
        np.where(timed, np.log10(np.maximum(weight, 1e-12)) / -2.0 - 2.0, 0.0),
        levels,
        log_range * measured.heard[:, None],
    ]
    return np.stack([np.minimum(fact, 10.0) for fact in facts], -1), np.stack(pairs, -1)


def _level_residuals(measured: Measured, log_range: Floats) -> tuple[Floats, Floats]:
    """Levels less what a nominal exponent says of the distances, in 10 dB: [B, C, R], and their spread [B, C]."""
    known = measured.levelled[:, None]
    level = np.where(known, np.nan_to_num(measured.level_dbm)[:, None] / 10.0 + _NOMINAL_EXPONENT * log_range, 0.0)
    num = np.maximum(known.sum(-1, keepdims=True), 1)
    residual = np.where(known, level - level.sum(-1, keepdims=True) / num, 0.0)
    return residual, np.sqrt((residual**2).sum(-1) / num[..., 0])


def _squeezed(values: Floats) -> Floats:
    return np.sign(values) * np.log1p(np.abs(values))
