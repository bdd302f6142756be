"""Which model answers: the one reference that requests take, and how another one comes to be there.

A request holds the answerer that it began with, so that a swap disturbs none. A candidate is opened beside the old
model, off the event loop, its hashes checked and its golden outputs replayed, and compared with the old one on logged
rows; then the pointer is replaced, and every worker that sees it opens the same file and swaps. Whatever goes wrong,
the old model stays.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.registry.entry import RegistryUnreachable, Version
from pipeline.serve.reload.proof import Proof
from pipeline.serve.reload.second import takes
from pipeline.serve.reload.source import ModelSource
from pipeline.serve.reload.state import Mode, Pointer, Second, State, Target, refused

LOOK_EVERY_S = 0.05  # a look at the pointer takes 2 us
AFTER_FAILURE_S = 1.0

Open = Callable[[Path, str], Answerer]
"""A model file and what its version is called, to the model. Raises UserError."""
Prove = Callable[[Answerer, Answerer], Proof]
"""The old and the new model; raises UserError where the new one is worse."""
Event = Literal["adopted", "reloaded", "refused", "unreachable"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload did: which version answers now, which answered before, and the proof that it is no worse."""

    status: Literal["swapped", "unchanged", "rolled_back"]
    version: str
    model: str
    previous: str | None = None
    proof: Proof | None = None


class Serving(NamedTuple):
    """The models of one moment."""

    current: Answerer | None = None
    second: Answerer | None = None
    mode: Mode = "canary"
    share: float = 0.0


