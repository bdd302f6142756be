"""Truths of earlier answers: found in the request log by their ids, kept beside it, and joined with it."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart
from pipeline.files import encode
from pipeline.files.shared import append_lines, next_number, numbered
from pipeline.records.measured import POOLED, STATISTICS
from pipeline.serve.exchange import Exchange
from pipeline.serve.http.problems import Problem
from pipeline.serve.log import FILE, JUDGED, TRUTHS, Named, row_of
from pipeline.serve.metrics import Reading

MAX_IDS = 100_000  # of answers whose truth may still come, newest first


class Grown:
    """Lines of a file that others append to and rename away, as `append_lines` does, each with where it is, once.

    Of files that were renamed before, as many are read as have the newest ``num_lines``.
    """

    def __init__(self, path: Path, num_lines: int = MAX_IDS) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._offset = 0
        self._number = _first_needed(path, num_lines)  # of the name that the file has, or will get

    def lines(self) -> Iterator[tuple[BinaryIO, int, bytes]]:
        """The whole lines since the last call: the open file, the offset in it, and the line."""
        while True:
            if self._file is None:
                # In this order: where the second is not there, the first was opened before it was renamed.
                self._file = _opened(self._path)
                self._file = _opened(numbered(self._path, self._number)) or self._file
                self._offset = 0
                if self._file is None:
                    return
            is_last = _is_named(self._file, self._path)  # asked before reading: what is renamed grows no more
            self._file.seek(self._offset)
            for line in self._file:
                if not line.endswith(b"\n"):
                    break
                yield self._file, self._offset, line
                self._offset += len(line)
            if is_last:
                return
            self._file = None
            self._number += 1


def _first_needed(path: Path, num_lines: int) -> int:
    """The number of the oldest renamed file that has some of the newest ``num_lines``."""
    first = next_number(path)
    while first > 1 and num_lines > 0:
        first -= 1
        with open(numbered(path, first), "rb") as file:
            num_lines -= sum(1 for _ in file)
    return first


def _opened(path: Path) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        return None


def _is_named(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return True


class Joined:
    """One model's answers to one client, and their truths: what was found, and what it measured."""

    def __init__(self, folder: Path, exchange: Exchange, task: str, options: Any) -> None:
        self.folder = folder
        self._exchange, self._task, self._options = exchange, task, options
        self._rows, self._judged = Grown(folder / FILE), Grown(folder / JUDGED)
        self._places: OrderedDict[str, tuple[BinaryIO, int, int]] = OrderedDict()
        self._measured: dict[str, dict[str, float]] = {}  # by id: the gauges' metrics of that record
        self._kept: dict[str, Any] = {}  # by id, where a gauge is of all records together
        self._last: dict[str, float] = {}  # as long as nothing is added
        self._lock = Lock()

    def add(self, truth: Any) -> bool:
        """Keep a truth and its row, joined, if there is an answer of that id, among the newest.

        A proof finds it there, however much was answered since. Raises UserError when the disk takes no more.
        """
        with self._lock:
            for file, offset, line in self._rows.lines():
                if (named := row_of(line, Named)) is None:
                    continue
                self._places.pop(named.id, None)
                self._places[named.id] = (file, offset, len(line))
                if len(self._places) > MAX_IDS:
                    self._places.popitem(last=False)
            if truth.id not in self._places:
                return False
            file, offset, length = self._places[truth.id]
            row = row_of(os.pread(file.fileno(), length, offset), self._exchange.prediction)
        if row is None:
            return False
        append_lines(self.folder / TRUTHS, encode(truth))
        append_lines(self.folder / JUDGED, encode(self._exchange.with_truth(row, truth)))
        return True

    def readings(self) -> dict[str, float]:
        """The value of each gauge over all records whose truth is known."""
        with self._lock:
            rows = (row_of(line, self._exchange.prediction) for _, _, line in self._judged.lines())
            if joined := {row.id: row for row in rows if row is not None}:
                self._measure(joined)
                self._last = dict(self._values()) if self._measured else {}
            return self._last

    def _measure(self, joined: Mapping[str, Any]) -> None:
        measured = load_part(self._task, EvaluatePart).measure_records(list(joined.values()), self._options)
        names = {gauge.metric for gauge in self._exchange.part.gauges if gauge.statistic != POOLED}
        for n, id in enumerate(joined):
            if measured.scored[n]:
                self._measured[id] = {name: float(measured.values[name][n]) for name in names}
        if any(gauge.statistic == POOLED for gauge in self._exchange.part.gauges):
            self._kept |= joined

    def _values(self) -> Iterator[tuple[str, float]]:
        found: Mapping[str, Any] = {}
        if self._kept:
            part = load_part(self._task, EvaluatePart)
            pooled = part.measure_records(list(self._kept.values()), self._options).pooled
            assert pooled is not None, "a gauge is pooled where its metric is"
            found = pooled(np.ones((1, len(self._kept)), np.int32))
        for gauge in self._exchange.part.gauges:
            if gauge.statistic != POOLED:
                column = np.array([one[gauge.metric] for one in self._measured.values()])
                if (finite := column[np.isfinite(column)]).size:  # a truth that is no place has no distance
                    yield gauge.name, float(STATISTICS[gauge.statistic](finite))
            elif self._kept and np.isfinite(found[gauge.metric][0]):
                yield gauge.name, float(found[gauge.metric][0])


class Truths:
    """The truths of all that is in a request log. Its methods read files: call them off the event loop."""

    def __init__(self, folder: Path, exchange: Exchange, task: str, options: Any) -> None:
        self._folder, self._exchange, self._task, self._options = folder, exchange, task, options
        self._joined: dict[Path, Joined] = {}

    def post(self, client: str, truth: Any) -> list[str]:
        """Keep the truth of an earlier answer to this client; returns the models that gave one. Raises Problem: 404."""
        found = [joined.folder.name for joined in self._of(self._folder / client) if joined.add(truth)]
        if not found:
            what = f"no answer of the id {truth.id[:80]!r} is among the newest {MAX_IDS:,}"
            next = "post the truth of an answer that this server gave, by the id in it"
            raise Problem(HTTPStatus.NOT_FOUND, "no_such_answer", what, where="id", next=next)
        return found

    def readings(self, models: Iterable[str]) -> list[Reading]:
        """The live gauges of some models, over the answers to all clients together where there is one client."""
        values: dict[str, dict[str, float]] = {}
        for model in models:
            for folder in (self._folder, *self._clients()):
                for joined in self._of(folder, model):
                    for name, value in joined.readings().items():
                        label = model if folder == self._folder else f"{folder.name}/{model}"
                        values.setdefault(name, {})[label] = value
        return [
            (one.name, one.description, values[one.name]) for one in self._exchange.part.gauges if one.name in values
        ]

    def _clients(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*") if path.is_dir() and not (path / FILE).exists())

    def _of(self, folder: Path, model: str = "*") -> list[Joined]:
        paths = sorted(path.parent for path in folder.glob(f"{model}/{FILE}"))
        for path in paths:
            if path not in self._joined:
                self._joined[path] = Joined(path, self._exchange, self._task, self._options)
        return [self._joined[path] for path in paths]
