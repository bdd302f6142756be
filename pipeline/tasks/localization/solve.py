"""Where a transmitter is by its times of arrival: weighted least squares over place and moment of emission.

The problem is that of hyperbolic multilateration (Foy, Position-location solutions by Taylor-series estimation, 1976):
several starts, damped Gauss-Newton steps (Levenberg-Marquardt), and in place of the squares Cauchy's loss where single
receivers may be wrong. Ranges are straight lines, places degrees on WGS84 at a height that is known; float64 all
through, for float32 loses metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.geo import GEOD, to_cartesian
from pipeline.tasks.localization.heard import Heard
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

Loss = Literal["squares", "cauchy"]

LEAST_HEARD = 3  # place and moment of emission are three unknowns
CAUCHY_SCALE = 2.385  # in standard deviations: loses 5 % where all errors are Gaussian (Holland and Welsch, 1977)
_COARSE_SCALES = tuple(CAUCHY_SCALE * 2.0**power for power in range(7, 0, -1))  # from where all receivers count alike
_NUM_STEPS = 40
_SMALL_STEP_M = 1e-3
_NUM_STARTS = 6
_GRID = 13  # places a side, from which the starts are taken
_REACH = 2.0  # of the grid, in distances of the farthest receiver from their middle
_BESIDE = np.array([[-0.1], [0.1]])  # of the way from the middle of the receivers
_LEAST_REACH_M = 20_000.0
_ALIKE = 0.5  # of the loss: a likelihood that differs by less than a factor of 1.6
_NEVER = 1e12  # squared dB: behind all that explain the times alike
_NUM_TOGETHER = 1024  # records: 8 MB of ranges at a time


@dataclass(frozen=True)
class Solutions:
    """Of N records up to S places each, the best first; NaN where there is none.

    ``places`` [N, S, 2] in degrees, ``covariances`` [N, S, 3] in square metres (of the linearised problem), ``costs``
    [N, S]: the loss that is left, half a squared standard deviation each.
    """

    places: Floats
    covariances: Floats
    costs: Floats


def multilaterate(heard: Heard, loss: Loss) -> Solutions:
    """The places that explain the times of each record best. None where fewer than three receivers have one.

    The height of the transmitter is that of the record, or the mean height of its receivers where there is none.
    """
    found = Solutions(
        np.full((len(heard), _NUM_STARTS, 2), np.nan),
        np.full((len(heard), _NUM_STARTS, 3), np.nan),
        np.full((len(heard), _NUM_STARTS), np.inf),
    )
    solvable = np.flatnonzero(heard.timed.sum(axis=1) >= LEAST_HEARD)
    for start in range(0, len(solvable), _NUM_TOGETHER):
        chunk = solvable[start : start + _NUM_TOGETHER]
        problem = _Problem.of(heard[chunk])
        starts = problem.starts(heard[chunk])
        many = problem.repeated(_NUM_STARTS)
        state = many.descend(starts, (np.inf,) * _NUM_STEPS)
        if loss == "cauchy":
            state = many.descend(state, (*_COARSE_SCALES, *(CAUCHY_SCALE,) * _NUM_STEPS))
        best = _ranked(many, state, CAUCHY_SCALE if loss == "cauchy" else np.inf, heard.level_dbm[chunk])
        found.places[chunk], found.covariances[chunk], found.costs[chunk] = best.places, best.covariances, best.costs
    return found


def information(heard: Heard, places: Floats) -> Floats:
    """What the times of N records say of ``places`` [N, 2], the moment of emission unknown: Fisher's information as
    [N, 3] (east east, east north, north north), per square metre. Its inverse is the bound of Cramer and Rao."""
    problem = _Problem.of(heard)
    _, slopes = problem.linearised(np.concatenate([places, np.zeros((len(places), 1))], axis=1))
    return _without_moment(np.einsum("pri,prj->pij", slopes, slopes))


def inverse(matrices: Floats) -> Floats:
    """Inverses of symmetric matrices [..., 3] (east east, east north, north north); NaN where there is none."""
    a, b, c = np.moveaxis(matrices, -1, 0)
    determinant = a * c - b * b
    usable = determinant > 1e-12 * np.maximum(a * c, 1e-300)  # else the directions differ by rounding alone
    return np.asarray(np.stack([c, -b, a], axis=-1) / np.where(usable, determinant, np.nan)[..., None])


@dataclass(frozen=True)
class _Problem:
    """P problems: receivers [P, R, 3] and arrivals [P, R] in metres, the inverse of their standard deviations (0 where
    there is no time), and the height of the transmitter [P].

    A state is [P, 3]: latitude, longitude, and the moment of emission in metres.
    """

    receivers: Floats
    arrivals: Floats
    precision: Floats
    height: Floats

    @classmethod
    def of(cls, heard: Heard) -> "_Problem":
        timed = heard.timed
        counts = timed.sum(axis=1)
        mean_height = np.where(timed, heard.altitude_m, 0).sum(axis=1) / np.maximum(counts, 1)
        arrivals = np.where(timed, heard.arrival_ns, 0.0) * SPEED_M_PER_NS
        first = np.where(timed, arrivals, np.inf).min(axis=1, initial=np.inf)
        places = np.where(timed[..., None], heard.places, 0.0)
        return cls(
            receivers=to_cartesian(places, np.where(timed, heard.altitude_m, 0.0)),
            arrivals=np.where(timed, arrivals - np.where(counts > 0, first, 0.0)[:, None], 0.0),  # digits are kept
            precision=np.where(timed, 1 / (np.where(timed, heard.sigma_ns, 1.0) * SPEED_M_PER_NS), 0.0),
            height=np.where(np.isfinite(heard.source_altitude_m), heard.source_altitude_m, mean_height),
        )

    def __getitem__(self, which: NDArray[np.int64]) -> "_Problem":
        return _Problem(*(part[which] for part in vars(self).values()))

    def repeated(self, num: int) -> "_Problem":
        """Each problem ``num`` times."""
        return _Problem(*(np.repeat(part, num, axis=0) for part in vars(self).values()))

    def residuals(self, state: Floats) -> Floats:
        """Arrivals less what ``state`` says, in standard deviations: [P, R]."""
        ways = to_cartesian(state[:, :2], self.height)[:, None] - self.receivers
        return np.asarray((self.arrivals - np.linalg.norm(ways, axis=-1) - state[:, 2:]) * self.precision)

    def linearised(self, state: Floats) -> tuple[Floats, Floats]:
        """Residuals [P, R], and by how much a metre east, north and of emission lessens them: [P, R, 3]."""
        ways = to_cartesian(state[:, :2], self.height)[:, None] - self.receivers
        ranges = np.maximum(np.linalg.norm(ways, axis=-1), 1.0)
        latitude, longitude = np.radians(state[:, :2].T)
        sin, cos, zero = np.sin, np.cos, np.zeros(len(state))
        east = np.stack([-sin(longitude), cos(longitude), zero], axis=-1)
        north = np.stack([-sin(latitude) * cos(longitude), -sin(latitude) * sin(longitude), cos(latitude)], axis=-1)
        axes = np.stack([east, north], axis=-1)  # [P, 3, 2]
        slopes = np.concatenate([ways @ axes / ranges[..., None], np.ones((*ranges.shape, 1))], axis=-1)
        residuals = (self.arrivals - ranges - state[:, 2:]) * self.precision
        return residuals, slopes * self.precision[..., None]

    def moved(self, state: Floats, step: NDArray[np.floating[Any]]) -> Floats:
        """``state`` after a step [P, 3] in metres east, north and of emission."""
        latitude = np.radians(state[:, 0])
        curvature = 1 - GEOD.es * np.sin(latitude) ** 2
        along = GEOD.a * (1 - GEOD.es) / curvature**1.5 + self.height
        across = (GEOD.a / np.sqrt(curvature) + self.height) * np.maximum(np.cos(latitude), 1e-6)
        moved = state + np.stack([np.degrees(step[:, 1] / along), np.degrees(step[:, 0] / across), step[:, 2]], axis=1)
        moved[:, 0] = moved[:, 0].clip(-90, 90)
        return np.asarray(moved)

    def starts(self, heard: Heard) -> Floats:
        """States [P * S, 3]: the lowest basins of a grid about the receivers, and two places beside the first to hear.

        Without these two the right branch of hyperbolas that bend about that receiver is missed by 1 in 20 records of
        three receivers.
        """
        timed = heard.timed[..., None]
        degrees = _unwrapped(np.where(timed, heard.places, 0.0), heard.timed)
        middle = degrees.sum(axis=1, keepdims=True) / timed.sum(axis=1, keepdims=True)
        reach = np.where(timed, np.abs(degrees - middle), 0.0).max(axis=(1, 2), keepdims=True)
        reach = np.maximum(_REACH * reach, np.degrees(_LEAST_REACH_M / GEOD.a))
        east_of_north = 1 / np.maximum(np.cos(np.radians(middle[..., :1])), 0.05)  # degrees of longitude are shorter
        line = np.linspace(-1, 1, _GRID)
        grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        states = self.with_emission(middle + reach * grid * np.concatenate([np.ones_like(reach), east_of_north], -1))
        every = self.repeated(_GRID**2)
        costs = _cost(every.residuals(states.reshape(-1, 3)), np.inf).reshape(-1, _GRID, _GRID)
        order = np.argsort(np.where(_is_basin(costs), costs, _NEVER + costs).reshape(len(costs), -1), axis=1)
        basins = np.take_along_axis(states, order[:, : _NUM_STARTS - 2, None], axis=1)
        first = np.where(heard.timed, self.arrivals, np.inf).argmin(axis=1)[:, None, None]
        first = np.take_along_axis(degrees, first, axis=1)
        beside = self.with_emission(first + _BESIDE * (first - middle))
        return np.concatenate([basins, beside], axis=1).reshape(-1, 3)

    def with_emission(self, places: Floats) -> Floats:
        """States [P, M, 3] of places [P, M, 2], with the emission that is best at each."""
        num = places.shape[1]
        every = self.repeated(num)
        states = np.concatenate([places, np.zeros((*places.shape[:2], 1))], axis=-1).reshape(-1, 3)
        states[:, 0] = states[:, 0].clip(-90, 90)
        states[:, 2] = (every.residuals(states) * every.precision).sum(axis=1) / (every.precision**2).sum(axis=1)
        return states.reshape(-1, num, 3)

    def descend(self, state: Floats, scales: Sequence[float]) -> Floats:
        """A damped Gauss-Newton step for each scale of Cauchy's loss; infinite is least squares.

        Problems that no longer move at the last scale are left out of further steps.
        """
        state, damping, active = state.copy(), np.full(len(state), 1e-3), np.arange(len(state))
        for scale in scales:
            here, part = state[active], self[active]
            residuals, slopes = part.linearised(here)
            weighted = slopes * _weights(residuals, scale)[..., None]
            normal = weighted.swapaxes(1, 2) @ slopes
            diagonal = np.einsum("pii->pi", normal)
            diagonal += damping[active, None] * diagonal + 1e-15
            step = np.linalg.solve(normal, weighted.swapaxes(1, 2) @ residuals[..., None])[..., 0]
            moved = part.moved(here, step)
            better = _cost(part.residuals(moved), scale) <= _cost(residuals, scale)
            state[active] = np.where(better[:, None], moved, here)
            damping[active] = np.where(better, damping[active] / 5, damping[active] * 10).clip(1e-12, 1e6)
            if scale == scales[-1]:
                active = active[np.abs(step).max(axis=1) > _SMALL_STEP_M]
        return state


def _weights(residuals: Floats, scale: float) -> Floats:
    """How much each receiver counts in a step: 1 for least squares."""
    return np.asarray(1 / (1 + (residuals / scale) ** 2))


def _cost(residuals: Floats, scale: float) -> Floats:
    """The loss of each problem: [P]."""
    if np.isinf(scale):
        return np.asarray((residuals**2).sum(axis=1) / 2)
    return np.asarray(scale**2 / 2 * np.log1p((residuals / scale) ** 2).sum(axis=1))


def _ranked(many: _Problem, state: Floats, scale: float, level_dbm: Floats) -> Solutions:
    """The places of each record, the best first.

    Of those that explain the times alike - three receivers give two branches of a hyperbola - the one is first that
    explains the levels best: at an exponent of the path loss of 3, they say the same power of the transmitter. Without
    levels the place that is nearer to the receivers is first.
    """
    residuals, slopes = many.linearised(state)
    normal = (slopes * _weights(residuals, scale)[..., None]).swapaxes(1, 2) @ slopes
    costs = _cost(residuals, scale).reshape(-1, _NUM_STARTS)
    ways = to_cartesian(state[:, :2], many.height)[:, None] - many.receivers
    lost = 30 * np.log10(np.linalg.norm(ways, axis=-1).clip(min=1.0))
    power = np.repeat(level_dbm, _NUM_STARTS, axis=0) + lost
    known = np.isfinite(power)
    mean = np.where(known, power, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    spread = (np.where(known, power - mean[:, None], 0) ** 2).sum(axis=1)
    chosen_by = np.where(known.sum(axis=1) > 1, spread, (lost * (many.precision > 0)).sum(axis=1))
    alike = costs <= costs.min(axis=1, keepdims=True) + _ALIKE
    order = np.argsort(np.where(alike, chosen_by.reshape(-1, _NUM_STARTS), _NEVER + costs), axis=1, kind="stable")
    places = np.stack([state[:, 0], (state[:, 1] + 180) % 360 - 180], axis=1).reshape(-1, _NUM_STARTS, 2)
    covariances = inverse(_without_moment(normal)).reshape(-1, _NUM_STARTS, 3)
    return Solutions(
        np.take_along_axis(places, order[..., None], axis=1),
        np.take_along_axis(covariances, order[..., None], axis=1),
        np.take_along_axis(costs, order, axis=1),
    )


def _without_moment(normal: Floats) -> Floats:
    """Information [P, 3] of the place alone, from that of place and moment [P, 3, 3] (Schur's complement)."""
    own = normal[:, :2, :2] - normal[:, :2, 2:] @ normal[:, 2:, :2] / np.maximum(normal[:, 2:, 2:], 1e-300)
    return np.stack([own[:, 0, 0], own[:, 0, 1], own[:, 1, 1]], axis=1)


def _unwrapped(degrees: Floats, timed: NDArray[np.bool_]) -> Floats:
    """Places [P, R, 2] without a jump at the antimeridian: within 180 degrees of the first that counts, else 0."""
    longitudes = degrees[..., 1]
    first = np.take_along_axis(longitudes, timed.argmax(axis=1)[:, None], axis=1)
    longitudes = np.where(timed, first + (longitudes - first + 180) % 360 - 180, 0.0)
    return np.stack([degrees[..., 0], longitudes], axis=-1)


def _is_basin(costs: Floats) -> NDArray[np.bool_]:
    """Which of [P, G, G] are not above any of the eight beside them."""
    padded = np.pad(costs, ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    size = costs.shape[1]
    shifted = [padded[:, i : i + size, j : j + size] for i in range(3) for j in range(3)]
    return np.asarray(np.all([costs <= other for other in shifted], axis=0))
