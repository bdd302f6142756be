"""The learning rate of an update: a warm-up times a schedule."""

import pytest

from pipeline.train.learner import learning_rate
from schemas.recipe import Optimizer, Schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [1, 1, 1]), ("linear", [1, 0.55, 0.1]), ("cosine", [1, 0.55, 0.1])],
)
def test_the_learning_rate_falls_by_its_schedule(schedule: Schedule, expected: list[float]) -> None:
    options = Optimizer(type="sgd", learning_rate=1.0, final_fraction=0.1)
    assert [learning_rate(options, schedule, update, 100) for update in (0, 50, 100)] == pytest.approx(expected)


def test_the_learning_rate_warms_up() -> None:
    options = Optimizer(type="sgd", learning_rate=1.0, warmup_updates=4)
    assert [learning_rate(options, "constant", update, 100) for update in range(5)] == [0.25, 0.5, 0.75, 1, 1]
