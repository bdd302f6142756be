"""What the live view hands to a task's ``live.py``, and what it gets back: lines of styled text, no terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.text import Text

Lines = list[Text]


class Size(NamedTuple):
    """Width and height in terminal cells."""

    width: int
    height: int


@dataclass(frozen=True)
class Scene:
    """One moment of one episode.

    ``frame`` counts from 0 to ``num_frames - 1`` of the episode; ``history`` holds the summaries of the episodes up to
    this one, oldest first, this one last; ``opinion`` is what a second model says about the episode (`LiveModelPart`).
    """

    episode: Any
    frame: int
    history: Sequence[Any] = ()
    opinion: Any | None = None


class Mark(NamedTuple):
    """Something that happened, for the timeline. Where marks share a cell the one with the highest ``rank`` shows."""

    frame: int
    glyph: str
    style: str
    rank: int = 0


@dataclass(frozen=True)
class Panel:
    """A view that opens by key. ``draw`` returns at most ``size.height`` lines of at most ``size.width`` cells."""

    title: str
    draw: Callable[[Scene, Size], Lines]


@dataclass(frozen=True)
class Filter:
    """A choice of episodes. ``start()`` gives a fresh predicate, asked once per summary in the order of the file.

    ``name`` reads in "filter: deaths" and "no episode matches 'deaths'".
    """

    key: str
    name: str
    start: Callable[[], Callable[[Any], bool]]


ALL = Filter(key="a", name="all", start=lambda: lambda summary: True)
