"""Whether a cell is beaten while it is still inferred: by a finished one, on the same records, with confidence.

The difference to the finished cell that is best so far, by record, has a confidence sequence (`pipeline.anytime`),
which holds at every moment: one may look after every block of records and stop at the first that decides. The error is
shared out over all cells but one, so that the best cell of the whole grid is stopped with a chance of 5 % at most.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.anytime import Anytime, AnytimeJob, Reading
from pipeline.stats.sequences import SequenceOptions
from pipeline.sweep.grid import PREDICTIONS, Part, Plan
from pipeline.sweep.ledger import State
from pipeline.tasks import load_part
from schemas.sweep import Cell

CHANCE = 0.05  # of stopping the best cell
BLOCK = 50  # records between two looks: the decision does not depend on how fast they come
LOOK_EVERY_S = 0.5


class Judge:
    """Watches the cells of one process. ``clock`` is in seconds."""

    def __init__(self, plan: Plan, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.plan, self.folder, self.clock = plan, folder, clock
        task = plan.sweep.task
        self.better = {entry.name: entry.better for entry in load_part(task, "score").GLOSSARY}
        self.row_type = load_part(task, "rows").ROW_TYPES["prediction_v1"]
        self.measure = load_part(task, "score").measure_records
        self._watched: dict[str, _Watched] = {}

    def __call__(self, part: Part, predictions: Path, state: State) -> str | None:
        """Why ``part`` is beaten, once it is."""
        watched = self._watched.get(part.key)
        if watched is None:
            rival = self._rival(state)
            watched = self._watched[part.key] = _Watched(self, rival, self.clock())
        if watched.rival is None or self.clock() < watched.next_look_s:
            return None
        watched.next_look_s = self.clock() + LOOK_EVERY_S
        return watched.look(predictions)

    def _rival(self, state: State) -> tuple[Cell, str] | None:
        """The finished cell that is best so far, and the metric by which it is: the task's first that cells have."""
        cells = [row for cell in self.plan.cells if (row := state.results.get(cell.key)) and row.event == "finished"]
        known = {(metric.name, metric.statistic) for row in cells for metric in row.metrics}
        for wanted in self.measure([], self.plan.options).metrics if cells else ():
            better = self.better.get(wanted.name)
            if (wanted.name, wanted.statistic) in known and better in ("higher", "lower"):
                name, sign = f"{wanted.name}:{wanted.statistic}", 1.0 if better == "higher" else -1.0
                valued = [(sign * value, row) for row in cells if (value := _value(row, name)) is not None]
                return max(valued, key=lambda pair: pair[0])[1], name
        return None


class _Watched:
    """One cell that is inferred, its rival, and what was read of it so far."""

    def __init__(self, judge: Judge, rival: tuple[Cell, str] | None, now_s: float) -> None:
        self.judge, self.rival, self.next_look_s = judge, rival, now_s
        self._offset, self._waiting = 0, []  # type: int, list[Any]
        self._decoder = msgspec.json.Decoder(judge.row_type)
        if rival is None:
            return
        cell, self._metric = rival
        others = max(1, len(judge.plan.cells) - 1)
        job = AnytimeJob(
            task=judge.plan.sweep.task,
            options=judge.plan.options,
            metrics=(self._metric,),
            against=judge.folder / cell.folder / PREDICTIONS,
            sequence=SequenceOptions(confidence=1.0 - CHANCE / others),
        )
        self._anytime = Anytime(job)

    def look(self, predictions: Path) -> str | None:
        """Take in what was written since the last look, block by block; why the cell is beaten, once it is."""
        self._waiting += self._new_rows(predictions)
        while len(self._waiting) >= BLOCK:
            self._anytime.take(self._waiting[:BLOCK])
            del self._waiting[:BLOCK]
            reading = self._anytime.reading_of(self._metric)
            if reading is not None and self._is_beaten(reading):
                return self._told(reading)
        return None

    def _new_rows(self, path: Path) -> Sequence[Any]:
        """Whole lines behind those that were read."""
        if not path.exists():
            return []
        with open(path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._decoder.decode(line) for line in whole.splitlines()]

    def _is_beaten(self, reading: Reading) -> bool:
        if reading.interval is None or not reading.is_coherent:
            return False
        higher = self.judge.better[reading.metric.name] == "higher"
        return reading.interval.high < 0.0 if higher else reading.interval.low > 0.0

    def _told(self, reading: Reading) -> str:
        assert self.rival is not None and reading.interval is not None
        interval = reading.interval
        return (
            f"beaten after {reading.num_records} records: {self._metric} differs by {reading.value:.4g} "
            f"[{interval.low:.4g}, {interval.high:.4g}] from {self.rival[0].label}"
        )


def _value(row: Cell, name: str) -> float | None:
    return next((metric.value for metric in row.metrics if f"{metric.name}:{metric.statistic}" == name), None)
