"""YOLO data sets to rows: data.yaml with names and splits, images, and a file of labels for each of them.

https://docs.ultralytics.com/datasets/detect/ and /datasets/segment/. A line of labels is ``class x y w h`` (the middle
of a box and its size) or ``class x1 y1 x2 y2 x3 y3 ...`` (a polygon), in shares of the image; predictions have their
confidence behind that. The numbers as they were written are kept in the object's ``yolo``.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files.foreign import BOM, is_utf_8, refuse_foreign
from pipeline.recipe.yaml import parse
from pipeline.records.findings import Findings, Line, Wrong
from pipeline.tasks.detection.convert.records import prediction_of
from pipeline.tasks.detection.images import opened, orientation_of
from pipeline.tasks.detection.rows import DetectionExample, DetectionPrediction, PredictedObject, TrueObject, YoloFields

SPLITS = ("train", "val", "test")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
NUM_BOX = 4
TOLERANCE = 0.01  # beyond the image, as Ultralytics takes it


@dataclass(frozen=True)
class DataYaml:
    """``names`` of the classes, and of each split what stands for its images; all below ``root``."""

    path: Path
    root: Path
    names: Mapping[int, str]
    splits: Mapping[str, Sequence[str]]


def read_data_yaml(path: Path) -> DataYaml:
    """What a data.yaml, or that of a folder, says. Raises UserError."""
    path = path / "data.yaml" if path.is_dir() else path
    try:
        document = parse(path.read_bytes(), str(path)).data
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    if not isinstance(document, dict) or not isinstance(document.get("names"), dict | list) or not document["names"]:
        remedy = "write `names: {0: cat, 1: dog}` or `names: [cat, dog]`"
        raise UserError("this is no data.yaml of YOLO: it has no names of classes", where=str(path), remedy=remedy)
    if "kpt_shape" in document:
        what = "this is a data set of poses (kpt_shape): its keypoints would be taken for polygons"
        raise UserError(what, where=f"{path}:kpt_shape", remedy="convert the data set for detection or segmentation")
    names = document["names"]
    pairs = list(names.items() if isinstance(names, dict) else enumerate(names))
    for key, name in pairs:
        if not re.fullmatch(r"\d{1,9}", str(key)) or isinstance(name, dict | list) or not str(name).strip():
            raise UserError(f"{key!r}: {name!r} is no number and name of a class", where=f"{path}:names")
    said = document.get("path")
    root = path.parent / said if isinstance(said, str) else path.parent
    splits = {name: _texts(document[name], f"{path}:{name}") for name in SPLITS if document.get(name)}
    root = root if root.is_dir() else path.parent  # `path` is often that of the machine on which the set was made
    return DataYaml(path, root.resolve(), {int(key): str(name) for key, name in pairs}, splits)


def _texts(value: object, where: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    texts = [one for one in listed if isinstance(one, str)]
    if len(texts) < len(listed):
        raise UserError("a split is a folder, a file that lists images, or a list of these", where=where)
    return texts


def images_of(data: DataYaml, split: str | None) -> list[tuple[str, str]]:
    """Split and path below the root of every image, or of those of one split. Raises UserError."""
    if split is not None and split not in data.splits:
        known = ", ".join(data.splits) or "none"
        raise UserError(f"there is no split {split!r}", where=str(data.path), remedy=f"known: {known}")
    found = [(name, image) for name in data.splits if split in (None, name) for image in _listed(data, name)]
    if not found:
        remedy = "write `val: images/val`, with the images in that folder beside data.yaml"
        raise UserError("there are no images in the data set", where=str(data.path), remedy=remedy)
    return found


def _listed(data: DataYaml, split: str) -> Iterator[str]:
    for said in data.splits[split]:
        place = data.root / said
        if not place.exists() and said.startswith("../"):  # Roboflow counts from a folder that is not there
            place = data.root / said.removeprefix("../")
        if place.is_dir():
            images: list[Path] = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
        elif place.is_file():
            lines = (line.strip() for line in _text(place).splitlines())
            images = [(place.parent if line.startswith("./") else data.root) / line for line in lines if line]
        else:
            what, remedy = f"the images of split {split!r} are not there", f"check {said!r}, and `path`"
            raise UserError(what, where=str(place), remedy=remedy)
        for image in images:
            resolved = Path(os.path.normpath(image))
            if not resolved.is_relative_to(data.root) or "\0" in image.name:
                raise UserError(f"{image} lies outside of the data set", where=str(data.path), remedy="move it into it")
            if not is_utf_8(resolved.name):
                raise UserError("the name of an image is not UTF-8", where=str(resolved), remedy="rename it")
            yield resolved.relative_to(data.root).as_posix()


def label_file(image: str) -> str:
    """Where the labels of an image are: the last folder "images" of its path is called "labels"."""
    parts = Path(image).with_suffix(".txt").parts
    last = max((n for n, part in enumerate(parts[:-1]) if part == "images"), default=None)
    return Path(*parts[:last], "labels", *parts[last + 1 :]).as_posix() if last is not None else Path(*parts).as_posix()


def digest(data: DataYaml, split: str | None, results: Path | None) -> str:
    """sha256 over all that rows are made of."""
    hashed = hashlib.sha256()
    files = [data.root / name for _, image in images_of(data, split) for name in (image, label_file(image))]
    for path in [data.path, *files, *sorted(results.glob("*.txt") if results else ())]:
        content = path.read_bytes() if path.is_file() else b""
        hashed.update(f"{path.name} {len(content)}\n".encode(errors="surrogateescape") + content)
    return hashed.hexdigest()


def read_examples(data: DataYaml, split: str | None, findings: Findings) -> list[DetectionExample]:
    """An example an image, in the order of splits and paths; its id is the path. What is bad is left out, and noted.

    An image without a file of labels has no objects. One that is in several splits is one example, of "train+val".
    """
    splits: dict[str, dict[str, None]] = {}
    for name, image in images_of(data, split):
        splits.setdefault(image, {})[name] = None
    examples = []
    for image, names in splits.items():
        with findings.at(Line(data.root / image, 0), image):
            width, height = _size(data.root / image)
            found = _objects(data.root / label_file(image), data, (width, height), findings)
            examples.append(
                DetectionExample(
                    id=image,
                    images=[image],
                    width=width,
                    height=height,
                    objects=[TrueObject(**fields) for fields, _ in found],
                    image_id=image,
                    metadata={"split": "+".join(names)},
                )
            )
    return examples


def read_results(
    folder: Path, data: DataYaml, examples: Sequence[DetectionExample], model: str, findings: Findings
) -> list[DetectionPrediction]:
    """The predictions of a folder, NAME.txt for the image NAME; one row an example. Raises UserError."""
    if not folder.is_dir():
        raise UserError("results of YOLO are a folder of text files, one an image", where=str(folder))
    by_stem = {Path(example.id).stem: example for example in examples}
    if len(by_stem) < len(examples):
        remedy = "name one split with --split"
        raise UserError("two images have one name, and results are told by it", where=str(data.path), remedy=remedy)
    for path in sorted(folder.glob("*.txt")):
        if path.stem not in by_stem:
            findings.note(Line(path, 0), None, Wrong("unknown_image", f"no image is called {path.stem!r}"))
    rows = []
    for stem, example in by_stem.items():
        found = _objects(folder / f"{stem}.txt", data, (example.width, example.height), findings, scored=True)
        rows.append(prediction_of(example, [PredictedObject(score=score, **fields) for fields, score in found], model))
    return rows


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image. Raises Wrong where it does not open, or is to be turned."""
    try:
        with opened(path) as image:
            if orientation_of(image) != 1:
                what = "its EXIF asks to turn the image, and YOLO's labels are of the turned one: store it turned"
                raise Wrong("bad_image", what)
            return image.size
    except Wrong:
        raise
    except Exception as error:  # decoders raise what they like on bytes that are no image
        raise Wrong("bad_image", f"the image cannot be opened: {type(error).__name__}") from None


