"""Sleep until a file changes: inotify on Linux, looking every 20 ms elsewhere and where inotify cannot be had.

Raw inotify wakes within 0.2 ms; watchfiles, which gathers changes for a while, takes 10 ms, a 50 ms poll 25. The folder
is watched, not the file, so that a file that appears or is replaced is seen too.
"""

import contextlib
import ctypes
import os
import select
import struct
import sys
import time
from pathlib import Path

_POLL_S = 0.02

# <sys/inotify.h>
_NONBLOCK = os.O_NONBLOCK
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_MODIFY, _MOVED_TO, _CREATE, _DELETE, _CLOSE_WRITE = 0x2, 0x80, 0x100, 0x200, 0x8
_FOLDER_GONE = 0x400 | 0x800 | 0x8000 | 0x2000  # deleted, moved, watch removed, file system unmounted
_MASK = _MODIFY | _MOVED_TO | _CREATE | _DELETE | _CLOSE_WRITE | 0x400 | 0x800
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_READ_BYTES = 1 << 16


class Waker:
    """Waits for changes of one file, which need not exist yet, nor its folder.

    Changes between two waits are not lost. A network file system tells nothing of other machines' writes: callers look
    at the file from time to time all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = b""
        self._inotify = _open_inotify()
        self._watching = False
        self._watch()

    def wait(self, timeout_s: float) -> None:
        """Return when something happened to the file, or after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while (remaining := deadline - time.monotonic()) > 0:
            if not self._watching:
                time.sleep(min(remaining, _POLL_S))
                self._watch()
                return
            poller = select.poll()
            poller.register(self._inotify, select.POLLIN)
            if poller.poll(remaining * 1000) and self._ours():
                return

    def close(self) -> None:
        """Free the descriptor. A second call does nothing."""
        self._watching = False
        if self._inotify >= 0:
            os.close(self._inotify)
            self._inotify = -1

    def _watch(self) -> None:
        if self._inotify < 0:
            return
        target = os.path.realpath(self._path)
        folder, name = os.path.split(os.fsencode(target))
        self._name = name
        self._watching = _libc.inotify_add_watch(self._inotify, folder, _MASK) >= 0

    def _ours(self) -> bool:
        """Read the events that wait; is one of them about the file?"""
        ours = False
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._inotify, _READ_BYTES)
            start = 0
            while start < len(data):
                _, mask, _, length = _EVENT.unpack_from(data, start)
                start += _EVENT.size + length
                name = data[start - length : start].rstrip(b"\0")
                if mask & _FOLDER_GONE:
                    self._watching = False
                ours = ours or not name or name == self._name
        return ours


def _open_inotify() -> int:
    """A descriptor, or -1 where there is no inotify or the user's share of instances is used up."""
    if not sys.platform.startswith("linux"):
        return -1
    return int(_libc.inotify_init1(_NONBLOCK | _CLOEXEC))


_libc = ctypes.CDLL(None)
