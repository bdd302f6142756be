"""Episodes as messages for all who watch: made once, in a thread, while the first parts are on their way."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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


class Reel:
    """An episode as far as it is made: its head, then messages of changes. For the thread of the event loop.

    ``problem`` says what is missing; of one that ``is_broken``, that is all from here on.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.problem = ""
        self.is_broken = False
        self._parts: list[str] = []
        self._is_whole = False
        self._grown = asyncio.Event()

    async def part(self, number: int) -> str | None:
        """A part as soon as it is there; None behind the last one."""
        while number >= len(self._parts) and not self._is_whole:
            await self._grown.wait()
        return self._parts[number] if number < len(self._parts) else None

    def add(self, part: str, is_last: bool, problem: str) -> None:
        """Append a part."""
        self._parts.append(part)
        self.problem = problem
        self._tell(is_last)

    def fail(self, problem: str) -> None:
        """There will be no more, and why."""
        self.problem, self.is_broken = problem, True
        self._tell(True)

    def _tell(self, is_whole: bool) -> None:
        self._is_whole = is_whole
        self._grown.set()
        self._grown = asyncio.Event()


class Studio:
    """Makes reels in a thread, one after the other, and keeps the last ``NUM_KEPT``; call it in the event loop."""

    def __init__(self, opened: Opened, opinion: SecondOpinion | None) -> None:
        self._opened, self._opinion = opened, opinion
        self._thread = ThreadPoolExecutor(1, "scenes")
        self._kept: OrderedDict[int, Reel] = OrderedDict()
        self._is_closed = False

    def reel(self, entry: Entry, history: Sequence[Any]) -> Reel:
        """The reel of an episode, which is begun if it is not kept; ``history`` as of `frames_of`."""
        reel = self._kept.get(entry.number)
        if reel is None:
            reel = self._kept[entry.number] = Reel(entry.summary.id)
            loop = asyncio.get_running_loop()
            self._thread.submit(self._make, reel, entry, history, loop)
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
        self._thread.shutdown(wait=False, cancel_futures=True)

    # The thread.

    def _make(self, reel: Reel, entry: Entry, history: Sequence[Any], loop: asyncio.AbstractEventLoop) -> None:
        try:
            row = self._opened.feed.load(entry)
            if row.id != entry.summary.id:
                raise UserError("the file has changed, and is being read again")
            episode = self._opened.unfold(row)
            opinion, problem = self._ask(episode)
            for part, is_last in _parts(frames_of(self._opened.part, episode, history, opinion)):
                if self._is_closed:
                    return
                loop.call_soon_threadsafe(reel.add, part, is_last, problem)
        except Exception as error:  # a row that nobody thought of must not take the view from those who watch others
            why = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            loop.call_soon_threadsafe(reel.fail, f"episode {reel.id} cannot be shown: {why}")

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
