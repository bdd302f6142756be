"""``evaluate --follow``: watch the metrics of a growing predictions file until they decide a question or it ends.

A live table on a terminal, a line every few seconds when piped, and the same as JSON for machines; all on stdout.
"""

import json as jsonlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from pipeline.errors import UserError
from pipeline.evaluate.anytime import Anytime, Reading
from pipeline.files.follow import Follower, SkippedLine, StartedOver
from pipeline.progress import LINE_EVERY_S
from pipeline.run.manifest import load_manifest
from schemas.manifest import Manifest

if TYPE_CHECKING:
    from rich.table import Table

Answer = Literal["yes", "no", "not decided"]
Show = Callable[["State"], None]

_QUESTION = re.compile(r"\s*(?P<metric>\w+(?::\w+)?)\s*(?P<relation>[<>]=?)\s*(?P<threshold>\S+)\s*")
_WAIT_S = 0.5  # the manifest beside the file is looked at this often
_ENDED = ("ok", "error", "cancelled")


@dataclass(frozen=True)
class Question:
    """Is ``metric`` ("name" or "name:statistic") above or below ``threshold``?"""

    metric: str
    relation: str
    threshold: float

    @property
    def text(self) -> str:
        """As it was asked."""
        return f"{self.metric} {self.relation} {self.threshold:g}"

    def answer(self, reading: Reading | None) -> Answer:
        """Decided as soon as the interval lies on one side of the threshold."""
        if reading is None or reading.interval is None:
            return "not decided"
        interval = reading.interval
        if self.relation.startswith(">"):
            yes = interval.low > self.threshold or (self.relation == ">=" and interval.low == self.threshold)
            no = interval.high < self.threshold or (self.relation == ">" and interval.high == self.threshold)
        else:
            yes = interval.high < self.threshold or (self.relation == "<=" and interval.high == self.threshold)
            no = interval.low > self.threshold or (self.relation == "<" and interval.low == self.threshold)
        return "yes" if yes else "no" if no else "not decided"


def parse_question(text: str) -> Question:
    """``"wellbeing > 430"``, ``"survival_rate:rate >= 0.9"``. Raises UserError."""
    found = _QUESTION.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        threshold = float(found["threshold"])
        if threshold != threshold or threshold in (float("inf"), float("-inf")):
            raise ValueError
    except ValueError:
        remedy = 'ask as in --stop-when "wellbeing > 430": a metric, one of > >= < <=, a number'
        raise UserError(f"not a question: {text!r}", where="--stop-when", remedy=remedy) from None
    return Question(found["metric"], found["relation"], threshold)


@dataclass
class State:
    """What there is to show. ``num_total`` is the number of records that will come, where it is known; ``ended`` is how
    the inference ended: its manifest's status, "idle" when nothing came for too long, "" while it goes on."""

    anytime: Anytime
    question: Question | None
    num_total: int | None = None
    num_skipped: int = 0
    ended: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def count(self) -> str:
        """``1,200 of 6,000 records``."""
        of = f" of {self.num_total:,}" if self.num_total else ""
        return f"{self.anytime.num_records:,}{of} records"

    @property
    def answer(self) -> Answer | None:
        """The answer to the question; None where none was asked."""
        return self.question.answer(self.anytime.reading_of(self.question.metric)) if self.question else None

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        facts: dict[str, Any] = {
            "num_records": self.anytime.num_records,
            "num_scored": self.anytime.num_scored,
            "num_total": self.num_total,
            "num_skipped": self.num_skipped,
            "num_unpaired": self.anytime.num_unpaired,
            "readings": [_reading_facts(reading) for reading in self.anytime.readings()],
            "ended": self.ended or None,
        }
        return facts | ({"question": self.question.text, "decided": self.answer} if self.question else {})


def watch(state: State, show: Show, idle_s: float | None = None) -> None:
    """Take rows of the file as they come, until the question is decided, the inference beside it has ended and all of
    its rows are read, or nothing has come for ``idle_s`` seconds. ``show`` is called after each batch and at the end.
    """
    path = state.anytime.job.path
    with Follower(path, state.anytime.task.row_type) as follower:
        quiet_since = time.monotonic()
        while state.answer in (None, "not decided"):
            manifest = _manifest_of(path)  # read before the file: what it says has ended is there then
            state.num_total = state.num_total or _num_total(path, manifest)
            items = follower.poll()
            if items:
                _take(items, state)
                quiet_since = time.monotonic()
            elif manifest is not None and manifest.status in _ENDED:
                state.ended = manifest.status
                break
            elif idle_s is not None and time.monotonic() - quiet_since >= idle_s:
                state.ended = "idle"
                break
            else:
                follower.wait(min(_WAIT_S, idle_s or _WAIT_S))
            show(state)
    state.anytime.finish()
    show(state)


def _take(items: list[Any], state: State) -> None:
    """Rows in one piece, as far as nothing else comes between them."""
    rows: list[Any] = []
    for item in items:
        if isinstance(item, StartedOver):
            rows = []
            state.anytime.start_over()
            state.num_skipped = 0
            state.notes.append(f"the file was {item.reason}: started over")
        elif isinstance(item, SkippedLine):
            state.num_skipped += 1
            state.notes.append(f"line skipped at byte {item.offset:,}: {item.reason}")
        else:
            rows.append(item)
    state.anytime.take(rows)


