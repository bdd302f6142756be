"""One file of predictions, block by block, to what a comparison keeps of it: ids, lines, values; rows only if needed.

A task whose metrics are all of values by record is measured a block (1 MiB of lines) at a time, and the rows of a block
are forgotten before the next is read. A task with pooled metrics needs all rows at once.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.metrics import Measurements, RecordMetric
from pipeline.errors import UserError
from pipeline.files.blocks import blocks
from pipeline.files.decode import LineDecoder
from pipeline.records.measured import Task
from pipeline.stats import Floats

Ints = NDArray[np.int64]
DEFAULT_NUM_METRICS = 5
POOLED = "pooled"


@dataclass(frozen=True, kw_only=True)
class Category:
    """A slice key by record: ``codes[n]`` is the index of record n's value in ``names``, -1 where it has none."""

    names: tuple[str, ...]
    codes: Ints


@dataclass(frozen=True, kw_only=True)
class Records:
    """What is kept of one file, in its order: N records.

    ``values`` are float64 [N] by metric name, of the metrics that were chosen; ``lines[n]`` is the line of record n,
    from 1; ``truth[n]`` a hash of what it was asked and is judged by. ``rows`` and ``pooled`` are there for tasks with
    pooled metrics alone.
    """

    label: str
    path: Path
    ids: list[str]
    lines: Ints
    truth: Ints
    models: tuple[str, ...]
    scored: NDArray[np.bool_]
    values: Mapping[str, Floats]
    metrics: tuple[RecordMetric, ...]
    categories: Mapping[str, Category]
    strata: Ints | None
    bounds: Mapping[str, tuple[float, float]]
    rows: Sequence[Any] | None = None
    measured: Measurements | None = None


def read_records(task: Task, label: str, path: Path, asked: Sequence[str]) -> Records:
    """One file. ``asked`` are metrics as the command line names them; none: the first of the task.

    Raises UserError for a file that is torn, empty, or holds an id twice, and for unknown metrics.
    """
    gathered = _Gathered(task, path, asked)
    for rows, lines in read_blocks(path, task.row_type):
        gathered.add(rows, lines)
    return gathered.finish(label)


def read_blocks(path: Path, row_type: type[Any]) -> Iterator[tuple[list[Any], Ints]]:
    """Rows of a finished file with their line numbers, a block at a time. Raises UserError as `pipeline.files.read`."""
    decoder = LineDecoder(path, row_type, accept_unfinished=True)
    taken: list[bytes] = []

    def source() -> Iterator[bytes]:
        for block in blocks(path):
            taken[:] = [block]
            yield block

    stream = source()
    while True:
        rows: list[Any] = []
        before = decoder.num_lines
        if not decoder.feed(stream, rows):
            return
        lines = np.arange(before + 1, decoder.num_lines + 1)
        if len(lines) != len(rows):  # blank lines count as lines
            lines = lines[[bool(line.strip()) for line in taken[0].splitlines()]]
        if rows:
            yield rows, lines


def rows_at(path: Path, row_type: type[Any], lines: Sequence[int]) -> dict[int, Any]:
    """The rows of some lines of a file, by line. Of the others not more than the ends is looked at."""
    wanted, found, before = {*lines}, {}, 0
    decoder = LineDecoder(path, row_type, accept_unfinished=True)
    for block in blocks(path):
        num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        here = sorted(line for line in wanted if before < line <= before + num_lines)
        if here:
            texts = block.split(b"\n")
            found.update({line: decoder.line(texts[line - before - 1]) for line in here})
        before += num_lines
    return found


