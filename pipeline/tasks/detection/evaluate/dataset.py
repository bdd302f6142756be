"""Prediction rows as flat arrays: what everything that evaluate computes is computed from."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files import Unkept, gc_paused
from pipeline.stats import Floats
from pipeline.tasks.detection import geometry
from pipeline.tasks.detection.evaluate.kernels import Ints
from pipeline.tasks.detection.evaluate.reading import DEFAULT, Reading, scores_of
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject

_PerObject = list[NDArray[Any]]  # one array a block
_Columns = dict[str, NDArray[Any]]
_NO_BOX = (0.0, 0.0, 0.0, 0.0)
_BLOCK_ROWS = 256
_NO_CATEGORY = -1
CategoryId = int | str
_EMPTY: _Columns = {  # what is known of each object, and how it is kept
    "label": np.empty(0, np.int64),
    "category": np.empty(0, np.int64),
    "boxes": np.empty((0, 4)),
    "areas": np.empty(0),
    "scores": np.empty(0),
    "crowd": np.empty(0, np.bool_),
}


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

    def starts(self, num_images: int) -> Ints:
        """The first object of each image [N + 1], the last number being that of all objects."""
        return np.searchsorted(self.image, np.arange(num_images + 1)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """``rows`` in the order of their image ids, not of the file; ``positions[n]`` is where row n stood in it.
    ``classes[:num_true_classes]`` occur in the truth.

    ``predicted[n]`` are the objects that count as predicted in row n, in order of generation. Both are without texts
    and objects where `collect` says so.
    """

    rows: Sequence[DetectionPrediction]
    positions: Ints
    predicted: Sequence[Sequence[PredictedObject]]
    classes: Sequence[str]
    num_true_classes: int
    predictions: Objects
    truths: Objects

    def in_order_of_file(self) -> Ints:
        """Indices of the rows, in the order in which they were given."""
        return np.argsort(self.positions)


def collect(rows: Iterable[DetectionPrediction], reading: Reading = DEFAULT) -> Dataset:
    """The arrays of a file of predictions.

    Images are lined up by ``image_id`` (numbers before texts), as pycocotools does: between predictions of equal score
    the earlier image comes first, and the order of lines in the file is of no consequence. Where every object, true and
    predicted, carries a COCO category, that is its class; else its label is (`Reading.class_of`). Of `Unkept` rows,
    neither texts nor objects are kept, but where masks are to be compared. Raises UserError when labels put two COCO
    categories into one class, or a score cannot be had.
    """
    with gc_paused():
        if isinstance(rows, Unkept):
            lean = _Gathered(reading)
            if all(lean.add(block, keep=False) for block in _blocks(rows)):
                return lean.dataset()
        whole = _Gathered(reading)
        for block in _blocks(rows):
            whole.add(block, keep=True)
        return whole.dataset()


def _blocks(rows: Iterable[DetectionPrediction]) -> Iterator[list[DetectionPrediction]]:
    """Few rows at a time: what is read of them stays in the processor's cache."""
    source = iter(rows)
    while block := list(islice(source, _BLOCK_ROWS)):
        yield block