def _manifest_of(path: Path) -> Manifest | None:
    """The manifest of the inference that writes ``path``, if one lies beside it."""
    try:
        manifest = load_manifest(path.parent)
    except UserError:
        return None
    written = {path.parent / record.path for record in manifest.outputs.values()}
    return manifest if manifest.stage == "infer" and (not written or path in written) else None


def _num_total(path: Path, manifest: Manifest | None) -> int | None:
    """How many records there will be: what the manifest counted, or the lines of the examples that it names."""
    if manifest is None:
        return None
    if manifest.status == "ok":
        return manifest.counts.get("num_predictions")
    examples = manifest.inputs.get("examples")
    if examples is None or not examples.path.endswith(".jsonl"):
        return None
    try:
        with open(path.parent / examples.path, "rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError:
        return None


class LineShow:
    """A line, or a JSON object, every few seconds and whenever something is decided or has ended."""

    def __init__(self, stream: TextIO, *, json: bool, every_s: float = LINE_EVERY_S) -> None:
        self._stream, self._json, self._every_s = stream, json, every_s
        self._next_s, self._last = time.monotonic(), ""
        self._num_notes = 0

    def __call__(self, state: State) -> None:
        """Write what has changed since the last line, if that is old enough."""
        over = bool(state.ended) or state.answer in ("yes", "no")
        if not over and (time.monotonic() < self._next_s or not state.anytime.num_records):
            return
        self._next_s = time.monotonic() + self._every_s
        notes = state.notes[self._num_notes :]
        self._num_notes = len(state.notes)
        text = jsonlib.dumps({**state.facts(), "notes": notes}, allow_nan=False) if self._json else line_of(state)
        if text != self._last:
            lines = [text] if self._json else [*notes, text]
            print("\n".join(lines), file=self._stream, flush=True)
        self._last = text


def line_of(state: State) -> str:
    """``1,200 of 6,000  wellbeing (mean) 431.2 [425.0, 437.1]  wellbeing > 430: not decided``."""
    parts = [state.count]
    parts += [f"{_title(r)} {r.value:.4g} {_interval_text(r)}" for r in state.anytime.readings()]
    return "  ".join([*parts, *_answer_lines(state)])


def summary(state: State) -> list[str]:
    """What is left on the terminal: the metrics, the answer, and what to know about them."""
    anytime = state.anytime
    lines = [f"{state.count}, {anytime.num_scored:,} scored"]
    for reading in anytime.readings():
        unit = anytime.unit_of(reading.metric.name)
        how = f", {reading.interval.method}" if reading.interval else ""
        lines.append(f"  {_title(reading)}: {reading.value:.4g} {_interval_text(reading)} {unit}".rstrip() + how)
        if reading.num_records != anytime.num_scored:
            lines[-1] += f", of the first {reading.num_records:,}"
        if not reading.is_coherent:
            lines.append(
                "    WARNING: the intervals of two moments have nothing in common: the records drift in this order"
            )
    if anytime.num_unpaired:
        lines.append(f"  {anytime.num_unpaired:,} records are not in the baseline and are left out")
    if state.num_skipped:
        lines.append(f"  {state.num_skipped:,} lines could not be read and are left out")
    return [*lines, *_answer_lines(state)]


def table_of(state: State) -> "Table":
    """The live table."""
    from rich.table import Table  # here: rich takes longer to load than the rest

    table = Table(title=state.count, caption="\n".join(_answer_lines(state)) or None)
    for heading in ("metric", "value", "95 %", "records"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for reading in state.anytime.readings():
        cells = (_title(reading), f"{reading.value:.4g}", _interval_text(reading), f"{reading.num_records:,}")
        table.add_row(*cells)
    return table


def _answer_lines(state: State) -> list[str]:
    if state.question is None:
        return []
    answer = state.answer
    return [
        f"{state.question.text}: {answer}" if answer == "not decided" else f"{state.question.text}: decided: {answer}"
    ]


def _title(reading: Reading) -> str:
    return f"{reading.metric.name} ({reading.metric.statistic})"


def _interval_text(reading: Reading) -> str:
    return f"[{reading.interval.low:.4g}, {reading.interval.high:.4g}]" if reading.interval else "[too few records]"


def _reading_facts(reading: Reading) -> dict[str, Any]:
    interval = reading.interval
    return {
        "metric": reading.metric.name,
        "statistic": reading.metric.statistic,
        "value": reading.value,
        "low": _finite(interval.low) if interval else None,
        "high": _finite(interval.high) if interval else None,
        "confidence": interval.confidence if interval else None,
        "method": interval.method if interval else None,
        "num_records": reading.num_records,
        "is_coherent": reading.is_coherent,
    }


def _finite(edge: float) -> float | None:
    """JSON has no infinity: an open side is null."""
    return edge if abs(edge) != float("inf") else None
