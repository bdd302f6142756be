"""The request log: what was answered, as rows that evaluate, compare and gate read; written off the request's path.

``FOLDER/MODEL/predictions.jsonl`` has the answers of one model (the digits that its rows say); with keys,
``FOLDER/CLIENT/MODEL``: nobody's rows lie among another's. All workers append to the same files.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files.shared import append_lines
from pipeline.run.behind import Behind
from pipeline.serve.metrics import Metrics

FILE, TRUTHS, JUDGED = "predictions.jsonl", "truths.jsonl", "judged.jsonl"  # the last: rows with their truth
QUEUE_CAPACITY = 10_000  # rows: half a second of a busy worker
LINGER_S = 0.02


class Named(msgspec.Struct):
    """As much of a row as says whose it is."""

    id: str


def row_of(line: bytes, kind: type[msgspec.Struct]) -> Any:
    """A line of the log as a row; None where it is damaged, or of a release that wrote other rows."""
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class RequestLog:
    """Rows are offered and never waited for: those that do not fit into the queue, or onto the disk, are counted."""

    def __init__(self, folder: Path, metrics: Metrics, rotate_mb: int | None = None) -> None:
        self._folder, self._rotate_at = folder, None if rotate_mb is None else rotate_mb << 20
        self._metrics, self._is_told = metrics, False
        self._behind: Behind[tuple[str, str, bytes]] = Behind(
            self._write, capacity=QUEUE_CAPACITY, name="request log", linger_s=LINGER_S
        )

    def offer(self, client: str, model: str, line: bytes) -> None:
        """One row, as `pipeline.files.encode` made it."""
        if not self._behind.offer((client, model, line)):
            self._metrics.rows_dropped.labels("queue").inc()

    def close(self) -> None:
        """Write what is queued."""
        self._behind.close()

    def _write(self, rows: list[tuple[str, str, bytes]]) -> None:
        lines: dict[tuple[str, str], list[bytes]] = {}
        for client, model, line in rows:
            lines.setdefault((client, model), []).append(line)
        for (client, model), some in lines.items():
            try:
                append_lines(self._folder / client / model / FILE, b"".join(some), rotate_at=self._rotate_at)
            except UserError as error:
                self._metrics.rows_dropped.labels("disk").inc(len(some))
                if not self._is_told:  # once: it is counted from then on
                    print(f"warning: the request log drops rows: {error}", file=sys.stderr, flush=True)
                self._is_told = True
            else:
                self._metrics.rows_logged.inc(len(some))
