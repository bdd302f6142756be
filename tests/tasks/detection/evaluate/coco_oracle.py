"""Generated predictions with everything that COCO files hold, and what pycocotools makes of them."""

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from hotcoco import mask
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.tasks.detection.rows import CocoFields, DetectionPrediction, PredictedObject, Rle, TrueObject
from schemas.rows import Metric

SIDE = 320  # of every image, in pixels
STATS = (
    "average_precision",
    "average_precision_50",
    "average_precision_75",
    "average_precision_small",
    "average_precision_medium",
    "average_precision_large",
    "average_recall_1",
    "average_recall_10",
    "average_recall_100",
    "average_recall_small",
    "average_recall_medium",
    "average_recall_large",
)


@dataclass(frozen=True)
class Kind:
    """What is generated. ``most_repeats``: up to so many predictions of each true object; ``ties``: scores in tenths,
    or all 1.0 with ``equal``; ``masks``: polygons and run lengths beside the boxes."""

    seed: int
    num_images: int = 25
    num_classes: int = 4
    most_repeats: int = 3
    ties: bool = False
    equal: bool = False
    masks: bool = False
    crowds: bool = False


def generate(kind: Kind) -> list[DetectionPrediction]:
    """Images with 0 to 6 true objects, some without predictions, some with predictions alone."""
    random = np.random.default_rng(kind.seed)
    return [_image(index, kind, random) for index in range(kind.num_images)]


def _image(index: int, kind: Kind, random: np.random.Generator) -> DetectionPrediction:
    truths, preds = [], []
    for _ in range(random.integers(0, 7)):
        label = int(random.integers(kind.num_classes))
        x, y = random.uniform(0, SIDE - 60, 2)
        width, height = random.uniform(4, 150, 2)
        is_crowd = kind.crowds and random.random() < 0.2
        area = float(width * height * random.uniform(0.5, 1.0))
        truths.append(
            TrueObject(**_object(label, (x, y, width, height), kind, random, area=area, iscrowd=int(is_crowd)))
        )
        for _ in range(random.integers(0, kind.most_repeats + 1)):
            box = np.array([x, y, width, height]) + random.normal(0, 6, 4)
            said = label if random.random() < 0.8 else int(random.integers(kind.num_classes + 1))
            preds.append(_prediction(said, box, kind, random))
    preds += [
        _prediction(int(random.integers(kind.num_classes)), random.uniform(0, 100, 4), kind, random)
        for _ in range(random.integers(0, 3))
    ]
    if random.random() < 0.15:
        preds = []
    order = random.permutation(len(preds))
    return row(str(index), preds=[preds[i] for i in order], gt=truths, width=SIDE, height=SIDE, coord_mode="pixel")


def _prediction(label: int, box: Any, kind: Kind, random: np.random.Generator) -> PredictedObject:
    x, y, width, height = box
    score = 1.0 if kind.equal else float(random.random())
    score = round(score, 1) if kind.ties else score
    return PredictedObject(**_object(label, (x, y, max(width, 1.0), max(height, 1.0)), kind, random), score=score)


def _object(
    label: int, box: tuple[float, ...], kind: Kind, random: np.random.Generator, **fields: Any
) -> dict[str, Any]:
    x, y, width, height = (float(value) for value in box)
    segmentation = _segmentation((x, y, width, height), random) if kind.masks else None
    coco = CocoFields(category_id=10 + label, bbox=(x, y, width, height), segmentation=segmentation, **fields)
    return {"desc": f"class {label}", "bbox_2d": (x, y, x + width, y + height), "coco": coco}


def _segmentation(box: tuple[float, ...], random: np.random.Generator) -> list[list[float]] | Rle:
    """An octagon within the box, one in two halves, or a mask."""
    x, y, width, height = box
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False) + random.uniform(0, 0.5)
    points = np.stack([x + width * (0.5 + 0.5 * np.cos(turn)), y + height * (0.5 + 0.5 * np.sin(turn))], axis=1)
    whole = [float(value) for value in points.ravel()]
    how = random.integers(3)
    if how == 0:
        return [whole]
    if how == 1:
        return [[*whole[:10]], [*whole[8:], *whole[:2]]]
    encoded = mask_utils.merge(mask_utils.frPyObjects([whole], SIDE, SIDE))
    if random.random() < 0.5:
        return Rle(size=(SIDE, SIDE), counts=encoded["counts"].decode())
    flat = mask.decode(encoded).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return Rle(size=(SIDE, SIDE), counts=np.diff(np.concatenate([[0], edges])).tolist())


def row(id: str, **fields: Any) -> DetectionPrediction:
    """A prediction row about one image of 999 x 999 pixels, where norm1000 is pixels."""
    plain: dict[str, Any] = {
        "model": "0123456789abcdef",
        "image_id": int(id) if id.isdigit() else id,
        "images": [f"{id}.png"],
        "width": 999,
        "height": 999,
        "raw_output": "",
        "status": "ok",
        "preds": [],
        "gt": [],
        "gt_coord_mode": "pixel",
    }
    return DetectionPrediction(id=id, **plain | fields)


def coco_stats(
    rows: Sequence[DetectionPrediction], iou_type: str, sizes: Sequence[Sequence[float]] | None = None
) -> np.ndarray:
    """The twelve figures of pycocotools, -1 where it has none, from what the rows say under ``coco``; ``sizes`` are
    other ranges of area for small, medium and large."""
    truth, results = coco_files(rows)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        found = coco.loadRes(results) if results else _nothing(coco)
        evaluation = COCOeval(coco, found, iou_type)
        evaluation.params.areaRng[1:] = sizes or evaluation.params.areaRng[1:]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


def coco_files(rows: Sequence[DetectionPrediction]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations and results, as COCO files hold them."""
    truths, results = [], []
    for one in rows:
        for true in one.gt:
            entry = _entry(true.coco, one.image_id)
            truths.append(entry | {"id": len(truths) + 1})
        results += [_entry(found.coco, one.image_id) | {"score": found.score} for found in one.preds]
    categories = sorted({entry["category_id"] for entry in [*truths, *results]})
    truth = {
        "images": [{"id": one.image_id, "width": one.width, "height": one.height} for one in rows],
        "annotations": truths,
        "categories": [{"id": category, "name": f"class {category}"} for category in categories],
    }
    return truth, results


def _nothing(truth: COCO) -> COCO:
    """`loadRes` does not take an empty list."""
    empty = COCO()
    empty.dataset = truth.dataset | {"annotations": []}
    empty.createIndex()
    return empty


def _entry(coco: CocoFields | None, image_id: str | int) -> dict[str, Any]:
    """As a COCO file would hold it. Detections get their area from pycocotools, true objects have one."""
    said: dict[str, Any] = json.loads(msgspec.json.encode(coco))
    given = said.get("segmentation")
    if "bbox" not in said and not isinstance(given["counts"] if isinstance(given, dict) else given, str):
        parts = mask_utils.frPyObjects(given, SIDE, SIDE)  # `loadRes` takes the area of compressed masks alone
        said["segmentation"] = mask_utils.merge(parts) if isinstance(parts, list) else parts
    return {"image_id": image_id} | {key: value for key, value in said.items() if value is not None}


def our_stats(metrics: Sequence[Metric], prefix: str = "") -> np.ndarray:
    """The same figures of evaluate."""
    found = {m.name: m.value for m in metrics if m.slice_by == "all" and m.subject == "model"}
    return np.array([found.get(prefix + name, -1.0) for name in STATS])
