"""Which episodes there are: a summary of each and where its line is in the file. Traces stay in the file."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.follow.scene import ALL, Filter

# A gridworld entry takes about half a kilobyte, so that a file of any length stays below some 50 MB.
CAPACITY = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One episode: its ``number`` in the file (from 0), the bytes of its line, and how late it came.

    ``latency_s`` runs from the end of the episode in the trainer to its arrival here; null for lines that were there
    before the viewer started.
    """

    number: int
    summary: Any
    offset: int
    length: int
    latency_s: float | None = None


class EpisodeIndex:
    """Entries by number, and for every filter the numbers it keeps. Beyond ``capacity`` the oldest are forgotten."""

    def __init__(self, filters: Sequence[Filter] = (), capacity: int = CAPACITY) -> None:
        self.filters = {choice.name: choice for choice in (ALL, *filters)}
        self.capacity = capacity
        self.clear()

    def clear(self) -> None:
        """Forget everything: the file starts over."""
        self.first = 0
        self.num_dropped = 0
        self._entries: list[Entry] = []
        self._keeps: dict[str, Callable[[Any], bool]] = {name: f.start() for name, f in self.filters.items()}
        self._kept: dict[str, list[int]] = {name: [] for name in self.filters}

    def __len__(self) -> int:
        """Number of episodes in the file so far, forgotten ones included."""
        return self.first + len(self._entries)

    def __getitem__(self, number: int) -> Entry:
        if not self.first <= number < len(self):
            raise KeyError(number)
        return self._entries[number - self.first]

    def add(self, summary: Any, offset: int, length: int, latency_s: float | None = None) -> Entry:
        """Append the next episode of the file."""
        entry = Entry(len(self), summary, offset, length, latency_s)
        self._entries.append(entry)
        self.num_dropped += summary.num_dropped_before
        for name, keeps in self._keeps.items():
            if keeps(summary):
                self._kept[name].append(entry.number)
        if len(self._entries) > self.capacity + self.capacity // 8:  # an eighth at a time: deleting costs O(n)
            self._forget(len(self._entries) - self.capacity)
        return entry

    def newest(self, choice: str = ALL.name) -> int | None:
        """Number of the newest episode that the filter keeps."""
        kept = self._kept[choice]
        return kept[-1] if kept else None

    def after(self, number: int, choice: str = ALL.name) -> int | None:
        """The next kept episode behind ``number``."""
        kept = self._kept[choice]
        place = bisect_right(kept, number)
        return kept[place] if place < len(kept) else None

    def before(self, number: int, choice: str = ALL.name) -> int | None:
        """The last kept episode ahead of ``number``."""
        kept = self._kept[choice]
        place = bisect_left(kept, number)
        return kept[place - 1] if place > 0 else None

    def num_after(self, number: int, choice: str = ALL.name) -> int:
        """How many kept episodes came behind ``number``."""
        kept = self._kept[choice]
        return len(kept) - bisect_right(kept, number)

    def num_kept(self, choice: str) -> int:
        """How many episodes the filter keeps."""
        return len(self._kept[choice])

    def keeps(self, number: int, choice: str) -> bool:
        """Whether the filter keeps that episode."""
        kept = self._kept[choice]
        place = bisect_left(kept, number)
        return place < len(kept) and kept[place] == number

    def choices(self, number: int) -> list[str]:
        """Names of the filters that keep that episode, but for the one that keeps all."""
        return [name for name in self.filters if name != ALL.name and self.keeps(number, name)]

    def history(self, number: int, count: int) -> list[Any]:
        """Summaries of up to ``count`` episodes that end with ``number``, oldest first."""
        stop = number - self.first + 1
        return [entry.summary for entry in self._entries[max(stop - count, 0) : stop]]

    def _forget(self, count: int) -> None:
        del self._entries[:count]
        self.first += count
        for kept in self._kept.values():
            del kept[: bisect_left(kept, self.first)]
