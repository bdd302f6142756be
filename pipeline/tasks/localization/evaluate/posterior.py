"""What can be known of a place by levels at best: the posterior of the simulator itself, on a grid.

Places, the power, the exponent of the path loss and the spread of the shadowing have the distributions of the world as
it is by default (`world.propagation`). Levels that were heard are jointly Gaussian given place, exponent and spread:
the power and the correlated shadowing are integrated exactly. Of each receiver that did not hear, its chance of that
given those levels counts, as if those that did not hear were independent of each other.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.recipe import World
from pipeline.tasks.localization.rows import Prediction, place_of
from pipeline.tasks.localization.world import propagation
from pipeline.tasks.localization.world.receivers import SITES, places_m, ranges_m

NUM_EXPONENTS, NUM_SPREADS = 8, 4  # midpoints of their ranges
CELL_M = 4_000.0  # with 2 km, medians of error and likelihood over 300 records are the same to 1 %
_KNOWN = {(site.name, (site.latitude, site.longitude)): number for number, site in enumerate(SITES)}
_ALTITUDES = np.array([site.altitude_m for site in SITES])
_RANGE = np.linspace(-9.0, 9.0, 1801)
_NORMAL = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _RANGE])  # its distribution function, to 1e-5
_NUM_TOGETHER = 16  # records


class Posterior(NamedTuple):
    """Of N records: the mean place [N, 2] in degrees, the density at the truth per square metre (logarithm), the
    probability of all likelier places, and the area of the likeliest that have .9 of it; each [N]."""

    places: Floats
    log_density: Floats
    region: Floats
    area_m2: Floats


def has_posterior(row: Prediction) -> bool:
    """Whether it is a record of levels alone, all of receivers of the simulated world."""
    return (
        len(row.measurements) >= propagation.LEAST_HEARD
        and row.frequency_mhz is not None
        and all(
            m.level_dbm is not None and m.arrival_ns is None and (m.receiver, place_of(m)) in _KNOWN
            for m in row.measurements
        )
    )


def posterior(rows: Sequence[Prediction], truths: Floats) -> Posterior:
    """The posteriors of records that `has_posterior` says have one, with their truths [N, 2]."""
    cells, areas = _cells()
    found = Posterior(np.empty((len(rows), 2)), *(np.empty(len(rows)) for _ in range(3)))
    losses = _losses(cells)
    for members, sites, levels in _by_sites(rows):
        likelihood = _Likelihood(sites)
        for start in range(0, len(members), _NUM_TOGETHER):
            part, own = members[start : start + _NUM_TOGETHER], levels[start : start + _NUM_TOGETHER]
            weights = likelihood.of_cells(own, losses) + np.log(areas)
            at_truth = [likelihood.of_cells(own[n, None], _losses(truths[m, None]))[0, 0] for n, m in enumerate(part)]
            highest = weights.max(axis=1, keepdims=True)
            shares = np.exp(weights - highest)
            total = shares.sum(axis=1, keepdims=True)
            shares /= total
            found.log_density[part] = np.array(at_truth) - highest[:, 0] - np.log(total[:, 0])
            densities = np.log(shares / areas)
            found.region[part] = (shares * (densities > found.log_density[part, None])).sum(axis=1)
            found.places[part] = shares @ cells
            order = np.argsort(-densities, axis=1)
            inside = np.take_along_axis(shares, order, axis=1).cumsum(axis=1) < 0.9
            found.area_m2[part] = (inside * areas[order]).sum(axis=1)
    return found


class _Likelihood:
    """Of levels at the ``sites`` that heard, [H] of all R, and of silence at the ``others``, [R - H].

    ``precisions`` [S, H, H] are the inverses of the covariance of the heard, by spread of the shadowing, ``heights``
    [S] half the logarithms of their determinants. ``gains`` [S, R - H, H] give the mean of what the others would have
    heard from how far the heard are off, ``deviations`` [S, R - H] its standard deviation.
    """

    def __init__(self, sites: NDArray[np.int64]) -> None:
        self.sites, self.others = sites, np.setdiff1d(np.arange(len(SITES)), sites)
        spreads = _midpoints(World().shadowing_db, NUM_SPREADS)[:, None, None]
        shadowing = spreads**2 * propagation.shadowing_correlation(SITES)
        noise = propagation.LEVEL_NOISE_DB**2 * np.eye(len(SITES))
        whole = propagation.EIRP_DBM[1] ** 2 + shadowing + noise
        both = whole[:, self.others[:, None], sites]
        self.precisions = np.linalg.inv(whole[:, sites[:, None], sites])
        self.heights = np.linalg.slogdet(self.precisions)[1] / 2
        self.gains = both @ self.precisions
        variances = np.diagonal(whole, axis1=1, axis2=2)[:, self.others] - np.einsum("soh,soh->so", self.gains, both)
        self.deviations = np.sqrt(variances)

    def of_cells(self, levels: Floats, losses: Floats) -> Floats:
        """Log-likelihoods [G, M] of ``levels`` [G, H + 1] (the last is the loss of the band) at cells, by their losses
        [M, E, R] without the band; up to a constant."""
        expected = propagation.EIRP_DBM[0] - losses
        off = levels[:, None, None, :-1] + levels[:, -1, None, None, None] - expected[..., self.sites]  # [G, M, E, H]
        limit = propagation.SENSITIVITY_DBM + levels[:, -1, None, None, None] - expected[..., self.others]
        logs = np.empty((NUM_SPREADS, *off.shape[:3]))
        for s in range(NUM_SPREADS):
            squared = ((off @ self.precisions[s]) * off).sum(axis=-1)
            silent = np.interp((limit - off @ self.gains[s].T) / self.deviations[s], _RANGE, _NORMAL)
            chance = propagation.DROPOUT + (1 - propagation.DROPOUT) * silent
            logs[s] = self.heights[s] - squared / 2 + np.log(chance).sum(axis=-1)
        highest = logs.max(axis=(0, 3), keepdims=True)
        return np.asarray(np.log(np.exp(logs - highest).sum(axis=(0, 3))) + highest[0, ..., 0])


def _midpoints(span: tuple[float, float], num: int) -> Floats:
    return span[0] + (span[1] - span[0]) * (np.arange(num) + 0.5) / num


def _cells() -> tuple[Floats, Floats]:
    """The middles [M, 2] of cells all over where transmitters are, and their areas [M]."""
    spans = propagation.LATITUDES, propagation.LONGITUDES
    corner = np.array([propagation.LATITUDES[0], propagation.LONGITUDES[0]])
    lengths = geo.distance_m(corner, [(spans[0][1], spans[1][0]), (spans[0][0], spans[1][1])])
    latitudes, longitudes = (_midpoints(span, round(m / CELL_M)) for span, m in zip(spans, lengths, strict=True))
    cells = np.stack(np.meshgrid(latitudes, longitudes, indexing="ij"), axis=-1).reshape(-1, 2)
    half = np.array([latitudes[1] - latitudes[0], longitudes[1] - longitudes[0]]) / 2
    high = geo.distance_m(cells - half * (1, 0), cells + half * (1, 0))
    wide = geo.distance_m(cells - half * (0, 1), cells + half * (0, 1))
    return cells, high * wide


def _losses(cells: Floats) -> Floats:
    """Path losses [M, E, R] of places without that of the band: what a frequency of 1 MHz would lose."""
    ranges = ranges_m(cells, propagation.ALTITUDE_M, places_m(SITES))[:, None]
    exponents = _midpoints(World().path_loss_exponent, NUM_EXPONENTS)[:, None]
    return propagation.path_loss_db(ranges, 1.0, exponents, _ALTITUDES)


def _by_sites(rows: Sequence[Prediction]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """Records that the same sites heard: their indices [G], the sites [H], and their levels with, at the end, what the
    band loses over 1 MHz [G, H + 1]."""
    groups: dict[tuple[int, ...], list[tuple[int, list[float]]]] = {}
    for n, row in enumerate(rows):
        heard = sorted((_KNOWN[m.receiver, place_of(m)], m.level_dbm) for m in row.measurements)  # type: ignore[index]
        band = 20 * math.log10(row.frequency_mhz or 1.0)
        values = [*(float(level) for _, level in heard if level is not None), band]
        groups.setdefault(tuple(site for site, _ in heard), []).append((n, values))
    for sites, members in groups.items():
        yield np.array([n for n, _ in members]), np.array(sites), np.array([values for _, values in members])
