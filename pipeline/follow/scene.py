"""What is to be seen of an episode, as data: a task says it once, and every renderer draws the same.

A task turns a `Moment` (a row, a frame of it, the episodes before) into a `Scene`. There are no colours, no markup and
no layout in one: a `Tone` says what something is, and the theme of a renderer what that looks like.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict

from pipeline.contract.parts import Part

Tone = Literal[
    "plain", "muted", "faint", "accent", "good", "warning", "bad", "agent",
    "hue1", "hue2", "hue3", "hue4", "hue5", "hue6", "hue7",
]  # fmt: skip
"""What something is. ``agent`` is what the eye must find first; hues tell kinds apart that are neither good nor bad."""


class Data(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a scene."""


class Words(Data, frozen=True):
    """A run of text. ``strong`` sets it off; ``heat``, from 0 to 1, is how much colour its ground has in a heat map."""

    text: str
    tone: Tone = "plain"
    strong: bool = False
    heat: float = 0.0


Line = tuple[Words, ...]
NOTHING = Words("")


class Event(Data, frozen=True, kw_only=True):
    """Something that is so from ``frame`` on. With a ``rank`` above 0 it is marked on the time line, where the highest
    of those in one place shows. ``text`` may be empty where the mark says it all."""

    frame: int
    text: str
    sign: str = "•"
    tone: Tone = "plain"
    rank: int = 0


class Reading(Data, frozen=True, kw_only=True):
    """A value by name, drawn as a bar from ``low`` to ``high``.

    ``change`` is its trend a step, null where there is none to tell; ``sign`` stands before the name.
    """

    name: str
    value: float
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    decimals: int = 2
    change: float | None = None
    warning: bool = False
    tone: Tone = "plain"
    sign: str = ""
    strong: bool = False

    @property
    def share(self) -> float:
        """Place of the value between low and high, from 0 to 1."""
        return min(max((self.value - self.low) / (self.high - self.low), 0.0), 1.0) if self.high > self.low else 0.0

    @property
    def shown(self) -> str:
        """The value with its unit; that of money before it."""
        number = f"{self.value:.{self.decimals}f}"
        return f"{self.unit}{number}" if self.unit in ("$", "€", "£") else f"{number} {self.unit}".rstrip()


class Readings(Data, frozen=True, tag="readings"):
    """Readings under a title, with a note beside it."""

    title: str
    values: tuple[Reading, ...]
    note: Words = NOTHING


class Choice(Data, frozen=True, kw_only=True):
    """An action: what it was worth to who chose (null: not told), and in a second opinion."""

    name: str
    value: float | None = None
    allowed: bool = True
    taken: bool = False
    other: float | None = None


class Choices(Data, frozen=True, tag="choices"):
    """The actions in a state."""

    title: str
    options: tuple[Choice, ...]
    note: Words = NOTHING

    @property
    def certainty(self) -> tuple[float, float] | None:
        """How clear the best choice is: its value minus the second best, and that over the range of what is allowed: 0
        when two are level, 1 when there is no other or all others are equally bad; null where no values are told."""
        values = sorted((one.value for one in self.options if one.allowed and one.value is not None), reverse=True)
        if len(values) < 2:
            return (0.0, 1.0) if values else None
        spread, margin = values[0] - values[-1], values[0] - values[1]
        return margin, margin / spread if spread > 0 else 0.0


class Table(Data, frozen=True, tag="table"):
    """Rows of short texts. ``align`` has a letter a column, l or r; the columns of ``spare`` are left out first."""

    rows: tuple[Line, ...]
    align: str
    heads: tuple[str, ...] = ()
    spare: tuple[int, ...] = ()


class Prose(Data, frozen=True, tag="prose"):
    """Lines of text, broken where there is no room."""

    lines: tuple[Line, ...]
    title: str = ""


def prose(*lines: Words, title: str = "") -> Prose:
    """Prose of which every line is in one tone."""
    return Prose(tuple((line,) for line in lines), title)


class Log(Data, frozen=True, tag="log"):
    """Events, of which the last ones matter most."""

    events: tuple[Event, ...]


Section = Readings | Choices | Table | Prose | Log


class Panel(Data, frozen=True):
    """Sections that are opened by the title; ``opens_at_end``: by themselves in the last frame."""

    title: str
    sections: tuple[Section, ...]
    opens_at_end: bool = False


class Trend(Data, frozen=True):
    """One value an episode, oldest first, the last that of this episode; from 0 to ``high``."""

    title: str
    values: tuple[float, ...]
    high: float
    decimals: int = 0


class Picture(Data, frozen=True, kw_only=True):
    """What all pictures may have: words at both ends of a line above and of one below."""

    title: Line = ()
    aside: Line = ()
    foot: Line = ()
    foot_aside: Line = ()


class Cell(Data, frozen=True, kw_only=True):
    """What is in a cell of a grid: names of the same thing, the longest first, and what goes on there."""

    x: int
    y: int
    names: tuple[str, ...] = ()
    tone: Tone = "plain"
    strong: bool = False
    sign: Words = NOTHING


class Grid(Picture, frozen=True, kw_only=True, tag="grid"):
    """Cells by column and row from the top left corner; those not listed are empty.

    ``sight`` is what is seen of it: first and last column, first and last row; null for all.
    """

    columns: int
    rows: int
    cells: tuple[Cell, ...]
    sight: tuple[int, int, int, int] | None = None


