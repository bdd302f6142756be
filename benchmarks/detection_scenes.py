"""Predictions about generated scenes, as our JSONL and as the COCO files that the peers read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from pipeline.files import write_all
from pipeline.tasks.detection.geometry import box_of
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject, TrueObject

NUM_CLASSES = 80
PREDICTIONS_PER_IMAGE = 8
_WIDTH, _HEIGHT = 640, 480


@dataclass(frozen=True)
class Files:
    """The same predictions twice: rows, and COCO annotations with results."""

    rows: Path
    annotations: Path
    results: Path


def make_predictions(num_images: int, seed: int) -> list[DetectionPrediction]:
    """About 7 true objects an image, of few frequent and many rare classes; three in four are found, 15 % of these with
    a wrong class; `PREDICTIONS_PER_IMAGE` predictions with scores. ``seed`` changes the predictions, not the truth."""
    truth, guess = np.random.default_rng(0), np.random.default_rng(seed + 1)
    return [_row(index, truth, guess) for index in range(num_images)]


def _row(index: int, truth: np.random.Generator, guess: np.random.Generator) -> DetectionPrediction:
    true_objects: list[TrueObject] = []
    preds: list[PredictedObject] = []
    for _ in range(truth.poisson(7)):
        label = int(truth.zipf(1.6) - 1) % NUM_CLASSES
        corner, size = truth.integers(0, 800, 2), np.exp(truth.uniform(np.log(15), np.log(199), 2)).astype(int)
        box = np.concatenate([corner, corner + size])
        true_objects.append(TrueObject(desc=_name(label), bbox_2d=_box(box)))
        if guess.random() < 0.75 and len(preds) < PREDICTIONS_PER_IMAGE:
            moved = np.clip(box + np.round(guess.normal(0.0, 0.06, 4) * np.tile(size, 2)), 0, 998)
            moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
            said = label if guess.random() < 0.85 else int(guess.integers(NUM_CLASSES))
            preds.append(PredictedObject(desc=_name(said), bbox_2d=_box(moved), score=_score(guess.beta(2, 1))))
    while len(preds) < PREDICTIONS_PER_IMAGE:
        corner = guess.integers(0, 800, 2)
        box = np.concatenate([corner, corner + guess.integers(5, 199, 2)])
        said = int(guess.integers(NUM_CLASSES))
        preds.append(PredictedObject(desc=_name(said), bbox_2d=_box(box), score=_score(guess.beta(1, 2))))
    return DetectionPrediction(
        id=str(index),
        model="0123456789abcdef",
        image_id=index,
        images=[f"{index:012}.jpg"],
        width=_WIDTH,
        height=_HEIGHT,
        raw_output=orjson.dumps([{"desc": one.desc, "bbox_2d": one.bbox_2d} for one in preds]).decode(),
        status="ok",
        preds=preds,
        gt=true_objects,
        gt_coord_mode="norm1000",
    )


def _name(label: int) -> str:
    return f"class {label}"


def _box(corners: Sequence[float] | np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (int(value) for value in corners)
    return x1, y1, x2, y2


def _score(value: float) -> float:
    return round(value, 4)


def write_files(rows: Sequence[DetectionPrediction], folder: Path) -> Files:
    """Write both forms into ``folder``."""
    files = Files(folder / "predictions.jsonl", folder / "annotations.json", folder / "results.json")
    write_all(files.rows, rows)
    category = {_name(label): label + 1 for label in range(NUM_CLASSES)}
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for row in rows:
        for one in row.gt:
            box = box_of(one, "norm1000", _WIDTH, _HEIGHT)
            entry = {"image_id": row.image_id, "category_id": category[one.desc], "bbox": box, "iscrowd": 0}
            annotations.append(entry | {"id": len(annotations) + 1, "area": box[2] * box[3]})
        for found in row.preds:
            box = box_of(found, "norm1000", _WIDTH, _HEIGHT)
            place = {"image_id": row.image_id, "category_id": category[found.desc], "bbox": box}
            results.append(place | {"score": found.score})
    images = [{"id": row.image_id, "width": _WIDTH, "height": _HEIGHT, "file_name": row.images[0]} for row in rows]
    categories = [{"id": number, "name": name} for name, number in category.items()]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    files.annotations.write_bytes(orjson.dumps(truth))
    files.results.write_bytes(orjson.dumps(results))
    return files
