"""The parts of a task with which stored predictions are compared and gated, found by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.metrics import Measurements
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.errors import UserError

NUM_SHOWN = 10  # records of another truth
MAX_FIELD_TEXT = 60  # characters


@dataclass(frozen=True)
class Task:
    """``options`` is the recipe's section ``evaluate``."""

    name: str
    options: Any

    @property
    def part(self) -> EvaluatePart:
        """What the task evaluates by."""
        return load_part(self.name, EvaluatePart)

    @property
    def row_type(self) -> type[Any]:
        """The Struct of a prediction."""
        return load_part(self.name, RowsPart).prediction

    @property
    def truth_fields(self) -> tuple[str, ...]:
        """Fields of a prediction that come from its example: they must be equal in all files."""
        return load_part(self.name, RowsPart).truth_fields

    def truths(self, rows: Sequence[Any]) -> list[bytes]:
        """What each record was asked and is judged by, as text to be compared."""
        fields, encode = self.truth_fields, msgspec.json.encode
        return [encode([getattr(row, name) for name in fields]) for row in rows]

    def difference(self, one: Any, other: Any) -> str:
        """The fields of the truth in which two predictions differ, with their values where these are short."""
        parts = []
        for name in self.truth_fields:
            here, there = getattr(one, name), getattr(other, name)
            if here != there:
                text = f"{name} {here} and {there}"
                parts.append(text if len(text) <= MAX_FIELD_TEXT else name)
        return ", ".join(parts) or "equal in value, but written as another type"

    def refuse_other_truth(self, pairs: Sequence[tuple[Any, Any]], where: str) -> None:
        """Raises UserError where a prediction and that of the baseline with its id are not of the same record: their
        difference would mean nothing."""
        rows, bases = zip(*pairs, strict=True) if pairs else ((), ())
        sides = zip(pairs, self.truths(rows), self.truths(bases), strict=True)
        different = [pair for pair, here, there in sides if here != there]
        if not different:
            return
        lines = [f"{row.id}: {self.difference(row, base)}" for row, base in different[:NUM_SHOWN]]
        lines += [f"and {len(different) - NUM_SHOWN:,} more"] if len(different) > NUM_SHOWN else []
        what = f"{len(different):,} of {len(pairs):,} records are not the same as those of the baseline with their ids"
        raise UserError(
            "\n    ".join([f"{what}:", *lines]),
            where=where,
            remedy="run `baton infer` for both models over one examples.jsonl",
        )

    def measure(self, rows: Sequence[Any], path: Path) -> Measurements:
        """What the rows measured. Raises UserError, naming the file."""
        try:
            return self.part.measure_records(rows, self.options)
        except UserError as error:
            where = f"{path}, {error.where}" if error.where else str(path)
            raise UserError(error.what, where=where, remedy=error.remedy) from error
