"""Is another model worse than the one that answers? Both are asked what was asked last, and judged as gate judges.

What the old model said of a row stands in the log: it would say the same again.

Rows whose ground truth is known (all rows, of a task without one) are measured by the task's own measures, and a
measure whose whole confidence interval says worse refuses the model. Of all rows it is told how many answers differ;
a row that only the new model fails on refuses it, too.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipeline.contract.load import load_part
from pipeline.contract.parts import RowsPart
from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.gate.change import compare_pairs, keys_of
from pipeline.gate.rule import judge
from pipeline.gate.spec import resolve
from pipeline.records.measured import Task
from pipeline.records.read import Block, Records, records_of_blocks
from pipeline.serve.exchange import Exchange
from pipeline.serve.log import FILE, JUDGED, Named, row_of
from schemas.gate import GateSpec

NUM_ROWS = 200
TOLERANCE = "1%"  # of the old model's value: another training of the same recipe differs by more
NUM_RESAMPLES = 1000  # a quarter of what gate takes: requests share the processor with a proof
MIN_JUDGED = 20  # rows with truth; an interval over fewer says nothing
TAIL_BYTES = 1 << 20  # of a log that are looked at: 600 rows of localization
CHUNK, PAUSES = 4, 2.0  # rows that are dealt with at a time; for how many times as long requests are then alone


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What asking both models found. ``judged`` says in a line what the task's measures say, where they could."""

    num_rows: int = 0
    num_differing: int = 0
    num_judged: int = 0
    judged: str | None = None


@dataclass
class Prover:
    """Compares models on the newest rows of a request log. ``options`` is the recipe's section ``evaluate``."""

    task: str
    exchange: Exchange
    options: Any
    log: Path | None
    num_rows: int = NUM_ROWS
    _measured: tuple[Sequence[Any], Records] | None = None  # of the last new model: the next one is compared with it

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
        has_truth = [n for n in kept if logged[n][1] or not self.exchange.part.truth]
        judged = [n for n in has_truth if not before[n].error and not now[n].error]
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
                    named = row_of(line, Named)
                    if named and named.id not in found and (row := row_of(line, self.exchange.prediction)):
                        found[named.id] = (row, name == JUDGED)
        yield from found.values()

    def _examples(self, rows: Sequence[Any]) -> list[Any]:
        """The examples behind rows, which hold all that was asked."""
        example, names = load_part(self.task, RowsPart).types["example_v1"], self.exchange.part.truth
        places = {name: names.get(name, name) for name in example.__struct_fields__ if name not in ("task", "schema")}
        return [example(**{name: getattr(row, place) for name, place in places.items()}) for row in rows]

    def _judge(self, before: Sequence[Any], now: Sequence[Any]) -> str:
        """By the measures that evaluate shows first, each of which may lose `TOLERANCE`. Raises UserError."""
        task = Task(self.task, self.options)
        if self._measured is None or self._measured[0] != before:
            self._measured = before, records_of_blocks(task, "before", Path("before"), _unhurried(before))
        old, new = self._measured[1], records_of_blocks(task, "now", Path("now"), _unhurried(now))
        spec = GateSpec(schema="gate_v1", task=self.task, name="reload", num_resamples=NUM_RESAMPLES)
        checks = [
            replace(one, check=msgspec.structs.replace(one.check, tolerance=TOLERANCE))
            for one in resolve(spec, keys_of(new), "logged rows")
        ]
        changes, _ = compare_pairs(new, old, checks, spec)
        told = []
        for checked, change in zip(checks, changes, strict=True):
            outcome, reason = judge(change, checked.rule(spec, change.baseline))
            if outcome == "fails":
                told.append(f"{checked.key.name} {change.baseline} before, {change.now} now: {reason}")
        if told:
            what = f"it is worse on {len(now)} logged rows: {'; '.join(told)}"
            raise UserError(what, remedy="the old model goes on answering; baton compare shows more")
        self._measured = now, new
        return f"none of {len(checks)} measures is worse on {len(now)} rows"


def _ask(answerer: Answerer, examples: Sequence[Any]) -> list[Any]:
    return [row for chunk, _ in _unhurried(examples) for row in answerer.answer(chunk)]


def _unhurried(items: Sequence[Any]) -> Iterator[Block]:
    """Items with their numbers, a chunk at a time. When one is done with, the processor is left to requests for
    `PAUSES` times as long as it took."""
    for start in range(0, len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        began = time.perf_counter()
        yield chunk, np.arange(start + 1, start + 1 + len(chunk))
        time.sleep(PAUSES * (time.perf_counter() - began))


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
