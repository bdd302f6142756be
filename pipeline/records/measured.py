"""The parts of a task with which stored predictions are compared and gated, found by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.metrics import Measurements
from pipeline.errors import UserError
from schemas.rows import ENVELOPES

NUM_SHOWN = 10  # records of another truth
MAX_FIELD_TEXT = 60  # characters


@dataclass(frozen=True)
class Task:
    """``options`` is the recipe's section ``evaluate``."""

    name: str
    options: Any

    @property
    def score(self) -> Any:
        """Its ``score.py``. Raises UserError where it does not measure records."""
        part: Any = load_part(self.name, "evaluate.score")
        if not hasattr(part, "measure_records"):
            raise UserError(
                f"task {self.name!r} does not say what its records measured: only its metrics.jsonl can be gated",
                where=f"pipeline/tasks/{self.name}/score.py",
                remedy="give it measure_records(predictions, options), see pipeline.contract.parts.ScorePart",
            )
        return part

    @property
    def row_type(self) -> type[Any]:
        """The Struct of a prediction."""
        kind: type[Any] = load_part(self.name, "rows").ROW_TYPES["prediction_v1"]
        return kind

    @property
    def truth_fields(self) -> tuple[str, ...]:
        """Fields of a prediction that come from its example, whatever the model: they must be equal in all files.

        ``TRUTH`` of ``rows.py``; without one, the fields that example and prediction share.
        """
        part: Any = load_part(self.name, "rows")
        stated: Sequence[str] | None = getattr(part, "TRUTH", None)
        if stated is not None:
            return tuple(stated)
        shared = {*part.ROW_TYPES["example_v1"].__struct_fields__} - {*ENVELOPES["example_v1"].__struct_fields__}
        return tuple(name for name in self.row_type.__struct_fields__ if name in shared)

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
            found: Measurements = self.score.measure_records(rows, self.options)
        except UserError as error:
            where = f"{path}, {error.where}" if error.where else str(path)
            raise UserError(error.what, where=where, remedy=error.remedy) from error
        return found
