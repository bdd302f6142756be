"""Where generations are asked for: one after the other, in a queue with a bound, told as they go, and kept."""

from collections.abc import Callable, Mapping
from threading import Condition, Thread
from typing import Any, NamedTuple

import msgspec

from pipeline.contract.exploring import Cancelled, Choice, ExplorePart, Explorer, Step
from pipeline.errors import UserError
from pipeline.explore.form import filled
from pipeline.explore.pictures import png_text
from pipeline.explore.store import Made, Store
from pipeline.files import encode

MAX_WAITING, MAX_WAITING_OF_ONE = 16, 4
Tell = Callable[[str, dict[str, Any]], None]
"""``tell(user, message)``; from any thread."""


class Place(NamedTuple):
    """Of a request in the queue: its number, and whose it is."""

    number: int
    user: str


class Desk:
    """Takes requests, has the models answer them in a thread, and tells their owners. ``explorers`` are by bundle."""

    def __init__(self, store: Store, part: ExplorePart, explorers: Mapping[str, Explorer], tell: Tell) -> None:
        self._store, self._part, self._explorers, self._tell = store, part, explorers, tell
        self._changed = Condition()  # guards what follows
        self._waiting: list[Place] = []
        self._running: Place | None = None
        self._steps: list[Any] = []  # of the running one
        self._cancelled: set[int] = set()
        self._is_open = True
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
        with self._changed:
            mine = sum(one.user == user for one in self._waiting)
            if mine >= MAX_WAITING_OF_ONE or len(self._waiting) >= MAX_WAITING:
                whose = f"{mine} of yours" if mine >= MAX_WAITING_OF_ONE else str(len(self._waiting))
                raise UserError(f"the queue is full: {whose} wait already", remedy="try again when one is done")

            def request(number: int) -> bytes:
                return encode(self._part.request(form, choice, f"made-{number:06d}"))

            number = self._store.add((user, workspace), bundle, asked, request)
            self._waiting.append(Place(number, user))
            self._changed.notify()
        self._tell_states(user)
        return number

    def cancel(self, user: str, number: int) -> None:
        """End one's own that waits or runs; any other is left as it is."""
        with self._changed:
            if self._running == (number, user):
                self._cancelled.add(number)
            elif (number, user) in self._waiting:
                self._store.change(number, state="cancelled")
                self._waiting.remove(Place(number, user))
        self._tell_states(user)

    def ahead(self) -> dict[int, int]:
        """How many are before each that is under way, by number; 0 before the one that runs."""
        return {one.number: place for place, one in enumerate(self._order())}

    def steps(self, number: int) -> list[Any]:
        """The steps so far of the one that runs."""
        with self._changed:
            return list(self._steps) if self._running and self._running.number == number else []

    def close(self) -> None:
        """End the running one and take no more."""
        with self._changed:
            self._is_open = False
            self._waiting.clear()
            if self._running:
                self._cancelled.add(self._running.number)
            self._changed.notify()
        self._thread.join(timeout=5)

    def _order(self) -> list[Place]:
        with self._changed:
            return [*([self._running] if self._running else []), *self._waiting]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._is_open)
                if not self._is_open:
                    return
                number, user = self._waiting[0]
                self._running, self._steps = self._waiting.pop(0), []
            try:
                self._make(number)
            except UserError as error:  # such as a full disk: the next one may find room
                self._fail(number, user, str(error))
            except Exception as error:  # a bug in one generation takes nothing from the others
                self._fail(number, user, f"it failed: {type(error).__name__}: {error}")
            with self._changed:
                self._running = None
                self._cancelled.discard(number)
            for owner in {user, *(one.user for one in self._order())}:
                self._tell_states(owner)

    def _make(self, number: int) -> None:
        made = self._store.one(number)
        assert made is not None
        self._store.change(number, state="running")
        self._tell_states(made.user)
        request = msgspec.json.decode(made.request, type=self._part.example)

        def on_step(step: Step) -> None:
            view = step_view(step)
            with self._changed:
                self._steps.append(view)
            self._tell(made.user, {"type": "step", "number": number, "step": view})

        try:
            explorer = self._explorers[made.bundle]
            prediction = explorer.generate(request, on_step, lambda: number in self._cancelled)
        except Cancelled:
            self._store.change(number, state="cancelled")
            return
        image, facts = self._part.picture(prediction), self._part.facts(prediction)
        steps = self.steps(number) or [step_view(step) for step in self._part.steps(prediction)]
        view = {"image": png_text(image), "facts": facts, "steps": steps}
        done = {"view": msgspec.json.encode(view), "prediction": encode(prediction)}
        code = prediction.error
        why = f"{code}: {self._part.reasons[code]}" if code in self._part.reasons else code
        self._store.change(number, state="failed" if code else "done", error=why, **done)

    def _fail(self, number: int, user: str, why: str) -> None:
        try:
            self._store.change(number, state="failed", error=why)
        except UserError:  # the disk is full: after the next start it counts as interrupted
            self._tell(user, {"type": "notice", "what": why})

    def _tell_states(self, user: str) -> None:
        """What of one's own is under way, and what has just ended: the page asks for the rest."""
        ahead = {str(one.number): place for place, one in enumerate(self._order()) if one.user == user}
        self._tell(user, {"type": "queue", "ahead": ahead})


def step_view(step: Step) -> Any:
    """A step as a page shows it."""
    return msgspec.to_builtins(step, enc_hook=png_text)


def made_view(made: Made, desk: Desk, *, whole: bool) -> dict[str, Any]:
    """A generation as a page shows it: what was asked, and what has come of it so far; its steps if it is ``whole``."""
    steps = desk.steps(made.number) if made.state == "running" else []
    view = {"image": None, "facts": [], "steps": steps} | msgspec.json.decode(made.view or b"{}")
    return {
        "number": made.number,
        "bundle": made.bundle,
        "state": made.state,
        "error": made.error,
        "ahead": desk.ahead().get(made.number),
        "asked": msgspec.json.decode(made.asked),
        "request": msgspec.json.decode(made.request),
        **view,
        **({} if whole else {"steps": None}),
    }
