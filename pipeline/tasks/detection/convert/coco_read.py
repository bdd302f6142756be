"""COCO files to rows: annotations, and results (a list of scored detections). Nothing is rounded, nothing is lost.

What an annotation or a result says is kept in the object's ``coco``, other keys of an image in ``metadata.coco``, and
what belongs to the whole file (categories, licenses) in a file of its own, which is a COCO file without images. The
objects' own box or polygon is what other rows have, for looking and for exchange. COCO's format:
https://cocodataset.org/#format-data and #format-results.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.files.explain import split_message
from pipeline.tasks.detection.convert import rle
from pipeline.tasks.detection.rows import (
    Box,
    CocoFields,
    DetectionExample,
    DetectionPrediction,
    Number,
    PredictedObject,
    Rle,
    TrueObject,
)

MAX_SIDE_PX = 1_000_000
LISTS = ("images", "annotations", "categories")
KEPT = ("id", "category_id", "bbox", "segmentation", "area", "iscrowd")  # keys that `CocoFields` has under their name
REMEDY = "correct the file, or leave that entry out"


class Image(Struct, frozen=True):
    """The keys of an image that rows have fields for."""

    id: int | str
    width: int
    height: int
    file_name: str | None = None


class Category(Struct, frozen=True):
    """The keys of a category that rows use."""

    id: int
    name: str


@dataclass(frozen=True)
class CocoFile:
    """A file of annotations, read and checked: ``header`` is all of it but the images and their annotations."""

    header: dict[str, Any]
    examples: list[DetectionExample]
    categories: dict[int, str]


@dataclass(frozen=True)
class Place:
    """Where an entry of a list stands in a file, for errors."""

    path: Path
    name: str
    index: int

    def wrong(self, what: str, field: str = "") -> NoReturn:
        """Raises UserError."""
        entry = f"{self.name}[{self.index}]{'.' if field else ''}{field}"
        raise UserError(what, where=f"{self.path}:{entry}", remedy=REMEDY)

    def convert(self, value: Any, kind: Any, field: str = "") -> Any:
        """``value`` (of ``field``) as ``kind``. Raises UserError."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            what, below = split_message(error)
            self.wrong(what, field or below)


def read_annotations(path: Path) -> CocoFile:
    """A COCO file of annotations as examples, in the order of its images. Raises UserError, naming the entry."""
    document = _decoded(path, dict[str, Any])
    for name in LISTS:
        if not isinstance(document.get(name), list):
            what = f"the file has no list {name!r}, and is no COCO file of annotations"
            raise UserError(what, where=str(path), remedy="results of a model are given with --results")
    categories = dict(_categories(document["categories"], path))
    images = _images(document["images"], path)
    objects: dict[int | str, list[TrueObject]] = {image.id: [] for image, _ in images}
    sizes = {image.id: image for image, _ in images}
    seen: set[int] = set()
    for place, entry in _entries(document["annotations"], "annotations", path):
        image, coco = _placed(place, entry, sizes, categories)
        if coco.id is None:
            place.wrong("the annotation has no id")
        if coco.id in seen:
            place.wrong(f"two annotations have the id {coco.id}", "id")
        seen.add(coco.id)
        objects[image.id].append(_true_object(place, image, coco, categories[coco.category_id]))
    examples = [_example(image, extra, objects[image.id]) for image, extra in images]
    header = {key: [] if key in ("images", "annotations") else value for key, value in document.items()}
    return CocoFile(header, examples, categories)


def read_results(path: Path, truth: CocoFile, model: str) -> list[DetectionPrediction]:
    """A COCO file of results as predictions, one for every image of ``truth``. Raises UserError, naming the entry."""
    sizes = {
        one.image_id: Image(one.image_id, one.width, one.height) for one in truth.examples if one.image_id is not None
    }
    preds: dict[int | str, list[PredictedObject]] = {image_id: [] for image_id in sizes}
    for place, entry in _entries(_decoded(path, list[Any]), "", path):
        score = place.convert(entry.get("score"), float, "score")
        others = {key: value for key, value in entry.items() if key != "score"}
        image, coco = _placed(place, others, sizes, truth.categories)
        box, poly = _shape(place, image, coco)
        desc = truth.categories[coco.category_id]
        preds[image.id].append(PredictedObject(desc=desc, bbox_2d=box, poly=poly, score=score, coco=coco))
    return [
        _prediction(example, preds[example.image_id], model)
        for example in truth.examples
        if example.image_id is not None
    ]


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    except msgspec.ValidationError as error:
        what, field = split_message(error)
        expected = "a list of results" if kind == list[Any] else "an object with images, annotations and categories"
        where = f"{path}:{field}" if field else str(path)
        raise UserError(f"this is not {expected}: {what}", where=where, remedy="check which file is which") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"this is not JSON: {error}", where=str(path), remedy="JSON has no NaN and no Infinity"
        ) from error
    except RecursionError as error:
        raise UserError("the JSON is nested too deeply for a COCO file", where=str(path)) from error


