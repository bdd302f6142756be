"""Prediction rows as flat arrays: what everything that evaluate computes is computed from."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.jsonl import gc_paused
from pipeline.stats import Floats
from pipeline.tasks.detection import geometry
from pipeline.tasks.detection.kernels import Ints
from pipeline.tasks.detection.ranking import ScoreFrom, scores_of
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject, TrueObject
from pipeline.tasks.detection.synonyms import Labels

_NO_BOX = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How rows are read: which labels are one class, where scores come from, and whether salvaged objects count."""

    labels: Labels = Labels()  # noqa: RUF009  frozen
    score_from: ScoreFrom = "contract"
    use_salvaged: bool = False


@dataclass(frozen=True, kw_only=True)
class Objects:
    """M objects of N images, image by image, each image's in the order of its row.

    ``image[m]`` and ``label[m]`` are indices; ``boxes[m]`` is x, y, width, height in pixels; ``areas[m]`` in square
    pixels. ``scores`` are of predictions, all 1 for true objects; ``crowd`` of true objects.
    """

    image: Ints
    label: Ints
    boxes: Floats
    areas: Floats
    scores: Floats
    crowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """``rows`` in the order of their image ids, not of the file. ``classes[:num_true_classes]`` occur in the truth.

    ``predicted[n]`` are the objects that count as predicted in row n, in order of generation.
    """

    rows: Sequence[DetectionPrediction]
    predicted: Sequence[Sequence[PredictedObject]]
    classes: Sequence[str]
    num_true_classes: int
    predictions: Objects
    truths: Objects


def collect(rows: Iterable[DetectionPrediction], reading: Reading = Reading()) -> Dataset:
    """The arrays of a file of predictions.

    Images are lined up by ``image_id`` (numbers before texts), as pycocotools does: between predictions of equal score
    the earlier image comes first, and the order of lines in the file is of no consequence. Where every object, true and
    predicted, carries a COCO category, that is its class; else its label is (`synonyms`). Raises UserError when labels
    put two COCO categories into one class, or a score cannot be had.
    """
    with gc_paused():
        return _collect(rows, reading)


def _collect(rows: Iterable[DetectionPrediction], reading: Reading) -> Dataset:
    ordered = sorted(rows, key=lambda row: (isinstance(row.image_id, str), row.image_id, row.id))
    predicted = [_counted(row, reading.use_salvaged) for row in ordered]
    objects = list(chain.from_iterable(predicted))
    true_objects = list(chain.from_iterable([row.gt for row in ordered]))
    naming = _naming(objects, true_objects, reading.labels)
    labels = naming.labels
    if reading.score_from == "contract":
        scores = [one.score for one in objects]
    else:
        pairs = zip(ordered, predicted, strict=True)
        scores = list(chain.from_iterable(scores_of(row, found, reading.score_from) for row, found in pairs))
    return Dataset(
        rows=ordered,
        predicted=predicted,
        classes=naming.classes,
        num_true_classes=naming.num_true_classes,
        predictions=_objects(ordered, predicted, objects, labels[: len(objects)], scores),
        truths=_objects(ordered, [row.gt for row in ordered], true_objects, labels[len(objects) :], None),
    )


def _counted(row: DetectionPrediction, use_salvaged: bool) -> list[PredictedObject]:
    return [*row.preds, *row.salvaged] if use_salvaged and row.salvaged else row.preds


@dataclass(frozen=True)
class _Naming:
    """``labels`` of all objects, the true ones last, as indices of ``classes``."""

    labels: Ints
    classes: Sequence[str]
    num_true_classes: int


