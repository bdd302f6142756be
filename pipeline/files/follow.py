"""Follow a JSONL file that another process writes: rows as they arrive, whatever happens to the file."""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from pipeline.errors import UserError
from pipeline.files.decode import UNREADABLE, LineDecoder
from pipeline.files.wake import Waker

T = TypeVar("T")

_READ_BYTES = 1 << 23  # 8 MiB a poll: about 50 ms of decoding, so that a screen stays alive while it catches up
_KEPT_BYTES = 64  # the end of what was read, compared before reading on: a file rewritten in place differs there
_SLICE_S = 0.1  # the file is looked at this often where the system tells nothing of changes


@dataclass(frozen=True)
class StartedOver:
    """The file is another one now: what was read before no longer holds, and rows come from its beginning."""

    reason: Literal["truncated", "replaced", "rewritten"]


@dataclass(frozen=True)
class SkippedLine:
    """A whole line that is not a valid row, and why; ``offset`` is that of its first byte."""

    offset: int
    reason: str


class Follower(Generic[T]):
    """Rows of a growing file, from its beginning.

    The file need not exist yet; it may grow, be truncated (by a writer that resumes), replaced or deleted. A partial
    line at the end is waited for. What comes out is, in order, rows, `StartedOver` and `SkippedLine`.

        with Follower(path, GridworldEpisode) as follower:
            while follower.wait(timeout_s=10):
                for item in follower.poll(): ...
    """

    def __init__(self, path: Path | str, row_type: type[T]) -> None:
        self.path = Path(path)
        if self.path.suffix == ".zst":
            what = "a compressed file cannot be followed"
            raise UserError(what, where=str(path), remedy=f"decompress it first: zstd -d {path}")
        self._decoder = LineDecoder(self.path, row_type, accept_unfinished=False)
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None
        self._opened_before = False
        self._offset = 0
        self._num_partial = 0
        self._kept = b""
        self._block = b""
        self._waker = Waker(self.path)

    @property
    def offset(self) -> int:
        """Bytes of whole lines consumed so far."""
        return self._offset

    @property
    def behind_bytes(self) -> int:
        """How much of the file is not read yet; a line that is not finished has been read as far as it goes."""
        return max(0, self._size() - self._offset - self._num_partial) if self._descriptor >= 0 else 0

    def poll(self) -> list[T | StartedOver | SkippedLine]:
        """What has arrived, without waiting; at most about 8 MiB of it (call again for more).

        Raises UserError when the path is not a file, cannot be read, or begins with a row of another task or kind.
        """
        items: list[Any] = []
        self._block = b""
        if self._descriptor < 0 and not self._open(items):
            return items
        replaced = self._is_replaced()  # asked before reading: what the old file still holds comes first
        self._read(items)
        if replaced and not items:
            self._close_file()
            if self._open(items):
                self._read(items)
        return items

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there is something to poll, at most ``timeout_s``; tells whether there may be."""
        deadline = time.monotonic() + timeout_s
        while not self._has_changed():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            self._waker.wait(min(remaining, _SLICE_S))
        return True

    def spans(self) -> list[tuple[int, int]]:
        """Offset and length of the line behind each row and `SkippedLine` of the last `poll`."""
        found = []
        start = self._offset - len(self._block)
        for line in self._block.split(b"\n")[:-1]:
            if line.strip():
                found.append((start, len(line) + 1))
            start += len(line) + 1
        return found

    def close(self) -> None:
        """Close the file and free what wakes. A second call does nothing."""
        self._close_file()
        self._waker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, items: list[Any]) -> bool:
        """Open the file if it is there. From the second time on, this is another file."""
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise UserError(f"cannot read the file: {error.strerror}", where=str(self.path)) from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self._close_file()
            remedy = "name a file of rows, such as episodes.jsonl or predictions.jsonl"
            raise UserError("only a plain file can be followed", where=str(self.path), remedy=remedy)
        self._identity = (status.st_dev, status.st_ino)
        self._restart(items, "replaced" if self._opened_before else None)
        self._opened_before = True
        return True

    def _read(self, items: list[Any]) -> None:
        if self._size() < self._offset:
            self._restart(items, "truncated")
        want = _READ_BYTES
        while True:
            kept = len(self._kept)
            data = os.pread(self._descriptor, kept + want, self._offset - kept)
            if data[:kept] != self._kept:
                self._restart(items, "rewritten")
                continue
            end = data.rfind(b"\n", kept) + 1
            if end or len(data) < kept + want:
                break
            want *= 2  # one line longer than that
        self._num_partial = len(data) - max(end, kept)
        if end:
            self._block = data[kept:end]
            self._decode(self._block, items)
            self._offset += len(self._block)
            self._kept = data[:end][-_KEPT_BYTES:]

    def _decode(self, block: bytes, items: list[Any]) -> None:
        if self._decoder.whole_block(block, items):
            return
        offset = self._offset
        for line in block.split(b"\n")[:-1]:
            try:
                if line.strip():
                    items.append(self._decoder.line(line))
            except UNREADABLE as error:
                items.append(SkippedLine(offset, f"not JSON: {error}"))
            except UserError as error:
                field = (error.where or "").removeprefix(f"{self.path}:").partition(":")[2]
                if offset == 0 and field in ("task", "schema"):  # no line of this file will do
                    raise
                items.append(SkippedLine(offset, f"{field}: {error.what}" if field else error.what))
            offset += len(line) + 1

    def _restart(self, items: list[Any], reason: Literal["truncated", "replaced", "rewritten"] | None) -> None:
        self._offset, self._num_partial, self._kept = 0, 0, b""
        if reason is not None:
            items.append(StartedOver(reason))

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _is_replaced(self) -> bool:
        """Does the path lead to another file now? A deleted file is not replaced yet."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) != self._identity

    def _has_changed(self) -> bool:
        if self._descriptor < 0:
            return self.path.exists()
        return self._size() != self._offset + self._num_partial or self._is_replaced()

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
