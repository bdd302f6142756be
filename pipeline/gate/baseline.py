"""The baseline on disk: read with suspicion, written whole, a line a record so that a change of it can be read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files import read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.files.explain import split_message
from pipeline.files.hashes import sha256_file
from pipeline.gate.inputs import (
    Predictions,
    key_of,
    kind_of,
    measure_predictions,
    plain_options,
    read_metrics,
    read_predictions,
)
from pipeline.records.measured import Task
from schemas.gate import Baseline, BaselineFile

UPDATE = "baton gate TASK ... --update writes it anew, and shows the difference first"
DIGITS = 12  # hexadecimal, of the predictions' hash, in their file's name
_LISTS = ("metrics", "records")  # written a line an item


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A baseline as it is compared with: the document, and the predictions behind it where it has them."""

    path: Path
    document: Baseline
    predictions: Predictions | None = None


def open_baseline(task: Task, path: Path) -> Opened:
    """A baseline_v1 file; or a predictions.jsonl or metrics.jsonl, taken as one. Raises UserError."""
    if path.name.endswith((".jsonl", ".jsonl.zst")):
        if kind_of(path, task.name) == "metric_v1":
            metrics = tuple(read_metrics(task, path))
            return Opened(path=path, document=Baseline(task=task.name, name=path.stem, metrics=metrics))
        predictions = read_predictions(task, path)
        return Opened(
            path=path,
            document=Baseline(task=task.name, name=path.stem, metrics=(), options=dict(plain_options(task.options))),
            predictions=predictions,
        )
    document = read_document(path, task.name)
    changed = _changed_options(document, task)
    if changed:
        raise UserError(f"the baseline was evaluated with other options: {changed}", where=str(path), remedy=UPDATE)
    if document.predictions is None:
        return Opened(path=path, document=document)
    return Opened(path=path, document=document, predictions=_predictions(task, path, document.predictions))


def read_document(path: Path, task: str) -> Baseline:
    """A baseline_v1 file. Raises UserError when it is damaged, of another task, or does not hold together."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError("there is no baseline yet", where=str(path), remedy=UPDATE.replace("anew", "")) from error
    except IsADirectoryError as error:
        remedy = "name a file in it: a baseline, predictions.jsonl or metrics.jsonl"
        raise UserError("the baseline is a folder, not a file", where=str(path), remedy=remedy) from error
    except OSError as error:
        remedy = "check that this user may read it"
        raise UserError(f"cannot read the baseline: {error.strerror}", where=str(path), remedy=remedy) from error
    try:
        plain = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = f"the baseline is damaged or cut short: {error}"
        raise UserError(what, where=str(path), remedy=f"take it from version control; or: {UPDATE}") from error
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if schema != "baseline_v1":
        what = f"this is no baseline: its schema is {schema!r}, not 'baseline_v1'"
        raise UserError(what, where=str(path), remedy="give a baseline, a predictions.jsonl or a metrics.jsonl")
    if plain.get("task") != task:
        raise UserError(f"this is a baseline of task {plain.get('task')!r}, not of {task!r}", where=str(path))
    try:
        document = msgspec.convert(plain, Baseline)
    except msgspec.ValidationError as error:
        what, field = split_message(error)
        raise UserError(what, where=f"{path}:{field}" if field else str(path), remedy=UPDATE) from error
    _refuse_inconsistent(document, path)
    return document


def _refuse_inconsistent(document: Baseline, path: Path) -> None:
    """Merged by hand, or edited: what the parts say of each other must be so."""
    ids = Counter(record.id for record in document.records).most_common(1)
    keys = Counter(map(key_of, document.metrics)).most_common(1)
    wrong = [record.id for record in document.records if len(record.values) != len(document.columns)]
    if ids and ids[0][1] > 1:
        what = f"the id {ids[0][0]!r} stands {ids[0][1]} times in the baseline"
    elif keys and keys[0][1] > 1:
        what = f"the metric {'/'.join(keys[0][0])} stands {keys[0][1]} times in the baseline"
    elif wrong:
        what = f"record {wrong[0]!r} of the baseline does not have {len(document.columns)} values"
    elif document.records and len(document.records) != document.num_records:
        what = f"the baseline says {document.num_records} records and holds {len(document.records)}"
    else:
        return
    raise UserError(what, where=str(path), remedy=f"take it from version control; or: {UPDATE}")


def _changed_options(document: Baseline, task: Task) -> str:
    now = plain_options(task.options) if document.num_records else document.options
    keys = sorted({*document.options, *now})
    return ", ".join(
        f"evaluate.{key} {document.options.get(key)!r}, now {now.get(key)!r}"
        for key in keys
        if document.options.get(key) != now.get(key)
    )


def _predictions(task: Task, path: Path, file: BaselineFile) -> Predictions:
    there = path.parent / file.path
    if not there.is_file():
        raise UserError("the predictions of the baseline are gone", where=str(there), remedy=UPDATE)
    if sha256_file(there) != file.sha256:
        remedy = f"take the file from version control; or: {UPDATE}"
        raise UserError("these are not the predictions that the baseline names", where=str(there), remedy=remedy)
    return measure_predictions(task, there, read_all(there, task.row_type))


def write_baseline(path: Path, document: Baseline) -> None:
    """Replace the baseline in one step. Raises UserError on a full disk, NaN or infinity."""
    from pipeline.files.encode import refuse_not_finite

    refuse_not_finite(document)
    write_atomically(path, [_text(document)])


def keep_predictions(path: Path, rows: Sequence[Any]) -> BaselineFile:
    """Write the predictions beside the baseline at ``path``, compressed, under a name of their content.

    So the baseline that is there stays whole until it is replaced.
    """
    beside = path.with_name(f".{path.name}.predictions.jsonl.zst")
    write_all(beside, rows)
    digest = sha256_file(beside)
    kept = path.with_name(f"{path.name.removesuffix('.json')}-{digest[:DIGITS]}.jsonl.zst")
    beside.replace(kept)
    return BaselineFile(path=kept.name, sha256=digest)


def remove_former(path: Path, former: Baseline | None, document: Baseline) -> None:
    """Remove the predictions that the former baseline kept beside it, once nothing names them."""
    old = former.predictions.path if former and former.predictions else None
    new = document.predictions.path if document.predictions else None
    ours = f"{path.name.removesuffix('.json')}-"
    if old is not None and old != new and "/" not in old and old.startswith(ours):
        (path.parent / old).unlink(missing_ok=True)


def _text(document: Baseline) -> bytes:
    """JSON that diffs well: a line for each key, and one for each metric and each record."""
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return b"{\n" + b",\n".join(_entries(plain)) + b"\n}\n"


def _entries(plain: dict[str, Any]) -> Iterator[bytes]:
    encode = msgspec.json.encode
    for key, value in plain.items():
        if key in _LISTS and value:
            items = b",\n".join(b"  " + encode(item) for item in value)
            yield b" " + encode(key) + b": [\n" + items + b"\n ]"
        else:
            yield b" " + encode(key) + b": " + encode(value)


__all__ = [
    "Opened",
    "keep_predictions",
    "open_baseline",
    "read_document",
    "remove_former",
    "write_baseline",
]
