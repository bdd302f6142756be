"""Predictions to draw: small literal rows, and images for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.tasks.detection.rows import (
    DetectionMonitor,
    DetectionPrediction,
    DetectionProgress,
    PredictedObject,
    TrueObject,
)

SIZE = (80, 60)
Box = tuple[float, float, float, float]


def true(desc: str, box: Box) -> TrueObject:
    """A true object, in pixels."""
    return TrueObject(desc=desc, bbox_2d=box)


def predicted(desc: str, box: Box, score: float = 1.0, span: tuple[int, int] | None = None) -> PredictedObject:
    """A predicted object; rows of `row` have them in pixels."""
    return PredictedObject(desc=desc, bbox_2d=box, score=score, span=span)


def row(
    id: str, gt: Sequence[TrueObject] = (), preds: Sequence[PredictedObject] = (), **changes: Any
) -> DetectionPrediction:
    """A prediction of an image of `SIZE`, in pixels."""
    fields: dict[str, Any] = {
        "id": id,
        "model": "m",
        "image_id": id,
        "images": [f"images/{id}.png"],
        "width": SIZE[0],
        "height": SIZE[1],
        "coord_mode": "pixel",
        "raw_output": "[]",
        "status": "ok" if preds else "empty",
        "preds": list(preds),
        "gt": list(gt),
        "gt_coord_mode": "pixel",
    }
    return DetectionPrediction(**(fields | changes))


CAT, DOG = (5.0, 5.0, 30.0, 30.0), (40.0, 20.0, 70.0, 50.0)
CUT: dict[str, Any] = {"status": "truncated", "error": "truncated", "salvaged": (predicted("cat", CAT),)}
FAILED: dict[str, Any] = {"status": "not_run", "error": "image_missing", "error_detail": "it is gone"}
ROWS = [
    row("good", [true("cat", CAT), true("dog", DOG)], [predicted("cat", CAT), predicted("dog", DOG)]),
    row("half", [true("cat", CAT), true("dog", DOG)], [predicted("cat", CAT)]),
    row("wrong class", [true("cat", CAT)], [predicted("dog", CAT)]),
    row("twice", [true("cat", CAT)], [predicted("cat", CAT)] * 3),
    row("invented", [], [predicted("cat", DOG)]),
    row("nothing", [], []),
    row("cut", [true("cat", CAT)], raw_output="[{", **CUT),
    row("failed", [true("dog", DOG)], raw_output="", **FAILED),
]


def save_images(folder: Path, rows: Sequence[DetectionPrediction]) -> Path:
    """An image for each row, in ``folder``."""
    for index, one in enumerate(rows):
        path = folder / one.images[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (one.width, one.height), (40 + 20 * index % 200, 90, 120)).save(path)
    return folder


def progress() -> list[DetectionProgress]:
    """A training of ten steps."""
    return [
        DetectionProgress(
            id=f"s{step}",
            step=step,
            loss=3.0 / step,
            token_loss=2.0 / step,
            dense_loss=1.0 / step,
            learning_rate=1e-3,
            tokens_seen=100 * step,
            images_seen=10 * step,
        )
        for step in range(1, 11)
    ]


def monitor() -> list[DetectionMonitor]:
    """Two looks at it."""
    return [
        DetectionMonitor(
            id=f"m{step}",
            step=step,
            checkpoint="c",
            selected_by=step / 20,
            num_images=5,
            average_precision=step / 20,
            average_precision_50=step / 10,
            mask_average_precision=None,
            mask_average_precision_50=None,
            malformed_share=0.1,
            loss=1.0 / step,
        )
        for step in (5, 10)
    ]
