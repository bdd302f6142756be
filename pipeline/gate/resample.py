"""Values of checks over shared resamples of the records, and intervals that hold for all checks together.

A resample is how often each record is drawn; baseline and now share it, so that what makes a record hard cancels
out, and so do all checks, so that their dependence is known and ten metrics of one kind cost little more than one.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.contract.metrics import Measurements
from pipeline.gate.spec import Checked
from pipeline.records.measured import POOLED, STATISTICS
from pipeline.stats import Floats
from pipeline.stats.intervals import NUM_CUT

Counts = NDArray[np.int32]
Bools = NDArray[np.bool_]

WEIGHT_ELEMENTS = 2**21  # how often each record of each resample: 8 MiB of int32 at a time
MEANS = ("mean", "rate")
FEWEST_RECORDS = 5  # below, a resample says nothing about the next set of records
LEAST_FINITE = 0.5  # of the resamples
LEAST_ERROR = 0.25
HALF_SHARED = 0.5  # squared skewness at which a check takes half of what the worst one reaches further


def take(measured: Measurements, checks: Sequence[Checked], members: Bools, weights: Counts) -> Floats:
    """The value of each check where records count as ``weights`` [B, N] say, those of ``members`` [N, C] alone: [B, C],
    NaN where it is undefined."""
    found = np.full((len(weights), len(checks)), np.nan)
    pooled: dict[bytes, Mapping[str, Floats]] = {}
    for index, checked in enumerate(checks):
        among = members[:, index]
        if checked.key.statistic == POOLED:
            assert measured.pooled is not None
            if among.tobytes() not in pooled:
                pooled[among.tobytes()] = measured.pooled(np.ascontiguousarray(weights * among, dtype=np.int32))
            found[:, index] = pooled[among.tobytes()][checked.key.metric]
        else:
            values = measured.values[checked.key.metric][among]
            found[:, index] = weighted_statistic(values, weights[:, among], checked.key.statistic)
    return found


def weighted_statistic(values: Floats, weights: Counts, statistic: str) -> Floats:
    """Mean, rate, median or iqm of ``values`` [N], of which record n is there ``weights[b, n]`` times: [B].

    The same as of the values repeated so often; NaN for no records at all.
    """
    totals = weights.sum(axis=1, dtype=np.int64)
    safe = np.maximum(totals, 1)
    if STATISTICS[statistic] is stats.mean:
        result: Floats = (weights.astype(np.float64) @ values) / safe
        return np.where(totals > 0, result, np.nan)
    num_cut = NUM_CUT[STATISTICS[statistic]]
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[:, order], axis=1, dtype=np.int64)
    cut = np.array([num_cut(int(total)) for total in safe])[:, None]
    inside = np.clip(upto, cut, safe[:, None] - cut)
    kept = np.diff(inside, axis=1, prepend=cut)
    result = (kept @ values[order]) / (safe - 2 * cut[:, 0])
    return np.where(totals > 0, result, np.nan)


def studentized(differences: Floats, members: NDArray[np.bool_], weights: Counts) -> Floats:
    """Errors of the means of ``differences`` [N, C] over ``members`` [N, C] in the resamples ``weights`` [B, N], each
    in the resample's own standard error: [B, C] (Efron 1979; Hall 1988).

    Where changes are skewed, as when most records lose a little and few gain much, a resample that misses the few is
    far off and looks sure of itself; these errors know. A resample's standard error counts as at least `LEAST_ERROR` of
    that of all records: without it, one in which all records are equal would be infinitely far off.
    """
    kept = np.where(members, differences, 0.0)
    sizes = np.maximum(members.sum(axis=0), 1)
    means = kept.sum(axis=0) / sizes
    errors = np.sqrt(np.maximum((kept**2).sum(axis=0) / sizes - means**2, 0.0) / sizes)
    counts = weights.astype(np.float64)
    totals = np.maximum(counts @ members, 1.0)
    resampled = counts @ kept / totals
    spread = np.sqrt(np.maximum(counts @ kept**2 / totals - resampled**2, 0.0) / totals)
    spread = np.maximum(spread, LEAST_ERROR * errors)
    found: Floats = np.divide(resampled - means, spread, out=np.zeros_like(spread), where=spread > 0.0) * np.sign(
        errors
    )
    return found


def skewness(differences: Floats, members: NDArray[np.bool_]) -> Floats:
    """Third central moment of ``differences`` [N, C] over ``members`` [N, C], in standard deviations: [C]; 0 where all
    are equal."""
    kept = np.where(members, differences, 0.0)
    sizes = np.maximum(members.sum(axis=0), 1)
    centred = np.where(members, kept - kept.sum(axis=0) / sizes, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / sizes)
    cubes = (centred**3).sum(axis=0) / sizes
    found: Floats = np.divide(cubes, deviation**3, out=np.zeros_like(cubes), where=deviation**3 > 0.0)
    return found


def simultaneous(
    point: Floats,
    resampled: Floats,
    num_records: Sequence[int],
    confidence: float,
    in_own_errors: Floats | None = None,
    skewed: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Ends [C] of intervals around ``point`` [C], from ``resampled`` [B, C], that all hold at once with ``confidence``.

    Each is the point plus and minus q standard errors, q the quantile of the largest deviation of any column in its
    standard errors (Romano and Wolf 2005; Hothorn, Bretz and Westfall 2008): with one column that is about 1.96, and
    with ten that are one and the same it still is. Standard errors are those of the resamples, enlarged for few records
    (a resample's variance is too small by 1 / n, and a t variate spreads more than a normal one). A column has no
    interval where it has fewer than `FEWEST_RECORDS`, or is undefined in most resamples.

    Columns of which ``in_own_errors`` [B, C] (`studentized`; NaN for others) are known reach as far as these say, too:
    to their quantiles at the tail that a normal variate has beyond q, and further where they are ``skewed`` [C]
    (`skewness`) to that side; see `_reach`.
    """
    finite = np.isfinite(resampled)
    usable = np.isfinite(point) & (finite.mean(axis=0) >= LEAST_FINITE) & (np.asarray(num_records) >= FEWEST_RECORDS)
    error = np.full(len(point), np.nan)
    for column in np.flatnonzero(usable):
        error[column] = resampled[finite[:, column], column].std()
    deviates = usable & (error > 0.0)
    quantile = 0.0
    if deviates.any():
        deviations = np.abs(resampled[:, deviates] - point[deviates]) / error[deviates]
        quantile = float(np.quantile(np.nanmax(deviations, axis=1), confidence))
    sizes = np.maximum(np.asarray(num_records, dtype=np.float64), 2.0)
    longer = np.sqrt(sizes / (sizes - 1.0))
    below = above = quantile * longer * _t_over_normal(quantile, sizes)
    if in_own_errors is not None:
        tail = 1.0 - NormalDist().cdf(quantile)
        known = np.nan_to_num(in_own_errors)
        skewed = np.zeros(len(point)) if skewed is None else skewed
        tails = tail, (1.0 - confidence) / 2.0
        below = np.maximum(below, longer * _reach(-known, -skewed, *tails))
        above = np.maximum(above, longer * _reach(known, skewed, *tails))
    return point - below * error, point + above * error


