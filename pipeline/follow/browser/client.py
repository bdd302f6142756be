"""What one who watches is still to be sent. All of it is bounded, however slow the client and fast the training."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.follow.browser.curves import Mark
from pipeline.follow.browser.reel import Reel

NUM_RECENT = 20  # episodes for who comes late
NUM_QUEUED, NUM_NOTES = 4, 4
NUM_SENT = 6  # heads that are not acknowledged yet


class Choice(NamedTuple):
    """The number of an episode in the file, and whether the client asked for the whole of it."""

    number: int
    asked: bool


@dataclass
class Running:
    """An episode on its way: ``facts`` go with its head, ``num_sent`` of its parts have been sent. Of one that is not
    ``whole`` the head is all."""

    reel: Reel
    facts: str
    whole: bool
    num_sent: int = 0
    is_told: bool = False

    @property
    def is_sent(self) -> bool:
        """Whether there is no more of it to send."""
        has_head = self.num_sent > 0 and not self.whole
        return has_head or (self.reel.is_whole and self.num_sent == len(self.reel.parts))


@dataclass(eq=False)
class Client:
    """``after`` is the cursor from which it goes on, if it has one.

    ``num_rows`` of the index have been sent, ``curves`` up to this mark; ``state`` is the last one sent. ``woken`` is
    set when there may be something to send.
    """

    after: str | None = None
    num_dropped: int = 0
    num_rows: int = 0
    curves: Mark = None
    state: str = ""
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=NUM_NOTES))
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=NUM_RECENT))
    _queue: deque[int] = field(default_factory=deque)
    _asked: int | None = None
    running: list[Running] = field(default_factory=list)
    _overflown: bool = False

    def begin(self, numbers: Iterable[int]) -> None:
        """Start with these episodes, oldest first, and nothing else."""
        self._queue.clear()
        self._asked = None
        self._recent = deque(numbers, NUM_RECENT)
        self.num_rows = 0
        self.woken.set()

    def start_over(self, note: str) -> None:
        """Nothing holds that it was sent before, as the ``note`` says."""
        self.leave()
        self.notes.append(note)
        self.after = self.curves = None
        self.begin(())

    def arrive(self, number: int) -> None:
        """An episode has ended. A client that is behind loses the oldest of those that wait."""
        self._queue.append(number)
        if len(self._queue) > NUM_QUEUED:
            self._drop_oldest()
            self._overflown = True
        self.woken.set()

    def ask(self, number: int) -> None:
        """It wants the whole of this one, and of those before no more."""
        self._asked = number
        self._end([one for one in self.running if one.whole])
        self.woken.set()

    def run(self, reel: Reel, facts: str, *, whole: bool) -> None:
        """Put an episode on its way."""
        reel.listeners.add(self.woken)
        self.running.append(Running(reel, facts, whole))

    def part(self) -> Running | None:
        """An episode of which there is a part to send now: heads in the order of the file, for the cursor of one stands
        for all before it; then what was asked for."""
        head = next((one for one in self.running if not one.whole and not one.num_sent), None)
        asked = (one for one in self.running if one.whole)
        return next((one for one in (head, *asked) if one is not None and one.num_sent < len(one.reel.parts)), None)

    def acknowledge(self, id: str) -> None:
        """An episode has reached it. What was not sent cannot have."""
        self._end([one for one in self.running if one.reel.id == id and one.is_sent])
        self.woken.set()

    def problem(self) -> str:
        """What is to be told of an episode on its way, once; one that cannot go on is not any more."""
        for one in self.running:
            if one.reel.problem and not one.is_told and (one.is_sent or not one.reel.is_broken):
                one.is_told = True
                if one.reel.is_broken:
                    self._end([one])
                return one.reel.problem
        return ""

    @property
    def waits_for_head(self) -> bool:
        """Whether an episode has ended of which it was sent nothing yet: that comes before all else."""
        return any(not one.num_sent for one in self.running)

    def leave(self) -> None:
        """Send no more of what is on its way."""
        self._end(list(self.running))

    def _end(self, ended: Sequence[Running]) -> None:
        self.running = [one for one in self.running if one not in ended]
        for one in ended:
            if all(other.reel is not one.reel for other in self.running):
                one.reel.listeners.discard(self.woken)

    def next(self) -> Choice | None:
        """The next episode to send, taken from those that wait; None when there is none, or too much on its way.

        Of a queue that has overflown only the newest is worth the time that the others would take from it.
        """
        if self._asked is not None:
            number, self._asked = self._asked, None
            return Choice(number, True)
        if sum(not one.whole for one in self.running) >= NUM_SENT:
            return None
        if self._recent:
            return Choice(self._recent.popleft(), False)
        while self._overflown and len(self._queue) > 1:
            self._drop_oldest()
        self._overflown = False
        return Choice(self._queue.popleft(), False) if self._queue else None

    def _drop_oldest(self) -> None:
        self._queue.popleft()
        self.num_dropped += 1
