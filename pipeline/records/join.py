"""Files joined by record id: the same records in all, with the same truth, or a refusal that lists which are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.metrics import RecordMetric
from pipeline.errors import UserError
from pipeline.records.measured import Task
from pipeline.records.read import POOLED, Category, Ints, Records, rows_at
from pipeline.stats import Floats

OnMissing = Literal["refuse", "intersect", "worst"]
NUM_SHOWN = 10
MAX_SLICES = 50  # values of one key; a key with more is a name of records rather than a kind of them


@dataclass(frozen=True)
class Slice:
    """Records of a subset: ``chosen`` are indices of joined records, None for all of them."""

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
        return [metric for metric in first.metrics if all(metric in records.metrics for records in others)]


def join(task: Task, files: Mapping[str, Records], on_missing: OnMissing, better: Mapping[str, str]) -> Joined:
    """The files over the records that are compared.

    ``better`` is the direction of each metric, which says what "worst" is. Raises UserError when files do not hold the
    same records, unless ``on_missing`` says what to do, and when the truth of a record differs.
    """
    notes = _models(files)
    ids = _ids(files, on_missing)
    positions = {label: _positions(records, ids) for label, records in files.items()}
    _refuse_other_truth(task, files, ids, positions)
    usable = {label: (at >= 0) & records.scored[at] for (label, records), at in _pairs(files, positions)}
    kept = np.logical_and.reduce(list(usable.values()))
    if not kept.all():
        _explain_gaps(files, ids, positions, usable, on_missing, notes)
    if on_missing == "worst":
        kept = np.logical_or.reduce(list(usable.values()))
        _refuse_worst_of_pooled(files, usable, kept)
    if not kept.any():
        raise UserError("no record is answered in all of the files", remedy="compare files over the same examples")
    chosen = np.flatnonzero(kept)
    ids = ids if kept.all() else [ids[m] for m in chosen]
    positions = {label: at[chosen] for label, at in positions.items()}
    return Joined(
        files=files,
        ids=ids,
        positions=positions,
        values=_values(files, positions, {label: found[chosen] for label, found in usable.items()}, better),
        slices=_slices(files, positions, notes),
        strata=_strata(files, positions),
        notes=notes,
    )


def _pairs(files: Mapping[str, Records], positions: Mapping[str, Ints]) -> list[tuple[tuple[str, Records], Ints]]:
    return [((label, records), positions[label]) for label, records in files.items()]


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


def _ids(files: Mapping[str, Records], on_missing: OnMissing) -> list[str]:
    """Ids of the first file and, after them, those of the others that it lacks. Raises UserError where they differ and
    that was not allowed."""
    first, *others = files.values()
    if all(records.ids == first.ids for records in others):
        return first.ids
    known = dict.fromkeys(first.ids)
    lines = []
    for records in others:
        if len(records.ids) == len(first.ids) and known.keys() == {*records.ids}:
            continue  # the same records in another order
        theirs = {*records.ids}
        only_first = [id for id in first.ids if id not in theirs]
        only_other = [id for id in records.ids if id not in known]
        lines += [_listed(f"in {first.label} and not in {records.label}", only_first)] if only_first else []
        lines += [_listed(f"in {records.label} and not in {first.label}", only_other)] if only_other else []
    if lines and on_missing == "refuse":
        raise UserError(
            "the files do not hold the same records:\n    " + "\n    ".join(lines),
            where=", ".join(str(records.path) for records in files.values()),
            remedy="--on-missing intersect compares the records they share, worst counts a missing one as the worst"
            if known.keys() & set.intersection(*({*records.ids} for records in others))
            else "they share no record: run `baton infer` for each model over one file of examples",
        )
    for records in others:
        known.update(dict.fromkeys(records.ids))
    return list(known)


def _listed(what: str, ids: Sequence[str]) -> str:
    rest = f" and {len(ids) - NUM_SHOWN:,} more" if len(ids) > NUM_SHOWN else ""
    return f"{len(ids):,} {what}: {', '.join(ids[:NUM_SHOWN])}{rest}"


def _positions(records: Records, ids: Sequence[str]) -> Ints:
    if records.ids == ids:
        return np.arange(len(ids))
    place = {id: n for n, id in enumerate(records.ids)}
    return np.array([place.get(id, -1) for id in ids], dtype=np.int64)


def _refuse_other_truth(
    task: Task, files: Mapping[str, Records], ids: Sequence[str], positions: Mapping[str, Ints]
) -> None:
    """Raises UserError where two files disagree about what a record is or is judged by."""
    (first, ours), *others = files.items()
    at = positions[first]
    for label, theirs in others:
        both = np.flatnonzero((at >= 0) & (positions[label] >= 0))
        different = both[ours.truth[at[both]] != theirs.truth[positions[label][both]]]
        if not len(different):
            continue
        shown = different[:NUM_SHOWN]
        here = [int(line) for line in ours.lines[at[shown]]]
        there = [int(line) for line in theirs.lines[positions[label][shown]]]
        rows, others_rows = rows_at(ours.path, task.row_type, here), rows_at(theirs.path, task.row_type, there)
        lines = [
            f"{ids[m]} (lines {one} and {other}): {task.difference(rows[one], others_rows[other])}"
            for m, one, other in zip(shown.tolist(), here, there, strict=True)
        ]
        lines += [f"and {len(different) - NUM_SHOWN:,} more"] if len(different) > NUM_SHOWN else []
        raise UserError(
            f"{len(different):,} of {len(both):,} records are not the same in {first} and {label}:\n    "
            + "\n    ".join(lines),
            where=f"{ours.path}, {theirs.path}",
            remedy="run `baton infer` for both models over one examples.jsonl",
        )


def _explain_gaps(
    files: Mapping[str, Records],
    ids: Sequence[str],
    positions: Mapping[str, Ints],
    usable: Mapping[str, NDArray[np.bool_]],
    on_missing: OnMissing,
    notes: list[str],
) -> None:
    """Note which records are left out or count as the worst; refuse those that failed in some files only."""
    everywhere = ~np.logical_or.reduce(list(usable.values()))
    if everywhere.any():
        notes.append(f"{_listed('records failed in every file and are left out', _some(ids, everywhere))}.")
    lines = []
    for (label, _), at in _pairs(files, positions):
        failed = (at >= 0) & ~usable[label] & ~everywhere
        missing = (at < 0) & ~everywhere
        lines += [_listed(f"failed in {label}", _some(ids, failed))] if failed.any() else []
        if missing.any() and on_missing != "refuse":
            lines.append(_listed(f"missing in {label}", _some(ids, missing)))
    if lines and on_missing == "refuse":
        raise UserError(
            "some records failed in one file and not in another:\n    " + "\n    ".join(lines),
            where=", ".join(str(records.path) for records in files.values()),
            remedy="--on-missing intersect leaves them out, worst counts a failed one as the worst",
        )
    how = "left out" if on_missing == "intersect" else "counted as the worst"
    notes += [f"Records {how}: {line}." for line in lines]


def _some(ids: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [ids[m] for m in np.flatnonzero(chosen).tolist()]


def _refuse_worst_of_pooled(
    files: Mapping[str, Records], usable: Mapping[str, NDArray[np.bool_]], kept: NDArray[np.bool_]
) -> None:
    complete = all(found[kept].all() for found in usable.values())
    pooled = [metric.name for metric in next(iter(files.values())).metrics if metric.statistic == POOLED]
    if pooled and not complete:
        raise UserError(
            f"{', '.join(pooled)}: taken over all records together, so that a single one has no worst value",
            where="--on-missing worst",
            remedy="--on-missing intersect, or a --metric that each record has by itself",
        )


def _values(
    files: Mapping[str, Records],
    positions: Mapping[str, Ints],
    usable: Mapping[str, NDArray[np.bool_]],
    better: Mapping[str, str],
) -> dict[str, dict[str, Floats]]:
    """Values of the joined records; where a file has none, the worst that there is."""
    found: dict[str, dict[str, Floats]] = {label: {} for label in files}
    for name in next(iter(files.values())).values:
        worst = _worst(files, name, better[name])
        for label, records in files.items():
            column = records.values[name][positions[label]]
            found[label][name] = np.where(usable[label], column, worst)
    return found


def _worst(files: Mapping[str, Records], name: str, better: str) -> float:
    """The bound of the metric on its bad side; without one, the worst value that any record of any file has."""
    bounds = next(iter(files.values())).bounds.get(name)
    lowest = better != "lower"
    if bounds is not None:
        return bounds[0] if lowest else bounds[1]
    ends = [records.values[name][records.scored] for records in files.values() if records.scored.any()]
    return float(min(end.min() for end in ends) if lowest else max(end.max() for end in ends))


def _slices(files: Mapping[str, Records], positions: Mapping[str, Ints], notes: list[str]) -> list[Slice]:
    """All records; then those of each value of a key that splits them and means the same in all files."""
    slices = [Slice("all", "all", None)]
    keys = list(dict.fromkeys(key for records in files.values() for key in records.categories))
    for key in keys:
        names, codes, same = _common_category(files, positions, key)
        present = [code for code in np.unique(codes).tolist() if code >= 0]
        if not same:
            notes.append(f"{key} is not the same in all files for each record: no slices by it.")
        elif len(present) > MAX_SLICES:
            notes.append(f"{key} has {len(present):,} values: no slices by it.")
        elif len(present) > 1:
            slices += [Slice(key, names[code], np.flatnonzero(codes == code)) for code in present]
    return slices


def _common_category(
    files: Mapping[str, Records], positions: Mapping[str, Ints], key: str
) -> tuple[list[str], Ints, bool]:
    """Names, codes [M] of the first file that knows a record, and whether all files that know it agree."""
    names: dict[str, int] = {}
    codes: Ints | None = None
    same = True
    for (_, records), at in _pairs(files, positions):
        found = records.categories.get(key, Category(names=(), codes=np.full(len(records.ids), -1)))
        numbers = np.array([*(names.setdefault(name, len(names)) for name in found.names), -1])
        mine = numbers[found.codes[at]]
        if codes is None:
            codes, known = mine, at >= 0
        same = same and bool((codes == mine)[known & (at >= 0)].all())
        codes, known = np.where(known, codes, mine), known | (at >= 0)
    assert codes is not None
    return list(names), codes, same


def _strata(files: Mapping[str, Records], positions: Mapping[str, Ints]) -> Ints | None:
    """Strata [M] from the first file that has each record. Files number strata as they like, so that records which the
    first lacks form strata of their own."""
    result: Ints | None = None
    offset = 0
    for (_, records), at in _pairs(files, positions):
        found = np.zeros(len(records.ids), dtype=np.int64) if records.strata is None else records.strata
        mine = np.where(at >= 0, found[at] + offset, -1)
        result = mine if result is None else np.where(result >= 0, result, mine)
        offset += int(found.max()) + 1
        if (result >= 0).all():
            break
    assert result is not None
    return result if len(np.unique(result)) > 1 else None
