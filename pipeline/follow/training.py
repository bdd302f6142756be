"""What a training says beside its tail: whether it has ended, and how much it has played."""

import time
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.run.folder import is_at_work
from pipeline.run.manifest import load_manifest

LOOK_EVERY_S = 1.0
_TAIL, _PROGRESS = "episodes.jsonl", "progress.jsonl"
_ENDED = {
    "ok": "the training has ended",
    "error": "the training has failed",
    "cancelled": "the training was interrupted",
}
_KILLED = "the training was killed"
_DELETED = "the file was deleted"
ENDINGS = {
    _ENDED["ok"]: "finished",
    _ENDED["error"]: "failed",
    _ENDED["cancelled"]: "interrupted",
    _KILLED: "killed",
    _DELETED: "deleted",
}
"""What `State.ended` says, in one word."""


class State(NamedTuple):
    """``ended`` says that nothing more is to come, and why; ``num_progress`` are the lines of progress."""

    ended: str = ""
    num_progress: int = 0


class Training:
    """Looks around the file of a tail, about once a second."""

    def __init__(self, tail: Path) -> None:
        self._tail = tail
        self._was_there = False
        self._state = State()
        self._num_bytes = 0
        self._looked_s = float("-inf")

    def look(self, was_read: bool = False) -> State:
        """The state of the training. ``was_read`` says that the file has been there, whoever saw it."""
        self._was_there |= was_read
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._state = State(self._find_end(), self._count_progress())
        return self._state

    def _find_end(self) -> str:
        is_there = self._tail.exists()
        self._was_there |= is_there
        if self._was_there and not is_there:
            return _DELETED
        try:
            manifest = load_manifest(self._tail.parent)
        except UserError:
            return ""
        if (manifest.stage, self._tail.name) != ("train", _TAIL):
            return ""
        if manifest.status == "started" and is_at_work(self._tail.parent) is False:
            return _KILLED
        return _ENDED.get(manifest.status, "")

    def _count_progress(self) -> int:
        """Reads what was appended since the last time; a file that was cut is counted anew."""
        path, number = self._tail.with_name(_PROGRESS), self._state.num_progress
        if self._tail.name != _TAIL or not path.is_file():
            return 0
        if path.stat().st_size < self._num_bytes:
            self._num_bytes = number = 0
        with path.open("rb") as file:
            file.seek(self._num_bytes)
            while block := file.read(1 << 20):
                number += block.count(b"\n")
                self._num_bytes += len(block)
        return number
