"""Ellipses rescaled by calibration rows, level by level: split conformal prediction.

Of n calibration records, the k-th smallest, k = ceil((n + 1) p), of what each would have needed to hold its truth is
what a further record of the same kind needs with a probability of at least p, whatever the model (Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World, 2005). It is done for regions of highest density, by the probability
that the model gives them, and for ellipses, by how much larger each has to be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import PROBABILITIES
from pipeline.tasks.localization.evaluate.subjects import Scored, score_model, truths_of
from pipeline.tasks.localization.rows import Prediction, place_of

LEAST_RECORDS = math.ceil(1 / (1 - PROBABILITIES[-1])) - 1  # of fewer, the largest ellipse would have no end


@dataclass(frozen=True)
class Calibration:
    """``needed`` [n] is `_needed` of the calibration records, in order; ``factors`` [P] by how much the ellipses of
    `PROBABILITIES` have to grow."""

    needed: Floats
    factors: Floats

    def __len__(self) -> int:
        return len(self.needed)

    def region(self, scored: Scored) -> Floats:
        """The regions [N] of records after calibration: the share of calibration records that needed less."""
        return np.searchsorted(self.needed, _needed(scored)) / (len(self) + 1)

    def rescaled(self, model: Scored) -> Scored:
        """What the model scored with these regions and areas: a density is not rescaled level by level."""
        growth = float(self.factors[PROBABILITIES.index(0.9)])
        nothing = np.full_like(model.error_m, np.nan)
        return Scored(model.error_m, nothing, self.region(model), model.area_km2 * growth**2)


def _needed(scored: Scored) -> Floats:
    """How large a region each record needs, [N]: its probability, and above all of these, where that is 1 but for
    rounding, the likelihood."""
    return np.where(scored.region < 1 - 1e-9, scored.region, 1e6 + scored.negative_log_likelihood)


def calibrate(path: Path, predictions: Sequence[Prediction]) -> Calibration:
    """What the predictions of ``path`` say about those of the same model that are judged.

    Raises UserError when they are of another model, among those that are judged, or too few with a truth.
    """
    rows = [row for row in read_all(path, Prediction) if row.error is None and place_of(row) is not None]
    both = {row.id for row in rows} & {row.id for row in predictions}
    models, expected = {row.model for row in rows}, {row.model for row in predictions}
    where = f"evaluate.conformal, {path}"
    if len(rows) < LEAST_RECORDS:
        what = f"{len(rows)} calibration records have an answer and a truth; {LEAST_RECORDS} are the least"
        raise UserError(what, where=where, remedy="some hundreds make ellipses that are right to a few points")
    if both:
        what = f"{len(both)} calibration records are among those that are judged, such as {min(both)!r}"
        remedy = "keep them apart: ellipses that were fitted to records are right about these records"
        raise UserError(what, where=where, remedy=remedy)
    if models != expected:
        theirs, ours = (", ".join(sorted(some)) for some in (models, expected))
        what = f"the calibration records were answered by {theirs}, those that are judged by {ours}"
        remedy = "run `baton infer` on the calibration records with the same model"
        raise UserError(what, where=where, remedy=remedy)
    truths = truths_of(rows)
    needed = np.sort(needed_factors(rows, truths), axis=0)
    ranks = [math.ceil((len(rows) + 1) * p) - 1 for p in PROBABILITIES]
    return Calibration(np.sort(_needed(score_model(rows, truths))), needed[ranks, np.arange(len(ranks))])


def needed_factors(rows: Sequence[Prediction], truths: Floats) -> Floats:
    """By how much each ellipse of each row would have to grow to reach the truth [N, 2]: [N, P], at most 1 where it
    holds it, infinite where an ellipse has no extent.

    Raises UserError for rows that do not have an ellipse of each of `PROBABILITIES`.
    """
    axes = np.empty((len(rows), len(PROBABILITIES), 3))
    fixes = np.empty((len(rows), 2))
    for n, row in enumerate(rows):
        if tuple(e.probability for e in row.ellipses) != PROBABILITIES:
            raise UserError(
                "a prediction has other ellipses than those of " + ", ".join(f"{p:g}" for p in PROBABILITIES),
                where=f"record {row.id!r}, field ellipses",
                remedy="write the four of them, the smallest first",
            )
        axes[n] = [(e.semi_major_m, e.semi_minor_m, e.azimuth_deg) for e in row.ellipses]
        fixes[n] = row.fix_latitude, row.fix_longitude
    east, north = np.moveaxis(geo.to_local(truths, fixes), -1, 0)[..., None]
    azimuth = np.radians(axes[..., 2])
    along = east * np.sin(azimuth) + north * np.cos(azimuth)
    across = east * np.cos(azimuth) - north * np.sin(azimuth)
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.hypot(along / axes[..., 0], across / axes[..., 1])
    return np.where(np.isnan(needed), np.inf, needed)
