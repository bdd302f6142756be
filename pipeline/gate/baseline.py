"""What is gated, and the baseline on disk: read with suspicion, written whole, a line a record so that a change can be
read."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from pipeline.contract.load import load_part
from pipeline.contract.metrics import Measurements
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.files import head, read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.files.encode import refuse_not_finite
from pipeline.files.explain import split_message
from pipeline.files.hashes import sha256_file
from pipeline.gate.spec import Key
from pipeline.records.measured import TRUTH_BYTES, Ints, Task
from pipeline.records.read import Records, read_records
from schemas.gate import Baseline, BaselineFile, BaselineMetric, BaselineRecord

UPDATE = "baton gate TASK ... --update writes it anew, and shows the difference first"
DIGITS = 12  # hexadecimal, of the predictions' hash, in their file's name
MODEL = "model"
NOW, BEFORE = "the predictions", "the baseline"  # what the two sides are called
T = TypeVar("T")
_LISTS = ("metrics", "records")  # written a line an item
_TRUTH = re.compile(f"[0-9a-f]{{{2 * TRUTH_BYTES}}}")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A baseline as it is compared with: the document, and what single records measured where it says so."""

    path: Path
    document: Baseline
    records: Records | None = None


def kind_of(path: Path, task: str) -> str:
    """The schema of a JSONL file's rows: "prediction_v1" or "metric_v1". Raises UserError for any other."""
    found = head(path)
    if found.schema not in ("prediction_v1", "metric_v1"):
        raise UserError(
            f"a gate takes predictions or metrics, and this is a file of {found.schema} rows",
            where=str(path),
            remedy="give predictions.jsonl (pairs: sees more) or metrics.jsonl",
        )
    if found.task != task:
        raise UserError(
            f"these rows are of task {found.task!r}, not of {task!r}",
            where=str(path),
            remedy=f"name {found.task} as the task, or give a file of task {task}",
        )
    return found.schema


def read_metrics(task: Task, path: Path) -> dict[Key, BaselineMetric]:
    """The metrics of the model in a metrics.jsonl. Raises UserError for one of several checkpoints."""
    rows = read_all(path, load_part(task.name, RowsPart).metric)
    if any(row.slice_by.partition(",")[0] == "checkpoint" for row in rows):
        raise UserError(
            "these are the metrics of several checkpoints",
            where=str(path),
            remedy="evaluate the one that is gated by itself: baton evaluate TASK --input predictions.jsonl",
        )
    names = [name for name in BaselineMetric.__struct_fields__ if name != "metric"]
    found = [
        BaselineMetric(metric=row.name, **{name: getattr(row, name) for name in names})
        for row in rows
        if row.subject == MODEL
    ]
    if not found:
        raise UserError("there are no metrics of the model in it", where=str(path))
    if repeated := _most_common(map(key_of, found)):
        raise UserError(f"the metric {'/'.join(repeated[0])} stands {repeated[1]} times", where=str(path))
    return by_key(found)


def key_of(metric: BaselineMetric) -> Key:
    """What tells a metric from the others."""
    return Key(metric.metric, metric.statistic, metric.slice_by, metric.slice_value)


def by_key(metrics: Iterable[BaselineMetric]) -> dict[Key, BaselineMetric]:
    """Metrics by what tells them apart."""
    return {key_of(metric): metric for metric in metrics}


def _most_common(found: Iterable[T]) -> tuple[T, int] | None:
    """What is there more than once, and how often; the most frequent of several."""
    most = Counter(found).most_common(1)
    return most[0] if most and most[0][1] > 1 else None


