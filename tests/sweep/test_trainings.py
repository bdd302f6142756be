"""Cells that differ by the training's seed alone are one row of a table of their own."""

import pytest

from pipeline.sweep.table import tables_of
from schemas.rows import Metric
from schemas.sweep import Axis, CellResult, Outcome
from tests.sweep.sweep_parts import part, plan_of


def cell(value: float, status: Outcome = "finished", **axes: Axis) -> CellResult:
    metric = Metric(
        task="gridworld",
        id="wellbeing",
        name="wellbeing",
        statistic="mean",
        subject="model",
        value=value,
        low=value - 1.0,
        high=value + 1.0,
        confidence=0.95,
        interval="bootstrap_percentile",
        unit="points",
        better="higher",
        num_records=50,
    )
    named = {name.replace("_", " "): axis for name, axis in axes.items()}
    return CellResult(
        task="gridworld", id="x", key="x", label="x", axes=named, status=status, metrics=(metric,) if value else ()
    )


PLAN = plan_of([part("a")])


def test_trainings_of_one_recipe_have_their_mean_with_students_interval() -> None:
    cells = [cell(value, model="tiny", train_seed=seed, epsilon=0.0) for seed, value in ((1, 200.0), (2, 206.0))]
    cells += [cell(100.0, model="tiny", train_seed=1, epsilon=0.1), cell(50.0, model="given", epsilon=0.0)]
    _, over = tables_of(PLAN, cells)
    assert (over.names, over.columns["model"], over.columns["epsilon"]) == (["2"], ["tiny"], ["0.0"])
    (number,) = next(column for name, column in over.columns.items() if "ellbeing" in name)
    # two values 6 apart: a standard error of 3, and Student's t of one degree of freedom reaches 12.7 of them
    assert number.value == 203.0
    assert number.high - 203.0 == pytest.approx(12.7 * 3.0, rel=0.03)


@pytest.mark.parametrize(
    "other", [cell(1.0, model="tiny", train_seed=2, epsilon=0.1), cell(0.0, "failed", train_seed=2)]
)
def test_a_training_alone_has_none(other: CellResult) -> None:
    assert len(tables_of(PLAN, [cell(200.0, model="tiny", train_seed=1, epsilon=0.0), other])) == 1
