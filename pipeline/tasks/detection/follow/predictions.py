"""What `baton follow detection` shows of predictions.jsonl: each image with what a model wrote about it."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image
from rich.text import Text

from pipeline.follow.scene import FollowPredictionsPart, Scene
from pipeline.follow.text import FAINT, TEXT
from pipeline.run.manifest import image_root_of
from pipeline.tasks.detection.follow import training
from pipeline.tasks.detection.follow.outlines import read_outlines
from pipeline.tasks.detection.images import ImageError, ImageFolder
from pipeline.tasks.detection.infer.sources import image_limits
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import (
    CoordMode,
    DetectionEpisode,
    DetectionPrediction,
    PredictedObject,
    Status,
    TrueObject,
)

MOST_PIXELS = 256  # along a side: a terminal has fewer cells


class Line(Struct, frozen=True, kw_only=True):
    """What is read of every line."""

    schema: Literal["prediction_v1"] = "prediction_v1"
    task: Literal["detection"] = "detection"
    id: str
    width: int
    height: int
    coord_mode: CoordMode = "norm1000"
    status: Status
    preds: list[PredictedObject]
    gt: list[TrueObject]
    gt_coord_mode: CoordMode


class Summary(Struct, frozen=True, kw_only=True):
    """What is kept in memory of every line."""

    id: str
    status: Status
    num_gt: int
    num_preds: int
    num_matched: int
    ended_unix_s: float = 0.0
    num_dropped_before: int = 0


class Shown(DetectionEpisode, frozen=True, kw_only=True):
    """A prediction as an episode: no training, so no loss; ``no_image`` says why its image is not shown."""

    model: str = ""
    no_image: str = ""


def summarize(line: Line) -> Summary:
    """Counts instead of objects."""
    one = _shown(line)
    return Summary(
        id=one.id, status=one.status, num_gt=one.num_gt, num_preds=one.num_preds, num_matched=one.num_matched
    )


def unfold(row: DetectionPrediction, path: Path) -> Shown:
    """The row with its image, which is looked up where infer found it."""
    one = replace(_shown(row), raw_output=row.raw_output, model=row.model)
    try:
        if not row.images:
            raise ImageError("no_image", "the record names no image")
        folder = ImageFolder(image_root_of(path), image_limits(Infer()))
        image = folder.read(row.images[0], row.width, row.height).image
    except ImageError as error:
        return replace(one, no_image=error.code.replace("_", " "))
    image.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return replace(one, image_png=base64.b64encode(file.getvalue()).decode())


def _shown(row: Line | DetectionPrediction) -> Shown:
    """A row without its image and text. The live view has predictions in thousandths, as models write them."""
    one = Shown(
        id=row.id,
        step=0,
        ended_unix_s=0.0,
        width=row.width,
        height=row.height,
        image_png="",
        raw_output="",
        status=row.status,
        preds=[_in_thousandths(pred, row) for pred in row.preds],
        gt=row.gt,
        gt_coord_mode=row.gt_coord_mode,
        loss=0.0,
        num_gt=len(row.gt),
        num_preds=len(row.preds),
        num_matched=0,
    )
    return replace(one, num_matched=sum(outline.verdict == "right" for outline in read_outlines(one)[0]))


def _in_thousandths(pred: PredictedObject, row: Line | DetectionPrediction) -> PredictedObject:
    if row.coord_mode == "norm1000":
        return pred
    sides = row.width, row.height

    def scaled(flat: Sequence[float]) -> list[float]:
        return [value * 999 / sides[place % 2] for place, value in enumerate(flat)]

    if pred.poly is not None:
        return replace(pred, poly=scaled(pred.poly))
    return pred if pred.bbox_2d is None else replace(pred, bbox_2d=tuple(scaled(pred.bbox_2d)))


def summary_line(summary: Summary) -> str:
    """One record in one line, for logs."""
    facts = f"wrote {summary.num_preds}  true {summary.num_gt}  matched {summary.num_matched}"
    return f"{summary.id}  {summary.status}  {facts}"


def headline(scene: Scene) -> Text:
    """Facts about the record that hold in all its frames, the most important first."""
    row: Shown = scene.episode
    facts = f"{row.id} · F1 {training.f1(row):.2f}" + (f" · no image: {row.no_image}" if row.no_image else "")
    return Text.assemble((facts, TEXT), (f" · model {row.model}", FAINT))


PART = FollowPredictionsPart(
    view=dataclasses.replace(training.PART, summary=Summary, summary_line=summary_line, headline=headline),
    line=Line,
    summarize=summarize,
    unplayed="without anything to show",
    unfold=unfold,
)
