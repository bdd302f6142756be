"""One file of predictions, block by block, to what is compared of it: ids, lines, values; rows only if needed.

A task whose metrics are all of values by record is measured a block (1 MiB of lines) at a time, and the rows of a block
are forgotten before the next is read. A task with pooled metrics needs all rows at once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.metrics import Measurements
from pipeline.errors import UserError
from pipeline.files.blocks import blocks as blocks_of
from pipeline.files.decode import LineDecoder
from pipeline.records.measured import POOLED, Ints, Task, choose_metrics
from pipeline.stats import Floats

DEFAULT_NUM_METRICS = 5

Block = tuple[Sequence[Any], Ints]
"""Rows, and the number of the line of each."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """What is kept of one file, in its order: N records.

    ``truth[n]`` is a hash of what record n was asked and is judged by; ``lines[n]`` its line, from 1, where the file
    has lines; ``measured`` what the records measured, of the metrics that were chosen; ``strata`` int64 [N], where
    records are to be resampled by stratum. ``rows`` are there for tasks with pooled metrics alone.
    """

    label: str
    path: Path
    ids: Sequence[str]
    truth: Ints
    measured: Measurements
    models: tuple[str, ...] = ()
    lines: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    strata: Ints | None = None
    rows: Sequence[Any] | None = None

    def figures(self, weights: NDArray[np.int32], places: Ints) -> Mapping[str, Floats]:
        """Pooled metrics [B] by name, where the records at ``places`` [M] count as ``weights`` [B, M] say."""
        assert self.measured.pooled is not None
        whole = np.zeros((len(weights), len(self.ids)), np.int32)
        whole[:, places] = weights
        return self.measured.pooled(whole)

    def rows_at(self, task: Task, places: Ints) -> list[Any]:
        """Predictions of records, read again where they were not kept; None where nothing holds them, and for -1."""
        if self.rows is not None:
            return [self.rows[place] if place >= 0 else None for place in places.tolist()]
        if not len(self.lines):
            return [None for _ in places]
        lines = [int(self.lines[place]) if place >= 0 else None for place in places.tolist()]
        found = rows_at(self.path, task.row_type, [line for line in lines if line is not None])
        return [None if line is None else found[line] for line in lines]


def read_records(task: Task, label: str, path: Path, asked: Sequence[str] | None = None) -> Records:
    """One finished file. ``asked`` are metrics as the command line names them, none: the first of the task; None: all.

    Raises UserError for a file that is torn, empty, or holds an id twice, and for unknown metrics.
    """
    return records_of_blocks(task, label, path, _blocks(path, task.row_type), asked)


def records_of_blocks(
    task: Task, label: str, path: Path, blocks: Iterable[Block], asked: Sequence[str] | None = None
) -> Records:
    """What the rows of all blocks measured, as `read_records`."""
    parts: list[Records] = []
    rows: list[Any] = []
    lines: list[Ints] = []
    names: dict[Any, Any] = {}
    for block, at in blocks:
        lines.append(at)
        part = None if rows else records_of(task, label, path, block)
        if part is None or part.measured.pooled is not None:
            rows += block
        else:
            parts.append(_kept(part, asked, names))
    if rows:
        parts = [_kept(records_of(task, label, path, rows), asked, names)]
    if not parts:
        raise UserError("there are no predictions in the file", where=str(path), remedy="run `baton infer`")
    records = _joined(parts, np.concatenate(lines))
    _refuse_repeats(records)
    return records


def records_of(task: Task, label: str, path: Path, rows: Sequence[Any]) -> Records:
    """What predictions in memory measured, all of it."""
    return Records(
        label=label,
        path=path,
        ids=[row.id for row in rows],
        truth=task.truths(rows),
        measured=task.measure(rows, path),
        models=tuple(dict.fromkeys(row.model for row in rows)),
        rows=rows,
    )


def _kept(part: Records, asked: Sequence[str] | None, names: dict[Any, Any]) -> Records:
    """Of what a block measured, only what was asked for. ``names`` are all so far: equal ones are kept once."""
    measured = part.measured
    metrics, values = measured.metrics, measured.values
    if asked is not None:
        metrics = choose_metrics(metrics, asked, DEFAULT_NUM_METRICS)
        values = {metric.name: values[metric.name] for metric in metrics if metric.statistic != POOLED}
    for name, column in values.items():
        if not np.isfinite(column[measured.scored]).all():
            raise ValueError(f"{name} of a scored record is not finite")
    kept = replace(
        measured,
        metrics=metrics,
        values=values,
        slices={key: [names.setdefault(name, name) for name in column] for key, column in measured.slices.items()},
        strata=None if measured.strata is None else [names.setdefault(name, name) for name in measured.strata],
    )
    return replace(part, measured=kept, rows=None if measured.pooled is None else part.rows)


def _joined(parts: Sequence[Records], lines: Ints) -> Records:
    """One file of its blocks."""
    first, measured = parts[0], [part.measured for part in parts]
    whole = measured[0]
    strata = None if whole.strata is None else [name for one in measured for name in one.strata or ()]
    return replace(
        first,
        ids=[id for part in parts for id in part.ids],
        truth=np.concatenate([part.truth for part in parts]),
        models=tuple(dict.fromkeys(model for part in parts for model in part.models)),
        lines=lines,
        strata=None if strata is None else _numbered(strata),
        measured=replace(
            whole,
            values={name: np.concatenate([one.values[name] for one in measured]) for name in whole.values},
            scored=np.concatenate([one.scored for one in measured]),
            slices={key: [name for one in measured for name in one.slices[key]] for key in whole.slices},
            strata=strata,
        ),
    )


def _numbered(strata: Sequence[Any]) -> Ints | None:
    """[N] in the order of the names; None where all records are of one stratum."""
    numbers = {name: number for number, name in enumerate(sorted({*strata}))}
    return np.array([numbers[name] for name in strata], np.int64) if len(numbers) > 1 else None


def _refuse_repeats(records: Records) -> None:
    id, count = Counter(records.ids).most_common(1)[0]
    if count == 1:
        return
    places = [str(line) for line, other in zip(records.lines, records.ids, strict=True) if other == id]
    raise UserError(
        f"the id {id!r} stands {count} times",
        where=f"{records.path}, lines {', '.join(places[:10])}",
        remedy="keep one prediction for each record",
    )


def _blocks(path: Path, row_type: type[Any]) -> Iterator[Block]:
    """Rows of a finished file with their line numbers, a block at a time. Raises UserError as `pipeline.files.read`."""
    decoder = LineDecoder(path, row_type, accept_unfinished=True)
    taken: list[bytes] = []

    def source() -> Iterator[bytes]:
        for block in blocks_of(path):
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
            lines = lines[[bool(line.strip()) for line in taken[0].removesuffix(b"\n").split(b"\n")]]
        if rows:
            yield rows, lines


def rows_at(path: Path, row_type: type[Any], lines: Sequence[int]) -> dict[int, Any]:
    """The rows of some lines of a file, by line. Of the others not more than the ends is looked at."""
    wanted, found, before = {*lines}, {}, 0
    decoder = LineDecoder(path, row_type, accept_unfinished=True)
    for block in blocks_of(path):
        num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        here = sorted(line for line in wanted if before < line <= before + num_lines)
        if here:
            texts = block.split(b"\n")
            found.update({line: decoder.line(texts[line - before - 1]) for line in here})
        before += num_lines
    return found
