"""Write JSONL: whole lines appended by one buffered writer, or a whole file at once."""

import contextlib
import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from pipeline.errors import UserError
from pipeline.files.atomic import cannot_write, sync_folder, write_atomically
from pipeline.files.encode import encode

_STEP = 1 << 16  # bytes read at a time when looking for the last newline


class Appender:
    """Appends rows to a file; only whole lines reach it, many in one write.

    - ``resume=False`` starts the file anew. ``resume=True`` goes on after the last whole line, cutting a torn tail off.
      ``at`` goes on at that byte offset, cutting what lies behind it (a checkpoint remembers the `offset` it saw).
    - A row is on its way to the file once ``buffer_bytes`` have gathered, or at `flush`; 0 writes every row at once.
    - ``flush(sync=True)`` and a clean `close` also wait until the disk has it.

    When the disk is full, the file keeps every line written before, whole, and UserError is raised; the lines in the
    buffer are lost. One writer a file: a run folder's lock (`pipeline.run.folder`) sees to that.
    """

    def __init__(
        self, path: Path | str, *, resume: bool = False, at: int | None = None, buffer_bytes: int = 1 << 16
    ) -> None:
        self.path = Path(path)
        self.num_rows = 0
        self._buffer: list[bytes] = []
        self._num_buffered = 0
        self._buffer_bytes = buffer_bytes
        flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if not resume and at is None else 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            self._offset = self._cut_to(at) if resume or at is not None else 0
        except BaseException:
            os.close(self._descriptor)
            raise
        self._open = True

    @property
    def offset(self) -> int:
        """Bytes of whole lines handed to the operating system: where the file ends now, buffered rows not counted."""
        return self._offset

    def append(self, row: Any) -> None:
        """Add one row, a Struct or a dict. Raises UserError on NaN or infinity (nothing is added) or a full disk."""
        self.append_line(encode(row))

    def append_line(self, line: bytes) -> None:
        """Add one line that `encode` made."""
        if not self._open:
            raise ValueError(f"the appender of {self.path} is closed")
        self._buffer.append(line)
        self._num_buffered += len(line)
        self.num_rows += 1
        if self._num_buffered > self._buffer_bytes:
            self.flush()

    def flush(self, *, sync: bool = False) -> None:
        """Write what is buffered; with ``sync`` also wait until it is on the disk."""
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._num_buffered = 0
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
            if sync:
                os.fsync(self._descriptor)
        except BaseException as error:
            self._give_up(self._offset + data.rfind(b"\n", 0, written) + 1)
            if isinstance(error, OSError):
                raise cannot_write(self.path, error) from error
            raise
        self._offset += len(data)

    def close(self) -> None:
        """Write what is buffered, wait until the disk has it, and close. A second call does nothing."""
        if not self._open:
            return
        try:
            self.flush(sync=True)
        finally:
            if self._open:
                self._open = False
                os.close(self._descriptor)
        sync_folder(self.path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The rows appended so far are kept, whatever ended the block."""
        self.close()

    def _give_up(self, good_end: int) -> None:
        """Cut back to the last whole line and close: what follows a failed write would follow a torn line."""
        self._open = False
        self._offset = good_end
        with contextlib.suppress(OSError):  # not every file can be cut (/dev/full); a reader copes with a torn tail
            os.ftruncate(self._descriptor, good_end)
        os.close(self._descriptor)

    def _cut_to(self, at: int | None) -> int:
        end = _end_of_last_line(self._descriptor) if at is None else at
        size = os.fstat(self._descriptor).st_size
        if end > size or end < 0 or (end and os.pread(self._descriptor, 1, end - 1) != b"\n"):
            raise UserError(
                f"the file does not have a line that ends at byte {end} (it has {size} bytes)",
                where=str(self.path),
                remedy="it is not the file that was being written: run the stage again with --force",
            )
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)
        return end


def write_all(path: Path | str, rows: Iterable[Any]) -> int:
    """A whole file in one step (beside its place, synced, renamed); returns the number of rows.

    Compressed when the name ends in ``.zst``. On any failure, a NaN in a row included, ``path`` is as it was.
    """
    return write_lines(path, map(encode, rows))


def write_lines(path: Path | str, lines: Iterable[bytes]) -> int:
    """`write_all` of lines that `encode` made."""
    path = Path(path)
    counter = count()
    counted = (line for line, _ in zip(lines, counter, strict=False))
    write_atomically(path, _compressed(counted) if path.suffix == ".zst" else counted)
    return next(counter)


def _compressed(lines: Iterable[bytes]) -> Iterable[bytes]:
    import zstandard  # here: costs every command 2 ms, and few files are compressed

    compressor = zstandard.ZstdCompressor(level=1).compressobj()  # level 1: 7 times smaller at 700 MB/s
    for line in lines:
        if data := compressor.compress(line):
            yield data
    yield compressor.flush()


def _end_of_last_line(descriptor: int) -> int:
    """Offset behind the last whole line whose JSON is whole too; reads only the end of the file.

    After a power cut a file may end in zeros, or in half a line that found its newline: such a last line goes too.
    """
    size = os.fstat(descriptor).st_size
    end = line_break_before(descriptor, size)
    start = line_break_before(descriptor, end - 1) if end else 0
    last = os.pread(descriptor, end - start, start)
    try:
        orjson.loads(last or b"{}")
    except orjson.JSONDecodeError:
        return start
    return end


def line_break_before(descriptor: int, end: int) -> int:
    """Offset behind the last newline in the first ``end`` bytes; 0 when there is none."""
    while end > 0:
        start = max(0, end - _STEP)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
