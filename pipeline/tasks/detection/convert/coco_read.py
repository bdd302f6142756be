"""COCO files to rows: annotations, and results (a list of scored detections). Nothing is rounded, nothing is lost.

What an annotation or a result says is kept in the object's ``coco``, other keys of an image in ``metadata.coco``, and
what belongs to the whole file (categories, licenses) in a file of its own, which is a COCO file without images. The
objects' own box or polygon is what other rows have, for looking and for exchange. COCO's format:
https://cocodataset.org/#format-data and #format-results. Whole numbers may be written as 1.0, ``iscrowd`` as true or
false, and the ids of images and categories as texts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.files.document import read_json
from pipeline.files.explain import split_message
from pipeline.records.findings import Findings, Place, Wrong
from pipeline.tasks.detection.convert import rle
from pipeline.tasks.detection.rows import (
    MAX_SIDE_PX,
    Box,
    CocoFields,
    DetectionExample,
    DetectionPrediction,
    PredictedObject,
    Rle,
    TrueObject,
)

MAX_CORNER_PX = 2 * MAX_SIDE_PX  # of a polygon: drawing it costs memory for its length
LISTS = ("images", "annotations", "categories")
KEPT = ("id", "category_id", "bbox", "segmentation", "area", "iscrowd")  # keys that `CocoFields` has under their name
WHOLE = ("id", "image_id", "category_id", "width", "height", "iscrowd", "size", "counts")  # 1.0 is 1 in these
KEYPOINTS = "keypoints"

Id = int | str


class Image(Struct, frozen=True):
    """The keys of an image that rows have fields for."""

    id: Id
    width: int
    height: int
    file_name: str | None = None


class Category(Struct, frozen=True):
    """The keys of a category that rows use."""

    id: Id
    name: str


@dataclass(frozen=True)
class CocoFile:
    """A file of annotations, read and checked: ``header`` is all of it but the images and their annotations.

    ``num_keypoints`` annotations have keypoints, which are kept and not used.
    """

    header: dict[str, Any]
    examples: list[DetectionExample]
    categories: dict[Id, str]
    num_keypoints: int


@dataclass(frozen=True)
class Known:
    """What annotations and results refer to, and where is noted what is bad about them."""

    images: Mapping[Id, Image]
    categories: Mapping[Id, str]
    findings: Findings


def read_annotations(path: Path, findings: Findings) -> CocoFile:
    """A COCO file of annotations as examples, in the order of its images; what is bad is left out, and noted.

    Raises UserError where the whole is no such file.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        what = f"this is a JSON {_name(document)}, not an object with images, annotations and categories"
        raise UserError(what, where=str(path), remedy="results of a model are given with --results")
    for name in LISTS:
        if not isinstance(document.get(name), list):
            what = f"the file has no list {name!r}, and is no COCO file of annotations"
            raise UserError(what, where=str(path), remedy="results of a model are given with --results")
    entries = _categories(document["categories"], path, findings)
    categories = {id: str(entry["name"]) for id, entry in entries.items()}
    images = _images(document["images"], path, findings)
    objects: dict[Id, list[TrueObject]] = {image_id: [] for image_id in images}
    known = Known({image_id: image for image_id, (image, _) in images.items()}, categories, findings)
    seen: set[int] = set()
    num_keypoints = 0
    for place, entry in _entries(document["annotations"], "annotations", path, findings):
        with findings.at(place, entry.get("id")):
            image, coco = _placed(place, entry, known)
            if coco.id is None:
                raise Wrong("no_id", "the annotation has no id")
            if coco.id in seen:
                raise Wrong("id_twice", f"two annotations have the id {coco.id}", "id")
            box, poly = _shape(coco)
            seen.add(coco.id)
            desc = categories[coco.category_id]
            objects[image.id].append(TrueObject(desc=desc, bbox_2d=box, poly=poly, coco=coco))
            num_keypoints += KEYPOINTS in (coco.extra or ())
    examples = [_example(image, extra, objects[image_id]) for image_id, (image, extra) in images.items()]
    header = document | {"images": [], "annotations": [], "categories": [*entries.values()]}
    return CocoFile(header, examples, categories, num_keypoints)


