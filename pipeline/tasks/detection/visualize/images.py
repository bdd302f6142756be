"""Single images: the truth beside one prediction, or beside several models'; and sheets of many, both in one."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from PIL import Image

from pipeline.contract.jobs import PairDrawJob
from pipeline.look import plotting
from pipeline.look.numbers import end_of, plural, words
from pipeline.look.picture import Picture
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.reading import reading_of
from pipeline.tasks.detection.images import ImageError, ImageFolder
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject
from pipeline.tasks.detection.visualize.outlines import (
    FALSE,
    FOUND,
    MATCHED,
    NOT_FOUND,
    OBJECT_LOOKS,
    OBJECT_MEANINGS,
    UNCOUNTED,
    Drawn,
    draw_labels,
    draw_outlines,
    one_line,
    outlines_of,
)
from pipeline.tasks.detection.visualize.worst import IGNORED, ORDER, JudgedImage, facts_of, judge, text_of

PANEL_IN = 4.86  # width of a panel; two fit beside each other
TALLEST_IN, LOWEST_IN = 5.6, 1.3  # of a panel
FLATTEST = 0.1  # height over width of a panel; what is flatter is shown stretched
TITLE_IN, LEGEND_IN, EDGE_IN = 0.3, 0.34, 0.08
MAX_COLUMNS = 3  # of the answers of several models
SHEET_COLUMNS = 5
SHEET_SIZE = 4 * SHEET_COLUMNS
HEADING_IN = 0.2  # of an image on a sheet
GROUND = "#e6e8ee"  # of a panel without an image


class Album:
    """The images of rows. What cannot be opened is counted by the code of why, and shown as an empty canvas."""

    def __init__(self, root: Path | None) -> None:
        self._folder = ImageFolder(root) if root is not None and root.is_dir() else None
        self.shown: set[str] = set()
        self.failures: dict[str, str] = {}

    def open(self, row: DetectionPrediction, most: int) -> Image.Image | str:
        """The first image of a row, RGB, at most ``most`` pixels along a side; or the code of why there is none."""
        self.shown.add(row.id)
        try:
            if self._folder is None:
                raise ImageError("image_missing", "there is no folder of images")
            return self._folder.thumbnail(row, most)
        except ImageError as error:
            self.failures[row.id] = error.code
            return error.code

    def tell(self, note: Callable[[str], None]) -> None:
        """Note how many of the images that were to be shown could not be opened, and why."""
        if self.failures:
            counts = Counter(self.failures.values())
            reasons = ", ".join(f"{words(code)} {number:,}" for code, number in sorted(counts.items()))
            note(
                f"{len(self.failures):,} of {len(self.shown):,} images that are shown could not be opened ({reasons}): "
                "their objects are drawn on an empty canvas. --image-root says where images are."
            )


def true_objects(image: JudgedImage) -> list[Drawn]:
    """The true objects of an image, to draw."""
    row = image.row
    drawn = []
    for index, one in enumerate(row.gt):
        look = UNCOUNTED if one.coco is not None and one.coco.iscrowd == 1 else FOUND
        if look == FOUND and not image.is_found[index]:
            look = NOT_FOUND
        outlines = outlines_of(one, row.gt_coord_mode, (row.width, row.height))
        drawn.append(Drawn(outlines, look, one_line(one.desc)))
    return drawn


def predicted_objects(image: JudgedImage, *, with_scores: bool = False) -> list[Drawn]:
    """The predicted objects of an image, to draw; those salvaged from a text that was cut, too."""
    row = image.row
    told: list[tuple[PredictedObject, str, str]] = []
    for one in image.objects:
        look = {MATCHED: MATCHED, IGNORED: UNCOUNTED}.get(one.kind, FALSE)
        fate = f"IoU {one.iou:.2f}" if look == MATCHED else "not counted" if look == UNCOUNTED else one.kind
        score = f" {one.score:.2f}" if with_scores else ""
        told.append((one.predicted, look, f"{one_line(one.predicted.desc)}{score}, {fate}"))
    known = {id(one) for one, _, _ in told}
    told += [(one, UNCOUNTED, f"{one_line(one.desc)}, salvaged") for one in row.salvaged if id(one) not in known]
    size = row.width, row.height
    return [Drawn(outlines_of(one, row.coord_mode, size), look, text) for one, look, text in told]


def side_by_side(image: JudgedImage, album: Album, *, with_scores: bool) -> Picture:
    """One image twice: with the true objects, and with the predicted ones."""
    row = image.row
    panels = [
        (_truth_title(image), true_objects(image)),
        (_prediction_title(image), predicted_objects(image, with_scores=with_scores)),
    ]
    return Picture(
        slug=f"image_{image.place:04d}",
        title=f"{image.place}. {one_line(row.id, 80)}",
        caption=_caption(image),
        canvas=_draw_panels(row, album, panels),
        record_ids=(row.id,),
        facts=facts_of(image),
        text=text_of(image),
        shows_photograph=True,
    )


def _draw_panels(row: DetectionPrediction, album: Album, panels: Sequence[tuple[str, list[Drawn]]]) -> Canvas:
    """An image once for each (title, objects), `MAX_COLUMNS` beside each other, and what its lines mean below."""
    columns = min(len(panels), MAX_COLUMNS)
    lines = -(-len(panels) // columns)
    across = min(plotting.WIDTH_IN / columns - EDGE_IN, PANEL_IN)
    height = min(max(across * _aspect_of(row), LOWEST_IN), TALLEST_IN)
    width = min(across, max(height / _aspect_of(row), LOWEST_IN))
    canvas = plotting.new_figure(lines * (height + TITLE_IN) + LEGEND_IN, automatic=False)
    photograph = album.open(row, round(across * plotting.DPI))
    for index, (title, objects) in enumerate(panels):
        line, column = divmod(index, columns)
        middle = (column + 0.5) * plotting.WIDTH_IN / columns
        bottom = LEGEND_IN + (lines - 1 - line) * (height + TITLE_IN)
        ax = canvas.add_axes(_share_of(canvas, (middle - width / 2, bottom, width, height)))
        _draw_image(ax, row, photograph)
        draw_outlines(ax, objects)
        left_out = draw_labels(ax, objects)[1]
        rest = f" ({plural(left_out, 'label')} found no room)" if left_out else ""
        x, y, _, _ = _share_of(canvas, (middle, bottom + height + 0.07, 0, 0))
        canvas.text(x, y, title + rest, ha="center", va="bottom", fontsize=9.5 if columns < 3 else 9, fontweight="bold")
    _draw_legend(canvas, {one.look for _, objects in panels for one in objects})
    return canvas


def draw_sheets(judged: Sequence[JudgedImage], album: Album) -> Iterator[Picture]:
    """The worst images and, where there are more than a sheet holds, images of all kinds."""
    how = "The images on which the model does worst."
    yield _draw_sheet("worst", "The worst images", how, judged[:SHEET_SIZE], album)
    if len(judged) > SHEET_SIZE:
        spread = [judged[round(k)] for k in np.linspace(0, len(judged) - 1, SHEET_SIZE)]
        how = f"{SHEET_SIZE} images at equal steps through all {len(judged):,}, from the worst to the best."
        yield _draw_sheet("spread", "From the worst to the best", how, spread, album)


def _draw_sheet(slug: str, title: str, how: str, images: Sequence[JudgedImage], album: Album) -> Picture:
    """Images with true and predicted objects over each other, without labels, `SHEET_COLUMNS` beside each other."""
    cell = plotting.WIDTH_IN / SHEET_COLUMNS
    side = cell - EDGE_IN
    lines = [images[start : start + SHEET_COLUMNS] for start in range(0, len(images), SHEET_COLUMNS)]
    heights = [side * min(max(_aspect_of(image.row) for image in line), 1.0) for line in lines]
    canvas = plotting.new_figure(sum(heights) + len(lines) * (HEADING_IN + EDGE_IN) + LEGEND_IN, automatic=False)
    top, looks = canvas.get_figheight(), set[str]()
    for line, height in zip(lines, heights, strict=True):
        top -= HEADING_IN
        for column, image in enumerate(line):
            looks |= _draw_cell(canvas, image, album, (column * cell + EDGE_IN / 2, top, side, height))
        top -= height + EDGE_IN
    _draw_legend(canvas, looks)
    return Picture(
        slug=slug,
        title=title,
        caption=f"{how} The numbers are places in the order of all images, {ORDER}. "
        "True and predicted objects lie over each other: dotted blue with solid green is a match.",
        canvas=canvas,
        record_ids=tuple(image.row.id for image in images),
        shows_photograph=True,
    )


def _draw_cell(canvas: Canvas, image: JudgedImage, album: Album, room: tuple[float, float, float, float]) -> set[str]:
    """One image of a sheet below its heading; ``room`` is left, top, width, height in inches. Returns its looks."""
    left, top, side, tallest = room
    height = min(side * _aspect_of(image.row), tallest)
    width = height / _aspect_of(image.row)
    ax = canvas.add_axes(_share_of(canvas, (left + (side - width) / 2, top - height, width, height)))
    _draw_image(ax, image.row, album.open(image.row, round(side * plotting.DPI)), brief=True)
    objects = [*true_objects(image), *predicted_objects(image)]
    draw_outlines(ax, objects, scale=0.8)
    f1 = "no objects" if image.score.f1 is None else f"F1 {image.score.f1:.2f}"
    heading = canvas.text(*_share_of(canvas, (left, top + 0.03, 0, 0))[:2], "", fontsize=7)
    for length in range(20, 0, -1):  # no more of the id than there is room for
        heading.set_text(f"{image.place}. {end_of(image.row.id, length)}  {f1}")
        if heading.get_window_extent().width <= side * plotting.DPI:
            break
    return {one.look for one in objects}


def _aspect_of(row: DetectionPrediction) -> float:
    """Height over width, within what can be shown."""
    return min(max(max(row.height, 1) / max(row.width, 1), FLATTEST), 1 / FLATTEST)


def _draw_image(ax: Axes, row: DetectionPrediction, photograph: Image.Image | str, *, brief: bool = False) -> None:
    """The image over the whole panel, whose axes are pixels of the image, y down; or an empty canvas that says why."""
    width, height = max(row.width, 1), max(row.height, 1)
    if isinstance(photograph, str):
        ax.set_facecolor(GROUND)
        text, size = ("no image", 7) if brief else (f"no image: {words(photograph)}", 10)
        plotting.write(ax, 0.5, 0.5, text, fontsize=size, color=plotting.SOFT, transform=ax.transAxes)
    else:
        ax.imshow(photograph, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _share_of(canvas: Canvas, box_in: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """A box in inches as shares of the canvas."""
    width, height = canvas.get_size_inches()
    left, bottom, across, up = box_in
    return left / width, bottom / height, across / width, up / height


def _draw_legend(canvas: Canvas, looks: set[str]) -> None:
    """What the lines mean, in one row below, on a dark ground as under the labels."""
    styles: list[dict[str, Any]] = [
        {"color": look.color, "linestyle": look.line, "label": OBJECT_MEANINGS[name]}
        for name, look in OBJECT_LOOKS.items()
        if name in looks
    ]
    handles = [Line2D([], [], linewidth=2.2, **style) for style in styles]
    if handles:
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.0), "ncols": len(handles)}
        ground: dict[str, Any] = {"frameon": True, "facecolor": "#2a303c", "edgecolor": "none", "framealpha": 1}
        canvas.legend(handles=handles, labelcolor="#ffffff", handlelength=3.6, borderpad=0.35, **place, **ground)


def _truth_title(image: JudgedImage) -> str:
    crowds = len(image.row.gt) - image.score.num_gt
    text = f"truth: {plural(image.score.num_gt, 'object')}"
    text += f" and {plural(crowds, 'crowd')}" if crowds else ""
    return f"{text}, {image.num_not_found} not found" if image.num_not_found else text


def _prediction_title(image: JudgedImage) -> str:
    if image.row.status == "not_run":
        return f"no prediction: {words(image.row.error or 'not run')}"
    text = f"prediction: {plural(image.score.num_preds, 'object')}"
    return f"{text}, {image.score.num_false} false" if image.score.num_false else text


def _caption(image: JudgedImage) -> str:
    """What there is to say of one image in sentences."""
    row = image.row
    parts = [f"{row.error}: {row.error_detail}." if row.error_detail else f"{row.error}."] if row.error else []
    if row.salvaged and image.score.num_preds == len(row.preds):
        parts.append(f"{plural(len(row.salvaged), 'object')} complete before the text was cut, not counted.")
    if row.images:
        parts.append(f"{', '.join(row.images)}, {row.width} x {row.height} pixels.")
    return " ".join(parts)


def pair_pictures(job: PairDrawJob) -> Iterator[Picture]:
    """A picture for each image, in the order given."""
    album = Album(job.image_root)
    labels = list(dict.fromkeys(label for record in job.records for label in record))
    options = job.score_options if isinstance(job.score_options, Evaluate) else Evaluate()
    judged: dict[str, dict[str, JudgedImage]] = {}
    for label in labels:
        rows = [record[label] for record in job.records if label in record]
        figures = Figures(collect(rows, reading_of(options)), options)
        judged[label] = {image.row.id: image for image in judge(figures)}
    for place, record in enumerate(job.records, start=1):
        yield _draw_record(place, {label: judged[label][row.id] for label, row in record.items()}, album)
    album.tell(job.note)


def _draw_record(place: int, images: Mapping[str, JudgedImage], album: Album) -> Picture:
    """One image: the truth, and for each model what it wrote, over the true objects that it did not find."""
    first = next(iter(images.values()))
    # Among the truth itself, whether objects were found differs by model.
    truth = [replace(one, look=FOUND if one.look == NOT_FOUND else one.look) for one in true_objects(first)]
    panels = [(f"truth: {plural(first.score.num_gt, 'object')}", truth)]
    told = []
    for label, image in images.items():
        score, missed = image.score, [one for one in true_objects(image) if one.look in (NOT_FOUND, UNCOUNTED)]
        f1 = "" if score.f1 is None else f", F1 {score.f1:.2f}"
        title = f"{one_line(label)}: {plural(score.num_preds, 'object')}{f1}"
        panels.append((title, [*missed, *predicted_objects(image)]))
        counts = f"{score.num_matched} found, {image.num_not_found} not found, {score.num_false} false"
        told.append(f"{label}: {counts} ({score.status})")
    return Picture(
        slug=f"pair_{place:03d}",
        title=f"{place}. {one_line(first.row.id, 80)}",
        caption="; ".join(told) + ".",
        canvas=_draw_panels(first.row, album, panels),
        record_ids=(first.row.id,),
        shows_photograph=True,
    )
