"""The ledger: what happened to the parts of a sweep, one appended row an event, and what is settled.

Two kinds of files, by what must hold of them. ``<part>/result.json`` is the row "finished" (or "stopped") of a part;
it is published whole and once, by whichever worker ends first, so that a part has one result whatever happens.
``ledger.jsonl`` is the history: rows are appended under a lock (`flock`, which NFS version 4 carries to other
machines), and a torn last line is cut off by the next writer. A result whose row is missing, because its worker was
killed between the two, gets it from the next worker that starts.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files import Appender, scan
from pipeline.files.encode import encode
from pipeline.sweep.claims import Claim, Holder, publish
from pipeline.sweep.plan import Part
from schemas.sweep import Cell, Event

FILE, LOCK, RESULT = "ledger.jsonl", "ledger.lock", "result.json"


@dataclass(frozen=True)
class State:
    """What is known of a sweep. ``results`` and ``failures`` are rows by key; a part in neither is open."""

    results: dict[str, Cell] = field(default_factory=dict)
    failures: dict[str, Cell] = field(default_factory=dict)

    def is_settled(self, part: Part) -> bool:
        """Whether nothing is left to do for it."""
        return part.key in self.results or part.key in self.failures

    def failed_need(self, part: Part) -> Cell | None:
        """The failure of something that ``part`` needs, if there is one: the part cannot be run then."""
        for need in part.needs:
            if need.key in self.failures:
                return self.failures[need.key]
            if need.key not in self.results and (deeper := self.failed_need(need)):
                return deeper
        return None


class Ledger:
    """The ledger and the results of the sweep in ``folder``, for any number of workers at once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self._results: dict[str, Cell] = {}  # a result never changes: each is read once

    def state(self, parts: Iterable[Part]) -> State:
        """What is settled of ``parts``, read anew."""
        results = {part.key: row for part in parts if (row := self.result(part))}
        failures: dict[str, Cell] = {}
        for row in self.rows():
            if row.event == "failed" and row.key not in results:
                failures[row.key] = row
        return State(results, failures)

    def rows(self) -> list[Cell]:
        """All rows so far."""
        return scan(self.path, Cell).rows if self.path.exists() else []

    def result(self, part: Part) -> Cell | None:
        """The result of a part, once it has one. Raises UserError when it does not read."""
        if part.key in self._results:
            return self._results[part.key]
        path = self.folder / part.folder / RESULT
        try:
            self._results[part.key] = msgspec.json.decode(path.read_bytes(), type=Cell)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise UserError(f"the result does not read: {error}", where=str(path), remedy="remove that file") from error
        return self._results[part.key]

    def append(self, row: Cell, unless: Callable[[], bool] = lambda: False) -> None:
        """Add one row, unless ``unless()`` says by then not to; it is on the disk when this returns."""
        with self._locked(), Appender(self.path, resume=True) as appender:
            if not unless():
                appender.append(row)

    def settle(self, part: Part, row: Cell) -> bool:
        """Publish a result and record it. False, and nothing is recorded, when the part has a result already."""
        (self.folder / part.folder).mkdir(parents=True, exist_ok=True)
        if not publish(self.folder / part.folder / RESULT, encode(row)):
            return False
        self.append(row)
        return True

    def complete(self, parts: Iterable[Part]) -> None:
        """Give every result that has no row in the ledger its row."""
        with self._locked():
            known = {row.id for row in self.rows()}
            missing = [row for part in parts if (row := self.result(part)) and row.id not in known]
            if missing:
                with Appender(self.path, resume=True) as appender:
                    for row in missing:
                        appender.append(row)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def row_of(part: Part, claim: Claim, event: Event, holder: Holder, **more: Any) -> Cell:
    """A row about an attempt at a part, now. ``more`` are other fields; without ``folder``, the part's own."""
    return Cell(
        task=part.task,
        id=f"{part.short}/{claim.attempt}/{event}",
        key=part.key,
        kind=part.kind,
        label=part.label,
        event=event,
        attempt=claim.attempt,
        worker=holder.worker,
        host=holder.host,
        unix_s=time.time(),
        **{"folder": part.folder.as_posix()} | more,
    )
