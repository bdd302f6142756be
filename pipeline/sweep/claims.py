"""Claims: which worker has a part of a sweep. One at a time, on one machine or on many that share a folder.

A part's claims are numbered files, ``claims/<key>/000001`` and so on; the highest number has the part. Whoever
wants it makes the file of the next number, as a hard link to a file that is already written: linking either makes
the name or fails because it is there, for all machines alike, and nobody sees a claim half written. Numbers never go
down and files never go away, so that a worker that slept through its own end finds the next number and gives up.

A claim is renewed by touching its file. It is free again when it was released (its time is 0), when it was not
renewed for its lease, or, on the machine of its worker, as soon as that process is gone.

What this relies on: `link` is atomic and exclusive (POSIX; NFS too), and the file system's own clock: a claim's age is
the difference between two times that the file system wrote, so that machines need not agree on the time of day.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec import Struct

from pipeline.errors import UserError

DEFAULT_LEASE_S = 60.0
RENEWALS_PER_LEASE = 4  # two of them may come late, and the lease still holds


class Holder(Struct, frozen=True, kw_only=True):
    """Who has a claim. ``machine`` and ``process`` tell processes apart; None where the system does not say."""

    worker: str
    host: str
    machine: str | None
    pid: int
    process: str | None
    lease_s: float


def this_process(worker: str, lease_s: float = DEFAULT_LEASE_S) -> Holder:
    """This process as a holder of claims."""
    pid, machine = os.getpid(), _machine()
    return Holder(
        worker=worker,
        host=socket.gethostname(),
        machine=machine,
        pid=pid,
        process=_started(pid) if machine else None,
        lease_s=lease_s,
    )


@dataclass(frozen=True)
class Claim:
    """One claim of this process. ``attempt`` is its number."""

    path: Path
    attempt: int

    def is_lost(self) -> bool:
        """Whether somebody else has the part now."""
        return _numbered(self.path.parent, self.attempt + 1).exists()

    def renew(self) -> None:
        """Begin the lease anew."""
        os.utime(self.path)

    def release(self) -> None:
        """Let anybody have the part, at once."""
        os.utime(self.path, (0, 0))


class Claims:
    """The claims in one folder, as one worker sees them."""

    def __init__(self, folder: Path, holder: Holder) -> None:
        self.folder, self.holder = folder, holder

    def take(self, name: str) -> Claim | None:
        """A claim on part ``name``, or None when another worker has it. Raises UserError where links cannot be made."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        last = _last(folder)
        if last and not self._is_free(_numbered(folder, last)):
            return None
        path = _numbered(folder, last + 1)
        return Claim(path, last + 1) if publish(path, msgspec.json.encode(self.holder)) else None

    def _is_free(self, path: Path) -> bool:
        renewed_s = path.stat().st_mtime
        if renewed_s == 0.0:
            return True
        holder = _read(path)
        if holder is None:
            return self._now_s() - renewed_s > DEFAULT_LEASE_S
        return _is_gone(holder) or self._now_s() - renewed_s > holder.lease_s

    def _now_s(self) -> float:
        """The time of the file system that the claims lie in."""
        clock = self.folder / f".clock-{self.holder.host}-{self.holder.pid}"
        clock.touch()
        return clock.stat().st_mtime


def publish(path: Path, data: bytes) -> bool:
    """Write ``path`` whole, unless it is there: of many that try, on many machines, exactly one gets True.

    Raises UserError where the file system has no hard links.
    """
    beside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return os.stat(beside).st_nlink > 1  # over NFS an answer may get lost, and the link is made all the same
        except OSError as error:
            what = f"the file system makes no hard links ({error.strerror}), by which workers agree who has a cell"
            raise UserError(
                what, where=str(path.parent), remedy="put the sweep on another file system: --out"
            ) from error
        return True
    finally:
        beside.unlink(missing_ok=True)


@dataclass
class Heartbeat:
    """Renews the claims that are held, from a thread of its own."""

    lease_s: float
    _held: dict[Path, Claim] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator["Heartbeat"]:
        """Renew claims until the block ends."""
        thread = threading.Thread(target=self._beat, name="claims", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[None]:
        """Renew ``claim`` within; release it at the end, unless another worker has it by then."""
        with self._lock:
            self._held[claim.path] = claim
        try:
            yield
        finally:
            with self._lock:
                del self._held[claim.path]
                claim.release()

    def _beat(self) -> None:
        while not self._ended.wait(self.lease_s / RENEWALS_PER_LEASE):
            with self._lock:
                for claim in self._held.values():
                    with contextlib.suppress(OSError):  # a share that is away for a moment: the next one may succeed
                        claim.renew()


def _last(folder: Path) -> int:
    """The highest number; 0 where there is no claim."""
    return max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)


def _numbered(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}"


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except msgspec.DecodeError:  # made by hand, or by a version to come: its lease is taken to be the usual one
        return None


def _is_gone(holder: Holder) -> bool:
    """Whether the holder's process ended, as far as this machine can tell."""
    if holder.machine is None or holder.machine != _machine():
        return False
    return _started(holder.pid) != holder.process


def _machine() -> str | None:
    """What tells this machine, since it was started, and this space of process ids from all others (Linux alone)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks since the machine did: a process id is used again, the pair is not.

    None when there is no such process, or only what is left of one (a zombie).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in ("Z", "X") else fields[19]
