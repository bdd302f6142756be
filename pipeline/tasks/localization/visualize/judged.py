"""Predictions with what they scored, and the solvers beside them: what the pictures are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.look.numbers import words
from pipeline.stats import Floats
from pipeline.tasks.localization.evaluate.subjects import Scored, Subjects, score_model, score_solvers, truths_of
from pipeline.tasks.localization.recipe import Evaluate
from pipeline.tasks.localization.rows import Degrees, Prediction, place_of


class Record(NamedTuple):
    """One record with a truth, what the model scored on it, and errors of the solvers by name."""

    row: Prediction
    truth: Degrees
    error_m: float
    region: float
    solved: dict[str, float]


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
        order = np.argsort(-self.model.error_m, kind="stable").tolist()
        error_m, region = self.model.error_m.tolist(), self.model.region.tolist()
        solved = {words(name): one.error_m.tolist() for name, one in self.solvers.items()}
        truths: list[Degrees] = [(north, east) for north, east in self.truths.tolist()]
        return [
            Record(self.scored[n], truths[n], error_m[n], region[n], {name: one[n] for name, one in solved.items()})
            for n in order
        ]


def judge(predictions: Sequence[Prediction], options: Evaluate, *, with_solvers: bool = True) -> Judged:
    """Raises UserError where there is no prediction that can be drawn."""
    rows = [row for row in predictions if row.error is None]
    if not rows:
        what = f"all {len(predictions)} predictions are errors" if predictions else "there are no predictions to draw"
        raise UserError(what, remedy="run `baton infer` first")
    scored = [row for row in rows if place_of(row) is not None]
    truths = truths_of(scored)
    solvers = score_solvers(scored, truths, options) if scored and with_solvers else {}
    return Judged(rows, scored, truths, score_model(scored, truths), solvers)
