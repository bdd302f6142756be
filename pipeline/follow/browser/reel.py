"""Episodes as messages for all who watch: made once, in a thread, while the first parts are on their way."""

import asyncio
import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import PriorityQueue
from typing import Any

import msgspec

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError
from pipeline.follow.feed import Opened
from pipeline.follow.index import Entry
from pipeline.follow.play import frames_of

MAX_MESSAGE_BYTES = 4 << 20  # 64 frames of gridworld have 170 kB, an image of detection 100 kB
MAX_WORDS = 2_000  # characters of a text, where a message is longer than that
NUM_KEPT = 20
_END, _HEAD, _REST = range(3)  # what comes first


class Reel:
    """An episode as far as it is made: its head, then messages of changes. For the thread of the event loop.

    ``problem`` says what is missing; of one that ``is_broken``, that is all from here on. ``listeners`` are set
    whenever there is more.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.parts: list[str] = []
        self.is_whole = self.is_broken = False
        self.problem = ""
        self.listeners: set[asyncio.Event] = set()

    def add(self, part: str, is_last: bool, problem: str) -> None:
        """Append a part."""
        self.parts.append(part)
        self.is_whole, self.problem = is_last, problem
        self._tell()

    def fail(self, problem: str) -> None:
        """There will be no more, and why."""
        self.is_whole = self.is_broken = True
        self.problem = problem
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener.set()


@dataclass
class _Job:
    """A reel that is being made; each of ``parts`` is what `Reel.add` takes."""

    reel: Reel
    parts: Iterator[tuple[str, bool, str]]
    loop: asyncio.AbstractEventLoop


class Studio:
    """Makes reels in a thread and keeps the last ``NUM_KEPT``. The head of one that is new comes before the rest of
    those that were begun, which are made one after the other."""

    def __init__(self, opened: Opened, opinion: SecondOpinion | None) -> None:
        self._opened, self._opinion = opened, opinion
        self._kept: OrderedDict[int, Reel] = OrderedDict()
        self._num_begun = 0
        self._queue: PriorityQueue[tuple[int, int, _Job | None]] = PriorityQueue()
        self._is_closed = False
        threading.Thread(target=self._work, name="scenes", daemon=True).start()

    def reel(self, entry: Entry, history: Sequence[Any]) -> Reel:
        """The reel of an episode, begun if it is not kept; ``history`` as of `frames_of`. For the event loop."""
        reel = self._kept.get(entry.number)
        if reel is None:
            reel = self._kept[entry.number] = Reel(entry.summary.id)
            job = _Job(reel, self._make(entry, history), asyncio.get_running_loop())
            self._num_begun += 1
            self._queue.put((_HEAD, self._num_begun, job))
        self._kept.move_to_end(entry.number)
        if len(self._kept) > NUM_KEPT:
            self._kept.popitem(last=False)
        return reel

    def clear(self) -> None:
        """Forget all: the file starts over."""
        self._kept.clear()

    def close(self) -> None:
        """Make no more."""
        self._is_closed = True
        self._queue.put((_END, 0, None))

    # The thread.

    def _work(self) -> None:
        while not self._is_closed:
            _, number, job = self._queue.get()
            if job is not None and not self._make_part(job):
                self._queue.put((_REST, number, job))

    def _make_part(self, job: _Job) -> bool:
        """Make the next part; whether it was the last."""
        try:
            part, is_last, problem = next(job.parts)
        except Exception as error:  # a row that nobody thought of must not take the view from those who watch others
            why = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._call(job, job.reel.fail, f"episode {job.reel.id} cannot be shown: {why}")
            return True
        self._call(job, job.reel.add, part, is_last, problem)
        return is_last

    def _call(self, job: _Job, what: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches any more
            job.loop.call_soon_threadsafe(what, *arguments)

    def _make(self, entry: Entry, history: Sequence[Any]) -> Iterator[tuple[str, bool, str]]:
        row = self._opened.feed.load(entry)
        if row.id != entry.summary.id:
            raise UserError("the file has changed, and is being read again")
        episode = self._opened.unfold(row)
        opinion, problem = self._ask(episode)
        for part, is_last in _parts(frames_of(self._opened.part, episode, history, opinion)):
            yield part, is_last, problem

    def _ask(self, episode: Any) -> tuple[Any, str]:
        """What the second model says about an episode, or why it says nothing."""
        try:
            return (None if self._opinion is None else self._opinion(episode)), ""
        except UserError as error:
            return None, f"no second opinion on episode {episode.id}: {error.what}"


def _parts(pieces: Iterator[Any]) -> Iterator[tuple[str, bool]]:
    """The head, then messages of changes, one at least; and whether each is the last. ``pieces`` as of `frames_of`."""
    head = next(pieces)
    id, num_frames, frame = head["id"], head["num_frames"], 1
    yield to_text(head), False
    for changes in pieces if num_frames > 1 else ([],):
        last = frame + len(changes) == num_frames
        yield to_text({"type": "changes", "id": id, "from": frame, "changes": changes, "last": last}), last
        frame += len(changes)


def to_text(message: Any) -> str:
    """JSON of at most ``MAX_MESSAGE_BYTES``, for which long texts are cut. Raises UserError when that is not enough."""
    text = msgspec.json.encode(message)
    if len(text) > MAX_MESSAGE_BYTES:
        text = msgspec.json.encode(_with_short_words(message))
    if len(text) > MAX_MESSAGE_BYTES:
        raise UserError(f"too large to be shown: {len(text) / 1e6:.0f} MB for one frame or a few")
    return text.decode()


def _with_short_words(value: Any) -> Any:
    """The same with every text cut, but for images."""
    if isinstance(value, str) and len(value) > MAX_WORDS:
        return f"{value[:MAX_WORDS]}… ({len(value):,} characters)"
    if isinstance(value, dict):
        return {key: part if key == "png" else _with_short_words(part) for key, part in value.items()}
    return [_with_short_words(part) for part in value] if isinstance(value, list | tuple) else value
