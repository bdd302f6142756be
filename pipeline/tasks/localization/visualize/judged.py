"""Predictions with what they scored, and the solvers beside them: what the pictures are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization.evaluate.subjects import Scored, Subjects, score_model, score_solvers
from pipeline.tasks.localization.recipe import Evaluate
from pipeline.tasks.localization.rows import Prediction


class Record(NamedTuple):
    """One record with a truth, and its ``place`` among them, from 1: the farthest off first."""

    row: Prediction
    truth: tuple[float, float]
    error_m: float
    region: float
    place: int


@dataclass(frozen=True)
class Judged:
    """The predictions without errors (``rows``); those of them whose truth is known (``scored``), with the truths
    [N, 2] in degrees, what the model scored and what solvers did."""

    rows: Sequence[Prediction]
    scored: Sequence[Prediction]
    truths: Floats
    model: Scored
    solvers: Subjects

    def worst(self) -> list[Record]:
        """The records with a truth, the farthest off first."""
        order = np.argsort(-self.model.error_m, kind="stable")
        return [
            Record(
                row=self.scored[n],
                truth=(float(self.truths[n, 0]), float(self.truths[n, 1])),
                error_m=float(self.model.error_m[n]),
                region=float(self.model.region[n]),
                place=place,
            )
            for place, n in enumerate(order.tolist(), start=1)
        ]


def judge(predictions: Sequence[Prediction], options: Evaluate, *, with_solvers: bool = True) -> Judged:
    """Raises UserError where there is no prediction that can be drawn."""
    rows = [row for row in predictions if row.error is None]
    if not rows:
        what = f"all {len(predictions)} predictions are errors" if predictions else "there are no predictions to draw"
        raise UserError(what, remedy="run `baton infer` first")
    scored = [row for row in rows if row.latitude is not None and row.longitude is not None]
    truths = np.array([(row.latitude, row.longitude) for row in scored], np.float64).reshape(-1, 2)
    solvers = score_solvers(scored, truths, options) if scored and with_solvers else {}
    return Judged(rows, scored, truths, score_model(scored, truths), solvers)