def _naming(objects: Sequence[PredictedObject], true_objects: Sequence[TrueObject], labels: Labels) -> _Naming:
    both: list[Any] = [*objects, *true_objects]
    by_category = not labels.canonical and bool(both) and all(one.coco is not None for one in both)
    keys: list[Any] = [one.coco.category_id for one in both] if by_category else [one.desc for one in both]
    seen: defaultdict[Any, int] = defaultdict(count().__next__)  # numbers keys as they come
    numbers = np.fromiter(map(seen.__getitem__, keys), np.int64, len(keys))
    if by_category:
        names = {one.coco.category_id: one.desc for one in reversed(both)}
        classes = list(seen)
    else:
        classes = [labels.class_of(desc) for desc in seen]
        names = {name: name for name in classes}
        _check_categories(true_objects, dict(zip(seen, classes, strict=True)), labels)
    known = {classes[number] for number in np.unique(numbers[len(objects) :])}
    in_order = sorted(names, key=lambda one: (one not in known, names[one], one))
    written = [names[one] for one in in_order]
    distinct = [f"{names[one]} ({one})" if written.count(names[one]) > 1 else names[one] for one in in_order]
    code = {one: index for index, one in enumerate(in_order)}
    return _Naming(np.array([code[one] for one in classes], dtype=np.int64)[numbers], distinct, len(known))


def _check_categories(true_objects: Sequence[TrueObject], class_of: dict[str, str], labels: Labels) -> None:
    """Raises UserError when labels put two COCO categories into one class."""
    categories: dict[str, tuple[int, str]] = {}
    for id, desc in {(one.coco.category_id, one.desc) for one in true_objects if one.coco is not None}:
        name = class_of[desc]
        category, other = categories.setdefault(name, (id, desc))
        if category != id and name not in labels.canonical:
            raise UserError(
                f"{other!r} and {desc!r} are two categories of the COCO file, and one class by their labels",
                remedy="evaluate with evaluate.label_match=exact, or give them different names in the COCO file",
            )


def _objects(
    rows: Sequence[DetectionPrediction],
    by_row: Sequence[Sequence[Any]],
    objects: Sequence[Any],
    labels: Ints,
    scores: Sequence[float] | None,
) -> Objects:
    """All objects of one side; ``scores`` None says that they are the true ones."""
    are_true = scores is None
    counts = [len(found) for found in by_row]
    image = np.repeat(np.arange(len(rows)), counts)
    modes = [row.gt_coord_mode if are_true else row.coord_mode for row in rows]
    boxes = _plain_boxes(rows, modes, objects, counts)
    areas = boxes[:, 2] * boxes[:, 3]
    area_of: Callable[..., float] = geometry.true_area if are_true else geometry.predicted_area
    crowd = np.zeros(len(objects), dtype=np.bool_)
    for m in [m for m, one in enumerate(objects) if one.bbox_2d is None or one.coco is not None]:
        one, row, mode = objects[m], rows[image[m]], modes[image[m]]
        boxes[m] = geometry.box_of(one, mode, row.width, row.height)
        areas[m] = area_of(one, mode, row.width, row.height)
        crowd[m] = are_true and one.coco is not None and one.coco.iscrowd == 1
    given = np.ones(len(objects)) if scores is None else np.array(scores, dtype=np.float64)
    return Objects(image=image, label=labels, boxes=boxes, areas=areas, scores=given, crowd=crowd)


def _plain_boxes(rows: Sequence[Any], modes: Sequence[str], objects: Sequence[Any], counts: Sequence[int]) -> Floats:
    """x, y, width, height in pixels of objects that have a ``bbox_2d``; zeros for others: [M, 4]."""
    flat = chain.from_iterable([one.bbox_2d or _NO_BOX for one in objects])
    pixels = np.fromiter(flat, dtype=np.float64, count=4 * len(objects)).reshape(-1, 4)
    is_norm = np.array([mode == "norm1000" for mode in modes], dtype=np.bool_)
    if is_norm.any():
        sizes = np.array([[row.width for row in rows], [row.height for row in rows]], dtype=np.float64).T
        pixels *= np.tile(np.repeat(np.where(is_norm[:, None], sizes, 1.0), counts, axis=0), 2)
        pixels /= np.repeat(np.where(is_norm, float(geometry.NORM_MAX), 1.0), counts)[:, None]
    near, far = pixels[:, :2], pixels[:, 2:]
    return np.concatenate([np.minimum(near, far), np.abs(far - near)], axis=1)
