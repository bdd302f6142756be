"""Where a transmitter is by its levels: middles of the receivers, maximum likelihood, nearest neighbours."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import Measured, of_records
from pipeline.tasks.localization.rows import Example, Prediction, place_of
from pipeline.tasks.localization.world.propagation import horizon_loss_db

EXPONENTS = 2.0, 4.0  # of the path loss outdoors: free space to obstructed cities (Rappaport, Wireless Communications)
LEAST_HEARD = 3  # power and exponent are hidden as well
NUM_NEIGHBOURS = 11
_GRID = 65  # places a side
_REACH = 1.0  # of the grid, in distances of the farthest receiver from their middle
_LEAST_REACH_M = 2_000.0
_NUM_TOGETHER = 256  # records: 8 MB of losses at a time
_GROUND_M = 100.0  # transmitters below this have a horizon


def middle(heard: Measured) -> Floats:
    """The centroid of the receivers that heard each record: [N, 2], NaN where none has a place."""
    return _centroid(heard, heard.placed.astype(np.float64))


def weighted_middle(heard: Measured) -> Floats:
    """The centroid weighted by what each receiver heard, as amplitudes: 20 dB more counts ten times."""
    known = heard.placed & heard.levelled
    levels = np.where(known, heard.level_dbm, -np.inf)
    strongest = levels.max(axis=1, keepdims=True, initial=-1e3)
    return _centroid(heard, np.where(known, 10 ** ((levels - strongest) / 20), 0.0))


def _centroid(heard: Measured, weights: Floats) -> Floats:
    """Means along the surface: of Cartesian places, brought back to it."""
    points = geo.to_cartesian(np.where(weights[..., None] > 0, heard.places[..., :2], 0.0), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    mean = (weights[..., None] * points).sum(axis=1) / np.where(total > 0, total, np.nan)
    longitude = np.degrees(np.arctan2(mean[:, 1], mean[:, 0]))
    across = np.hypot(mean[:, 0], mean[:, 1])
    latitude = np.degrees(np.arctan2(mean[:, 2], across * (1 - geo.GEOD.es)))  # of points below the surface, nearly
    return np.stack([latitude, longitude], axis=1)


def most_likely(heard: Measured) -> Floats:
    """The places [N, 2] at which levels fit a path loss best, whose power and exponent are free and whose horizon is
    known. NaN where fewer than three receivers have a place and a level.

    Errors of the levels are taken as equal and independent, so that the likeliest is that of the least squares. It is
    searched on a grid about the receivers: `_GRID` places a side.
    """
    found = np.full((len(heard), 2), np.nan)
    for members, usable in _by_receivers(heard):
        if len(usable) < LEAST_HEARD:
            continue
        group = heard[members]
        places, altitudes = group.places[0, usable, :2], group.places[0, usable, 2]
        ground = not group.altitude_m[0] > _GROUND_M
        cells = _cells_about(places)
        height = altitudes.min() if ground else group.altitude_m[0]
        ranges = np.linalg.norm(
            geo.to_cartesian(cells, height)[:, None] - geo.to_cartesian(places, altitudes), axis=-1
        ).clip(min=1.0)
        beyond = horizon_loss_db(ranges, altitudes) if ground else np.zeros_like(ranges)
        for start in range(0, len(members), _NUM_TOGETHER):
            part = members[start : start + _NUM_TOGETHER]
            left = _unexplained(heard.level_dbm[part][:, usable], 10 * np.log10(ranges), beyond)
            found[part] = cells[left.argmin(axis=1)]
    return found


def _unexplained(levels: Floats, decades: Floats, beyond: Floats) -> Floats:
    """Squares of what is left of levels [G, R] at each cell [M], [G, M], at the best power and exponent."""
    levels, decades, beyond = (part - part.mean(axis=1, keepdims=True) for part in (levels, decades, beyond))  # power
    slope = (decades * decades).sum(axis=1)
    along = -(levels @ decades.T + (beyond * decades).sum(axis=1))
    whole = (levels**2).sum(axis=1)[:, None] + 2 * levels @ beyond.T + (beyond**2).sum(axis=1)
    exponent = (along / np.where(slope > 0, slope, 1.0)).clip(*EXPONENTS)
    return np.asarray(whole - 2 * exponent * along + exponent**2 * slope)


def _by_receivers(heard: Measured) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Records of the same receivers and the same height, and which columns of theirs have a place and a level."""
    known = heard.placed & heard.levelled
    columns = [heard.places.reshape(len(heard), -1), heard.altitude_m[:, None], known]
    rows = np.nan_to_num(np.concatenate(columns, axis=1), nan=1e9)
    _, groups = np.unique(rows, axis=0, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(members):
            yield members, np.flatnonzero(known[members[0]])


def _cells_about(places: Floats) -> Floats:
    """A square of places [M, 2] about receivers [R, 2]."""
    centre = places.mean(axis=0) if np.ptp(places[:, 1]) < 180 else places[0]
    reach = max(_REACH * geo.distance_m(places, centre).max(), _LEAST_REACH_M)
    line = np.linspace(-reach, reach, _GRID)
    return geo.to_degrees(np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2), centre)


def nearest(rows: Sequence[Prediction], training: Sequence[Example]) -> Floats:
    """The mean place [N, 2] of the `NUM_NEIGHBOURS` records of ``training`` whose levels are most alike: NaN where a
    record has no level of a receiver that the training knows.

    Records are compared by the Euclidean distance of their levels; a receiver that did not hear is as the weakest
    level of the training.
    """
    known, found = [one for one in training if place_of(one) is not None], np.full((len(rows), 2), np.nan)
    names = sorted({m.receiver for one in known for m in one.measurements if m.level_dbm is not None})
    if not names:
        return found
    learnt, ours, num = of_records(known, names), of_records(rows, names).level_dbm, min(NUM_NEIGHBOURS, len(known))
    floor = float(np.nanmin(learnt.level_dbm))
    theirs, places = np.nan_to_num(learnt.level_dbm, nan=floor), learnt.truth
    usable = np.flatnonzero(np.isfinite(ours).any(axis=1))
    for start in range(0, len(usable), _NUM_TOGETHER):
        part = usable[start : start + _NUM_TOGETHER]
        own = np.nan_to_num(ours[part], nan=floor)
        squared = (theirs**2).sum(axis=1) - 2 * own @ theirs.T  # and the square of its own, which orders nothing
        chosen = np.argpartition(squared, num - 1, axis=1)[:, :num]
        around = places[chosen]
        first = around[:, :1, 1]
        around[..., 1] = first + (around[..., 1] - first + 180) % 360 - 180
        found[part] = around.mean(axis=1)
    return found