def read_results(path: Path, truth: CocoFile, model: str, findings: Findings) -> list[DetectionPrediction]:
    """A COCO file of results as predictions, one for every image of ``truth``; what is bad is left out, and noted.

    Raises UserError where the whole is no such file.
    """
    document = read_json(path)
    if not isinstance(document, list):
        what = f"this is a JSON {_name(document)}, not a list of results"
        raise UserError(what, where=str(path), remedy="the truth is given with --annotations")
    examples = {example.image_id: example for example in truth.examples if example.image_id is not None}
    sizes = {image_id: Image(image_id, one.width, one.height) for image_id, one in examples.items()}
    known = Known(sizes, truth.categories, findings)
    preds: dict[Id, list[PredictedObject]] = {image_id: [] for image_id in examples}
    for place, entry in _entries(document, "", path, findings):
        with findings.at(place):
            if entry.get("score") is None:
                raise Wrong("no_score", "the result has no score", "score")
            score = _converted(entry["score"], float, "score")
            others = {key: value for key, value in entry.items() if key != "score"}
            image, coco = _placed(place, others, known)
            box, poly = _shape(coco)
            desc = truth.categories[coco.category_id]
            preds[image.id].append(PredictedObject(desc=desc, bbox_2d=box, poly=poly, score=score, coco=coco))
    return [_prediction(example, preds[image_id], model) for image_id, example in examples.items()]


def _name(document: Any) -> str:
    names: dict[type, str] = {dict: "object", list: "array", str: "text"}
    return names.get(type(document), "value")


