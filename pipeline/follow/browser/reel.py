"""Episodes as messages for all who watch: made once, in a thread; the frames behind the first when one wants them."""

import asyncio
import contextlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from queue import PriorityQueue
from typing import Any, NamedTuple

import msgspec

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError
from pipeline.follow.feed import Opened
from pipeline.follow.index import Entry
from pipeline.follow.play import frames_of

MAX_MESSAGE_BYTES = 4 << 20  # a frame of gridworld has 6 kB, an image of detection 100 kB
MAX_WORDS = 2_000  # characters of a text, where a message is longer than that
PIECE_BYTES = 1 << 18  # of frames in a message, before they are compressed: some 40 of gridworld, made in 20 ms
NUM_KEPT = 20


class Part(NamedTuple):
    """A message of an episode: JSON, that of frames compressed (zlib). ``problem`` says what is missing."""

    message: str | bytes
    is_last: bool
    problem: str


class Reel:
    """An episode as far as it is made: its head, then pieces of its frames. For the thread of the event loop.

    ``problem`` says what is missing; of one that ``is_broken``, that is all from here on. ``is_wanted`` is set where
    somebody asks for more than the head. ``listeners`` are set whenever there is more.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.parts: list[str | bytes] = []
        self.is_wanted = self.is_whole = self.is_broken = False
        self.problem = ""
        self.listeners: set[asyncio.Event] = set()

    def add(self, part: Part) -> None:
        """Append a part."""
        self.parts.append(part.message)
        self.is_whole, self.problem = part.is_last, part.problem
        self._tell()

    def fail(self, problem: str) -> None:
        """There will be no more, and why."""
        self.is_whole = self.is_broken = True
        self.problem = problem
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener.set()


class _Job(NamedTuple):
    """A reel that is being made; those of the lowest ``order`` first, heads before all pieces."""

    reel: Reel
    order: int
    parts: Iterator[Part]
    loop: asyncio.AbstractEventLoop


class Studio:
    """Makes reels in a thread and keeps the last ``NUM_KEPT``."""

    def __init__(self, opened: Opened, opinion: SecondOpinion | None) -> None:
        self._opened, self._opinion = opened, opinion
        self._kept: OrderedDict[int, _Job] = OrderedDict()
        self._num_begun = 0
        self._queue: PriorityQueue[tuple[bool, int, _Job | None]] = PriorityQueue()
        self._is_closed = False
        threading.Thread(target=self._work, name="scenes", daemon=True).start()

    def reel(self, entry: Entry, history: Sequence[Any], *, whole: bool) -> Reel:
        """The reel of an episode, begun if it is not kept; ``history`` as of `frames_of`. For the event loop."""
        job = self._kept.get(entry.number)
        if job is None:
            self._num_begun += 1
            reel, loop = Reel(entry.summary.id), asyncio.get_running_loop()
            job = self._kept[entry.number] = _Job(reel, self._num_begun, self._make(entry, history), loop)
            self._put(job)
        reel = job.reel
        if whole and not reel.is_wanted:
            reel.is_wanted = True
            self._go_on(job)
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
        self._queue.put((False, 0, None))

    def _go_on(self, job: _Job) -> None:
        """Have the next piece made, where there is one and somebody wants it."""
        if job.reel.parts and job.reel.is_wanted and not job.reel.is_whole:
            self._put(job)

    def _put(self, job: _Job) -> None:
        self._queue.put((bool(job.reel.parts), job.order, job))

    def _take(self, job: _Job, part: Part) -> None:
        job.reel.add(part)
        self._go_on(job)

    # The thread.

    def _work(self) -> None:
        while not self._is_closed:
            *_, job = self._queue.get()
            if job is not None:
                self._make_part(job)

    def _make_part(self, job: _Job) -> None:
        try:
            part = next(job.parts)
        except Exception as error:  # a row that nobody thought of must not take the view from those who watch others
            why = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._call(job, job.reel.fail, f"episode {job.reel.id} cannot be shown: {why}")
        else:
            self._call(job, self._take, job, part)

    def _call(self, job: _Job, what: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches any more
            job.loop.call_soon_threadsafe(what, *arguments)

    def _make(self, entry: Entry, history: Sequence[Any]) -> Iterator[Part]:
        row = self._opened.feed.load(entry)
        if row.id != entry.summary.id:
            raise UserError("the file has changed, and is being read again")
        episode = self._opened.unfold(row)
        opinion, problem = self._ask(episode)
        frames = frames_of(self._opened.part, episode, history, opinion)
        head = next(frames)
        yield Part(to_text(head), head["num_frames"] == 1, problem)
        for piece, is_last in _pieces(head["id"], head["num_frames"], frames):
            yield Part(zlib.compress(piece.encode()), is_last, problem)

    def _ask(self, episode: Any) -> tuple[Any, str]:
        """What the second model says about an episode, or why it says nothing."""
        try:
            return (None if self._opinion is None else self._opinion(episode)), ""
        except UserError as error:
            return None, f"no second opinion on episode {episode.id}: {error.what}"


def _pieces(id: str, num_frames: int, changes: Iterator[Any]) -> Iterator[tuple[str, bool]]:
    """Messages of changes, and whether each is the last."""
    start, texts, size = 1, list[str](), 0
    for frame, change in enumerate(changes, start=1):
        texts.append(to_text(change))
        size += len(texts[-1])
        is_last = frame == num_frames - 1
        if is_last or size >= PIECE_BYTES:
            facts = to_text({"type": "changes", "id": id, "from": start})
            yield f'{facts[:-1]},"changes":[{",".join(texts)}]}}', is_last
            start, texts, size = frame + 1, [], 0


def to_text(message: Any) -> str:
    """JSON of at most ``MAX_MESSAGE_BYTES``, for which long texts are cut. Raises UserError when that is not enough."""
    text = msgspec.json.encode(message)
    if len(text) > MAX_MESSAGE_BYTES:
        text = msgspec.json.encode(_with_short_words(msgspec.to_builtins(message)))
    if len(text) > MAX_MESSAGE_BYTES:
        raise UserError(f"too large to be shown: {len(text) / 1e6:.0f} MB for one frame")
    return text.decode()


def _with_short_words(value: Any) -> Any:
    """The same with every text cut, but for images."""
    if isinstance(value, str) and len(value) > MAX_WORDS:
        return f"{value[:MAX_WORDS]}… ({len(value):,} characters)"
    if isinstance(value, dict):
        return {key: part if key == "png" else _with_short_words(part) for key, part in value.items()}
    return [_with_short_words(part) for part in value] if isinstance(value, list | tuple) else value
