"""What the live view hands to a task's part `follow`, and what it gets back: lines of styled text, no terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.text import Text

from pipeline.contract.parts import Part

Lines = list[Text]


class Size(NamedTuple):
    """Width and height in terminal cells."""

    width: int
    height: int


@dataclass(frozen=True)
class Scene:
    """One moment of one episode.

    ``frame`` counts from 0 to ``num_frames - 1`` of the episode; ``history`` holds the summaries of the episodes up to
    this one, oldest first, this one last; ``opinion`` is what a second model says about the episode (`OpinionPart`).
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


@dataclass(frozen=True, kw_only=True)
class FollowPart(Part):
    """One tail row to what the terminal shows. No torch. See `pipeline.follow` for the screen around it.

    ``summary`` is a Struct of the fields kept of every episode of the file, those of `schemas.rows.Episode` among them;
    the rest of a line is skipped. An episode is played in ``num_frames`` frames. ``panels`` open by their number;
    ``end_panel`` is the one that opens by itself in the last frame. ``readings_size`` is the least room for the
    readings; the picture takes what it needs of the rest. ``num_recent`` summaries are handed over for the trend.
    ``summary_line`` is an episode in one line, ``draw_caption`` takes a width, ``legend`` says what the signs mean.
    """

    HOMES = ("follow.training", "follow")
    summary: type[Any]
    num_frames: Callable[[Any], int]
    summary_line: Callable[[Any], str]
    headline: Callable[[Scene], Text]
    draw_picture: Callable[[Scene, Size], Lines]
    draw_readings: Callable[[Scene, Size], Lines]
    draw_trend: Callable[[Scene, Size], Lines]
    draw_caption: Callable[[Scene, int], Text]
    draw_marks: Callable[[Any], Sequence[Mark]]
    legend: Callable[[], Lines]
    readings_size: Size
    num_recent: int
    filters: Sequence[Filter] = ()
    panels: Sequence[Panel] = ()
    end_panel: int | None = None


@dataclass(frozen=True, kw_only=True)
class FollowPredictionsPart(Part):
    """The same for the rows of predictions.jsonl; optional. No torch.

    ``line`` is a Struct of the fields to read of every line, of which ``summarize`` makes the summary that is kept; its
    ``ended_unix_s`` and ``num_dropped_before`` are 0. A record that cannot be played has ``num_frames`` of 0, and
    ``unplayed`` says behind the number of those what they lack. ``unfold`` makes of a whole row what ``view`` draws as
    an episode; the path is its file, beside which there may be more of it.
    """

    HOMES = ("follow.predictions",)
    view: FollowPart
    line: type[Any]
    summarize: Callable[[Any], Any]
    unplayed: str
    unfold: Callable[[Any, Path], Any] = lambda row, path: row
