"""A task, as stored predictions are compared, gated and followed: what its records measure, and what they are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.contract.load import load_part
from pipeline.contract.metrics import Measurements, MetricDefinition, RecordMetric
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.errors import UserError, nearest
from pipeline.stats.intervals import Metric

Ints = NDArray[np.int64]
MAX_FIELD_TEXT = 60  # characters
TRUTH_BYTES = 6  # of a sha256: 48 bits tell whether an input changed; nobody forges one
POOLED = "pooled"
STATISTICS: Mapping[str, Metric] = {
    "mean": stats.mean,
    "rate": stats.mean,
    "median": stats.median,
    "iqm": stats.interquartile_mean,
}


@dataclass(frozen=True)
class Task:
    """``options`` is the recipe's section ``evaluate``."""

    name: str
    options: Any = None

    @cached_property
    def part(self) -> EvaluatePart:
        """What the task evaluates by."""
        return load_part(self.name, EvaluatePart)

    @cached_property
    def row_type(self) -> type[Any]:
        """The Struct of a prediction."""
        return load_part(self.name, RowsPart).prediction

    @cached_property
    def truth_fields(self) -> tuple[str, ...]:
        """Fields of a prediction that come from its example: they must be equal in all files."""
        return load_part(self.name, RowsPart).truth_fields

    @cached_property
    def glossary(self) -> dict[str, MetricDefinition]:
        """The metrics of the task by name."""
        return {definition.name: definition for definition in self.part.glossary}

    def definition(self, name: str, where: str) -> MetricDefinition:
        """The definition of a metric. Raises UserError with the nearest name."""
        known = self.glossary
        if name not in known:
            raise UserError(f"{self.name} has no metric {name!r}", where=where, remedy=nearest(name, list(known)))
        return known[name]

    def truths(self, rows: Sequence[Any]) -> Ints:
        """Hashes [N] of what each record was asked and is judged by, the same in every process."""
        fields, encode = self.truth_fields, msgspec.json.encode
        texts = (encode([getattr(row, name) for name in fields], order="sorted") for row in rows)
        return np.array([int.from_bytes(sha256(text).digest()[:TRUTH_BYTES]) for text in texts], np.int64)

    def difference(self, one: Any, other: Any) -> str:
        """The fields of the truth in which two predictions differ, with their values where these are short."""
        parts = []
        for name in self.truth_fields:
            here, there = getattr(one, name), getattr(other, name)
            if here != there:
                text = f"{name} {here} and {there}"
                parts.append(text if len(text) <= MAX_FIELD_TEXT else name)
        return ", ".join(parts) or "equal in value, but written as another type"

    def measure(self, rows: Sequence[Any], path: Path) -> Measurements:
        """What the rows measured. Raises UserError, naming the file."""
        try:
            return self.part.measure_records(rows, self.options)
        except UserError as error:
            raise error.at(f"{path}, {error.where}" if error.where else str(path)) from error


def choose_metrics(
    available: Sequence[RecordMetric], asked: Sequence[str], num_default: int
) -> tuple[RecordMetric, ...]:
    """Metrics by "name" or "name:statistic" (a name alone: its first statistic); none asked: the first few.

    Raises UserError for what the task does not have.
    """
    if not asked:
        return tuple(available[:num_default])
    known: dict[str, RecordMetric] = {}
    for metric in available:
        known.setdefault(metric.name, metric)
        known[f"{metric.name}:{metric.statistic}"] = metric
    for text in asked:
        if text not in known:
            remedy = nearest(text, list(known), num=3)
            raise UserError(f"the task has no metric {text!r}", where="--metric", remedy=remedy)
    return tuple(dict.fromkeys(known[text] for text in asked))
