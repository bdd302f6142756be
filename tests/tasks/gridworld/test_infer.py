"""The rows of infer: who keeps its steps, whatever the batch."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipeline import load_model
from pipeline.contract.jobs import InferJob
from pipeline.files import write_all
from pipeline.tasks.gridworld.infer.predict import predict, remarks
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample, GridworldPrediction
from pipeline.tasks.gridworld.town.seeds import EXAMPLES, derive
from tests.conftest import Baton

MODEL = Path(__file__).parents[3] / "runs/pretrained/gridworld/full.inference_v1"


@cache
def _predict(num_traces: int, batch_size: int, *, first_index: int = 0) -> list[GridworldPrediction]:
    """Twelve scenarios of level full, half of the actions at random, in which some die early."""
    seeds = derive(EXAMPLES, 7, np.arange(12)).tolist()
    examples = [
        GridworldExample(id=f"{i}", level="full", seed=s, multiplier=1.0 + i % 3 / 2) for i, s in enumerate(seeds)
    ]
    job = InferJob(
        model=load_model(MODEL),
        examples=examples,
        first_index=first_index,
        options=Infer(num_traces=num_traces, batch_size=batch_size, epsilon=0.5),
        device="cpu",
        report=lambda done, total, facts: None,
    )
    return list(predict(job))


@pytest.mark.parametrize(("num_traces", "batch_size"), [(1, 5), (4, 7)])
def test_those_that_die_keep_their_steps_and_the_first_ones(num_traces: int, batch_size: int) -> None:
    rows = _predict(num_traces, batch_size)
    assert {row.died for row in rows[num_traces:]} == {True, False}
    assert [row.trace is not None for row in rows] == [n < num_traces or row.died for n, row in enumerate(rows)]
    assert all(row.trace is None or len(row.trace) == row.num_steps for row in rows)
    assert rows == _predict(num_traces, 12) and rows[5:] == _predict(num_traces, batch_size, first_index=5)


def test_none_keeps_its_steps_where_none_is_asked_for() -> None:
    assert {row.trace for row in _predict(0, 12)} == {None}


def test_a_model_asked_in_another_level_is_said_to_be_by_infer_and_in_the_table(tmp_path: Path, baton: Baton) -> None:
    seeds = derive(EXAMPLES, 7, np.arange(3)).tolist()
    levels = ("minimal", "minimal", "full")
    examples = [
        GridworldExample(id=f"{n}", level=level, seed=seed, multiplier=1.0)
        for n, (level, seed) in enumerate(zip(levels, seeds, strict=True))
    ]
    write_all(tmp_path / "examples.jsonl", examples)
    remark = "the model was trained in level 'full', and asked in 2 of level 'minimal'"
    done = baton(
        "infer", "gridworld", "--model", "full", "--input", tmp_path / "examples.jsonl", "--out", tmp_path / "a"
    )
    assert done.code == 0 and done.out.splitlines()[-1].strip() == remark, done.err
    done = baton("evaluate", "gridworld", "--input", tmp_path / "a/predictions.jsonl", "--out", tmp_path / "b")
    assert done.code == 0 and remark in done.out.splitlines(), done.err
    assert f"- {remark}\n" in (tmp_path / "b/table.md").read_text()


def test_a_model_asked_in_its_own_level_needs_no_remark() -> None:
    rows = _predict(0, 12)
    assert remarks(rows, None, {"recipe": {"environment": {"level": "full"}}}) == []
    assert remarks(rows, None, {}) == []
