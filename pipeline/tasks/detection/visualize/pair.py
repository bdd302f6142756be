"""One image as several models answered it: the truth first, then each answer with what it missed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.contract.jobs import PairDrawJob
from pipeline.look import plotting
from pipeline.tasks.detection.evaluate.explain import explain
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.visualize.images import (
    EDGE_IN,
    LEGEND_IN,
    LOWEST_IN,
    TALLEST_IN,
    TITLE_IN,
    Album,
    aspect_of,
    draw_image,
    draw_legend,
    predicted_objects,
    share_of,
    true_objects,
)
from pipeline.tasks.detection.visualize.looks import FOUND, NOT_FOUND, UNCOUNTED, Picture, counted, one_line
from pipeline.tasks.detection.visualize.outlines import Drawn, draw_labels, draw_outlines
from pipeline.tasks.detection.visualize.worst import JudgedImage, judge

SECTION = "The records that moved the metric"
MAX_COLUMNS = 3
Images = Mapping[str, JudgedImage]


def pair_pictures(job: PairDrawJob) -> Iterator[Picture]:
    """A picture for each image, in the order given."""
    album = Album(job.image_root)
    labels = list(dict.fromkeys(label for record in job.records for label in record))
    options = job.score_options if isinstance(job.score_options, Evaluate) else None
    judged: dict[str, dict[str, JudgedImage]] = {}
    for label in labels:
        rows = [record[label] for record in job.records if label in record]
        judged[label] = {image.row.id: image for image in judge(list(explain(rows, options).values()))}
    for place, record in enumerate(job.records, start=1):
        yield draw_pair(place, {label: judged[label][row.id] for label, row in record.items()}, album)
    album.tell(job.note, len(job.records))


def draw_pair(place: int, images: Images, album: Album) -> Picture:
    """One image: the truth, and a panel for each model."""
    first = next(iter(images.values()))
    row = first.row
    columns = min(len(images) + 1, MAX_COLUMNS)
    lines = -(-(len(images) + 1) // columns)
    across = plotting.WIDTH_IN / columns - EDGE_IN
    height = min(max(across * aspect_of(row), LOWEST_IN), TALLEST_IN)
    width = min(across, height / aspect_of(row))
    canvas = plotting.new_figure(lines * (height + TITLE_IN) + LEGEND_IN, automatic=False)
    photograph = album.open(row, round(across * plotting.DPI))
    panels: list[tuple[str, list[Drawn]]] = [(f"truth: {counted(first.num_true, 'object')}", _truth(first))]
    panels += [(_title(label, image), _answer(image)) for label, image in images.items()]
    for index, (title, objects) in enumerate(panels):
        line, column = divmod(index, columns)
        middle = (column + 0.5) * plotting.WIDTH_IN / columns
        bottom = LEGEND_IN + (lines - 1 - line) * (height + TITLE_IN)
        ax = canvas.add_axes(share_of(canvas, (middle - width / 2, bottom, width, height)))
        draw_image(ax, row, photograph)
        draw_outlines(ax, objects)
        draw_labels(ax, objects)
        at = share_of(canvas, (middle, bottom + height + 0.07, 0, 0))[:2]
        place_text: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 9, "fontweight": "bold"}
        canvas.text(*at, title, **place_text)
    draw_legend(canvas, {one.look for _, objects in panels for one in objects})
    return Picture(
        slug=f"pair_{place:03d}",
        title=f"{place}. {one_line(row.id, 80)}",
        caption="; ".join(f"{label}: {_told(image)}" for label, image in images.items()) + ".",
        section=SECTION,
        canvas=canvas,
        record_ids=(row.id,),
        shows_photograph=True,
    )


def _truth(image: JudgedImage) -> list[Drawn]:
    """True objects by themselves: whether they were found differs by model."""
    return [replace(one, look=FOUND if one.look == NOT_FOUND else one.look) for one in true_objects(image)]


def _answer(image: JudgedImage) -> list[Drawn]:
    """What a model wrote, over the true objects that it did not find."""
    missed = [one for one in true_objects(image) if one.look in (NOT_FOUND, UNCOUNTED)]
    return [*missed, *predicted_objects(image)]


def _title(label: str, image: JudgedImage) -> str:
    f1 = "" if image.f1 is None else f", F1 {image.f1:.2f}"
    return f"{one_line(label)}: {counted(len(image.explained.objects), 'object')}{f1}"


def _told(image: JudgedImage) -> str:
    return f"{image.num_matched} found, {image.num_not_found} not found, {image.num_false} false ({image.row.status})"