def _entries(entries: Sequence[Any], name: str, path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    for index, entry in enumerate(entries):
        place = Place(path, name, index)
        if not isinstance(entry, dict):
            place.wrong("an object was expected here")
        yield place, entry


def _categories(entries: Sequence[Any], path: Path) -> Iterator[tuple[int, str]]:
    seen: set[int] = set()
    for place, entry in _entries(entries, "categories", path):
        category = place.convert(entry, Category)
        if category.id in seen:
            place.wrong(f"two categories have the id {category.id}", "id")
        if not category.name.strip():
            place.wrong("the category has no name", "name")
        seen.add(category.id)
        yield category.id, category.name


def _images(entries: Sequence[Any], path: Path) -> list[tuple[Image, dict[str, Any]]]:
    """Each image, and the keys of it that rows have no field for."""
    images = []
    seen: set[str] = set()
    for place, entry in _entries(entries, "images", path):
        image = place.convert(entry, Image)
        if str(image.id) in seen:
            place.wrong(f"two images have the id {image.id}", "id")
        for side in ("width", "height"):
            if not 1 <= getattr(image, side) <= MAX_SIDE_PX:
                place.wrong(f"{getattr(image, side)} is no {side} of an image in pixels (1 to {MAX_SIDE_PX})", side)
        seen.add(str(image.id))
        named = {"id", "width", "height"} | ({"file_name"} if image.file_name is not None else set())
        images.append((image, {key: value for key, value in entry.items() if key not in named}))
    return images


def _placed(
    place: Place, entry: dict[str, Any], images: dict[int | str, Image], categories: dict[int, str]
) -> tuple[Image, CocoFields]:
    """The image that an annotation or result is of, and what it says."""
    image_id = place.convert(entry.get("image_id"), int | str, "image_id")
    if image_id not in images:
        place.wrong(f"no image has the id {image_id!r}", "image_id")
    known = {key: entry[key] for key in KEPT if entry.get(key) is not None}
    extra = {key: value for key, value in entry.items() if key not in known and key != "image_id"}
    coco: CocoFields = place.convert(known | {"index": place.index, "extra": extra or None}, CocoFields)
    if coco.category_id not in categories:
        place.wrong(f"no category has the id {coco.category_id}", "category_id")
    _check(place, coco, images[image_id])
    return images[image_id], coco


def _check(place: Place, coco: CocoFields, image: Image) -> None:
    """Raises UserError where sizes are negative, polygons are none, or a mask is not one of the image."""
    if coco.bbox is None and not coco.segmentation:
        place.wrong("there is neither a bbox nor a segmentation")
    if coco.bbox is not None and (coco.bbox[2] < 0 or coco.bbox[3] < 0):
        place.wrong(f"the box [x, y, width, height] {list(coco.bbox)} has a negative size", "bbox")
    if coco.area is not None and coco.area < 0:
        place.wrong(f"the area {coco.area} is negative", "area")
    if isinstance(coco.segmentation, Rle):
        if tuple(coco.segmentation.size) != (image.height, image.width):
            expected = f"its image has [height, width] {[image.height, image.width]}"
            place.wrong(f"the mask has size {list(coco.segmentation.size)}, {expected}", "segmentation.size")
        try:
            rle.counts_of(coco.segmentation)
        except ValueError as error:
            place.wrong(str(error), "segmentation.counts")
        return
    for part, polygon in enumerate(coco.segmentation or ()):
        if len(polygon) < 6 or len(polygon) % 2:
            what = f"a polygon has an even number of at least 6 coordinates, this one has {len(polygon)}"
            place.wrong(what, f"segmentation[{part}]")


def _shape(place: Place, image: Image, coco: CocoFields) -> tuple[Box | None, list[float] | None]:
    """What stands for an object outside COCO: its polygon where it is one, else its box."""
    if not isinstance(coco.segmentation, Rle) and coco.segmentation and len(coco.segmentation) == 1:
        return None, _floats(place, coco.segmentation[0])
    if coco.bbox is not None:
        x, y, width, height = coco.bbox
        values = _floats(place, (x, y, x + width, y + height))
    elif isinstance(coco.segmentation, Rle):
        return rle.box_of_mask(coco.segmentation), None
    else:
        points = _floats(place, list(chain.from_iterable(coco.segmentation or ())))
        values = [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]
    return (values[0], values[1], values[2], values[3]), None


def _floats(place: Place, values: Sequence[Number]) -> list[float]:
    try:
        found = [float(value) for value in values]
    except OverflowError:
        found = [float("inf")]
    if not all(abs(value) < 1e18 for value in found):
        place.wrong("a coordinate is beyond all images")
    return found


def _true_object(place: Place, image: Image, coco: CocoFields, desc: str) -> TrueObject:
    box, poly = _shape(place, image, coco)
    return TrueObject(desc=desc, bbox_2d=box, poly=poly, coco=coco)


def _example(image: Image, extra: dict[str, Any], objects: list[TrueObject]) -> DetectionExample:
    return DetectionExample(
        id=str(image.id),
        images=[] if image.file_name is None else [image.file_name],
        width=image.width,
        height=image.height,
        objects=objects,
        image_id=image.id,
        metadata={"coco": extra} if extra else None,
    )


def _prediction(example: DetectionExample, preds: list[PredictedObject], model: str) -> DetectionPrediction:
    """A prediction without a text: what another tool found in the image."""
    assert example.image_id is not None  # every example of a COCO file has one
    return DetectionPrediction(
        id=example.id,
        model=model,
        image_id=example.image_id,
        images=example.images,
        width=example.width,
        height=example.height,
        coord_mode="pixel",
        raw_output="",
        status="ok" if preds else "empty",
        preds=preds,
        gt=example.objects,
        gt_coord_mode="pixel",
        metadata=example.metadata,
    )
