"""Which model the workers of a server answer from: one small file, replaced whole, at which each of them looks."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically

Mode = Literal["canary", "shadow"]
NUM_REFUSED = 10  # that are remembered with the reason
_POINTER, _ASKED, _LOCK, _LEADS = "pointer.json", "reload.asked", "reload.lock", "leads.lock"


class Target(Struct, frozen=True, kw_only=True):
    """A model file that answers or could answer, and what it is called."""

    path: str
    version: str
    hashes: str

    def is_same(self, other: "Target | None") -> bool:
        """Whether it is the same model under the same version, wherever its file lies."""
        return other is not None and (self.hashes, self.version) == (other.hashes, other.version)


class Second(Struct, frozen=True, kw_only=True):
    """A second model: it answers ``share`` of the requests, or, in the shadow, none, and is asked all the same."""

    target: Target
    mode: Mode
    share: float


class Refused(Struct, frozen=True, kw_only=True):
    """What was offered, and why it does not answer."""

    version: str
    why: str


class Pointer(Struct, frozen=True, kw_only=True):
    """What the workers answer from. ``looked`` is what the source named when it was last looked at, whatever came of
    it: only another one is tried by itself, so that what was refused is not tried again and again."""

    generation: int = 0
    current: Target | None = None
    previous: Target | None = None
    second: Second | None = None
    looked: str | None = None
    refused: tuple[Refused, ...] = ()

    def paths(self) -> set[str]:
        """Files of the models that answer, or may again."""
        targets = (self.current, self.previous, self.second and self.second.target)
        return {target.path for target in targets if target}


class State:
    """The pointer in a folder that all workers of a server share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._leads = -1
        folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> Pointer:
        """The pointer as it is now."""
        try:
            return msgspec.json.decode((self.folder / _POINTER).read_bytes(), type=Pointer)
        except FileNotFoundError:
            return Pointer()

    def write(self, pointer: Pointer) -> None:
        """Replace the pointer; only who holds the lock of `exclusive` does. Raises UserError on a full disk."""
        write_atomically(self.folder / _POINTER, [msgspec.json.encode(pointer)])

    def stamp(self) -> tuple[int, int]:
        """Another one for another pointer: looked at often, so that the file need not be read."""
        return _stamp(self.folder / _POINTER)

    def ask(self) -> None:
        """Ask the workers for a reload: one of them does it. Safe in the handler of a signal."""
        (self.folder / _ASKED).touch()

    def asked(self) -> tuple[int, int]:
        """Another one each time that a reload was asked for."""
        return _stamp(self.folder / _ASKED)

    @contextlib.contextmanager
    def exclusive(self, *, wait: bool = False) -> Iterator[None]:
        """One reload at a time, over all workers. Raises UserError when one is going on, unless it is waited for."""
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise UserError("another reload is going on", remedy="ask again when it is done") from None
            yield
        finally:
            os.close(descriptor)

    def leads(self) -> bool:
        """Whether this worker looks at the source for all. When it ends, however it does, another one does."""
        if self._leads < 0:
            self._leads = os.open(self.folder / _LEADS, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._leads, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Lead no longer."""
        if self._leads >= 0:
            os.close(self._leads)
            self._leads = -1


def refused(pointer: Pointer, version: str, why: str) -> Pointer:
    """The pointer that remembers this."""
    kept = [one for one in pointer.refused if one.version != version][-NUM_REFUSED + 1 :]
    return msgspec.structs.replace(pointer, refused=(*kept, Refused(version=version, why=why)))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns
