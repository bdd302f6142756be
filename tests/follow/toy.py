"""The smallest live view of a task, and a scene that has everything one can have."""

from io import BytesIO
from typing import Literal

from PIL import Image

from pipeline.follow.scene import (
    Cell,
    Choice,
    Choices,
    Event,
    FollowPart,
    Grid,
    Moment,
    Outline,
    Panel,
    Plane,
    Reading,
    Readings,
    Scene,
    Table,
    Trend,
    Words,
    prose,
)
from schemas import rows


class Numbers(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An episode: three numbers, of which the screen shows one at a time."""

    task: Literal["toy"] = "toy"
    numbers: list[int]


def scene(moment: Moment) -> Scene:
    """A number."""
    return Scene(
        frame=moment.frame,
        headline=(f"toy {moment.episode.id}",),
        readings=(Readings("number", (Reading(name="now", value=moment.episode.numbers[moment.frame], high=9),)),),
        trend=Trend("episodes", (len(moment.history),), high=9),
        caption=Words("nothing happens here"),
        panels=(Panel("all", (prose(Words(str(moment.episode.numbers))),)),),
    )


PART = FollowPart(scene=scene, num_frames=lambda summary: 3)


def png(size: tuple[int, int] = (16, 16), color: tuple[int, int, int] = (200, 10, 20)) -> bytes:
    """A file of one colour."""
    file = BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


GRID = Grid(
    title=(Words("noon"),),
    aside=(Words("step 1"),),
    foot=(Words("rest"),),
    columns=4,
    rows=3,
    cells=(
        Cell(x=0, y=0, names=("long name", "name", "Nm"), strong=True),
        Cell(x=2, y=1, sign=Words("@z", "agent", strong=True)),
        Cell(x=3, y=2, names=("far?", "F?"), tone="faint", sign=Words("shut", "muted")),
    ),
    sight=(1, 3, 0, 1),
)
BOX = Outline(points=((0, 0), (8, 8)), kind="box", name="1", tone="good")
PHOTO = Plane(width=16, height=16, png=png(), outlines=(BOX,), title=(Words("16 x 16"),))
ELLIPSE = Outline(points=((50, 20), (70, 20), (50, 30)), kind="ellipse", tone="accent")
MAP = Plane(width=100, height=40, outlines=(ELLIPSE, Outline(points=((50, 20),), kind="point", name="x")))
VALUES = Choices(
    "Q-values",
    (
        Choice(name="up", value=1.0, other=3.0),
        Choice(name="down", value=4.0, other=2.0, taken=True),
        Choice(name="interact", value=9.0, other=9.0, allowed=False),
    ),
    note=Words("greedy"),
)
METERS = Readings(
    "meters",
    (
        Reading(name="energy", value=0.25, warning=True, change=-0.012, sign="┃"),
        Reading(name="money", value=50, high=100, unit="$", decimals=0, change=0.0, sign="│"),
    ),
)
PLACES = Table(
    (
        (Words("bed"), Words("8-18"), Words("5"), Words("energy")),
        (Words("bar", heat=1.0), Words("18-4"), Words("15"), Words("a long list of meters that are raised")),
    ),
    "lrrl",
    heads=("", "open", "ticks", "raises"),
    spare=(2,),
)
WHOLE = Scene(
    frame=5,
    picture=GRID,
    headline=("first fact", "second fact", "a third fact that is long enough to be left out where there is no room"),
    events=(
        Event(frame=1, text="began", sign="·"),
        Event(frame=3, text="used the bed", sign="•", rank=2),
        Event(frame=3, text="energy is low", sign="!", rank=5, tone="bad"),
        Event(frame=9, text="died", sign="†", rank=9),
    ),
    readings=(METERS,),
    choices=VALUES,
    notes=(prose(Words("a note"), title="note"),),
    trend=Trend("survived", (100.0, 500.0, 300.0), high=500.0),
    panels=(Panel("places", (PLACES,)), Panel("end", (prose(Words("it is over")),), opens_at_end=True)),
    legend=((Words("@", "agent"), Words(" the agent")),),
)
