"""How well the network writes on a small fixed set of scenes while it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from pipeline.tasks.detection.evaluate.average_precision import AveragePrecision
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.explain import MATCH_IOU
from pipeline.tasks.detection.evaluate.matching import box_ious, make_cells, mask_ious, match
from pipeline.tasks.detection.model.decode import Writing, write_texts
from pipeline.tasks.detection.model.network import VisionTextNetwork
from pipeline.tasks.detection.model.tokens import Geometry
from pipeline.tasks.detection.read_text.parse import parse
from pipeline.tasks.detection.rows import DetectionPrediction, TrueObject
from pipeline.tasks.detection.scenes.scene import DrawnShape


@dataclass(frozen=True)
class Measures:
    """Average precision (scores of 1.0) of boxes or, for polygons, of masks; share of texts that are no valid JSON."""

    average_precision: float
    average_precision_50: float
    malformed_share: float


def true_objects(drawn: Sequence[DrawnShape], geometry: Geometry) -> list[TrueObject]:
    """What is drawn as objects of a row, in pixels."""
    return [shape.true_object(is_box=geometry == "bbox_2d") for shape in drawn]


def read_writing(row_id: str, writing: Writing, gt: Sequence[TrueObject], size: int) -> DetectionPrediction:
    """A text as the row that `baton infer` would write for it."""
    parsed = parse(writing.text, cut=not writing.finished)
    return DetectionPrediction(
        id=row_id,
        model="in training",
        image_id=row_id,
        images=[],
        width=size,
        height=size,
        gt=list(gt),
        gt_coord_mode="pixel",
        **structs.asdict(parsed),
    )


def measure(
    network: VisionTextNetwork, images: NDArray[np.uint8], drawn: Sequence[Sequence[DrawnShape]], geometry: Geometry
) -> Measures:
    """Let the network write, greedily, about images [B, S, S, 3], and compare with what is drawn on them."""
    size = network.config.image_size
    writings = zip(write_texts(network, images, geometry), drawn, strict=True)
    rows = [
        read_writing(f"{number:06d}", writing, true_objects(shapes, geometry), size)
        for number, (writing, shapes) in enumerate(writings)
    ]
    malformed = sum(row.status not in ("ok", "empty") or bool(row.dropped) for row in rows) / len(rows)
    if not any(row.preds for row in rows):
        return Measures(0.0, 0.0, malformed)
    dataset = collect(rows)
    cells = make_cells(dataset)
    ious = mask_ious(dataset, cells) if geometry == "poly" else box_ious(dataset, cells)
    found = AveragePrecision(dataset, cells, ious).main(np.ones((1, len(rows)), np.int32))
    average, at_50 = (np.nan_to_num(found[name])[0] for name in ("average_precision", "average_precision_50"))
    return Measures(float(average), float(at_50), malformed)


def count_matched(row: DetectionPrediction) -> int:
    """How many predictions of a row match a true object of their class at `MATCH_IOU`, one to one (by their boxes)."""
    if not row.preds or not row.gt:
        return 0
    dataset = collect([row])
    cells = make_cells(dataset)
    return int((match(dataset, cells, box_ious(dataset, cells), np.array([MATCH_IOU])).matched >= 0).sum())
