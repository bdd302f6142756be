"""Cells that are beaten while they infer: when, by whom, and how seldom by chance."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.files import write_all
from pipeline.recipe.load import default_recipe
from pipeline.sweep.claims import Claims, this_process
from pipeline.sweep.judge import BLOCK, LOOK_EVERY_S, Judge
from pipeline.sweep.ledger import Ledger, State
from pipeline.sweep.plan import PREDICTIONS, Part, Plan, Step
from pipeline.sweep.table import results_of
from pipeline.sweep.workers import CLAIMS, Crew, Work
from pipeline.tasks.gridworld.rows import GridworldPrediction
from schemas.rows import Metric
from schemas.sweep import Cell, Sweep
from tests.tasks.gridworld.evaluate.test_score import RETIRED

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
    told = [judge(CELLS[2], path, lambda: STATE) for _ in growing(path, values, step)]
    why = next(text for text in told if text)
    assert why.startswith(f"beaten after {2 * BLOCK} records: wellbeing:mean differs by -21.55 [")
    assert why.endswith("from cell a"), "the rival is the best of those before it"
    assert judge.verdict(CELLS[2], path, STATE) == why, "in retrospect it is the same"


def test_a_better_and_an_equal_cell_go_on(judge: Judge, tmp_path: Path) -> None:
    for name, mean in (("better", 120.0), ("equal", 100.0)):
        path = tmp_path / f"{name}.jsonl"
        values = np.random.default_rng(2).normal(mean, 10.0, 1000)
        assert not any(judge(CELLS[2], path, lambda: STATE) for _ in growing(path, values, 100))
        assert judge.verdict(CELLS[2], path, STATE) is None


def test_nothing_is_beaten_before_all_earlier_cells_are_settled(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "now.jsonl"
    write_all(path, rows(np.zeros(500) + np.arange(500) % 3))
    a, b = (STATE.results[cell.key] for cell in CELLS[:2])
    for found in (State(), State(results={a.key: a}), State(results={b.key: b})):
        assert not judge.is_ready(CELLS[2], found)
        assert judge(CELLS[2], path, lambda found=found: found) is None
    failed = State(results={a.key: a}, failures={b.key: msgspec.structs.replace(b, event="failed")})
    assert judge.is_ready(CELLS[2], failed)
    why = judge(CELLS[2], path, lambda: failed)
    assert why is not None and why.endswith("from cell a")


def test_a_later_cell_beats_no_earlier_one(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "now.jsonl"
    write_all(path, rows(np.random.default_rng(1).normal(80.0, 10.0, 1000)))
    first, second, _ = CELLS
    best = {CELLS[2].key: finished(CELLS[2], 200.0)}
    assert judge(first, path, lambda: State(results=best)) is None
    assert judge.verdict(first, path, State(results=best)) is None
    why = judge.verdict(second, path, State(results=best | {first.key: STATE.results[first.key]}))
    assert why is not None and why.endswith("from cell a")


def test_half_a_line_waits_for_its_end(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "now.jsonl"
    write_all(path, rows(np.full(500, 1.0) + np.arange(500) % 3))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 8 - 5])
    first = judge(CELLS[2], path, lambda: STATE)
    path.write_bytes(data)
    assert first is None and judge(CELLS[2], path, lambda: STATE) is not None


# whole sweeps, with stages that only pretend


MEANS = (80.0, 100.0, 60.0, 90.0, 110.0, 70.0)  # of six cells: 3, 4 and 6 are beaten by those before them
SLOW_S = (0.6, 0.0, 0.3, 0.0, 0.05, 0.0)  # how long infer takes at its end: in parallel the first is the last


def grid() -> Plan:
    steps = (Step("infer", ()), Step("evaluate", ()))
    cells = tuple(Part("cell", "gridworld", str(n) * 64, f"cell {n}", steps) for n in range(1, len(MEANS) + 1))
    return Plan(SWEEP, cells, cells, OPTIONS)


def stage(arguments: Sequence[str], log: Path, should_end: Callable[[], bool]) -> int:
    """infer writes all predictions, and then takes a while; evaluate writes their mean."""
    folder = Path(arguments[-1])
    number = int(folder.parent.name[0]) - 1
    folder.mkdir(parents=True, exist_ok=True)
    if arguments[0] == "infer":
        values = np.random.default_rng(number).normal(MEANS[number], 10.0, 400)
        write_all(folder / "predictions.jsonl", rows(values))
        ends = time.monotonic() + SLOW_S[number]
        while time.monotonic() < ends:
            if should_end():
                return -15
            time.sleep(0.01)
    else:
        write_all(folder / "metrics.jsonl", finished(grid().cells[number], MEANS[number]).metrics)
    return 0


def outcomes(folder: Path, num_workers: int, **chosen: Any) -> list[tuple[str, str | None]]:
    plan = grid()
    work = Work(plan=plan, folder=folder, run_stage=stage, stop_beaten=True, **chosen)
    Crew(work).run(num_workers)
    return [(result.status, result.note) for result in results_of(plan, Ledger(folder).state(plan.parts))]


def test_which_cells_are_stopped_does_not_depend_on_how_many_workers_there_are(tmp_path: Path) -> None:
    alone = outcomes(tmp_path / "1", 1)
    assert [status for status, _ in alone] == ["finished", "finished", "stopped", "stopped", "finished", "stopped"]
    assert [note.rpartition(" from ")[2] for _, note in alone if note] == ["cell 2", "cell 2", "cell 5"]
    assert outcomes(tmp_path / "2", 2) == outcomes(tmp_path / "6", 6) == alone


def test_a_worker_goes_on_with_other_cells_while_one_waits_for_its_verdict(tmp_path: Path) -> None:
    first, second, *_ = grid().cells
    held = Claims(tmp_path / "late" / CLAIMS, this_process("another", 60.0)).take(first.short)
    assert held is not None

    def free_the_first() -> None:
        while not any(row.event == "interrupted" for row in Ledger(tmp_path / "late").rows()):
            time.sleep(0.01)
        held.release()

    thread = threading.Thread(target=free_the_first)
    thread.start()
    late = outcomes(tmp_path / "late", 1)
    thread.join()
    assert late == outcomes(tmp_path / "1", 1)
    told = [(row.key, row.event, row.note) for row in Ledger(tmp_path / "late").rows()]
    assert told[:2] == [(second.key, "started", None), (second.key, "interrupted", "inferred; waits for earlier cells")]
    assert [event for key, event, _ in told if key == second.key][2:] == ["started", "finished"]
