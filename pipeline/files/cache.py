"""Results that are worth keeping between runs, by a hash of all that they depend on.

They are in the folder that ``BATON_CACHE`` names, by default ``baton`` in the user's cache folder. Nothing that is
wrong with it is an error: what cannot be read, or is damaged, is not there, and what cannot be written is not kept.
Files appear whole (beside their place, renamed), so processes that keep the same result do not disturb each other.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically

MAX_BYTES = 4 << 30  # of all files together
_NUM_HASHED = 32  # bytes of the hash before the data


def folder() -> Path:
    """Where results are kept."""
    named = os.environ.get("BATON_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baton"


def load(key: str) -> bytes | None:
    """What was kept under ``key``; None where there is nothing, or nothing whole."""
    path = folder() / key
    try:
        data = path.read_bytes()
        if hashlib.sha256(data[_NUM_HASHED:]).digest() != data[:_NUM_HASHED]:
            return None
        os.utime(path)  # `trim` removes first what was not used for longest
    except OSError:
        return None
    return data[_NUM_HASHED:]


def keep(key: str, data: bytes) -> None:
    """Keep ``data`` under ``key``, if that can be done."""
    with contextlib.suppress(UserError):
        write_atomically(folder() / key, [hashlib.sha256(data).digest(), data])


def trim(max_bytes: int = MAX_BYTES) -> None:
    """Remove the files that were not used for longest, as far as all together take more than ``max_bytes``."""
    with contextlib.suppress(OSError):
        kept = (path for path in folder().iterdir() if path.is_file())
        files = sorted(((path.stat(), path) for path in kept), key=lambda file: file[0].st_mtime)
        total = sum(found.st_size for found, _ in files)
        for found, path in files:
            if total <= max_bytes:
                break
            total -= found.st_size
            path.unlink()
