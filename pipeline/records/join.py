"""Files joined by record id: the same records in all, with the same truth, or a refusal that lists which are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.metrics import RecordMetric
from pipeline.errors import UserError
from pipeline.records.measured import POOLED, Ints, Task
from pipeline.records.read import Records
from pipeline.stats import Floats

OnMissing = Literal["refuse", "intersect", "worst"]
Side = tuple[Records, Ints]  # a file, and where the joined records stand in it: [M], -1 where it lacks one
NUM_SHOWN = 10
MAX_SLICES = 50  # values of one key; a key with more is a name of records rather than a kind of them


@dataclass(frozen=True, eq=False)
class Slice:
    """Records of a subset: ``chosen`` are indices of joined records, None for all of them. It equals itself alone."""

    by: str
    value: str
    chosen: Ints | None

    @property
    def name(self) -> str:
        """As ids of rows have it."""
        return self.by if self.by == "all" else f"{self.by}={self.value}"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """M records that are compared, in the order of the first file.

    ``positions[label][m]`` is where record m stands in that file, -1 where the file lacks it. ``values[label][name]``
    are float64 [M]. ``slices`` are all records first, then those of each value of each key. ``notes`` say what a reader
    must know.
    """

    files: Mapping[str, Records]
    ids: Sequence[str]
    positions: Mapping[str, Ints]
    values: Mapping[str, Mapping[str, Floats]]
    slices: Sequence[Slice]
    strata: Ints | None
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """Names of the files, in their order."""
        return list(self.files)

    @property
    def metrics(self) -> Sequence[RecordMetric]:
        """Metrics that all files have, as the first lists them."""
        first, *others = self.files.values()
        return [m for m in first.measured.metrics if all(m in records.measured.metrics for records in others)]


def join_records(task: Task, files: Mapping[str, Records], on_missing: OnMissing, better: Mapping[str, str]) -> Joined:
    """The files over the records that are compared.

    ``better`` is the direction of each metric, which says what "worst" is. Raises UserError when files do not hold the
    same records, unless ``on_missing`` says what to do, and when the truth of a record differs.
    """
    notes = _models(files)
    ids = _ids(files, on_missing)
    sides = [(records, positions_of(ids, records)) for records in files.values()]
    (first, at), *others = sides
    for records, there in others:
        both = (at >= 0) & (there >= 0)
        refuse_other_truth(task, (first, at[both]), (records, there[both]))
    usable = [(at >= 0) & records.measured.scored[at] for records, at in sides]
    kept = np.logical_and.reduce(usable)
    if not kept.all():
        _explain_gaps(ids, sides, usable, on_missing, notes)
    if on_missing == "worst":
        kept = np.logical_or.reduce(usable)
        _refuse_worst_of_pooled(first, usable, kept)
    if not kept.any():
        raise UserError("no record is answered in all of the files", remedy="compare files over the same examples")
    sides = [(records, at[kept]) for records, at in sides]
    return Joined(
        files=files,
        ids=ids if kept.all() else _some(ids, kept),
        positions={records.label: at for records, at in sides},
        values=_values(sides, [found[kept] for found in usable], better),
        slices=_slices(sides, notes),
        strata=_strata(sides),
        notes=notes,
    )


def positions_of(ids: Sequence[str], records: Records) -> Ints:
    """Where each id stands in a file: [M], -1 where it does not."""
    if records.ids == ids:
        return np.arange(len(ids))
    place = {id: n for n, id in enumerate(records.ids)}
    return np.array([place.get(id, -1) for id in ids], dtype=np.int64)


def only_in(first: Records, other: Records) -> list[str]:
    """A line for the records that the other file lacks, and one for those that the first lacks, where there are any."""
    if first.ids == other.ids:
        return []
    lines = []
    for one, two in ((first, other), (other, first)):
        there = {*two.ids}
        missing = [id for id in one.ids if id not in there]
        lines += [_listed(f"in {one.label} and not in {two.label}", missing)] if missing else []
    return lines


def refuse_other_truth(task: Task, ours: Side, theirs: Side) -> None:
    """Raises UserError where two files disagree about what a record is or is judged by: the difference of two answers
    would mean nothing. All of the records are in both files."""
    (first, at), (second, there) = ours, theirs
    different = np.flatnonzero(first.truth[at] != second.truth[there])
    if not len(different):
        return
    here, other = at[different[:NUM_SHOWN]], there[different[:NUM_SHOWN]]
    lines = []
    for m, n, one, two in zip(here, other, first.rows_at(task, here), second.rows_at(task, other), strict=True):
        where = f" (lines {first.lines[m]} and {second.lines[n]})" if len(first.lines) and len(second.lines) else ""
        known = one is not None and two is not None
        lines.append(f"{first.ids[m]}{where}" + (f": {task.difference(one, two)}" if known else ""))
    lines += [f"and {len(different) - NUM_SHOWN:,} more"] if len(different) > NUM_SHOWN else []
    raise UserError(
        f"{len(different):,} of {len(at):,} records are not the same in {first.label} and {second.label}:\n    "
        + "\n    ".join(lines),
        where=f"{first.path}, {second.path}",
        remedy="run `baton infer` for both models over one examples.jsonl",
    )


def _models(files: Mapping[str, Records]) -> list[str]:
    """What is odd about the models behind the files."""
    notes = [
        f"{label} holds predictions of {len(records.models)} models: {', '.join(records.models[:NUM_SHOWN])}."
        for label, records in files.items()
        if len(records.models) > 1
    ]
    by_model: dict[tuple[str, ...], list[str]] = {}
    for label, records in files.items():
        by_model.setdefault(records.models, []).append(label)
    notes += [
        f"{' and '.join(labels)} are predictions of the same model ({', '.join(models)})."
        for models, labels in by_model.items()
        if len(labels) > 1
    ]
    return notes


def _ids(files: Mapping[str, Records], on_missing: OnMissing) -> Sequence[str]:
    """Ids of the first file and, after them, those of the others that it lacks. Raises UserError where they differ and
    that was not allowed."""
    first, *others = files.values()
    lines = [line for records in others for line in only_in(first, records)]
    if not lines:
        return first.ids
    if on_missing == "refuse":
        raise UserError(
            "the files do not hold the same records:\n    " + "\n    ".join(lines),
            where=", ".join(str(records.path) for records in files.values()),
            remedy="--on-missing intersect compares the records they share, worst counts a missing one as the worst"
            if {*first.ids}.intersection(*(records.ids for records in others))
            else "they share no record: run `baton infer` for each model over one file of examples",
        )
    return list(dict.fromkeys(id for records in files.values() for id in records.ids))


def _listed(what: str, ids: Sequence[str]) -> str:
    rest = f" and {len(ids) - NUM_SHOWN:,} more" if len(ids) > NUM_SHOWN else ""
    return f"{len(ids):,} {what}: {', '.join(ids[:NUM_SHOWN])}{rest}"


def _explain_gaps(
    ids: Sequence[str],
    sides: Sequence[Side],
    usable: Sequence[NDArray[np.bool_]],
    on_missing: OnMissing,
    notes: list[str],
) -> None:
    """Note which records are left out or count as the worst; refuse those that failed in some files only."""
    everywhere = ~np.logical_or.reduce(usable)
    if everywhere.any():
        notes.append(f"{_listed('records failed in every file and are left out', _some(ids, everywhere))}.")
    lines = []
    for (records, at), found in zip(sides, usable, strict=True):
        failed = (at >= 0) & ~found & ~everywhere
        missing = (at < 0) & ~everywhere
        lines += [_listed(f"failed in {records.label}", _some(ids, failed))] if failed.any() else []
        if missing.any() and on_missing != "refuse":
            lines.append(_listed(f"missing in {records.label}", _some(ids, missing)))
    if lines and on_missing == "refuse":
        raise UserError(
            "some records failed in one file and not in another:\n    " + "\n    ".join(lines),
            where=", ".join(str(records.path) for records, _ in sides),
            remedy="--on-missing intersect leaves them out, worst counts a failed one as the worst",
        )
    how = "left out" if on_missing == "intersect" else "counted as the worst"
    notes += [f"Records {how}: {line}." for line in lines]


def _some(ids: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [ids[m] for m in np.flatnonzero(chosen).tolist()]


def _refuse_worst_of_pooled(first: Records, usable: Sequence[NDArray[np.bool_]], kept: NDArray[np.bool_]) -> None:
    pooled = [metric.name for metric in first.measured.metrics if metric.statistic == POOLED]
    if pooled and not all(found[kept].all() for found in usable):
        raise UserError(
            f"{', '.join(pooled)}: taken over all records together, so that a single one has no worst value",
            where="--on-missing worst",
            remedy="--on-missing intersect, or a --metric that each record has by itself",
        )


def _values(
    sides: Sequence[Side], usable: Sequence[NDArray[np.bool_]], better: Mapping[str, str]
) -> dict[str, dict[str, Floats]]:
    """Values of the joined records; where a file has none, the worst that there is."""
    names = sides[0][0].measured.values
    worst = {name: _worst([records for records, _ in sides], name, better[name]) for name in names}
    return {
        records.label: {name: np.where(found, records.measured.values[name][at], worst[name]) for name in names}
        for (records, at), found in zip(sides, usable, strict=True)
    }


def _worst(files: Sequence[Records], name: str, better: str) -> float:
    """The bound of the metric on its bad side; without one, the worst value that any record of any file has."""
    bounds = files[0].measured.bounds.get(name)
    lowest = better != "lower"
    if bounds is not None:
        return bounds[0] if lowest else bounds[1]
    scored = [records.measured.values[name][records.measured.scored] for records in files]
    everything = np.concatenate(scored)
    return float(everything.min() if lowest else everything.max())


def _slices(sides: Sequence[Side], notes: list[str]) -> list[Slice]:
    """All records; then those of each value of a key that splits them and means the same in all files."""
    slices = [Slice("all", "all", None)]
    for key in dict.fromkeys(key for records, _ in sides for key in records.measured.slices):
        names, codes, same = _common_names(sides, key)
        present = [code for code in np.unique(codes).tolist() if code >= 0]
        if not same:
            notes.append(f"{key} is not the same in all files for each record: no slices by it.")
        elif len(present) > MAX_SLICES:
            notes.append(f"{key} has {len(present):,} values: no slices by it.")
        elif len(present) > 1:
            slices += [Slice(key, names[code], np.flatnonzero(codes == code)) for code in present]
    return slices


def _common_names(sides: Sequence[Side], key: str) -> tuple[list[str], Ints, bool]:
    """Names of a key's values, codes [M] of the first file that knows a record (-1: it has no value), and whether all
    files that know it agree."""
    names: dict[str | None, int] = {None: -1}
    codes, known = np.full(len(sides[0][1]), -1), np.zeros(len(sides[0][1]), np.bool_)
    same = True
    for records, at in sides:
        column = records.measured.slices.get(key, [None] * len(records.ids))
        mine = np.array([names.setdefault(name, len(names) - 1) for name in column], np.int64)[at]
        same = same and bool((codes == mine)[known & (at >= 0)].all())
        codes, known = np.where(known, codes, mine), known | (at >= 0)
    return [name for name in names if name is not None], codes, same


def _strata(sides: Sequence[Side]) -> Ints | None:
    """Strata [M] from the first file that has each record. Files number strata as they like, so that records which the
    first lacks form strata of their own."""
    result = np.full(len(sides[0][1]), -1)
    offset = 0
    for records, at in sides:
        found = np.zeros(len(records.ids), dtype=np.int64) if records.strata is None else records.strata
        result = np.where((result < 0) & (at >= 0), found[at] + offset, result)
        offset += int(found.max()) + 1
    return result if len(np.unique(result)) > 1 else None
