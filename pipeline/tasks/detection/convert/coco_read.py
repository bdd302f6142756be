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
from pipeline.tasks.detection.convert.records import prediction_of
from pipeline.tasks.detection.geometry import coco_box
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

Id = int | str


class Image(Struct, frozen=True):
    """The keys of an image that rows have fields for."""

    id: Id
    width: int
    height: int
    file_name: str | None = None

    def check(self) -> None:
        """Raises Wrong for a size that no image has."""
        for side, value in (("width", self.width), ("height", self.height)):
            if not 1 <= value <= MAX_SIDE_PX:
                what = f"{value} is no {side} of an image in pixels (1 to {MAX_SIDE_PX})"
                raise Wrong("bad_image_size", what, side)


class Category(Struct, frozen=True):
    """The keys of a category that rows use."""

    id: Id
    name: str

    def check(self) -> None:
        """Raises Wrong where there is no name."""
        if not self.name.strip():
            raise Wrong("no_name", "the category has no name", "name")


@dataclass(frozen=True)
class CocoFile:
    """A file of annotations, read and checked: ``header`` is all of it but the images and their annotations.

    ``examples`` are in its order, by the id of their image; ``categories`` are names.
    """

    header: dict[str, Any]
    examples: dict[Id, DetectionExample]
    categories: dict[Id, str]


def read_annotations(path: Path, findings: Findings) -> CocoFile:
    """A COCO file of annotations as examples; what is bad is left out, and noted.

    Raises UserError where the whole is no such file.
    """
    document = read_json(path)
    remedy = "results of a model are given with --results"
    if not isinstance(document, dict):
        what = f"this is a JSON {_name(document)}, not an object with images, annotations and categories"
        raise UserError(what, where=str(path), remedy=remedy)
    for name in LISTS:
        if not isinstance(document.get(name), list):
            what = f"the file has no list {name!r}, and is no COCO file of annotations"
            raise UserError(what, where=str(path), remedy=remedy)
    categories = _by_id(document, "categories", Category, path, findings)
    images = _by_id(document, "images", Image, path, findings)
    header = document | {"images": [], "annotations": [], "categories": [entry for _, entry in categories.values()]}
    file = CocoFile(
        header,
        {id: _example(image, entry) for id, (image, entry) in images.items()},
        {id: str(entry["name"]) for id, (_, entry) in categories.items()},
    )
    seen: set[int] = set()
    for place, entry in _entries(document["annotations"], "annotations", path, findings):
        with findings.at(place, entry.get("id")):
            example, coco = _placed(place, entry, file, findings)
            if coco.id is None:
                raise Wrong("no_id", "the annotation has no id")
            if coco.id in seen:
                raise Wrong("id_twice", f"two annotations have the id {coco.id}", "id")
            box, poly = _shape(coco)
            seen.add(coco.id)
            desc = file.categories[coco.category_id]
            example.objects.append(TrueObject(desc=desc, bbox_2d=box, poly=poly, coco=coco))
    return file


def read_results(path: Path, truth: CocoFile, model: str, findings: Findings) -> list[DetectionPrediction]:
    """A COCO file of results as predictions, one for every image of ``truth``; what is bad is left out, and noted.

    Raises UserError where the whole is no such file.
    """
    document = read_json(path)
    if not isinstance(document, list):
        what = f"this is a JSON {_name(document)}, not a list of results"
        raise UserError(what, where=str(path), remedy="the truth is given with --annotations")
    preds: dict[str, list[PredictedObject]] = {example.id: [] for example in truth.examples.values()}
    for place, entry in _entries(document, "", path, findings):
        with findings.at(place):
            if entry.get("score") is None:
                raise Wrong("no_score", "the result has no score", "score")
            score = _converted(entry.pop("score"), float, "score")
            example, coco = _placed(place, entry, truth, findings)
            box, poly = _shape(coco)
            desc = truth.categories[coco.category_id]
            preds[example.id].append(PredictedObject(desc=desc, bbox_2d=box, poly=poly, score=score, coco=coco))
    return [prediction_of(example, preds[example.id], model) for example in truth.examples.values()]


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