def _entries(
    entries: Sequence[Any], name: str, path: Path, findings: Findings
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The objects of a list, with whole numbers as integers."""
    for index, entry in enumerate(entries):
        place = Place(path, name, index)
        if isinstance(entry, dict):
            yield place, {key: _whole(value) if key in WHOLE else value for key, value in entry.items()}
        else:
            findings.note(place, None, Wrong("wrong_type", f"an object was expected here, not {_shown(entry)}"))


def _whole(value: Any) -> Any:
    """10.0 as 10, also in a list; what is no whole number stays."""
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:60]


def _converted(value: Any, kind: Any, field: str = "") -> Any:
    """``value`` (of ``field``) as ``kind``. Raises Wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, below = split_message(error)
        beyond = " <= " in what or " >= " in what  # only numbers have such bounds
        raise Wrong("too_large" if beyond else "wrong_type", what, field or below) from None


def _categories(entries: Sequence[Any], path: Path, findings: Findings) -> dict[Id, dict[str, Any]]:
    """The entries of the list by their ids."""
    found: dict[Id, dict[str, Any]] = {}
    seen: set[str] = set()
    for place, entry in _entries(entries, "categories", path, findings):
        with findings.at(place, entry.get("id")):
            category: Category = _converted(entry, Category)
            _check_id(category.id, seen, "categories")
            if not category.name.strip():
                raise Wrong("no_name", "the category has no name", "name")
            seen.add(str(category.id))
            found[category.id] = entry
    return found


def _images(entries: Sequence[Any], path: Path, findings: Findings) -> dict[Id, tuple[Image, dict[str, Any]]]:
    """Each image by its id, and the keys of it that rows have no field for."""
    images: dict[Id, tuple[Image, dict[str, Any]]] = {}
    seen: set[str] = set()
    for place, entry in _entries(entries, "images", path, findings):
        with findings.at(place, entry.get("id")):
            image: Image = _converted(entry, Image)
            _check_id(image.id, seen, "images")
            for side in ("width", "height"):
                if not 1 <= getattr(image, side) <= MAX_SIDE_PX:
                    what = f"{getattr(image, side)} is no {side} of an image in pixels (1 to {MAX_SIDE_PX})"
                    raise Wrong("bad_image_size", what, side)
            seen.add(str(image.id))
            named = {"id", "width", "height"} | ({"file_name"} if image.file_name is not None else set())
            images[image.id] = image, {key: value for key, value in entry.items() if key not in named}
    return images


def _check_id(id: Id, seen: set[str], name: str) -> None:
    """Ids that differ in their type alone are one id: rows and files are joined by what they say."""
    if str(id) in seen:
        raise Wrong("id_twice", f"two {name} have the id {id}", "id")


def _placed(place: Place, entry: dict[str, Any], known: Known) -> tuple[Image, CocoFields]:
    """The image that an annotation or result is of, and what it says. Raises Wrong."""
    image_id: Id = _converted(entry.get("image_id"), Id, "image_id")
    if image_id not in known.images:
        raise Wrong("unknown_image", _unknown("image", image_id, known.images), "image_id")
    image = known.images[image_id]
    category_id: Id = _converted(entry.get("category_id"), Id, "category_id")
    if category_id not in known.categories:
        raise Wrong("unknown_category", _unknown("category", category_id, known.categories), "category_id")
    if isinstance(entry.get("iscrowd"), bool):
        entry["iscrowd"] = int(entry["iscrowd"])
    try:
        _check_segmentation(entry, image)
    except Wrong as wrong:
        if wrong.kind != "bad_polygon" or entry.get("bbox") is None:
            raise
        known.findings.note(place, entry.get("id"), wrong)
        del entry["segmentation"]
    said = {key: entry[key] for key in KEPT if entry.get(key) is not None}
    extra = {key: value for key, value in entry.items() if key not in said and key != "image_id"}
    coco: CocoFields = _converted(said | {"index": place.index, "extra": extra or None}, CocoFields)
    _check(coco)
    return image, coco


def _unknown(name: str, id: Id, known: Mapping[Id, object]) -> str:
    """Why there is no such image or category: the id may be there as a number, or as a text."""
    if isinstance(id, str) and id.lstrip("-").isdigit() and int(id) in known:
        return f"no {name} has the id {id!r}: it is a text, and the ids of the file are numbers ({id})"
    if str(id) in known:
        return f"no {name} has the id {id}: it is a number, and the ids of the file are texts ({str(id)!r})"
    return f"no {name} has the id {id!r}"


def _check_segmentation(entry: dict[str, Any], image: Image) -> None:
    """Raises Wrong where polygons are none, or a mask is not one of the image."""
    given = entry.get("segmentation")
    if isinstance(given, dict):
        entry["segmentation"] = {key: _whole(value) if key in WHOLE else value for key, value in given.items()}
        mask: Rle = _converted(entry["segmentation"], Rle, "segmentation")
        if tuple(mask.size) != (image.height, image.width):
            what = f"the mask has size {list(mask.size)}, its image has [height, width] {[image.height, image.width]}"
            raise Wrong("bad_mask", what, "segmentation.size")
        try:
            rle.counts_of(mask)
        except ValueError as error:
            raise Wrong("bad_mask", str(error), "segmentation.counts") from None
        return
    if given is None:
        return
    if not isinstance(given, list):
        raise Wrong("bad_polygon", f"polygons or a mask are expected, not {_shown(given)}", "segmentation")
    for part, polygon in enumerate(given):
        field = f"segmentation[{part}]"
        if not isinstance(polygon, list) or not all(type(value) in (int, float) for value in polygon):
            raise Wrong(
                "bad_polygon", f"a list of numbers x1, y1, x2, y2, ... is expected, not {_shown(polygon)}", field
            )
        if len(polygon) < 6 or len(polygon) % 2:
            what = f"a polygon has an even number of at least 6 coordinates, this one has {len(polygon)}"
            raise Wrong("bad_polygon", what, field)
        if max(map(abs, polygon)) > MAX_CORNER_PX:
            raise Wrong("too_large", "a coordinate is beyond all images", field)


def _check(coco: CocoFields) -> None:
    """Raises Wrong where there is no geometry, or sizes are negative."""
    if coco.bbox is None and not coco.segmentation:
        raise Wrong("no_geometry", "there is neither a bbox nor a segmentation")
    if coco.bbox is not None and min(coco.bbox[2:]) < 0:
        what = f"the box [x, y, width, height] {list(coco.bbox)} has a negative size"
        raise Wrong("negative_size", what, "bbox")
    if coco.area is not None and coco.area < 0:
        raise Wrong("negative_area", f"the area {coco.area} is negative", "area")


def _shape(coco: CocoFields) -> tuple[Box | None, list[float] | None]:
    """What stands for an object outside COCO: its polygon where it is one, else its box."""
    if not isinstance(coco.segmentation, Rle) and coco.segmentation and len(coco.segmentation) == 1:
        return None, [float(value) for value in coco.segmentation[0]]
    if coco.bbox is not None:
        x, y, width, height = map(float, coco.bbox)
        values = [x, y, x + width, y + height]
    elif isinstance(coco.segmentation, Rle):
        return rle.box_of_mask(coco.segmentation), None
    else:
        points = [float(value) for value in chain.from_iterable(coco.segmentation or ())]
        values = [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]
    return (values[0], values[1], values[2], values[3]), None


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
