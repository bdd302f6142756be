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
from pipeline.tasks.localization.ellipse import PROBABILITIES
from pipeline.tasks.localization.evaluate.ellipses import needed_factors
from pipeline.tasks.localization.evaluate.subjects import Scored, score_model
from pipeline.tasks.localization.rows import Prediction

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


def _needed(scored: Scored) -> Floats:
    """How large a region each record needs, [N]: its probability, and above all of these, where that is 1 but for
    rounding, the likelihood."""
    return np.where(scored.region < 1 - 1e-9, scored.region, 1e6 + scored.negative_log_likelihood)


def calibrate(path: Path, predictions: Sequence[Prediction]) -> Calibration:
    """What the predictions of ``path`` say about those of the same model that are judged.

    Raises UserError when they are of another model, among those that are judged, or too few with a truth.
    """
    rows = [row for row in read_all(path, Prediction) if row.error is None and row.latitude is not None]
    both = {row.id for row in rows} & {row.id for row in predictions}
    models, expected = {row.model for row in rows}, {row.model for row in predictions}
    where = f"evaluate.conformal, {path}"
    if len(rows) < LEAST_RECORDS:
        raise UserError(
            f"{len(rows)} calibration records have an answer and a truth; {LEAST_RECORDS} are the least",
            where=where,
            remedy="some hundreds make ellipses that are right to a few points",
        )
    if both:
        raise UserError(
            f"{len(both)} calibration records are among those that are judged, such as {min(both)!r}",
            where=where,
            remedy="keep them apart: ellipses that were fitted to records are right about these records",
        )
    if models != expected:
        raise UserError(
            f"the calibration records were answered by {', '.join(sorted(models))}, those that are judged by "
            f"{', '.join(sorted(expected))}",
            where=where,
            remedy="run `baton infer` on the calibration records with the same model",
        )
    truths = np.array([(row.latitude, row.longitude) for row in rows], np.float64)
    needed = np.sort(needed_factors(rows, truths), axis=0)
    ranks = [math.ceil((len(rows) + 1) * p) - 1 for p in PROBABILITIES]
    return Calibration(np.sort(_needed(score_model(rows, truths))), needed[ranks, np.arange(len(ranks))])
