"""Where generations are asked for: one after the other, in a queue with a bound, told as they go, and kept."""

import queue
from collections.abc import Callable, Mapping, Sequence
from threading import Lock, Thread
from typing import Any

import msgspec

from pipeline.contract.exploring import Cancelled, Choice, ExplorePart, Explorer, Step
from pipeline.errors import UserError
from pipeline.explore.form import filled
from pipeline.explore.pictures import png_text
from pipeline.explore.store import UNDER_WAY, Made, Store
from pipeline.files import encode

MAX_WAITING, MAX_WAITING_OF_ONE = 16, 4
Tell = Callable[[str, dict[str, Any]], None]
"""``tell(user, message)``; from any thread."""


class Desk:
    """Takes requests, has the models answer them in a thread, and tells their owners. ``explorers`` are by bundle."""

    def __init__(self, store: Store, part: ExplorePart, explorers: Mapping[str, Explorer], tell: Tell) -> None:
        self._store, self._part, self._explorers, self._tell = store, part, explorers, tell
        self._lock = Lock()
        self._waiting: list[tuple[int, str]] = []  # numbers, and whose they are
        self._running: tuple[int, str] | None = None
        self._steps: list[dict[str, Any]] = []  # of the running one
        self._cancelled: set[int] = set()
        self._calls: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = Thread(target=self._work, daemon=True, name="generating")
        self._thread.start()

    def ask(self, user: str, workspace: str, bundle: str, values: dict[str, Any], choice: Choice) -> int:
        """Put a request into the queue; its number. Raises UserError when it is full, or the request is wrong."""
        asked = msgspec.json.encode({"values": values, "references": choice.references, "layer": choice.layer})
        if bundle not in self._explorers:
            remedy = "start the server with --model FILE, the file that these activations were recorded of"
            raise UserError("there is no model to generate with", remedy=remedy)
        form = filled(self._part.form, values)
        self._part.request(form, choice, "checked")  # before anything is kept
        with self._lock:
            mine = sum(owner == user for _, owner in self._waiting)
            if mine >= MAX_WAITING_OF_ONE or len(self._waiting) >= MAX_WAITING:
                whose = f"{mine} of yours" if mine >= MAX_WAITING_OF_ONE else str(len(self._waiting))
                raise UserError(f"the queue is full: {whose} wait already", remedy="try again when one is done")

            def request(number: int) -> bytes:
                return encode(self._part.request(form, choice, f"made-{number:06d}"))

            number = self._store.add((user, workspace), bundle, asked, request)
            self._waiting.append((number, user))
        self._calls.put(number)
        self._tell_states(user)
        return number

    def cancel(self, user: str, number: int) -> None:
        """End one's own that waits or runs; any other is left as it is."""
        with self._lock:
            is_waiting = (number, user) in self._waiting
            if is_waiting:
                self._waiting.remove((number, user))
                self._store.change(number, state="cancelled")
            elif self._running == (number, user):
                self._cancelled.add(number)
        if is_waiting:
            self._tell_states(user)

    def ahead(self, number: int) -> int | None:
        """How many are before it in the queue; 0 while it runs, None when it is not under way."""
        with self._lock:
            order = [*([self._running] if self._running else []), *self._waiting]
        return next((place for place, (one, _) in enumerate(order) if one == number), None)

    def steps(self, number: int) -> list[dict[str, Any]]:
        """The steps so far of the one that runs."""
        with self._lock:
            return list(self._steps) if self._running and self._running[0] == number else []

    def close(self) -> None:
        """End the running one and take no more."""
        with self._lock:
            self._waiting.clear()
            if self._running:
                self._cancelled.add(self._running[0])
        self._calls.put(None)
        self._thread.join(timeout=5)

    def _work(self) -> None:
        while (number := self._calls.get()) is not None:
            with self._lock:
                found = next((one for one in self._waiting if one[0] == number), None)
                if found is None:
                    continue  # cancelled before its turn
                self._waiting.remove(found)
                self._running, self._steps = found, []
            try:
                self._make(number)
            except UserError as error:  # such as a full disk: the next one may find room
                self._fail(number, str(error))
            except Exception as error:  # a bug in one generation takes nothing from the others
                self._fail(number, f"it failed: {type(error).__name__}: {error}")
            with self._lock:
                self._running = None
                self._cancelled.discard(number)
                owners = {found[1], *(user for _, user in self._waiting)}
            for user in owners:
                self._tell_states(user)

    def _make(self, number: int) -> None:
        made = self._store.one(number)
        assert made is not None
        self._store.change(number, state="running")
        self._tell_states(made.user)
        request = msgspec.json.decode(made.request, type=self._part.example)

        def on_step(step: Step) -> None:
            view = step_view(step)
            with self._lock:
                self._steps.append(view)
            self._tell(made.user, {"type": "step", "number": number, "step": view})

        try:
            explorer = self._explorers[made.bundle]
            prediction = explorer.generate(request, on_step, lambda: number in self._cancelled)
        except Cancelled:
            self._store.change(number, state="cancelled")
            return
        steps = self.steps(number) or [step_view(step) for step in self._part.steps(prediction)]
        view = {
            "image": png_text(self._part.picture(prediction)),
            "facts": list(self._part.facts(prediction)),
            "steps": steps,
        }
        done = {"view": msgspec.json.encode(view), "prediction": encode(prediction)}
        self._store.change(number, state="failed" if prediction.error else "done", error=prediction.error, **done)

    def _fail(self, number: int, why: str) -> None:
        try:
            self._store.change(number, state="failed", error=why)
        except UserError:  # the disk is full: after the next start it counts as interrupted
            made = self._store.one(number)
            assert made is not None
            self._tell(made.user, {"type": "notice", "what": why})

    def _tell_states(self, user: str) -> None:
        """What of one's own is under way, and what has just ended: the page asks for the rest."""
        with self._lock:
            order = [*([self._running] if self._running else []), *self._waiting]
        ahead = {str(number): place for place, (number, owner) in enumerate(order) if owner == user}
        self._tell(user, {"type": "queue", "ahead": ahead})


def step_view(step: Step) -> dict[str, Any]:
    """A step as a page shows it."""
    return {
        "number": step.number,
        "num_steps": step.num_steps,
        "noise_level": step.noise_level,
        "image": png_text(step.image),
        "noised": png_text(step.noised),
        "places": step.places,
        "masked_places": step.masked_places,
    }


def made_view(made: Made, desk: Desk, *, whole: bool) -> dict[str, Any]:
    """A generation as a page shows it: what was asked, and what has come of it so far; its steps if it is ``whole``."""
    under_way = made.state in UNDER_WAY
    view: dict[str, Any] = msgspec.json.decode(made.view) if made.view else {}
    return {
        "number": made.number,
        "bundle": made.bundle,
        "state": made.state,
        "error": made.error,
        "ahead": desk.ahead(made.number) if under_way else None,
        "asked": msgspec.json.decode(made.asked),
        "request": msgspec.json.decode(made.request),
        "image": view.get("image"),
        "facts": view.get("facts", []),
        "steps": (desk.steps(made.number) if under_way else view.get("steps", [])) if whole else None,
    }


def rows_of(made: Sequence[Made], kind: str) -> bytes:
    """The request rows ("examples") or the answers ("predictions") of generations that have one, a line each."""
    rows = [one.request if kind == "examples" else one.prediction for one in made if one.prediction]
    return b"".join(row for row in rows if row)