def _objects(
    path: Path, data: DataYaml, size: tuple[int, int], findings: Findings, *, scored: bool = False
) -> list[tuple[dict[str, Any], float]]:
    """The objects of a file of labels: fields of each, coordinates in pixels, and the confidence (1.0: none)."""
    found: list[tuple[dict[str, Any], float]] = []
    for number, line in enumerate(_text(path).splitlines() if path.is_file() else (), start=1):
        if not line.strip():
            continue
        with findings.at(Line(path, number)):
            yolo, score = _numbers(line, scored=scored)
            if yolo.class_id not in data.names:
                raise Wrong("unknown_category", f"data.yaml has no name for class {yolo.class_id}")
            shape = _in_pixels(yolo.values, size)
            found.append(({"desc": data.names[yolo.class_id], "yolo": yolo} | shape, score))
    return found


def _numbers(line: str, *, scored: bool) -> tuple[YoloFields, float]:
    """Class, numbers and confidence of a line. Raises Wrong."""
    try:
        said, *values = [float(word) for word in line.split()]
    except ValueError:
        raise Wrong("wrong_line", f"the line is not of numbers alone: {line.strip()[:60]!r}") from None
    score = 1.0
    if scored:
        if len(values) % 2 == 0:
            raise Wrong("no_score", "the line has no confidence behind its coordinates")
        score = values.pop()
    if len(values) % 2 or len(values) < NUM_BOX:
        raise Wrong("wrong_line", f"the line has {len(values) + 1 + scored} numbers: {line.strip()[:60]!r}")
    if not said.is_integer() or said < 0:
        raise Wrong("wrong_line", f"{said:g} is no number of a class")
    if not all(-TOLERANCE <= value <= 1 + TOLERANCE for value in values) or not 0 <= score <= 1:  # so for NaN
        raise Wrong("out_of_range", f"not all numbers are from 0 to 1: {line.strip()[:60]!r}")
    return YoloFields(class_id=int(said), values=values), score


def _in_pixels(values: Sequence[float], size: tuple[int, int]) -> dict[str, Any]:
    """Box or polygon, as objects have them."""
    if len(values) > NUM_BOX:
        return {"poly": [value * size[n % 2] for n, value in enumerate(values)]}
    (x, y, across, down), (width, height) = values, size
    if across < 0 or down < 0:
        raise Wrong("negative_size", "the width or height of the box is negative")
    left, top, right, bottom = x - across / 2, y - down / 2, x + across / 2, y + down / 2
    return {"bbox_2d": (left * width, top * height, right * width, bottom * height)}


def _text(path: Path) -> str:
    raw = path.read_bytes()
    refuse_foreign(raw, str(path))
    return raw.removeprefix(BOM).decode(errors="replace")  # what is not UTF-8 is no number either