class Models:
    """The models of one worker. `start` makes it follow the pointer; without it, it answers from what was there."""

    def __init__(
        self,
        source: ModelSource,
        state: State,
        *,
        open: Open,
        prove: Prove = lambda old, new: Proof(),
        count: Callable[[Event], None] = lambda event: None,
        interval_s: float | None = None,
    ) -> None:
        """``interval_s`` is how often it is looked whether the source names another model; None: never.

        Raises UserError when there is no model that could be opened; one that may come later is waited for.
        """
        self._source, self._state, self._interval_s = source, state, interval_s
        self._open, self._prove, self._count = open, prove, count
        self._serving, self._lock = Serving(), threading.Lock()
        self._adopted, self._told, self._asked = 0, "", state.asked()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._begin()

    def current(self) -> Answerer | None:
        """The model that answers now; None where there is none."""
        return self._serving.current

    def choose(self, key: str) -> Answerer | None:
        """The model that answers to a key: the canary to its share of them, always to the same, the current else."""
        serving = self._serving
        if serving.second is not None and serving.mode == "canary" and takes(key, serving.share):
            return serving.second
        return serving.current

    def shadow(self) -> Answerer | None:
        """The model that is asked all that the current one is asked, and whose answers nobody gets."""
        serving = self._serving
        return serving.second if serving.mode == "shadow" else None

    def serving(self) -> Sequence[Answerer]:
        """All models that answer or are asked."""
        return [one for one in self._serving[:2] if one is not None]

    def pointer(self) -> Pointer:
        """What all workers answer from, and what was refused."""
        return self._state.read()

    def versions(self) -> Sequence[Version]:
        """All that a reload could ask for. Raises UserError when the registry cannot be reached."""
        return self._source.versions()

    def reload(self, asked: str | None = None) -> Outcome:
        """Answer from the model that the source names now, or from the version or alias ``asked``, if the proof holds.

        Takes as long as opening a model and the proof: call it off the event loop. Raises UserError, which says why
        not, and leaves the old model in place.
        """
        with self._state.exclusive():
            pointer = self._state.read()
            mark = self._mark() if asked is None else pointer.looked
            target, answerer, proof = self._candidate(asked, mark, self._serving.current)
            if target.is_same(pointer.current) and self._serving.current is not None:
                self._state.write(replace(pointer, looked=mark))
                return Outcome(status="unchanged", version=target.version, model=answerer.identity.model)
            second = None if pointer.second and target.is_same(pointer.second.target) else pointer.second
            return self._swap("swapped", replace(pointer, second=second, looked=mark), target, answerer, proof)

    def roll_back(self) -> Outcome:
        """Answer from the model before. It was proven when it came: its hashes and golden outputs are checked again."""
        with self._state.exclusive():
            pointer = self._state.read()
            target = pointer.previous
            if target is None:
                remedy = "POST /v1/model/reload with a version"
                raise UserError("there was no model before this one", remedy=remedy)
            answerer = self._open(Path(target.path), target.version)
            return self._swap("rolled_back", pointer, target, answerer)

    def set_second(
        self, asked: str | None, mode: Mode = "canary", share: float = 0.0, *, at_start: bool = False
    ) -> Pointer:
        """Let a second model answer a share of the keys, or be asked in the shadow; None ends that.

        ``at_start``: of the workers that begin, the first does it and the others wait. Raises UserError.
        """
        with self._state.exclusive(wait=at_start):
            pointer = self._state.read()
            if at_start and pointer.generation != 1:
                return pointer
            if asked is None:
                self._point_to(replace(pointer, second=None))
            else:
                target, answerer, _ = self._candidate(asked, pointer.looked)
                self._point_to(replace(pointer, second=Second(target=target, mode=mode, share=share)), answerer)
        return self._state.read()

    def start(self) -> None:
        """Follow the pointer, requests for a reload and the source, in a thread of its own."""
        self._thread = threading.Thread(target=self._follow, name="models", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        self._state.close()

    def _begin(self) -> None:
        """Take what the pointer says; the first worker of all makes the pointer."""
        with self._state.exclusive(wait=True):
            if self._state.read().current is None:
                try:
                    mark = self._mark()
                    target, answerer, _ = self._candidate(None, mark)
                except UserError as error:
                    if self._interval_s is None:
                        raise
                    self._tell(f"there is no model yet: {error}")
                    return
                self._point_to(replace(self._state.read(), current=target, looked=mark), answerer)
        self._adopt()

    def _mark(self) -> str:
        try:
            return self._source.mark()
        except UserError:
            self._count("unreachable")
            raise

    def _candidate(
        self, asked: str | None, mark: str | None, old: Answerer | None = None
    ) -> tuple[Target, Answerer, Proof | None]:
        """The model that is asked for, opened, and proven against an ``old`` one that is another.

        Raises UserError, which is remembered where it is the model's fault.
        """
        version = asked or mark or ""
        try:
            found = self._source.find(asked)
            version = found.version
            answerer = self._open(found.path, version)
            target, proof = Target(path=str(found.path), version=version, hashes=hashes(answerer)), None
            if old is not None and not target.is_same(self._state.read().current):
                proof = self._prove(old, answerer)
            return target, answerer, proof
        except RegistryUnreachable:
            self._count("unreachable")
            raise
        except UserError as error:
            self._count("refused")
            self._state.write(refused(replace(self._state.read(), looked=mark), version, error.what))
            raise

    def _point_to(self, pointer: Pointer, *opened: Answerer) -> None:
        """Point all workers to models, and answer from them in this one."""
        self._state.write(replace(pointer, generation=pointer.generation + 1))
        self._adopt(*opened)

    def _adopt(self, *more: Answerer) -> None:
        """Answer from what the pointer says. What is open, or among ``more``, is not opened again."""
        with self._lock:
            pointer = self._state.read()
            if pointer.generation == self._adopted:
                return
            opened = {(hashes(one), one.identity.version): one for one in (*self.serving(), *more)}

            def answerer(target: Target | None) -> Answerer | None:
                if target is None:
                    return None
                return opened.get((target.hashes, target.version)) or self._open(Path(target.path), target.version)

            second = pointer.second
            self._serving = Serving(
                answerer(pointer.current),
                answerer(second.target) if second else None,
                second.mode if second else "canary",
                second.share if second else 0.0,
            )
            self._adopted = pointer.generation
        self._count("adopted")

    def _swap(
        self,
        status: Literal["swapped", "rolled_back"],
        before: Pointer,
        target: Target,
        answerer: Answerer,
        proof: Proof | None = None,
    ) -> Outcome:
        self._point_to(replace(before, current=target, previous=before.current), answerer)
        self._count("reloaded")
        return Outcome(
            status=status,
            version=target.version,
            model=answerer.identity.model,
            previous=before.current.version if before.current else None,
            proof=proof,
        )

    def _follow(self) -> None:
        stamp, looked_at = (0, 0), time.monotonic()
        while not self._is_over.wait(LOOK_EVERY_S):
            try:
                now = self._state.stamp()
                if now != stamp:
                    self._adopt()
                    stamp = now
                if self._state.leads():
                    if self._interval_s is not None and time.monotonic() - looked_at >= self._interval_s:
                        looked_at = time.monotonic()
                        self._look()
                    asked = self._state.asked()
                    if asked != self._asked:
                        self._asked = asked
                        self.reload()
            except UserError as error:
                self._tell(f"the model stays as it is: {error}")
                self._is_over.wait(AFTER_FAILURE_S)
            except Exception:  # of a model that cannot be opened in a way that nobody thought of: the thread goes on
                traceback.print_exc()
                self._is_over.wait(AFTER_FAILURE_S)

    def _look(self) -> None:
        """Reload where the source names another model than when it was last looked at."""
        if self._mark() != self._state.read().looked:
            self.reload()

    def _tell(self, text: str) -> None:
        """A warning for who runs the server, once."""
        if text != self._told:
            print(f"warning: {text}", file=sys.stderr, flush=True)
        self._told = text


def hashes(answerer: Answerer) -> str:
    """What tells a model from any other: of its weights, its network, and its metadata with its preprocessing."""
    identity = answerer.identity
    return f"{identity.weights_hash}-{identity.brain_spec_hash}-{identity.metadata_hash}"
