"""A picture before it is written, and the one loop that writes them: of tasks, comparisons and sweeps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure as Canvas

from pipeline.look import plotting
from schemas.rows import Fact, Figure, FigureText

MOVED = "The records that moved the metric"  # the section of records drawn side by side, as several models answered


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn canvas and what the report says about it. ``slug`` names the file; captions tell how to read it.

    ``facts`` and ``text`` are as in `Figure`. ``shows_photograph``: written as WebP, not as a PNG with a palette.
    """

    slug: str
    title: str
    caption: str
    canvas: Canvas
    record_ids: tuple[str, ...] = ()
    facts: dict[str, Fact] = field(default_factory=dict)
    text: FigureText | None = None
    shows_photograph: bool = False


Section = tuple[str, Iterable[Picture]]
"""A heading of the report, and the pictures below it; where there are none, there is no heading either."""


def save_sections(task: str, folder: Path, sections: Iterable[Section]) -> Iterator[Figure]:
    """Write ``figures/*`` into ``folder`` in the one style, and yield a row for each, as they are drawn."""
    with plotting.style():
        for section, pictures in sections:
            for picture in pictures:
                yield save(picture, section, task, folder)


def save(picture: Picture, section: str, task: str, folder: Path) -> Figure:
    """Write one picture; the row that tells of it."""
    name = f"figures/{picture.slug}.{'webp' if picture.shows_photograph else 'png'}"
    write = plotting.save_photograph if picture.shows_photograph else plotting.save_png
    write(picture.canvas, folder / name)
    return Figure(
        task=task,
        id=picture.slug,
        path=name,
        title=picture.title,
        caption=picture.caption,
        section=section,
        record_ids=picture.record_ids,
        facts=picture.facts,
        text=picture.text,
    )