def _by_id(
    document: Mapping[str, Any], name: str, kind: type[Any], path: Path, findings: Findings
) -> dict[Id, tuple[Any, dict[str, Any]]]:
    """The entries of a list as ``kind``, and as they stand there, by their ids.

    Ids that differ in their type alone are one id: rows and files are joined by what they say.
    """
    found: dict[Id, tuple[Any, dict[str, Any]]] = {}
    seen: set[str] = set()
    for place, entry in _entries(document[name], name, path, findings):
        with findings.at(place, entry.get("id")):
            one = _converted(entry, kind)
            if str(one.id) in seen:
                raise Wrong("id_twice", f"two {name} have the id {one.id}", "id")
            one.check()
            seen.add(str(one.id))
            found[one.id] = one, entry
    return found


def _placed(
    place: Place, entry: dict[str, Any], file: CocoFile, findings: Findings
) -> tuple[DetectionExample, CocoFields]:
    """The example that an annotation or result is of, and what it says. Raises Wrong."""
    image_id: Id = _converted(entry.get("image_id"), Id, "image_id")
    if image_id not in file.examples:
        raise Wrong("unknown_image", _unknown("image", image_id, file.examples), "image_id")
    category_id: Id = _converted(entry.get("category_id"), Id, "category_id")
    if category_id not in file.categories:
        raise Wrong("unknown_category", _unknown("category", category_id, file.categories), "category_id")
    if isinstance(entry.get("iscrowd"), bool):
        entry["iscrowd"] = int(entry["iscrowd"])
    try:
        _check_segmentation(entry, file.examples[image_id])
    except Wrong as wrong:
        if wrong.kind != "bad_polygon" or entry.get("bbox") is None:
            raise
        findings.note(place, entry.get("id"), wrong)
        del entry["segmentation"]
    said = {key: entry[key] for key in KEPT if entry.get(key) is not None}
    extra = {key: value for key, value in entry.items() if key not in said and key != "image_id"}
    coco: CocoFields = _converted(said | {"index": place.index, "extra": extra or None}, CocoFields)
    _check(coco)
    return file.examples[image_id], coco


def _unknown(name: str, id: Id, known: Mapping[Id, object]) -> str:
    """Why there is no such image or category: the id may be there as a number, or as a text."""
    if isinstance(id, str) and id.lstrip("-").isdigit() and int(id) in known:
        return f"no {name} has the id {id!r}: it is a text, and the ids of the file are numbers ({id})"
    if str(id) in known:
        return f"no {name} has the id {id}: it is a number, and the ids of the file are texts ({str(id)!r})"
    return f"no {name} has the id {id!r}"


def _check_segmentation(entry: dict[str, Any], image: DetectionExample) -> None:
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
    """What stands for an object outside COCO: its polygon where it is one, else its box, or that around it."""
    mask = coco.segmentation if isinstance(coco.segmentation, Rle) else None
    polygons = [] if isinstance(coco.segmentation, Rle) else coco.segmentation or []
    if len(polygons) == 1:
        return None, list(map(float, polygons[0]))
    if coco.bbox is None and polygons:
        points = list(map(float, chain.from_iterable(polygons)))
        return (min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])), None
    height, width = mask.size if mask else (0, 0)
    box = coco_box(coco, width, height)
    assert box is not None
    x, y, across, down = map(float, box)
    return (x, y, x + across, y + down), None


def _example(image: Image, entry: Mapping[str, Any]) -> DetectionExample:
    """An example without objects yet; keys of the entry that rows have no field for are kept in ``metadata``."""
    named = {"id", "width", "height"} | ({"file_name"} if image.file_name is not None else set())
    extra = {key: value for key, value in entry.items() if key not in named}
    return DetectionExample(
        id=str(image.id),
        images=[] if image.file_name is None else [image.file_name],
        width=image.width,
        height=image.height,
        objects=[],
        image_id=image.id,
        metadata={"coco": extra} if extra else None,
    )
