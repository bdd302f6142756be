"""What all who watch share: the episodes of the file so far, the state of the training, and who watches."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.parts import SecondOpinion
from pipeline.follow.browser.client import NUM_RECENT, Client
from pipeline.follow.browser.curves import Curves, Told
from pipeline.follow.browser.reel import MAX_WORDS, Reel, Studio, to_text
from pipeline.follow.feed import News, Opened
from pipeline.follow.index import Entry, EpisodeIndex
from pipeline.follow.training import ENDINGS

ROWS_A_MESSAGE = 500
MAX_ID = 500  # characters; it stands in every message and in cursors
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Found:
    """What reading found: ``rows`` are the JSON of the index's rows, one for each arrival; ``identity`` is that of the
    file (`identify`); ``curves`` are all of them, null where they are as before."""

    news: News
    rows: Sequence[str] = ()
    identity: str = ""
    curves: Curves | None = None
    generation: int = 0


def identify(path: Path) -> str:
    """A file by its first line, which names its first episode and the moment of its end: another file, or the same one
    written again, has another. Empty where there is none."""
    try:
        with path.open("rb") as file:
            first = file.readline(_HEAD_BYTES)
    except OSError:
        return ""
    return hashlib.sha256(first).hexdigest()[:16] if first else ""


def index_row(opened: Opened, summary: Any) -> str:
    """A row of the index, but for the filters that keep it: id, the episode in one line, and what is kept in memory of
    it; empty where the id is a long text."""
    if len(summary.id) > MAX_ID:
        return ""
    row = {"id": summary.id, "line": opened.part.tell(summary), "summary": msgspec.to_builtins(summary)}
    text = msgspec.json.encode(row)
    if len(text) <= 4 * MAX_WORDS:
        return text.decode()
    return msgspec.json.encode({"id": summary.id, "line": row["line"][:MAX_WORDS], "summary": {}}).decode()


class Live:
    """Everything here happens in the thread of the event loop."""

    def __init__(self, opened: Opened, opinion: SecondOpinion | None = None) -> None:
        self.opened = opened
        self.index = EpisodeIndex(opened.part.filters)
        self.studio = Studio(opened, opinion)
        self.clients: set[Client] = set()
        self.curves = Told({}, 0)
        self.ended: str | None = None
        self.state = ""
        self._identity = ""
        self._rows: list[str] = []
        self._numbers: dict[str, int] = {}
        self._num_unplayed = self._num_skipped = 0
        self._is_read = False

    def take(self, found: Found) -> None:
        """Add what was found, and wake all who wait for it. Clients begin when the file has been read once."""
        news = found.news
        if news.restart:
            self._start_over(news.restart)
        self._identity = found.identity or self._identity
        self._num_skipped += len(news.skipped)
        numbers = [self._add(*pair) for pair in zip(news.arrivals, found.rows, strict=True)]
        if found.curves is not None:
            self.curves = Told(found.curves, found.generation)
        self._tell_state(news)
        if not self._is_read and not news.behind_bytes:
            self._is_read = True
            for client in self.clients:
                self._begin(client)
            numbers = []
        for client in self.clients if self._is_read else ():
            for number in numbers:
                if number is not None:
                    client.arrive(number)
            client.woken.set()

    def join(self, client: Client) -> None:
        """One more who watches."""
        self.clients.add(client)
        if self._is_read:
            self._begin(client)

    def ask(self, client: Client, id: str) -> bool:
        """Send an episode to who asked for it. False when there is none of that id."""
        number = self._numbers.get(id, -1)
        if not self.index.first <= number < len(self.index):
            return False
        client.ask(number)
        return True

    def entry(self, number: int) -> Entry | None:
        """An episode by its number, None when it is not there any more."""
        return self.index[number] if self.index.first <= number < len(self.index) else None

    def reel(self, entry: Entry, *, whole: bool) -> Reel:
        """The messages of an episode, or its head alone."""
        history = self.index.history(entry.number, max(self.opened.part.num_recent, 1))
        return self.studio.reel(entry, history, whole=whole)

    def cursor(self, entry: Entry) -> str:
        """From where on a client has not seen the file: which file, the place of an episode in it, and its id."""
        return f"{self._identity}:{entry.offset}:{entry.summary.id}"

    def rows_from(self, number: int) -> tuple[int, list[str]]:
        """The number of the first row there is from ``number`` on, and the rows, at most ``ROWS_A_MESSAGE``."""
        first = max(number, self.index.first)
        start = first - self.index.first
        return first, self._rows[start : start + ROWS_A_MESSAGE]

    def _begin(self, client: Client) -> None:
        """Send what came after its cursor, or the newest; when its cursor is of something else, say so."""
        place = self._place(client.after)
        if client.after is not None and place is None:
            client.start_over(restart_note("the file is another one than before"))
        first = max(len(self.index) - NUM_RECENT, self.index.first, 0 if place is None else place + 1)
        client.begin(range(first, len(self.index)))

    def _place(self, cursor: str | None) -> int | None:
        """Number of the episode that a cursor names, None when it is not in this file."""
        identity, _, rest = (cursor or "").partition(":")
        offset, _, id = rest.partition(":")
        entry = self.entry(self._numbers.get(id, -1))
        known = entry is not None and identity == self._identity and offset == str(entry.offset)
        return entry.number if entry is not None and known else None

    def _add(self, arrival: Any, row: str) -> int | None:
        if not row or self.opened.part.num_frames(arrival.summary) < 1:
            self._num_skipped += not row
            self._num_unplayed += bool(row)
            return None
        entry = self.index.add(*arrival)
        choices = msgspec.json.encode(self.index.choices(entry.number)).decode()
        self._rows.append(f'{row[:-1]},"kept":{choices}}}')
        self._numbers[entry.summary.id] = entry.number
        if forgotten := len(self._rows) - (len(self.index) - self.index.first):
            del self._rows[:forgotten]
            self._numbers = {id: number for id, number in self._numbers.items() if number >= self.index.first}
        return entry.number

    def _start_over(self, why: str) -> None:
        self.index.clear()
        self.studio.clear()
        self._rows.clear()
        self._numbers.clear()
        self._num_unplayed = self._num_skipped = 0
        self._is_read = False
        for client in self.clients:
            client.start_over(restart_note(why))

    def _tell_state(self, news: News) -> None:
        self.ended = ENDINGS.get(news.state.ended)
        reading = f"reading the file: {len(self.index):,} episodes so far" if news.behind_bytes else ""
        message = {
            "type": "state",
            "ended": self.ended,
            "recorded": len(self.index),
            "played": max(news.state.num_progress if self.opened.part.plays_progress else 0, len(self.index)),
            "dropped_by_trainer": self.index.num_dropped,
            "skipped": self._num_skipped,
            "unplayed": f"{self._num_unplayed:,} {self.opened.unplayed}" if self._num_unplayed else "",
            "waiting": news.waiting or reading,
        }
        self.state = to_text(message)


def restart_note(why: str) -> str:
    """The message after which nothing that was sent before holds."""
    return to_text({"type": "restart", "what": why})