class _Gathered:
    """Takes the rows of a file, block by block."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._rows: list[DetectionPrediction] = []
        self._predicted: list[Sequence[PredictedObject]] = []
        descs: defaultdict[str, int] = defaultdict(count().__next__)  # numbers labels as they come
        categories: defaultdict[CategoryId, int] = defaultdict(count().__next__)  # and categories
        self._descs, self._categories = descs, categories
        self._found = _Side(descs, categories, geometry.predicted_area)
        self._true = _Side(descs, categories, geometry.true_area)

    def add(self, block: Sequence[DetectionPrediction], *, keep: bool) -> bool:
        """Without ``keep``, nothing of the rows is kept that is in the arrays; False where that cannot be, as there are
        true masks."""
        counted = [_counted(row, self._reading.use_salvaged) for row in block]
        pairs = zip(block, counted, strict=True)
        scores = [score for row, these in pairs for score in scores_of(row, these, self._reading.score_from)]
        self._found.add(block, counted, [row.coord_mode for row in block], scores)
        special = self._true.add(block, [row.gt for row in block], [row.gt_coord_mode for row in block], None)
        self._rows += block if keep else map(_lean, block)
        self._predicted += counted if keep else [()] * len(block)
        return keep or not has_masks([special])

    def dataset(self) -> Dataset:
        """All rows, in the order of their images."""
        order = _in_order(self._rows)
        found, true = self._found.joined(order), self._true.joined(order)
        named = list(self._descs), list(self._categories)
        labels, classes, num_true_classes = _naming(found, true, named, self._reading)
        num_found = len(found["label"])
        return Dataset(
            rows=[self._rows[n] for n in order],
            positions=np.array(order, dtype=np.int64),
            predicted=[self._predicted[n] for n in order],
            classes=classes,
            num_true_classes=num_true_classes,
            predictions=_objects(found, labels[:num_found]),
            truths=_objects(true, labels[num_found:]),
        )


def _objects(columns: _Columns, labels: Ints) -> Objects:
    kept = {name: column for name, column in columns.items() if name != "category"}
    return Objects(**kept | {"label": labels})


def _lean(row: DetectionPrediction) -> DetectionPrediction:
    """What is told of a row besides its objects."""
    return msgspec.structs.replace(row, raw_output="", images=_NOTHING, preds=_NOTHING, gt=_NOTHING, tokens=None)


_NOTHING: list[Any] = []


class _Side:
    """The predicted, or the true, objects of all rows, as arrays; ``add`` gathers them, ``joined`` lines them up.

    "label" is the number of its label; "category" that of its COCO category, `_NO_CATEGORY` without one.
    """

    def __init__(
        self, numbers: defaultdict[str, int], categories: defaultdict[CategoryId, int], area_of: Callable[..., float]
    ) -> None:
        self._numbers, self._categories, self._area_of = numbers, categories, area_of
        self._sizes: _PerObject = []
        self._columns: dict[str, _PerObject] = {name: [] for name in _EMPTY}

    def add(
        self,
        rows: Sequence[DetectionPrediction],
        by_row: Sequence[Sequence[Any]],
        modes: Sequence[str],
        scores: Sequence[float] | None,
    ) -> list[Any]:
        """Take the objects of some more rows; ``scores`` None says that they are the true ones. Returns those that are
        more, or less, than a ``bbox_2d``."""
        objects = list(chain.from_iterable(by_row))
        sizes = np.array([len(found) for found in by_row])
        image = np.repeat(np.arange(len(rows)), sizes)
        flat = chain.from_iterable([one.bbox_2d or _NO_BOX for one in objects])
        corners = np.fromiter(flat, np.float64, 4 * len(objects)).reshape(-1, 2, 2)
        is_norm = np.array([mode == "norm1000" for mode in modes], dtype=np.bool_)[image]
        extent = np.array([(row.width, row.height) for row in rows], dtype=np.float64)[image]
        with np.errstate(over="ignore"):  # a text may hold 1e308
            corners[is_norm] = corners[is_norm] * extent[is_norm, None] / geometry.NORM_MAX  # k * width / 999 for x
            boxes = np.hstack([corners.min(axis=1), np.abs(corners[:, 1] - corners[:, 0])])
            areas = np.minimum(boxes[:, 2] * boxes[:, 3], np.finfo(np.float64).max)
        crowd = np.zeros(len(objects), dtype=np.bool_)
        categories = np.full(len(objects), _NO_CATEGORY)
        special = [m for m, one in enumerate(objects) if one.coco is not None or one.bbox_2d is None]
        for m in special:
            one, row, mode = objects[m], rows[image[m]], modes[image[m]]
            boxes[m] = geometry.box_of(one, mode, row.width, row.height)
            areas[m] = self._area_of(one, mode, row.width, row.height)
            if one.coco is not None:
                categories[m] = self._categories[one.coco.category_id]
                crowd[m] = scores is None and one.coco.iscrowd == 1
        labels = np.fromiter(map(self._numbers.__getitem__, [one.desc for one in objects]), np.int64, len(objects))
        given = np.ones(len(objects)) if scores is None else np.array(scores, dtype=np.float64)
        self._sizes.append(sizes)
        columns = (labels, categories, boxes, areas, given, crowd)
        for gathered, column in zip(self._columns.values(), columns, strict=True):
            gathered.append(column)
        return [objects[m] for m in special]

    def joined(self, order: Sequence[int]) -> _Columns:
        """All of them, with their "image", where row ``order[n]`` is the n-th; there are no more rows to come."""
        sizes = np.concatenate([np.empty(0, np.int64), *self._sizes])
        first = np.cumsum(sizes) - sizes
        sizes, first = sizes[order], first[order]
        places = np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        found = {name: np.concatenate([empty, *self._columns.pop(name)])[places] for name, empty in _EMPTY.items()}
        return found | {"image": np.repeat(np.arange(len(sizes)), sizes)}


def _in_order(rows: Sequence[DetectionPrediction]) -> list[int]:
    """Numbers before texts, as the two do not compare."""
    return sorted(range(len(rows)), key=lambda n: (isinstance(rows[n].image_id, str), rows[n].image_id, rows[n].id))


def _counted(row: DetectionPrediction, use_salvaged: bool) -> list[PredictedObject]:
    return [*row.preds, *row.salvaged] if use_salvaged and row.salvaged else row.preds


def has_masks(rows: Sequence[Sequence[object]]) -> bool:
    """Whether any of the objects is more than a box."""
    return any(
        getattr(one, "poly", None) or getattr(getattr(one, "coco", None), "segmentation", None)
        for row in rows
        for one in row
    )


def _naming(
    found: _Columns, true: _Columns, named: tuple[Sequence[str], Sequence[CategoryId]], reading: Reading
) -> tuple[Ints, list[str], int]:
    """The class of each object, the true ones last; the names of the classes; and how many of these, the first, occur
    in the truth. ``named`` are the labels by their number, and the categories."""
    descs, category_ids = named
    categories, said = (np.concatenate([found[name], true[name]]) for name in ("category", "label"))
    if not reading.canonical and len(categories) and (categories != _NO_CATEGORY).all():
        there, first, numbers = np.unique(categories, return_index=True, return_inverse=True)
        classes: list[Any] = [category_ids[number] for number in there]
        names: dict[Any, str] = {one: descs[number] for one, number in zip(classes, said[first], strict=True)}
    else:
        classes = [reading.class_of(desc) for desc in descs]
        names = {name: name for name in classes}
        numbers = said
        _check_categories(true, descs, classes, reading)
    known = {classes[number] for number in np.unique(numbers[len(found["label"]) :])}
    in_order = sorted(names, key=lambda one: (one not in known, names[one], isinstance(one, str), one))
    times = Counter(names.values())
    distinct = [f"{names[one]} ({one})" if times[names[one]] > 1 else names[one] for one in in_order]
    code = {one: index for index, one in enumerate(in_order)}
    return np.array([code[one] for one in classes], dtype=np.int64)[numbers], distinct, len(known)


def _check_categories(true: _Columns, descs: Sequence[str], classes: Sequence[str], reading: Reading) -> None:
    """Raises UserError when labels put two COCO categories into one class."""
    pairs = np.unique(np.stack([true["category"], true["label"]])[:, true["category"] != _NO_CATEGORY], axis=1)
    categories: dict[str, tuple[int, str]] = {}
    for id, desc, number in sorted((id, descs[number], number) for id, number in pairs.T.tolist()):
        name = classes[number]
        category, other = categories.setdefault(name, (id, desc))
        if category != id and name not in reading.canonical:
            raise UserError(
                f"{other!r} and {desc!r} are two categories of the COCO file, and one class by their labels",
                remedy="evaluate with evaluate.label_match=exact, or give them different names in the COCO file",
            )
