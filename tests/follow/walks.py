"""Episodes for the page: somebody who walks along a row of cells and is read at every step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.follow.feed import Feed, Opened
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.play import Play, play
from pipeline.follow.save import page
from pipeline.follow.scene import (
    Cell,
    Choice,
    Choices,
    EpisodeBrief,
    Event,
    Filter,
    FollowPart,
    Grid,
    Moment,
    Panel,
    Reading,
    Readings,
    Scene,
    Trend,
    Words,
    prose,
    told_filters,
)
from tests.follow.toy import Numbers


class Walk(EpisodeBrief, frozen=True, kw_only=True):
    """What is kept of an episode."""

    numbers: list[int]


def scene(moment: Moment) -> Scene:
    """Its number of the frame as a reading, a value and an event."""
    row: Numbers = moment.episode
    now, last = row.numbers[moment.frame], len(row.numbers) - 1
    return Scene(
        frame=moment.frame,
        headline=(row.id, f"step {row.step}"),
        picture=Grid(
            title=(Words("noon", strong=True),),
            columns=max(len(row.numbers), 1),
            rows=1,
            cells=(Cell(x=moment.frame, y=0, sign=Words("@", "agent", strong=True)),),
        ),
        caption=Words("nothing yet"),
        events=tuple(Event(frame=k, text=f"came to {number}", rank=1) for k, number in enumerate(row.numbers) if k > 0),
        readings=(Readings("values", (Reading(name="now", value=now / 8, warning=now > 6, change=-0.012),)),),
        choices=Choices("Q", (Choice(name="on", value=now / 16, taken=True), Choice(name="off", allowed=False))),
        trend=Trend("length", tuple(len(one.numbers) for one in moment.history), high=9),
        panels=(
            Panel("notes", (prose(Words(f"all: {row.numbers}")),)),
            Panel("end", (prose(Words("it is over")),), True),
        )
        if last
        else (),
        legend=((Words("@", "agent"), Words(" who walks")),),
    )


HIGH = Filter(key="d", name="high", start=lambda: lambda summary: max(summary.numbers, default=0) > 7)
PART = FollowPart(scene=scene, summary=Walk, num_frames=lambda summary: len(summary.numbers), filters=(HIGH,))


def walk(number: int, numbers: Sequence[int] = (1, 5, 7, 3), **fields: Any) -> Numbers:
    """An episode by its number."""
    given: dict[str, Any] = {"id": f"walk-{number}", "step": 100 * number, "ended_unix_s": 0.0, "num_dropped_before": 0}
    return Numbers(numbers=list(numbers), **(given | fields))


def write(path: Path, *rows: Numbers) -> Path:
    """Append the rows to a file."""
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def opened(path: Path) -> Opened:
    """The file with its part."""
    return Opened(Feed(path, Walk, Numbers), PART)


def plays(*rows: Numbers) -> list[Play]:
    """Each as it is told to a page."""
    return [play(PART, row) for row in rows]


def saved(path: Path, *rows: Numbers, **training: Any) -> Path:
    """A page with these episodes inside."""
    index, told = EpisodeIndex(PART.filters), []
    for row, played in zip(rows, plays(*rows), strict=True):
        entry = index.add(Walk(**{name: getattr(row, name) for name in Walk.__struct_fields__}), 0, 0)
        told.append({**played, "kept": index.choices(entry.number)})
    training["filters"] = told_filters(PART.filters)
    path.write_text(page(told, training), encoding="utf-8")
    return path
