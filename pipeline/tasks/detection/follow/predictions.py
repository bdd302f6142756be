"""What `baton follow detection` shows of predictions.jsonl: each image with what a model wrote about it."""

import base64
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, convert
from msgspec.structs import replace

from pipeline.follow.scene import Brief, FollowPart, FollowPredictionsPart, Moment, Scene
from pipeline.run.manifest import image_root_of
from pipeline.tasks.detection.follow import training
from pipeline.tasks.detection.follow.objects import read_objects
from pipeline.tasks.detection.images import ImageError, ImageFolder, png_of
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


class Summary(Brief, frozen=True, kw_only=True):
    """What is kept in memory of every line."""

    status: Status
    num_gt: int
    num_preds: int
    num_matched: int


class Shown(DetectionEpisode, frozen=True, kw_only=True):
    """A prediction as an episode: no training, so no loss; ``no_image`` says why its image is not shown."""

    coord_mode: CoordMode = "norm1000"
    model: str = ""
    no_image: str = ""


def summarize(line: Line) -> Summary:
    """Counts instead of objects."""
    return convert(_shown(line), Summary, from_attributes=True)


def unfold(row: DetectionPrediction, path: Path) -> Shown:
    """The row with its image, which is looked up where infer found it."""
    one = replace(_shown(row), raw_output=row.raw_output, model=row.model)
    try:
        image = ImageFolder(image_root_of(path)).thumbnail(row, MOST_PIXELS)
    except ImageError as error:
        return replace(one, no_image=error.code.replace("_", " "))
    return replace(one, image_png=base64.b64encode(png_of(image)).decode())


def _shown(row: Line | DetectionPrediction) -> Shown:
    """A row without its image and text."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in Line.__struct_fields__ if name != "schema"}
    fields |= {"num_gt": len(row.gt), "num_preds": len(row.preds), "num_matched": 0}
    one = Shown(**fields, step=0, ended_unix_s=0.0, image_png="", raw_output="", loss=0.0)
    written, _ = read_objects(one, row.coord_mode)
    return replace(one, num_matched=sum(judged.verdict == "right" for judged in written))


def tell(summary: Summary) -> str:
    """One record in one line, for logs."""
    facts = f"wrote {summary.num_preds}  true {summary.num_gt}  matched {summary.num_matched}"
    return f"{summary.id}  {summary.status}  {facts}"


def scene(moment: Moment) -> Scene:
    """As of a sample of the training, with what is to be said of a record."""
    row: Shown = moment.episode
    missing = (f"no image: {row.no_image}",) if row.no_image else ()
    facts = (row.id, f"F1 {training.f1(row):.2f}", *missing, f"model {row.model}")
    return training.tell_scene(moment, facts, row.coord_mode)


PART = FollowPredictionsPart(
    view=FollowPart(scene=scene, summary=Summary, num_frames=training.num_frames, tell=tell, filters=training.FILTERS),
    line=Line,
    summarize=summarize,
    unplayed="without anything to show",
    unfold=unfold,
)
