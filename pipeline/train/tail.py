"""The live tail of a training: whole rows, written behind a bounded queue by a thread of its own.

The training never waits for it. When the queue is full the offered row is dropped, whole, and counted; the next row
that gets through carries the count, so that whoever reads the tail knows what is missing.
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import Appender
from pipeline.run.behind import Behind
from schemas.rows import Episode

Build = Callable[[int], Episode]
"""Makes the row; called in the writer's thread with the number of rows dropped since the row before."""

QUEUE_CAPACITY = 10


class Tail:
    """Writes rows to ``path`` in the background.

    ``resume_at`` cuts the file to that many bytes first (null: starts a new file). Use as a context manager: leaving it
    writes what is queued and closes the file. An error of the writer (a full disk) stops the tail, not the training:
    later offers are dropped and ``error`` says why.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None, capacity: int = QUEUE_CAPACITY) -> None:
        self.error: Exception | None = None
        self.num_written = 0
        self.num_dropped = 0
        self._pending_drops = 0
        self._appender = Appender(path, at=resume_at or 0)
        self._behind: Behind[tuple[Build, int]] = Behind(self._write, capacity=capacity, name="tail")

    def offer(self, build: Build) -> bool:
        """Hand over one row, or drop it if the writer is behind. Never blocks. Returns whether it was taken."""
        if self.error is None and self._behind.offer((build, self._pending_drops)):
            self._pending_drops = 0
            return True
        self._pending_drops += 1
        self.num_dropped += 1
        return False

    def drain(self) -> int:
        """Wait until everything queued is on disk; returns the size of the file in bytes. For checkpoints."""
        self._behind.drain()  # from here on the writer has nothing to do, and its file is this thread's
        if self.error is None:
            try:
                self._appender.flush(sync=True)
            except UserError as error:
                self.error = error
        return self._appender.offset

    def close(self) -> None:
        """Write what is queued, then close. Safe to call twice."""
        self._behind.close()
        self._appender.close()

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, offered: list[tuple[Build, int]]) -> None:
        for build, num_dropped_before in offered:
            try:
                if self.error is None:
                    self._appender.append(build(num_dropped_before))
                    self._appender.flush()
                    self.num_written += 1
            except Exception as error:  # whatever it is, the training goes on without its tail
                self.error = error
