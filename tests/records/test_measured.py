"""What compare, gate and `evaluate --follow` work on equals what evaluate says of the same predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart, RecipePart
from pipeline.stats import interquartile_mean, mean, median
from tests.tasks.detection.evaluate.coco_oracle import Kind, generate
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions

PREDICTIONS: dict[str, Sequence[Any]] = {
    "gridworld": fake_predictions(Fake(num_records=9)),
    "detection": generate(Kind(seed=3, crowds=True)),
}
AGGREGATES = {"mean": mean, "rate": mean, "median": median, "iqm": interquartile_mean}


def options(task: str) -> Any:
    recipe = load_part(task, RecipePart).recipe
    return type(recipe(schema="recipe_v1", name="x", task=task).evaluate)(num_resamples=5)


@pytest.mark.parametrize("task", PREDICTIONS)
def test_metrics_of_all_records_are_those_of_evaluate(task: str) -> None:
    rows, part = PREDICTIONS[task], load_part(task, EvaluatePart)
    measured = part.measure_records(rows, options(task))
    pooled = measured.pooled(np.ones((1, len(rows)), np.int32)) if measured.pooled else {}
    evaluated = {
        (m.name, m.statistic): m.value
        for m in part.evaluate(rows, options(task)).metrics
        if m.subject == "model" and m.slice_by == "all"
    }
    compared = 0
    for metric in measured.metrics:
        if metric.statistic == "pooled":
            value = pooled[metric.name][0]
        else:
            value = AGGREGATES[metric.statistic](measured.values[metric.name][measured.scored])
        if (metric.name, metric.statistic) in evaluated:  # evaluate leaves out what does not occur
            assert value == pytest.approx(evaluated[metric.name, metric.statistic], abs=1e-12), metric
            compared += 1
    assert (measured.metrics[0].name, measured.metrics[0].statistic) in evaluated
    assert compared >= 7


@pytest.mark.parametrize("task", PREDICTIONS)
def test_a_record_is_judged_by_itself_wherever_it_stands(task: str) -> None:
    rows, part = PREDICTIONS[task], load_part(task, EvaluatePart)
    there = part.measure_records(rows, options(task))
    back = part.measure_records(rows[::-1], options(task))
    for name, values in there.values.items():
        assert back.values[name][::-1].tolist() == values.tolist()


def test_weights_choose_between_two_files_given_one_after_the_other() -> None:
    """As a permutation test does: half of the records of each."""
    part = load_part("detection", EvaluatePart)
    first, second = generate(Kind(seed=3)), generate(Kind(seed=4))
    both = part.measure_records([*first, *second], options("detection"))
    assert both.pooled is not None
    zeros, ones = np.zeros(len(first), np.int32), np.ones(len(first), np.int32)
    found = both.pooled(np.stack([np.concatenate([ones, zeros]), np.concatenate([zeros, ones])]))
    for index, rows in enumerate((first, second)):
        alone = part.measure_records(rows, options("detection")).pooled(ones[None])
        assert found["average_precision"][index] == pytest.approx(alone["average_precision"][0], abs=1e-12)
