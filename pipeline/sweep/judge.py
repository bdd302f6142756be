"""Whether a cell is beaten while it is still inferred: by an earlier one, on the same records, with confidence.

The difference to the rival, by record, has a confidence sequence (`pipeline.evaluate.anytime`), which holds at every
moment: one may look after every block of records and stop at the first that decides. The error is shared out over all
cells but one, so that the best cell of the whole grid is stopped with a chance of 5 % at most.

The rival is the best of the cells that come earlier in the grid, as one worker that takes them in order finds it. So
what becomes of a cell depends on the grid and its records alone, however many workers there are and however fast: while
an earlier cell is open, a cell goes on inferring, and when the last of them is settled it is looked at from its first
record on. If it has ended by then, it is stopped in retrospect.
"""

import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from pipeline.evaluate.anytime import Anytime, AnytimeJob, Reading
from pipeline.records.measured import Task
from pipeline.stats.sequences import SequenceOptions
from pipeline.sweep.ledger import State
from pipeline.sweep.plan import PREDICTIONS, Part, Plan
from schemas.sweep import Cell

CHANCE = 0.05  # of stopping the best cell
BLOCK = 50  # records between two looks: the decision does not depend on how fast they come
LOOK_EVERY_S = 0.5


class Judge:
    """Watches the cells of one process. ``clock`` is in seconds."""

    def __init__(self, plan: Plan, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.plan, self.folder, self.clock = plan, folder, clock
        self.task = Task(plan.sweep.task, plan.options)
        self.better = {name: definition.better for name, definition in self.task.glossary.items()}
        self._watched: dict[Path, _Watched] = {}
        self._next_look_s: dict[Path, float] = {}

    def __call__(self, part: Part, predictions: Path, state: Callable[[], State]) -> str | None:
        """Why ``part``, which is being inferred, is beaten, once it is. ``state`` reads how things are now."""
        now_s = self.clock()
        if now_s < self._next_look_s.get(predictions, now_s):
            return None
        self._next_look_s[predictions] = now_s + LOOK_EVERY_S
        watched = self._watched.get(predictions)
        if watched is None:
            found = state()
            if not self.is_ready(part, found):
                return None
            watched = self._watched[predictions] = _Watched(self, self._rival(part, found), predictions)
        return watched.look()

    def is_ready(self, part: Part, state: State) -> bool:
        """Whether all cells before this one are settled, so that its rival is known."""
        return all(state.is_settled(cell) or state.failed_need(cell) for cell in self._earlier(part))

    def verdict(self, part: Part, predictions: Path, state: State) -> str | None:
        """Why ``part``, which has been inferred and is ready, was beaten at some time; None if it never was."""
        self._watched.pop(predictions, None)
        return _Watched(self, self._rival(part, state), predictions).look()

    def _earlier(self, part: Part) -> list[Part]:
        return list(takewhile(lambda cell: cell.key != part.key, self.plan.cells))

    def _rival(self, part: Part, state: State) -> tuple[Cell, str] | None:
        """The finished cell that is best before this one, and the metric by which it is: the task's first that cells
        have."""
        found = (state.results.get(cell.key) for cell in self._earlier(part))
        cells = [row for row in found if row is not None and row.event == "finished"]
        known = {(metric.name, metric.statistic) for row in cells for metric in row.metrics}
        for wanted in self.task.part.measure_records([], self.plan.options).metrics if cells else ():
            better = self.better.get(wanted.name)
            if (wanted.name, wanted.statistic) in known and better in ("higher", "lower"):
                name, sign = f"{wanted.name}:{wanted.statistic}", 1.0 if better == "higher" else -1.0
                valued = [(sign * value, row) for row in cells if (value := _value(row, name)) is not None]
                return max(valued, key=lambda pair: pair[0])[1], name
        return None


class _Watched:
    """One cell that is inferred, its rival, and what was read of it so far."""

    def __init__(self, judge: Judge, rival: tuple[Cell, str] | None, path: Path) -> None:
        self.judge, self.rival, self.path = judge, rival, path
        self._offset, self._waiting = 0, []  # type: int, list[Any]
        self._decoder = msgspec.json.Decoder(judge.task.row_type)
        if rival is None:
            return
        cell, self._metric = rival
        others = max(1, len(judge.plan.cells) - 1)
        job = AnytimeJob(
            task=judge.task.name,
            path=path,
            options=judge.task.options,
            metrics=(self._metric,),
            against=judge.folder / cell.folder / PREDICTIONS,
            sequence=SequenceOptions(confidence=1.0 - CHANCE / others),
        )
        self._anytime = Anytime(job)

    def look(self) -> str | None:
        """Take in what was written since the last look, block by block; why the cell is beaten, once it is."""
        if self.rival is None:
            return None
        self._waiting += self._new_rows()
        while len(self._waiting) >= BLOCK:
            self._anytime.take(self._waiting[:BLOCK])
            del self._waiting[:BLOCK]
            reading = self._anytime.reading_of(self._metric)
            if reading is not None and self._is_beaten(reading):
                return self._told(reading)
        return None

    def _new_rows(self) -> Sequence[Any]:
        """Whole lines behind those that were read."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
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