def _reach(errors: Floats, skewed: Floats, tail: float, together: float) -> Floats:
    """How many standard errors the upper ends lie above their points: [C], from studentized ``errors`` [B, C].

    The lower quantile at ``tail`` of each column's errors. That is too near where the changes are skewed to above, few
    large gains and many small losses: the sample holds too few of the gains, and so do its resamples. So the tail is
    divided by 1 + squared skewness; and the nearer a column's skewness, the more it reaches as far as the worst of all
    columns, whose quantile at ``together`` is divided by what they have in the mean. Columns that are not skewed to
    above are left as they are. The form and its constants were chosen by simulation (docs/gate.md).
    """
    squares = np.maximum(skewed, 0.0) ** 2
    own = np.array([-np.quantile(column, tail / (1.0 + k)) for column, k in zip(errors.T, squares, strict=True)])
    known = errors.any(axis=0)
    if not known.any():
        return own
    worst = -np.quantile(errors[:, known].min(axis=1), together / (1.0 + squares[known].mean()))
    found: Floats = own + squares / (squares + HALF_SHARED) * np.maximum(worst - own, 0.0)
    return found


def _t_over_normal(quantile: float, sizes: Floats) -> Floats:
    """How much longer a t interval is than a normal one: the first term of Fisher's expansion of its quantile."""
    return np.asarray(1.0 + (quantile**2 + 1.0) / (4.0 * (sizes - 1.0)), dtype=np.float64)