@dataclass
class _Gathered:
    """The parts of one file, a block after the other."""

    task: Task
    path: Path
    asked: Sequence[str]
    ids: list[str] = field(default_factory=list)
    lines: list[Ints] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    models: dict[str, None] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=list)
    blocks: list[Measurements] = field(default_factory=list)
    categories: dict[str, "_Codes"] = field(default_factory=dict)
    strata: "_Strata" = field(default_factory=lambda: _Strata())
    metrics: tuple[RecordMetric, ...] = ()
    keeps_rows: bool = False

    def add(self, rows: list[Any], lines: Ints) -> None:
        """Take in one block."""
        self.ids += [row.id for row in rows]
        self.lines.append(lines)
        self.models.update((row.model, None) for row in rows)
        self.truth += map(hash, self.task.truths(rows))
        if not self.blocks:
            measured = self.task.measure(rows, self.path)
            self.keeps_rows = measured.pooled is not None
            self.metrics = choose_metrics(measured.metrics, self.asked)
        elif not self.keeps_rows:
            measured = self.task.measure(rows, self.path)
        if self.keeps_rows:
            self.rows += rows
            self.blocks = self.blocks or [measured]
        else:
            self._keep(measured, rows)

    def _keep(self, measured: Measurements, rows: Sequence[Any]) -> None:
        """Of what the rows measured, only what was asked for."""
        names = {metric.name for metric in self.metrics if metric.statistic != POOLED}
        values = {name: measured.values[name] for name in names}
        self.strata.add(measured.strata, rows)
        for key, found in measured.slices.items():
            self.categories.setdefault(key, _Codes()).add(found)
        kept = Measurements(values=values, scored=measured.scored, metrics=(), bounds=measured.bounds)
        self.blocks.append(kept)

    def finish(self, label: str) -> Records:
        """Everything, joined."""
        if not self.ids:
            raise UserError("there are no predictions in the file", where=str(self.path), remedy="run `baton infer`")
        lines = np.concatenate(self.lines)
        self._refuse_repeats(lines)
        whole = None
        if self.keeps_rows:
            self.blocks = []
            whole = self.task.measure(self.rows, self.path)
            self._keep(whole, self.rows)
        values = {name: np.concatenate([b.values[name] for b in self.blocks]) for name in self.blocks[0].values}
        scored = np.concatenate([b.scored for b in self.blocks])
        for name, column in values.items():
            if not np.isfinite(column[scored]).all():
                raise ValueError(f"{name} of a scored record is not finite")
        return Records(
            label=label,
            path=self.path,
            ids=self.ids,
            lines=lines,
            truth=np.array(self.truth, dtype=np.int64),
            models=tuple(self.models),
            scored=scored,
            values=values,
            metrics=self.metrics,
            categories={key: codes.finish() for key, codes in self.categories.items()},
            strata=self.strata.finish(self.task, self.path),
            bounds=self.blocks[0].bounds,
            rows=self.rows if self.keeps_rows else None,
            measured=whole,
        )

    def _refuse_repeats(self, lines: Ints) -> None:
        if len({*self.ids}) == len(self.ids):
            return
        id, count = Counter(self.ids).most_common(1)[0]
        places = [str(lines[n]) for n, other in enumerate(self.ids) if other == id]
        raise UserError(
            f"the id {id!r} stands {count} times",
            where=f"{self.path}, lines {', '.join(places[:10])}",
            remedy="keep one prediction for each record",
        )


class _Codes:
    """Texts by record, kept as numbers."""

    def __init__(self) -> None:
        self.names: dict[str | None, int] = {None: -1}
        self.parts: list[Ints] = []

    def add(self, values: Sequence[str | None]) -> None:
        """The texts of one block."""
        names = self.names
        codes = [names.setdefault(value, len(names) - 1) for value in values]
        self.parts.append(np.array(codes, dtype=np.int64))

    def finish(self) -> Category:
        """All of them."""
        return Category(names=tuple(name for name in self.names if name is not None), codes=np.concatenate(self.parts))


class _Strata:
    """Strata are numbered anew in each block: one record of each stratum is kept, and in the end these are measured
    together, which tells which strata are the same."""

    def __init__(self) -> None:
        self.parts: list[Ints] = []
        self.examples: list[Any] = []

    def add(self, strata: Ints | None, rows: Sequence[Any]) -> None:
        """The strata of one block."""
        found, first, codes = np.unique(
            np.zeros(len(rows), np.int64) if strata is None else strata, return_index=True, return_inverse=True
        )
        self.parts.append(codes.reshape(-1) + len(self.examples))
        self.examples += [rows[index] for index in first[: len(found)]]

    def finish(self, task: Task, path: Path) -> Ints | None:
        """[N], or None where all records are of one stratum."""
        strata = task.measure(self.examples, path).strata
        if strata is None:
            return None
        numbered: Ints = np.asarray(strata, dtype=np.int64)[np.concatenate(self.parts)]
        return numbered


def choose_metrics(available: Sequence[RecordMetric], asked: Sequence[str]) -> tuple[RecordMetric, ...]:
    """Metrics by "name" or "name:statistic" (a name alone: its first statistic); none asked: the first few.

    Raises UserError for what the task does not have.
    """
    if not asked:
        return tuple(available[:DEFAULT_NUM_METRICS])
    known: dict[str, RecordMetric] = {}
    for metric in available:
        known.setdefault(metric.name, metric)
        known[f"{metric.name}:{metric.statistic}"] = metric
    for text in asked:
        if text not in known:
            close = difflib.get_close_matches(text, known, n=3, cutoff=0.5)
            names = list(dict.fromkeys(metric.name for metric in available))
            remedy = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
            raise UserError(f"the task has no metric {text!r}", where="--metric", remedy=remedy)
    return tuple(dict.fromkeys(known[text] for text in asked))
