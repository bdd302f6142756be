"""Absolute error."""

from collections.abc import Sequence
from typing import Any

from pipeline.tasks.fifth.rows import LinePrediction, LineScore
from pipeline.tasks.interface import Evaluation, MetricDefinition
from schemas.rows import Metric

GLOSSARY = (
    MetricDefinition("absolute_error", "1", "lower", "distance of the prediction from the truth, |predicted - y|"),
)


def evaluate(predictions: Sequence[LinePrediction], options: Any) -> Evaluation:
    scores = [
        LineScore(task="fifth", id=row.id, subject="model", absolute_error=abs(row.predicted - row.y))
        for row in predictions
    ]
    mean = sum(score.absolute_error for score in scores) / len(scores)
    metric = Metric(
        task="fifth",
        id="absolute_error/mean/model",
        name="absolute_error",
        statistic="mean",
        subject="model",
        value=mean,
        unit="1",
        better="lower",
        num_records=len(scores),
    )
    return Evaluation(scores, [metric])
