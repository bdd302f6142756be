"""Rows to COCO files: annotations, and results that other tools load.

What came from a COCO file goes back as it was, in its old order; everything else gets pixel coordinates, ids behind the
last one, and the category of its name.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.tasks.detection.convert.coco_read import KEPT
from pipeline.tasks.detection.convert.records import Record, Thing, things_of, truth_of
from pipeline.tasks.detection.evaluate.reading import fold
from pipeline.tasks.detection.geometry import box_of, polygon_area, to_pixels
from pipeline.tasks.detection.rows import CoordMode, DetectionPrediction, TrueObject

Entry = dict[str, Any]
EMPTY_HEADER: Entry = {"info": {}, "licenses": [], "images": [], "annotations": [], "categories": []}


class Categories:
    """The categories of the file to be written: those of the header, those that converted rows name, and new ones,
    which are numbered from ``first_id`` where there are no others."""

    def __init__(self, entries: Sequence[Entry], first_id: int = 1) -> None:
        self._first_id = first_id
        self.entries: list[Entry] = []
        self._names: dict[int | str, str] = {}
        self._exact: dict[str, int | str] = {}
        self._folded: dict[str, int | str] = {}
        for entry in entries:
            self._add(dict(entry))

    def keep(self, category: int | str, desc: str) -> int | str:
        """The id that a converted object brings along. Raises UserError when it means another class here."""
        name = self._names.get(category)
        if name is None:
            self._add({"id": category, "name": desc})
        elif name != desc:
            what = f"category {category} is {desc!r} in a row, and {name!r} elsewhere"
            raise UserError(what, remedy="convert rows of one file at a time, with the categories of that file")
        return category

    def find(self, desc: str) -> int | str:
        """The id of the category with this name: exactly, else but for case and space, else a new one."""
        for table, key in ((self._exact, desc), (self._folded, fold(desc))):
            if key in table:
                return table[key]
        return self._add({"id": self._next(), "name": desc})

    def _next(self) -> int | str:
        """An id behind the last, and of the type that the others have."""
        numbers = [int(id) for id in self._names if isinstance(id, int) or id.isdecimal()]
        number = max(numbers, default=self._first_id - 1) + 1
        return str(number) if any(isinstance(id, str) for id in self._names) else number

    def _add(self, entry: Entry) -> int | str:
        category: int | str = entry["id"]
        self.entries.append(entry)
        self._names[category] = entry["name"]
        self._exact.setdefault(entry["name"], category)
        self._folded.setdefault(fold(entry["name"]), category)
        return category


def to_documents(records: Sequence[Record], header: Entry | None = None) -> tuple[Entry, list[Entry]]:
    """The file of annotations and the list of results (empty for examples) that the rows say.

    ``header`` is a COCO file whose categories and other facts are taken over. Raises UserError when two rows are of one
    image, a row has several images, or rows of different COCO files contradict one another.
    """
    header = EMPTY_HEADER if header is None else header
    categories = Categories(header["categories"])
    for thing in things_of(records):
        if thing.coco is not None:  # first of all: a new category must not take the number of an old one
            categories.keep(thing.coco.category_id, thing.desc)
    images, annotations = _images(records), _annotations(records, categories)
    results = _results(records, categories)
    return header | {"images": images, "annotations": annotations, "categories": categories.entries}, results


def _images(records: Sequence[Record]) -> list[Entry]:
    images = []
    seen: dict[str, str] = {}
    for index, record in enumerate(records):
        image_id = _image_id(record, index)
        if len(record.images) > 1:
            what = f"an image of COCO is one file, and record {record.id!r} has {len(record.images)}"
            raise UserError(what, where="images", remedy="leave that record out")
        if str(image_id) in seen:
            what = f"records {seen[str(image_id)]!r} and {record.id!r} are both of image {image_id!r}"
            raise UserError(what, where="image_id", remedy="convert one record an image")
        seen[str(image_id)] = record.id
        entry: Entry = {"id": image_id, "width": record.width, "height": record.height}
        if record.images:
            entry["file_name"] = record.images[0]
        if str(image_id) != record.id:
            entry["record_id"] = record.id
        other = dict(record.metadata or {})
        from_coco = other.pop("coco", None)
        entry |= {"metadata": other} if other else {}
        images.append(entry | (from_coco if isinstance(from_coco, dict) else {}))
    return images


def _image_id(record: Record, index: int) -> int | str:
    """As `infer` numbers them: the place in the file where a record does not say."""
    return index if record.image_id is None else record.image_id


def _annotations(records: Sequence[Record], categories: Categories) -> list[Entry]:
    ids = [one.coco.id for record in records for one in truth_of(record)[0] if one.coco and one.coco.id is not None]
    if len(set(ids)) < len(ids):
        twice = next(value for value in ids if ids.count(value) > 1)
        what = f"two annotations have the id {twice}"
        raise UserError(what, where="coco.id", remedy="convert rows of one COCO file at a time")
    next_id = max(ids, default=0) + 1
    placed: list[tuple[Thing, Entry]] = []
    for number, record in enumerate(records):
        things, mode = truth_of(record)
        for thing in things:
            entry = _entry(thing, record, number, mode, categories)
            if "id" not in entry:
                entry["id"], next_id = next_id, next_id + 1
            if thing.coco is None:
                entry |= {"area": _area(thing, entry, record, mode), "iscrowd": 0}
            placed.append((thing, entry))
    return _in_order(placed)


def _results(records: Sequence[Record], categories: Categories) -> list[Entry]:
    placed: list[tuple[Thing, Entry]] = [
        (thing, _entry(thing, record, number, record.coord_mode, categories) | {"score": thing.score})
        for number, record in enumerate(records)
        if isinstance(record, DetectionPrediction)
        for thing in record.preds
    ]
    return _in_order(placed)


def _in_order(placed: Sequence[tuple[Thing, Entry]]) -> list[Entry]:
    """Entries as they stood in their file, and behind them those that stood in none."""

    def place(one: tuple[Thing, Entry]) -> float:
        coco = one[0].coco
        return float("inf") if coco is None or coco.index is None else coco.index

    return [entry for _, entry in sorted(placed, key=place)]


def _entry(thing: Thing, record: Record, number: int, mode: CoordMode, categories: Categories) -> Entry:
    """What annotations and results have in common."""
    entry: Entry = {"image_id": _image_id(record, number)}
    if thing.coco is not None:
        said: Entry = msgspec.to_builtins(thing.coco)
        extra: Entry = said.get("extra", {})
        return entry | {key: said[key] for key in KEPT if key in said} | extra
    entry["category_id"] = categories.find(thing.desc)
    entry["bbox"] = list(box_of(thing, mode, record.width, record.height))
    if thing.poly is not None:
        entry["segmentation"] = [to_pixels(thing.poly, mode, record.width, record.height)]
    return entry


def _area(thing: TrueObject, entry: Entry, record: Record, mode: CoordMode) -> float:
    """Area of a true object in square pixels: of its polygon, else of its box."""
    if thing.poly is not None:
        return polygon_area(to_pixels(thing.poly, mode, record.width, record.height))
    return float(entry["bbox"][2] * entry["bbox"][3])
