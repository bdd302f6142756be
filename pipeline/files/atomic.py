"""Files that appear whole or not at all: written beside their place, synced, renamed."""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.errors import UserError

# No space, quota used up, file-size limit (ulimit -f): the disk takes no more, and nothing is wrong with the program.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_BESIDE = re.compile(r"\..+\.\d+\.tmp")


def write_atomically(path: Path, chunks: Iterable[bytes]) -> int:
    """Write ``chunks`` to ``path``, replacing what is there in one step; returns the bytes written.

    On any failure ``path`` is as it was before. Raises UserError when the disk is full or the place cannot be written.
    """
    with replacing(path) as file:
        return sum(file.write(chunk) for chunk in chunks)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` in one step when the block ends without an error.

    On any failure ``path`` is as it was before. Raises UserError when the disk is full or the place cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        _remove(beside)
        raise cannot_write(path, error) from error
    except BaseException:
        _remove(beside)
        raise
    sync_folder(path.parent)


def remove_left_over(folder: Path) -> None:
    """Remove what `replacing` left beside its place in ``folder``, and one level below, in a process that was killed.

    Only where nobody else writes: a process at work has such files too.
    """
    for path in [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]:
        if _BESIDE.fullmatch(path.name):
            _remove(path)


def inside(folder: Path, name: str) -> Path:
    """The path of a file that a row names, which lies in ``folder``."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise AssertionError(f"a row names the file {name!r}, which is not in the folder of the rows")
    return folder / path


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error for a user whose file cannot be written."""
    if error.errno in FULL:
        what = "the disk is full" if error.errno == errno.ENOSPC else f"the disk takes no more: {error.strerror}"
        return UserError(what, where=str(path), remedy="free some space, then run the same command again")
    return UserError(f"cannot write the file: {error.strerror or error}", where=str(path))


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a folder; the rename itself stands
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # the first error is the one to tell
        path.unlink()
