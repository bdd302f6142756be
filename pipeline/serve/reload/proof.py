"""Is another model worse than the one that answers? Both are asked what was asked last, and judged as gate judges.

What the old model said of a row stands in the log: it would say the same again.

Rows whose ground truth is known (all rows, of a task without one) are measured by the task's own measures, and a
measure whose whole confidence interval says worse refuses the model. Of all rows it is told how many answers differ;
a row that only the new model fails on refuses it, too.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.gate.report import headline
from pipeline.gate.run import GateJob, run_gate
from pipeline.gate.spec import load_gate, with_flags
from pipeline.serve.exchange import Exchange
from pipeline.serve.log import FILE, JUDGED
from schemas.gate import GateSpec

NUM_ROWS = 200
TOLERANCE = "1%"  # of the old model's value: another training of the same recipe differs by more
NUM_RESAMPLES = 1000  # a quarter of what gate takes: requests share the processor with a proof
MIN_JUDGED = 20  # rows with truth; an interval over fewer says nothing
TAIL_BYTES = 4 << 20  # of a log that are looked at: 2,500 rows of localization
CHUNK = 100  # rows that a model is asked at a time


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What asking both models found. ``judged`` says in a line what the task's measures say, where they could."""

    num_rows: int = 0
    num_differing: int = 0
    num_judged: int = 0
    judged: str | None = None


@dataclass(frozen=True)
class Prover:
    """Compares models on the newest rows of a request log. ``options`` is the recipe's section ``evaluate``."""

    task: str
    exchange: Exchange
    options: Any
    log: Path | None
    num_rows: int = NUM_ROWS

    def prove(self, old: Answerer, new: Answerer) -> Proof:
        """Raises UserError where the new model is worse, with what is."""
        logged = list(self._newest()) if self.log and self.num_rows else []
        rows = [row for row, _ in logged]
        before, now = self._said_before(old, rows), _ask(new, self._examples(rows))
        lost = {n for n, (was, has) in enumerate(zip(before, now, strict=True)) if has.error and not was.error}
        again = _ask(old, self._examples([rows[n] for n in sorted(lost)]))
        failed = [one.id for one in again if not one.error]
        if failed:
            what = f"it fails on {len(failed)} of {len(now)} logged rows that the old one answers: {failed[0]}"
            raise UserError(what, remedy="the old model goes on answering; try the new one with baton infer")
        # What the old model fails on by now cannot be asked again, such as an image that came with the request.
        kept = [n for n in range(len(rows)) if n not in lost]
        judged = [n for n in kept if logged[n][1] or not self.exchange.part.truth]
        enough = len(judged) >= MIN_JUDGED
        return Proof(
            num_rows=len(kept),
            num_differing=sum(_said(before[n]) != _said(now[n]) for n in kept),
            num_judged=len(judged) if enough else 0,
            judged=self._judge([before[n] for n in judged], [now[n] for n in judged]) if enough else None,
        )

    def _said_before(self, old: Answerer, rows: Sequence[Any]) -> list[Any]:
        """What the old model says of the rows; of those that another model answered it is asked."""
        others = [row for row in rows if row.model != old.identity.model]
        asked = {row.id: row for row in _ask(old, self._examples(others))}
        return [asked.get(row.id, row) for row in rows]

    def _newest(self) -> Iterator[tuple[Any, bool]]:
        """Up to ``num_rows`` rows, and whether their truth is known: such rows first, the newest of each kind."""
        assert self.log is not None
        found: dict[str, tuple[Any, bool]] = {}
        for name in (JUDGED, FILE):
            for path in sorted(self.log.rglob(name), key=lambda one: one.stat().st_mtime_ns, reverse=True):
                for line in reversed(_tail(path)):
                    if len(found) == self.num_rows:
                        break
                    if (id := msgspec.json.decode(line, type=_Named).id) not in found:
                        found[id] = (msgspec.json.decode(line, type=self.exchange.prediction), name == JUDGED)
        yield from found.values()

    def _examples(self, rows: Sequence[Any]) -> list[Any]:
        """The examples behind rows, which hold all that was asked."""
        example, names = load_part(self.task, RowsPart).types["example_v1"], self.exchange.part.truth
        places = {name: names.get(name, name) for name in example.__struct_fields__ if name not in ("task", "schema")}
        return [example(**{name: getattr(row, place) for name, place in places.items()}) for row in rows]

    def _gate(self, rows: Sequence[Any]) -> GateSpec:
        """The measures that evaluate shows first, of those that single rows have; each may lose `TOLERANCE`."""
        part = load_part(self.task, EvaluatePart)
        better = {one.name: one.better for one in part.glossary}
        has = {one.name for one in part.measure_records(rows, self.options).metrics if better[one.name] != "neither"}
        shown = dict.fromkeys(one.metric for one in part.table.columns if one.metric in has)
        spec = msgspec.structs.replace(load_gate(None, self.task)[0], num_resamples=NUM_RESAMPLES)
        return with_flags(spec, [f"{name}={TOLERANCE}" for name in shown], [])

    def _judge(self, before: Sequence[Any], now: Sequence[Any]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            old, new = Path(folder, "old.jsonl"), Path(folder, "new.jsonl")
            write_all(old, before)
            write_all(new, now)
            report = run_gate(
                GateJob(spec=self._gate(before[:1]), options=self.options, input=new, baseline=old, where="logged rows")
            )
        if report.failed:
            what = f"it is worse on {len(now)} logged rows: {headline(report)}"
            raise UserError(what, remedy="the old model goes on answering; baton compare shows more")
        return headline(report)


class _Named(msgspec.Struct):
    id: str


def _ask(answerer: Answerer, examples: Sequence[Any]) -> list[Any]:
    return [row for n in range(0, len(examples), CHUNK) for row in answerer.answer(examples[n : n + CHUNK])]


def _said(row: Any) -> bytes:
    """What a row says, whoever says it."""
    return msgspec.json.encode(msgspec.structs.replace(row, model=""))


def _tail(path: Path) -> list[bytes]:
    """The last whole lines of a file that others append to."""
    try:
        with open(path, "rb") as file:
            start = max(0, path.stat().st_size - TAIL_BYTES)
            file.seek(start)
            lines = file.read(TAIL_BYTES + 1).split(b"\n")
    except FileNotFoundError:
        return []
    return lines[1 if start else 0 : -1]
