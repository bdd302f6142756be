"""Read JSONL: typed rows from whole lines, and errors that name file:line:field."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from pipeline.errors import UserError
from pipeline.files.blocks import blocks
from pipeline.files.decode import BrokenLine, Head, LineDecoder, head_of_line

T = TypeVar("T")


class Scan(Struct, Generic[T], frozen=True):
    """The good prefix of a file: its rows, where it ends, and why it ends there (None: the file is whole).

    ``good_bytes`` counts the bytes of the whole, readable lines (decompressed ones of a ``.zst``).
    """

    rows: list[T]
    good_bytes: int
    torn: str | None


def read(path: Path | str, row_type: type[T], *, strict: bool = True) -> Iterator[T]:
    """Rows of a file, one block of about 1 MiB in memory at a time; ``dict`` as ``row_type`` takes any.

    Raises UserError on the first line that is not a valid row. ``strict=False`` ends quietly before a torn last line; a
    bad line anywhere else is still an error. Rows of older versions are upgraded (`schemas.upgrades`).
    """
    decoder = LineDecoder(Path(path), row_type, accept_unfinished=strict)
    source = blocks(Path(path))
    while True:
        rows: list[T] = []
        try:
            if not decoder.feed(source, rows):
                return
        except BrokenLine as broken:
            yield from rows
            if strict or not broken.is_last:
                raise
            return
        yield from rows


def read_all(path: Path | str, row_type: type[T]) -> list[T]:
    """All rows of a finished file, decoded with the garbage collector paused. Errors as `read`."""
    rows: list[T] = []
    decoder = LineDecoder(Path(path), row_type, accept_unfinished=True)
    source = blocks(Path(path))
    with gc_paused():
        while decoder.feed(source, rows):
            pass
    return rows


def scan(path: Path | str, row_type: type[T]) -> Scan[T]:
    """The whole lines of a file that may be torn at its end: a writer was killed, or is still at work.

    A last line without its newline is torn even when its JSON is whole, for the appender has not finished it. Raises
    UserError on a bad line that is not the last, and on a last line that is whole JSON but not a valid row.
    """
    rows: list[T] = []
    decoder = LineDecoder(Path(path), row_type, accept_unfinished=False)
    source = blocks(Path(path))
    try:
        with gc_paused():
            while decoder.feed(source, rows):
                pass
    except BrokenLine as broken:
        if not broken.is_last:
            raise
        return Scan(rows, decoder.good_bytes, broken.reason)
    return Scan(rows, decoder.good_bytes, None)


def head(path: Path | str) -> Head:
    """Schema, task and id of the first row. Raises UserError when the file has no whole first row that says so."""
    for block in blocks(Path(path)):
        return head_of_line(Path(path), block.partition(b"\n")[0])
    raise UserError("the file is empty", where=str(path), remedy="run the stage that writes it again")


_gc_lock = threading.Lock()
_gc_pauses = 0
_gc_was_enabled = False


@contextmanager
def gc_paused() -> Iterator[None]:
    """No garbage collection within, in any thread; nested and concurrent pauses end with the last of them.

    Each collection walks all rows decoded so far, of which none is garbage: on rows of 0.7 kB that was measured to cost
    three quarters of a decoding loop. Freezing and unfreezing at the end moves the rows past the young generations
    without walking them, so that the next collection does not pay either.
    """
    global _gc_pauses, _gc_was_enabled
    with _gc_lock:
        if _gc_pauses == 0:
            _gc_was_enabled = gc.isenabled()
            gc.disable()
        _gc_pauses += 1
    try:
        yield
    finally:
        with _gc_lock:
            _gc_pauses -= 1
            if _gc_pauses == 0 and _gc_was_enabled:
                if gc.get_freeze_count() == 0:  # else the caller froze something, and unfreezing would undo that
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()
