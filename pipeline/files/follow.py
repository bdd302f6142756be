"""Follow a JSONL file that another process writes: rows as they arrive, whatever happens to the file."""

import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

import msgspec

from pipeline.errors import UserError
from pipeline.files.decode import LineDecoder
from pipeline.files.wake import Waker

T = TypeVar("T")

_READ_BYTES = 1 << 23  # 8 MiB a poll: about 50 ms of decoding, so that a screen stays alive while it catches up
_KEPT_BYTES = 64  # the end of what was read, compared before reading on: a file rewritten in place differs there
_STEP = 1 << 16
_SLICE_S = 0.1  # a stop event is looked at this often, and the file itself, where the system tells nothing of changes


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
    """Rows of a growing file, from its beginning or from its ``last`` so many rows on.

    The file need not exist yet; it may grow, be truncated (by a writer that resumes), replaced or deleted. A partial
    line at the end is waited for. What comes out is, in order, rows, `StartedOver` and `SkippedLine`.

        with Follower(path, GridworldEpisode, last=1) as follower:
            for item in follower.items(stop): ...
    """

    def __init__(self, path: Path | str, row_type: type[T] | None, *, last: int | None = None) -> None:
        self.path = Path(path)
        if self.path.suffix == ".zst":
            what = "a compressed file cannot be followed"
            raise UserError(what, where=str(path), remedy=f"decompress it first: zstd -d {path}")
        self._decoder = LineDecoder(self.path, row_type, accept_unfinished=False)
        self._last = last
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None
        self._opened_before = False
        self._offset = 0
        self._num_partial = 0
        self._kept = b""
        self._waker = Waker(self.path)

    @property
    def offset(self) -> int:
        """Bytes of whole lines consumed so far."""
        return self._offset

    @property
    def behind_bytes(self) -> int:
        """How much of the file is not consumed yet."""
        return max(0, self._size() - self._offset) if self._descriptor >= 0 else 0

    def poll(self) -> list[T | StartedOver | SkippedLine]:
        """What has arrived, without waiting; at most about 8 MiB of it (call again for more).

        Raises UserError when the path is not a file or cannot be read.
        """
        items: list[Any] = []
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

    def items(
        self, stop: threading.Event | None = None, idle_s: float | None = None
    ) -> Iterator[T | StartedOver | SkippedLine]:
        """Everything as it arrives, until ``stop`` is set, or nothing has arrived for ``idle_s`` seconds."""
        quiet_since = time.monotonic()
        while stop is None or not stop.is_set():
            batch = self.poll()
            if batch:
                yield from batch
                quiet_since = time.monotonic()
                continue
            if idle_s is not None and time.monotonic() - quiet_since >= idle_s:
                return
            self.wait(_SLICE_S)

    def skip_to_last(self, num_rows: int) -> int:
        """Go on at the last ``num_rows`` whole lines of the file; returns how many lines were passed over."""
        if self._descriptor < 0:
            return 0
        target = _start_of_last(self._descriptor, self._size(), num_rows)
        num_skipped = 0
        while self._offset < target:
            block = os.pread(self._descriptor, min(_READ_BYTES, target - self._offset), self._offset)
            if not block:
                break
            num_skipped += block.count(b"\n")
            self._advance(block)
        self._num_partial = 0
        return num_skipped

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
            raise UserError("only a plain file can be followed", where=str(self.path))
        self._identity = (status.st_dev, status.st_ino)
        self._restart(items, "replaced" if self._opened_before else None)
        if self._last is not None and not self._opened_before:
            self._advance_to(_start_of_last(self._descriptor, status.st_size, self._last))
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
            self._decode(data[kept:end], items)
            self._advance(data[kept:end])

    def _decode(self, block: bytes, items: list[Any]) -> None:
        if self._decoder.whole_block(block, items):
            return
        offset = self._offset
        for line in block.split(b"\n")[:-1]:
            try:
                if line.strip():
                    items.append(self._decoder.line(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                items.append(SkippedLine(offset, f"not JSON: {error}"))
            except UserError as error:
                field = (error.where or "").removeprefix(f"{self.path}:").partition(":")[2]
                items.append(SkippedLine(offset, f"{field}: {error.what}" if field else error.what))
            offset += len(line) + 1

    def _advance(self, block: bytes) -> None:
        self._offset += len(block)
        self._kept = (self._kept + block[-_KEPT_BYTES:])[-_KEPT_BYTES:]

    def _advance_to(self, offset: int) -> None:
        self._offset = offset
        start = max(0, offset - _KEPT_BYTES)
        self._kept = os.pread(self._descriptor, offset - start, start)

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


def _start_of_last(descriptor: int, size: int, num_rows: int) -> int:
    """Offset of the first of the last ``num_rows`` whole lines in the first ``size`` bytes (0 when there are fewer)."""
    missing = num_rows + 1  # the newline before the first of them, too
    end = size
    while end > 0:
        start = max(0, end - _STEP)
        block = os.pread(descriptor, end - start, start)
        found = len(block)
        while missing and (found := block.rfind(b"\n", 0, found)) >= 0:
            missing -= 1
        if not missing:
            return start + found + 1
        end = start
    return 0