def plain_options(options: Any) -> Mapping[str, Any]:
    """What of the recipe's section ``evaluate`` values depend on: all but how intervals are drawn."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(options)) if options is not None else {}
    return {key: value for key, value in plain.items() if key not in ("confidence", "num_resamples", "seed")}


def open_baseline(task: Task, path: Path) -> Opened:
    """A baseline_v1 file; or a predictions.jsonl or metrics.jsonl, taken as one. Raises UserError."""
    if path.name.endswith((".jsonl", ".jsonl.zst")):
        if kind_of(path, task.name) == "metric_v1":
            metrics = tuple(read_metrics(task, path).values())
            return Opened(path=path, document=Baseline(task=task.name, name=path.stem, metrics=metrics))
        document = Baseline(task=task.name, name=path.stem, metrics=())
        return Opened(path=path, document=document, records=read_records(task, BEFORE, path))
    document = read_document(path, task.name)
    changed = _changed_options(document, task)
    if changed:
        raise UserError(f"the baseline was evaluated with other options: {changed}", where=str(path), remedy=UPDATE)
    if document.predictions is not None:
        kept = _kept_predictions(path, document.predictions)
        return Opened(path=path, document=document, records=read_records(task, BEFORE, kept))
    return Opened(path=path, document=document, records=_records_in(document, path) if document.records else None)


def _records_in(document: Baseline, path: Path) -> Records:
    """What the records of a document measured."""
    rows = document.records
    values = np.array([row.values for row in rows], np.float64).reshape(len(rows), -1)
    columns = {name: values[:, index] for index, name in enumerate(document.columns)}
    scored = np.array([row.scored for row in rows], np.bool_)
    return Records(
        label=BEFORE,
        path=path,
        ids=[row.id for row in rows],
        truth=_numbers(row.truth for row in rows),
        measured=Measurements(values=columns, scored=scored, metrics=()),
    )


def records_to_keep(now: Records, columns: Sequence[str]) -> Iterator[BaselineRecord]:
    """The records of a document: of each what it measured, by ``columns``."""
    values = now.measured.values
    for index, id in enumerate(now.ids):
        yield BaselineRecord(
            id=id,
            truth=f"{now.truth[index]:0{2 * TRUTH_BYTES}x}",
            scored=bool(now.measured.scored[index]),
            values=[float(values[name][index]) for name in columns],
        )


def _numbers(truths: Iterable[str]) -> Ints:
    """The hashes that `records_to_keep` wrote; -1, which none is, for what it did not write."""
    texts = (text if _TRUTH.fullmatch(text) else "-1" for text in truths)
    return np.array([int(text, 16) for text in texts], np.int64)


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
    id, key = _most_common(record.id for record in document.records), _most_common(map(key_of, document.metrics))
    wrong = [record.id for record in document.records if len(record.values) != len(document.columns)]
    if id:
        what = f"the id {id[0]!r} stands {id[1]} times in the baseline"
    elif key:
        what = f"the metric {'/'.join(key[0])} stands {key[1]} times in the baseline"
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


def _kept_predictions(path: Path, file: BaselineFile) -> Path:
    """The predictions beside a baseline. Raises UserError when they are not those that it names."""
    there = path.parent / file.path
    if not there.is_file():
        raise UserError("the predictions of the baseline are gone", where=str(there), remedy=UPDATE)
    if sha256_file(there) != file.sha256:
        remedy = f"take the file from version control; or: {UPDATE}"
        raise UserError("these are not the predictions that the baseline names", where=str(there), remedy=remedy)
    return there


def update_baseline(path: Path, document: Baseline, predictions: Sequence[Any]) -> Baseline:
    """Write the baseline, its predictions first; remove those that only the former one named. Returns what was written.

    Raises UserError on a full disk, NaN or infinity.
    """
    former = None
    if path.exists():
        try:
            former = read_document(path, document.task).predictions
        except UserError:
            former = None  # damaged, or of another kind: it is replaced, and names nothing that could be removed
    if predictions:
        document = msgspec.structs.replace(document, predictions=_keep_predictions(path, predictions))
    refuse_not_finite(document)
    write_atomically(path, [_text(document)])
    kept, ours = document.predictions.path if document.predictions else None, f"{path.name.removesuffix('.json')}-"
    if former is not None and former.path != kept and former.path.startswith(ours) and "/" not in former.path:
        (path.parent / former.path).unlink(missing_ok=True)
    return document


def _keep_predictions(path: Path, rows: Sequence[Any]) -> BaselineFile:
    """Write the predictions beside the baseline at ``path``, compressed, under a name of their content.

    So the baseline that is there stays whole until it is replaced.
    """
    beside = path.with_name(f".{path.name}.predictions.jsonl.zst")
    write_all(beside, rows)
    digest = sha256_file(beside)
    kept = path.with_name(f"{path.name.removesuffix('.json')}-{digest[:DIGITS]}.jsonl.zst")
    beside.replace(kept)
    return BaselineFile(path=kept.name, sha256=digest)


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