class Outline(Data, frozen=True, kw_only=True):
    """A shape on a plane, by points (x, y): one point; opposite corners of a box; all corners of a polygon; the centre
    and the ends of both radii of an ellipse."""

    points: tuple[tuple[float, float], ...]
    kind: Literal["point", "box", "polygon", "ellipse"] = "polygon"
    name: str = ""
    tone: Tone = "plain"
    dashed: bool = False


class Plane(Picture, frozen=True, kw_only=True, tag="plane"):
    """Shapes on a map or an image of ``width`` x ``height`` units, from its top left corner.

    ``png`` are the bytes of a PNG file of any size that fills it, empty where the image is missing; null for a map.
    """

    width: float
    height: float
    png: bytes | None = None
    outlines: tuple[Outline, ...] = ()


class Images(Picture, frozen=True, kw_only=True, tag="images"):
    """Images in rows of ``columns``."""

    columns: int
    images: tuple[Plane, ...]


class Scene(Data, frozen=True, kw_only=True, omit_defaults=False):
    """One frame of an episode.

    ``headline`` are facts that hold in all frames, the most important first; ``events`` are those of the whole episode,
    in order, those to come among them, null where a task tells none; ``caption`` is said before the first one.
    ``notes`` stand below the readings and choices. ``legend`` says what the signs mean.
    """

    schema: Literal["scene_v1"] = "scene_v1"
    frame: int
    picture: Grid | Plane | Images | None = None
    headline: tuple[str, ...] = ()
    caption: Words = NOTHING
    events: tuple[Event, ...] | None = None
    readings: tuple[Readings, ...] = ()
    choices: Choices | None = None
    notes: tuple[Section, ...] = ()
    trend: Trend | None = None
    panels: tuple[Panel, ...] = ()
    legend: tuple[Line, ...] = ()

    @property
    def log(self) -> Log:
        """What has happened up to this frame."""
        return Log(tuple(event for event in self.events or () if event.frame <= self.frame and event.text))

    @property
    def all_panels(self) -> tuple[Panel, ...]:
        """The panels; the first is one of the events."""
        return self.panels if self.events is None else (Panel("events", (self.log,)), *self.panels)


@dataclass(frozen=True)
class Moment:
    """What a scene is made from.

    ``frame`` counts from 0 to ``num_frames - 1`` of the episode; ``history`` holds the summaries of the episodes up to
    this one, oldest first, this one last; ``opinion`` is what a second model says about the episode (`OpinionPart`).
    """

    episode: Any
    frame: int
    history: Sequence[Any] = ()
    opinion: Any | None = None


class Brief(Struct, frozen=True, kw_only=True):
    """What every summary has: fields of `schemas.rows.Episode`, which of a prediction are 0."""

    id: str
    ended_unix_s: float = 0.0
    num_dropped_before: int = 0


class EpisodeBrief(Brief, frozen=True, kw_only=True):
    """The summary of a task that names none."""

    schema: Literal["episode_v1"] = "episode_v1"
    step: int


def tell(summary: Any) -> str:
    """An episode in one line, for logs: its fields by name."""
    fields = {
        name: value for name, value in asdict(summary).items() if name not in (*Brief.__struct_fields__, "schema")
    }
    return "  ".join([summary.id, *(f"{name} {value}" for name, value in fields.items())])


@dataclass(frozen=True)
class Filter:
    """A choice of episodes. ``start()`` gives a fresh predicate, asked once per summary in the order of the file.

    ``name`` reads in "filter: deaths" and "no episode matches 'deaths'".
    """

    key: str
    name: str
    start: Callable[[], Callable[[Any], bool]]


def told_filters(filters: Sequence[Filter]) -> list[dict[str, str]]:
    """What a page is told of filters."""
    return [{"key": choice.key, "name": choice.name} for choice in filters]


ALL = Filter(key="a", name="all", start=lambda: lambda summary: True)


@dataclass(frozen=True, kw_only=True)
class FollowPart(Part):
    """One row of the tail to a scene; all but ``scene`` is optional. No torch.

    ``summary`` is a Struct of the fields kept of every episode of the file, a `Brief`; the rest of a line is skipped.
    An episode is played in ``num_frames`` frames. ``num_recent`` summaries are handed over as history. ``tell`` is an
    episode in one line. ``plays_progress``: a line of the training's progress is an episode, recorded or not.
    """

    HOMES = ("follow.training", "follow")
    scene: Callable[[Moment], Scene]
    summary: type[Any] = EpisodeBrief
    num_frames: Callable[[Any], int] = lambda summary: 1
    tell: Callable[[Any], str] = tell
    filters: Sequence[Filter] = ()
    num_recent: int = 60
    plays_progress: bool = False


@dataclass(frozen=True, kw_only=True)
class FollowPredictionsPart(Part):
    """The same for the rows of predictions.jsonl; optional. No torch.

    ``line`` is a Struct of the fields to read of every line, of which ``summarize`` makes the summary that is kept. A
    record that cannot be played has ``num_frames`` of 0, and ``unplayed`` says behind the number of those what they
    lack. ``unfold`` makes of a whole row what ``view`` takes for an episode; the path is its file, beside which there
    may be more of it.
    """

    HOMES = ("follow.predictions",)
    view: FollowPart
    line: type[Any]
    summarize: Callable[[Any], Any]
    unplayed: str
    unfold: Callable[[Any, Path], Any] = lambda row, path: row
