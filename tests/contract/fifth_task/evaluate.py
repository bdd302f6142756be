"""Absolute error."""

from collections.abc import Sequence
from typing import Any

from pipeline.contract.metrics import Evaluation, MetricDefinition, RecordSlice, metric_row
from pipeline.contract.parts import EvaluatePart
from pipeline.tasks.fifth.rows import LinePrediction, LineScore

GLOSSARY = (
    MetricDefinition("absolute_error", "1", "lower", "distance of the prediction from the truth, |predicted - y|"),
)


def evaluate(predictions: Sequence[LinePrediction], options: Any) -> Evaluation:
    scores = [
        LineScore(task="fifth", id=row.id, subject="model", absolute_error=abs(row.predicted - row.y))
        for row in predictions
    ]
    mean = sum(score.absolute_error for score in scores) / len(scores)
    everything = RecordSlice("all", "all", len(scores))
    return Evaluation(scores, [metric_row("fifth", GLOSSARY[0], ("mean", "model"), everything, mean)])


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate)
