"""Sleep until a file may have changed: inotify on Linux, 20 ms elsewhere and where inotify cannot be had.

Raw inotify wakes within 0.2 ms; watchfiles, which gathers changes for a while, takes 10 ms, a 50 ms poll 25. The folder
is watched, not the file, so that a file that appears or is replaced is seen too.
"""

import contextlib
import ctypes
import os
import select
import sys
import time
from pathlib import Path

_POLL_S = 0.02
_EVENTS = 0x2 | 0x8 | 0x80 | 0x100 | 0x200  # <sys/inotify.h>: modify, close after writing, moved to, create, delete
_READ_BYTES = 1 << 16
_libc = ctypes.CDLL(None)


class Waker:
    """Waits for changes in the folder of a file, neither of which need exist yet.

    Changes between two waits are not lost. A network file system tells nothing of other machines' writes: callers look
    at the file from time to time all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inotify = _open_inotify()
        self._watch()

    def wait(self, timeout_s: float) -> None:
        """Return when something happened beside the file, or after ``timeout_s``."""
        if not self._watch():
            time.sleep(min(timeout_s, _POLL_S))
            return
        poller = select.poll()
        poller.register(self._inotify, select.POLLIN)
        if poller.poll(timeout_s * 1000):
            with contextlib.suppress(BlockingIOError):
                os.read(self._inotify, _READ_BYTES)

    def close(self) -> None:
        """Free the descriptor. A second call does nothing."""
        if self._inotify >= 0:
            os.close(self._inotify)
            self._inotify = -1

    def _watch(self) -> bool:
        """Watch the folder that the path leads to now; that it is watched already is no matter."""
        folder = os.fsencode(os.path.dirname(os.path.realpath(self._path)))
        return self._inotify >= 0 and bool(_libc.inotify_add_watch(self._inotify, folder, _EVENTS) >= 0)


def _open_inotify() -> int:
    """A descriptor, or -1 where there is no inotify or the user's share of instances is used up."""
    return int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)) if sys.platform == "linux" else -1
