"""Rows to YOLO data sets: data.yaml, lists of images, files of labels and predictions, and images where asked for.

What came from such a set goes back with the numbers that it had; everything else becomes shares of the image.
"""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.contract.jobs import ConvertOutcome
from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.tasks.detection.convert.coco_write import Categories
from pipeline.tasks.detection.convert.records import Record, Thing, things_of, truth_of
from pipeline.tasks.detection.convert.yolo_read import SPLITS, DataYaml, label_file
from pipeline.tasks.detection.geometry import corners, to_pixels
from pipeline.tasks.detection.images import ImageError, ImageFolder
from pipeline.tasks.detection.rows import CoordMode, DetectionPrediction, PredictedObject


def write_folder(
    records: Sequence[Record], folder: Path, data: DataYaml | None, images: ImageFolder | None = None
) -> ConvertOutcome:
    """The data set that the rows say; ``data`` has the numbers of its classes, and where it names them all, it is
    copied. Images are copied from ``images``.

    Raises UserError where rows contradict one another, or an image is not there.
    """
    known = {} if data is None else data.names
    classes = Categories([{"id": id, "name": name} for id, name in known.items()], first_id=0)
    for thing in things_of(records):
        if thing.yolo is not None:  # first of all: a new class must not take the number of an old one
            classes.keep(thing.yolo.class_id, thing.desc)
    outputs: dict[str, Path] = {}
    lost: Counter[str] = Counter()
    for record in records:
        image, labels = _places(record)
        if labels in outputs:
            raise UserError(f"two records have the labels {labels}", where=record.id, remedy="one record an image")
        truths, mode = truth_of(record)
        outputs[labels] = _write(folder / labels, _lines(truths, record, mode, classes, lost))
        if isinstance(record, DetectionPrediction):
            name = "predictions/" + "/".join(part for part in PurePosixPath(labels).parts if part != "labels")
            outputs[name] = _write(folder / name, _lines(record.preds, record, record.coord_mode, classes, lost))
        if images is not None:
            outputs[image] = _copy(record.images[0], folder / image, images)
    outputs |= _write_description(records, folder, classes, data)
    notes = [] if images else ["images are not copied: --image-root FOLDER says where they are"]
    notes += [f"{count:,} {what}" for what, count in lost.items()]
    return ConvertOutcome(outputs, {"num_images": len(records)}, notes)


def _write_description(
    records: Sequence[Record], folder: Path, classes: Categories, data: DataYaml | None
) -> dict[str, Path]:
    """data.yaml: that of the set which the rows came from, as it was, else a new one with lists of images."""
    if data is not None and len(classes.entries) == len(data.names) and all(_is_in(record, data) for record in records):
        return {"data.yaml": _write(folder / "data.yaml", [data.path.read_text("utf-8-sig").removesuffix("\n")])}
    lists: dict[str, list[str]] = {}
    for record in records:
        for split in _splits(record):
            lists.setdefault(split, []).append(f"./{_places(record)[0]}")
    lists.setdefault("train", lists.get("val", lists.get("test", [])))  # Ultralytics asks for both
    lists.setdefault("val", lists["train"])
    written = {f"{name}.txt": _write(folder / f"{name}.txt", lists[name]) for name in SPLITS if name in lists}
    return written | {"data.yaml": _write(folder / "data.yaml", _data_yaml(list(lists), classes))}


def _is_in(record: Record, data: DataYaml) -> bool:
    """Whether the record is an image in a folder that ``data`` names."""
    image = PurePosixPath(record.images[0])
    folders = [PurePosixPath(said.removeprefix("../")) for split in data.splits.values() for said in split]
    return any(image.is_relative_to(one) for one in folders)


def _places(record: Record) -> tuple[str, str]:
    """Where image and labels of a record are in the data set."""
    if len(record.images) != 1:
        raise UserError(f"record {record.id!r} has {len(record.images)} images", remedy="a record of YOLO has one")
    path = PurePosixPath(record.images[0].replace("\\", "/"))
    if not path.name or "\0" in record.images[0] or path.is_absolute() or ".." in path.parts:
        what = f"the image {record.images[0]!r} of record {record.id!r} leads out of the folder, or is no path"
        raise UserError(what, remedy="correct the row, or leave it out")
    image = path.as_posix() if "images" in path.parts[:-1] else f"images/{path.as_posix()}"
    return image, label_file(image)


def _splits(record: Record) -> list[str]:
    said = str((record.metadata or {}).get("split", "")).split("+")
    return [split for split in SPLITS if split in said] or ["val"]


def _lines(
    things: Sequence[Thing], record: Record, mode: CoordMode, classes: Categories, lost: Counter[str]
) -> list[str]:
    """A line an object. Boxes among polygons are written as polygons: readers take a file for one or the other."""
    lines = []
    among_polygons = any(thing.poly is not None for thing in things)
    for thing in things:
        if thing.coco is not None and thing.coco.iscrowd:
            lost["crowds are left out: YOLO has none"] += 1
            continue
        if thing.yolo is not None:
            number, values = classes.keep(thing.yolo.class_id, thing.desc), thing.yolo.values
        else:
            number, values = classes.find(thing.desc), _shares(thing, record, mode, as_polygon=among_polygons)
            if thing.coco is not None and thing.coco.segmentation and thing.poly is None:
                lost["objects with a mask, or of several parts, have their box alone"] += 1
        score = [thing.score] if isinstance(thing, PredictedObject) else []
        lines.append(" ".join([str(number), *map(repr, [*values, *score])]))
    return lines


def _shares(thing: Thing, record: Record, mode: CoordMode, *, as_polygon: bool) -> list[float]:
    """Polygon, or middle and size of the box, in shares of the image."""
    size = record.width, record.height
    left, top, right, bottom = corners(thing, mode, *size)
    if as_polygon:
        points = [left, top, right, top, right, bottom, left, bottom]
        points = points if thing.poly is None else to_pixels(thing.poly, mode, *size)
        return [value / size[n % 2] for n, value in enumerate(points)]
    box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return [value / size[n % 2] for n, value in enumerate(box)]


def _data_yaml(splits: Sequence[str], classes: Categories) -> list[str]:
    names = {int(entry["id"]): entry["name"] for entry in classes.entries}
    numbers = range(max(names, default=-1) + 1)  # without gaps, as readers ask for
    listed = [f"  {n}: {json.dumps(names.get(n, f'class {n}'), ensure_ascii=False)}" for n in numbers]
    return [*(f"{name}: {name}.txt" for name in SPLITS if name in splits), "names:", *listed]


def _copy(name: str, path: Path, images: ImageFolder) -> Path:
    try:
        source = images.path(name)
    except ImageError as error:
        remedy = "check --image-root; without it no images are copied"
        raise UserError(error.detail, where=str(images.root), remedy=remedy) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    return path


def _write(path: Path, lines: Sequence[str]) -> Path:
    write_atomically(path, [f"{line}\n".encode() for line in lines])
    return path
