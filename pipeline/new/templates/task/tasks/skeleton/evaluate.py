"""Predictions to scores and metrics, and what single records measured: for compare, gate and sweep."""

from collections.abc import Sequence

import numpy as np

from pipeline import stats
from pipeline.contract.metrics import (
    Evaluation,
    Measurements,
    MetricDefinition,
    RecordMetric,
    RecordSlice,
    metric_row,
    refuse_mixed,
)
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError

from .recipe import Evaluate
from .rows import Prediction, Score

ABSOLUTE_ERROR = MetricDefinition("absolute_error", "1", "lower", "distance of the prediction from the truth")


def evaluate(predictions: Sequence[Prediction], options: Evaluate) -> Evaluation:
    """The absolute error of each record, and its mean with a bootstrap interval. Raises UserError for no records."""
    refuse_mixed((row.id for row in predictions), {row.model for row in predictions})
    if not predictions:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` on some examples")
    scores = [Score(id=row.id, subject="model", absolute_error=row.absolute_error) for row in predictions]
    interval = stats.bootstrap(
        np.array([score.absolute_error for score in scores]),
        stats.mean,
        np.random.default_rng(0),
        stats.Bootstrap(num_resamples=options.num_resamples),
    )
    everything = RecordSlice("all", "all", len(scores))
    return Evaluation(scores, [metric_row("skeleton", ABSOLUTE_ERROR, ("mean", "model"), everything, interval)])


def measure_records(predictions: Sequence[Prediction], options: Evaluate) -> Measurements:
    """The error of every record; left and right of 0 can be looked at by themselves."""
    return Measurements(
        values={"absolute_error": np.array([row.absolute_error for row in predictions], np.float64)},
        scored=np.ones(len(predictions), np.bool_),
        metrics=[RecordMetric("absolute_error", "mean"), RecordMetric("absolute_error", "median")],
        slices={"side": ["left" if row.x < 0.0 else "right" for row in predictions]},
    )


PART = EvaluatePart(glossary=(ABSOLUTE_ERROR,), evaluate=evaluate, measure_records=measure_records)
