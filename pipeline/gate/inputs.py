"""What is gated: predictions, measured record by record, or the metrics that evaluate wrote of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.metrics import Measurements
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.files import head, read_all
from pipeline.records.measured import Task
from schemas.gate import BaselineMetric

TRUTH_DIGITS = 12  # hexadecimal, of a sha256: 48 bits tell whether an input changed; nobody forges one
MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """N predictions: ``measured`` is in their order; ``truth[n]`` a hash of the input that record n answers."""

    path: Path
    ids: Sequence[str]
    truth: Sequence[str]
    models: tuple[str, ...]
    rows: Sequence[Any]
    measured: Measurements


def read_predictions(task: Task, path: Path) -> Predictions:
    """A finished predictions.jsonl (.zst as well). Raises UserError when it is torn, empty, or names an id twice."""
    rows = read_all(path, task.row_type)
    if not rows:
        raise UserError("there are no predictions in it", where=str(path), remedy="run `baton infer` first")
    return measure_predictions(task, path, rows)


def measure_predictions(task: Task, path: Path, rows: Sequence[Any]) -> Predictions:
    """What the rows of a file measured. Raises UserError."""
    id, count = Counter(row.id for row in rows).most_common(1)[0]
    if count > 1:
        lines = [str(number) for number, row in enumerate(rows, 1) if row.id == id]
        raise UserError(
            f"the id {id!r} stands {count} times",
            where=f"{path}, records {', '.join(lines[:10])}",
            remedy="keep one prediction for each record",
        )
    fields = task.truth_fields
    return Predictions(
        path=path,
        ids=[row.id for row in rows],
        truth=[_hash([getattr(row, name) for name in fields]) for row in rows],
        models=tuple(dict.fromkeys(row.model for row in rows)),
        rows=rows,
        measured=task.measure(rows, path),
    )


def read_metrics(task: Task, path: Path) -> list[BaselineMetric]:
    """The metrics of the model in a metrics.jsonl. Raises UserError for one of several checkpoints."""
    rows = read_all(path, load_part(task.name, RowsPart).metric)
    if any(row.slice_by.partition(",")[0] == "checkpoint" for row in rows):
        raise UserError(
            "these are the metrics of several checkpoints",
            where=str(path),
            remedy="evaluate the one that is gated by itself: baton evaluate TASK --input predictions.jsonl",
        )
    found = [
        BaselineMetric(
            metric=row.name,
            statistic=row.statistic,
            slice_by=row.slice_by,
            slice_value=row.slice_value,
            value=row.value,
            low=row.low,
            high=row.high,
            confidence=row.confidence,
            num_records=row.num_records,
        )
        for row in rows
        if row.subject == MODEL
    ]
    if not found:
        raise UserError("there are no metrics of the model in it", where=str(path))
    _refuse_repeats(found, path)
    return found


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


def key_of(metric: BaselineMetric) -> tuple[str, str, str, str]:
    """What tells a metric from the others."""
    return metric.metric, metric.statistic, metric.slice_by, metric.slice_value


def plain_options(options: Any) -> Mapping[str, Any]:
    """What of the recipe's section ``evaluate`` values depend on: all but how intervals are drawn."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(options)) if options is not None else {}
    return {key: value for key, value in plain.items() if key not in ("confidence", "num_resamples", "seed")}


def _hash(values: Sequence[Any]) -> str:
    return sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:TRUTH_DIGITS]


def _refuse_repeats(metrics: Sequence[BaselineMetric], path: Path) -> None:
    key, count = Counter(map(key_of, metrics)).most_common(1)[0]
    if count > 1:
        raise UserError(f"the metric {'/'.join(key)} stands {count} times", where=str(path))
