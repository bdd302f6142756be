"""One file of lines that several processes append to, each of which may be killed at any moment."""

import errno
import fcntl
import os
from itertools import count
from pathlib import Path

from pipeline.files.append import line_break_before
from pipeline.files.atomic import cannot_write


def append_lines(path: Path, lines: bytes, *, rotate_at: int | None = None) -> None:
    """Append whole lines in one write, under a lock of the file that ends with the process that holds it.

    What a killed process left of a line is cut off first. A file that would grow beyond ``rotate_at`` bytes is renamed
    to the next free NAME.NUMBER.SUFFIX and begun anew. Raises UserError when the disk takes no more: then none of
    ``lines`` is in the file, and what was there is whole.
    """
    try:
        descriptor = _locked(path, len(lines), rotate_at)
        try:
            _write(descriptor, lines)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from error


def _locked(path: Path, num_more: int, rotate_at: int | None) -> int:
    """The file, open and locked: that which has its name now, for another process may have renamed it meanwhile."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _has_name(descriptor, path):
            size = os.fstat(descriptor).st_size
            if rotate_at is None or not size or size + num_more <= rotate_at:
                return descriptor
            os.rename(path, numbered(path, next_number(path)))
        os.close(descriptor)


def _has_name(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def numbered(path: Path, number: int) -> Path:
    """The name under which a file is kept when it was renamed as the ``number``-th, from 1 on."""
    return path.with_name(f"{path.stem}.{number:05d}{path.suffix}")


def next_number(path: Path) -> int:
    """The number of the next that is renamed."""
    return next(number for number in count(1) if not numbered(path, number).exists())


def _write(descriptor: int, lines: bytes) -> None:
    size = os.fstat(descriptor).st_size
    end = line_break_before(descriptor, size)
    if end != size:  # a writer was killed in the middle
        os.ftruncate(descriptor, end)
    try:
        if os.write(descriptor, lines) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(descriptor, end)
        raise
