"""Cells that are beaten while they infer: when, by whom, and how seldom by chance."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.jsonl import write_all
from pipeline.recipes import default_recipe
from pipeline.sweep.beaten import BLOCK, LOOK_EVERY_S, Judge
from pipeline.sweep.grid import PREDICTIONS, Part, Plan
from pipeline.sweep.ledger import State
from pipeline.tasks.gridworld.rows import GridworldPrediction
from schemas.rows import Metric
from schemas.sweep import Cell, Sweep
from tests.gridworld.test_score import RETIRED

SWEEP = Sweep(schema="sweep_v1", task="gridworld", name="judged")
CELLS = tuple(Part("cell", "gridworld", name * 64, f"cell {name}", ()) for name in "abc")
OPTIONS = default_recipe("gridworld").evaluate


def rows(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[GridworldPrediction]:
    return [
        msgspec.structs.replace(RETIRED, id=f"record-{number}", wellbeing=float(value))
        for number, value in enumerate(values)
    ]


def finished(part: Part, wellbeing: float) -> Cell:
    metric = Metric(
        task="gridworld", id="m", name="wellbeing", statistic="mean", subject="model",
        value=wellbeing, unit="", better="higher", num_records=1,
    )  # fmt: skip
    return Cell(
        task="gridworld", id=f"{part.short}/1/finished", key=part.key, kind="cell", label=part.label, event="finished",
        attempt=1, worker="w", host="h", unix_s=0.0, folder=part.folder.as_posix(), metrics=(metric,),
    )  # fmt: skip


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """A judge whose every look is in time; cell a is finished with a wellbeing of 100 or so, cell b with one of 50."""
    generator = np.random.default_rng(0)
    for part, mean in zip(CELLS, (100.0, 50.0), strict=False):
        write_all(tmp_path / part.folder / PREDICTIONS, rows(generator.normal(mean, 10.0, 1000)))
    ticks = (LOOK_EVERY_S * number for number in range(10_000))
    return Judge(Plan(SWEEP, CELLS, CELLS, OPTIONS), tmp_path, lambda: next(ticks))


STATE = State(results={CELLS[0].key: finished(CELLS[0], 100.0), CELLS[1].key: finished(CELLS[1], 50.0)})


def growing(path: Path, values: "np.ndarray[tuple[int], np.dtype[np.float64]]", step: int) -> Iterator[None]:
    """Write a file as infer does, so many records at a time."""
    whole = rows(values)
    for stop in range(step, len(whole) + 1, step):
        write_all(path, whole[:stop])
        yield


@pytest.mark.parametrize("step", [7, 130])
def test_a_clearly_worse_cell_is_stopped_early_by_the_best_one(judge: Judge, tmp_path: Path, step: int) -> None:
    values = np.random.default_rng(1).normal(80.0, 10.0, 1000)
    path = tmp_path / "now.jsonl"
    told = [judge(CELLS[2], path, STATE) for _ in growing(path, values, step)]
    why = next(text for text in told if text)
    assert why.startswith(f"beaten after {2 * BLOCK} records: wellbeing:mean differs by -21.55 [")
    assert why.endswith("from cell a"), "the rival is the best of those that are finished"


def test_a_better_and_an_equal_cell_go_on(judge: Judge, tmp_path: Path) -> None:
    for name, mean in (("better", 120.0), ("equal", 100.0)):
        part = named(CELLS[2], name)
        path = tmp_path / f"{name}.jsonl"
        values = np.random.default_rng(2).normal(mean, 10.0, 1000)
        assert not any(judge(part, path, STATE) for _ in growing(path, values, 100))


def named(part: Part, key: str) -> Part:
    """The same cell by another key: a judge remembers what it read of each."""
    return Part(part.kind, part.task, key, part.label, part.steps)


def test_nothing_is_beaten_before_anything_is_finished(judge: Judge, tmp_path: Path) -> None:
    write_all(tmp_path / "now.jsonl", rows(np.zeros(500)))
    assert judge(CELLS[2], tmp_path / "now.jsonl", State()) is None


def test_half_a_line_waits_for_its_end(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "now.jsonl"
    write_all(path, rows(np.full(500, 1.0) + np.arange(500) % 3))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 8 - 5])
    first = judge(CELLS[2], path, STATE)
    path.write_bytes(data)
    assert first is None and judge(CELLS[2], path, STATE) is not None
