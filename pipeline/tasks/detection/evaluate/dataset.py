"""Prediction rows as flat arrays: what everything that evaluate computes is computed from."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files import gc_paused
from pipeline.stats import Floats
from pipeline.tasks.detection import geometry
from pipeline.tasks.detection.evaluate import kernels
from pipeline.tasks.detection.evaluate.kernels import Ints
from pipeline.tasks.detection.evaluate.ranking import ScoreFrom, scores_of
from pipeline.tasks.detection.evaluate.synonyms import Labels
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject

_NO_BOX = (0.0, 0.0, 0.0, 0.0)
_BLOCK_ROWS = 256


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
    ordered = _in_order(list(rows))
    descs: defaultdict[str, int] = defaultdict(count().__next__)  # numbers labels as they come
    found = _Side([_counted(row, reading.use_salvaged) for row in ordered], [row.coord_mode for row in ordered], descs)
    true = _Side([row.gt for row in ordered], [row.gt_coord_mode for row in ordered], descs)
    naming = _naming(found, true, list(descs), reading.labels)
    if reading.score_from == "contract":
        scores = [one.score for one in found.objects]
    else:
        pairs = zip(ordered, found.by_row, strict=True)
        scores = list(chain.from_iterable(scores_of(row, list(these), reading.score_from) for row, these in pairs))
    num_found = len(found.objects)
    return Dataset(
        rows=ordered,
        predicted=found.by_row,
        classes=naming.classes,
        num_true_classes=naming.num_true_classes,
        predictions=_objects(ordered, found, naming.labels[:num_found], scores),
        truths=_objects(ordered, true, naming.labels[num_found:], None),
    )


class _Side:
    """The predicted, or the true, objects of all rows.

    ``special`` are indices of those that are more, or less, than a ``bbox_2d``; ``descs`` their labels' numbers;
    ``corners`` what stands in their ``bbox_2d``, zeros for others: [M, 4]. All is gathered in blocks that stay in the
    processor's cache: from file to figures, 5,000 images took .114 s, not .120 with a pass over all objects for each.
    """

    def __init__(self, by_row: Sequence[Sequence[Any]], modes: Sequence[str], descs: defaultdict[str, int]) -> None:
        self.by_row = by_row
        self.modes = modes
        self.objects: list[Any] = []
        self.special: list[int] = []
        numbers, corners = [np.empty(0, np.int64)], [np.empty(0)]
        for start in range(0, len(by_row), _BLOCK_ROWS):
            block = list(chain.from_iterable(by_row[start : start + _BLOCK_ROWS]))
            first = len(self.objects)
            self.special += [m for m, one in enumerate(block, first) if one.coco is not None or one.bbox_2d is None]
            numbers.append(np.fromiter(map(descs.__getitem__, [one.desc for one in block]), np.int64, len(block)))
            flat = chain.from_iterable([one.bbox_2d or _NO_BOX for one in block])
            corners.append(np.fromiter(flat, np.float64, 4 * len(block)))
            self.objects += block
        self.descs = np.concatenate(numbers)
        self.corners = np.concatenate(corners).reshape(-1, 4)

    @property
    def has_categories(self) -> bool:
        """Every object carries a COCO category."""
        return len(self.special) == len(self.objects) and all(one.coco is not None for one in self.objects)


def _in_order(rows: list[DetectionPrediction]) -> list[DetectionPrediction]:
    try:
        return sorted(rows, key=attrgetter("image_id", "id"))
    except TypeError:  # numbers and texts
        return sorted(rows, key=lambda row: (isinstance(row.image_id, str), row.image_id, row.id))


def _counted(row: DetectionPrediction, use_salvaged: bool) -> list[PredictedObject]:
    return [*row.preds, *row.salvaged] if use_salvaged and row.salvaged else row.preds


@dataclass(frozen=True)
class _Naming:
    """``labels`` of all objects, the true ones last, as indices of ``classes``."""

    labels: Ints
    classes: Sequence[str]
    num_true_classes: int


def _naming(found: _Side, true: _Side, descs: Sequence[str], labels: Labels) -> _Naming:
    """``descs`` are the labels by their number."""
    both = [*found.objects, *true.objects]
    if not labels.canonical and both and found.has_categories and true.has_categories:
        names: dict[Any, str] = {one.coco.category_id: one.desc for one in reversed(both)}
        classes: list[Any] = list(names)
        place = {category: index for index, category in enumerate(classes)}
        numbers = np.array([place[one.coco.category_id] for one in both], dtype=np.int64)
    else:
        classes = [labels.class_of(desc) for desc in descs]
        names = {name: name for name in classes}
        numbers = np.concatenate([found.descs, true.descs])
        _check_categories(true, dict(zip(descs, classes, strict=True)), labels)
    known = {classes[number] for number in np.unique(numbers[len(found.objects) :])}
    in_order = sorted(names, key=lambda one: (one not in known, names[one], one))
    times = Counter(names.values())
    distinct = [f"{names[one]} ({one})" if times[names[one]] > 1 else names[one] for one in in_order]
    code = {one: index for index, one in enumerate(in_order)}
    return _Naming(np.array([code[one] for one in classes], dtype=np.int64)[numbers], distinct, len(known))


def _check_categories(true: _Side, class_of: dict[str, str], labels: Labels) -> None:
    """Raises UserError when labels put two COCO categories into one class."""
    special = [true.objects[m] for m in true.special]
    categories: dict[str, tuple[int, str]] = {}
    for id, desc in sorted({(one.coco.category_id, one.desc) for one in special if one.coco is not None}):
        name = class_of[desc]
        category, other = categories.setdefault(name, (id, desc))
        if category != id and name not in labels.canonical:
            raise UserError(
                f"{other!r} and {desc!r} are two categories of the COCO file, and one class by their labels",
                remedy="evaluate with evaluate.label_match=exact, or give them different names in the COCO file",
            )


def _objects(rows: Sequence[DetectionPrediction], side: _Side, labels: Ints, scores: Sequence[float] | None) -> Objects:
    """All objects of one side; ``scores`` None says that they are the true ones."""
    objects, are_true = side.objects, scores is None
    image = np.repeat(np.arange(len(rows)), [len(found) for found in side.by_row])
    boxes = side.corners
    is_norm = np.array([mode == "norm1000" for mode in side.modes], dtype=np.bool_)
    sizes = np.array([[row.width for row in rows], [row.height for row in rows]], dtype=np.float64)
    kernels.to_pixel_boxes(boxes, image, is_norm, sizes, float(geometry.NORM_MAX))
    with np.errstate(over="ignore"):  # a text may hold 1e308
        areas = np.minimum(boxes[:, 2] * boxes[:, 3], np.finfo(np.float64).max)
    area_of: Callable[..., float] = geometry.true_area if are_true else geometry.predicted_area
    crowd = np.zeros(len(objects), dtype=np.bool_)
    for m in side.special:
        one, row, mode = objects[m], rows[image[m]], side.modes[image[m]]
        boxes[m] = geometry.box_of(one, mode, row.width, row.height)
        areas[m] = area_of(one, mode, row.width, row.height)
        crowd[m] = are_true and one.coco is not None and one.coco.iscrowd == 1
    given = np.ones(len(objects)) if scores is None else np.array(scores, dtype=np.float64)
    return Objects(image=image, label=labels, boxes=boxes, areas=areas, scores=given, crowd=crowd)
