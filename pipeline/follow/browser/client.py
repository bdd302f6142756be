"""What one who watches is still to be sent. All of it is bounded, however slow the client and fast the training."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

NUM_RECENT = 20  # episodes for who comes late
NUM_QUEUED, NUM_ASKED, NUM_UNACKNOWLEDGED = 4, 4, 2


class Choice(NamedTuple):
    """The number of an episode in the file, and whether the client asked for it."""

    number: int
    asked: bool


@dataclass(eq=False)
class Client:
    """``after`` is the cursor from which it goes on, if it has one.

    ``num_rows`` of the index have been sent, ``curves`` up to these steps; ``state`` is the last one sent. ``woken`` is
    set when there may be something to send.
    """

    after: str | None = None
    num_dropped: int = 0
    num_rows: int = 0
    generation: int = -1
    curves: dict[str, int] = field(default_factory=dict)
    state: str = ""
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=NUM_ASKED))
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=NUM_RECENT))
    _queue: deque[int] = field(default_factory=deque)
    _asked: deque[int] = field(default_factory=lambda: deque(maxlen=NUM_ASKED))
    _unacknowledged: set[str] = field(default_factory=set)
    _overflown: bool = False

    def begin(self, numbers: Iterable[int]) -> None:
        """Start with these episodes, oldest first, and nothing else."""
        self._queue.clear()
        self._asked.clear()
        self._recent = deque(numbers, NUM_RECENT)
        self.num_rows = 0
        self.woken.set()

    def start_over(self, note: str) -> None:
        """Nothing holds that it was sent before, as the ``note`` says."""
        self.notes.append(note)
        self.after, self.generation = None, -1
        self.begin(())

    def arrive(self, number: int) -> None:
        """An episode has ended. A client that is behind loses the oldest of those that wait."""
        self._queue.append(number)
        if len(self._queue) > NUM_QUEUED:
            self._drop_oldest()
            self._overflown = True
        self.woken.set()

    def ask(self, number: int) -> None:
        """It wants this one; of too many the first are forgotten."""
        self._asked.append(number)
        self.woken.set()

    def acknowledge(self, id: str) -> None:
        """An episode has reached it whole."""
        self._unacknowledged.discard(id)
        self.woken.set()

    def sending(self, id: str) -> None:
        """An episode is on its way."""
        self._unacknowledged.add(id)

    def next(self) -> Choice | None:
        """The next episode to send, taken from those that wait; None when there is none, or too much on its way.

        Of a queue that has overflown only the newest is worth the time that the others would take from it.
        """
        if len(self._unacknowledged) >= NUM_UNACKNOWLEDGED:
            return None
        if self._asked:
            return Choice(self._asked.popleft(), True)
        if self._recent:
            return Choice(self._recent.popleft(), False)
        while self._overflown and len(self._queue) > 1:
            self._drop_oldest()
        self._overflown = False
        return Choice(self._queue.popleft(), False) if self._queue else None

    def _drop_oldest(self) -> None:
        self._queue.popleft()
        self.num_dropped += 1
