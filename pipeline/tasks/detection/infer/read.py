"""Input records as other tools write them: without ``schema``, ``task`` and ``id``, and checked before anything runs.

What is wrong with a record is told by file, line and field. What is wrong with its images (how many, where, readable)
is found when they are opened, and costs that record alone.
"""

from pathlib import Path
from typing import Literal

from msgspec import structs

from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.tasks.detection.geometry import NORM_MAX
from pipeline.tasks.detection.rows import CoordMode, DetectionExample, TrueObject


class WrittenExample(DetectionExample, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An example that may lack what names the line."""

    schema: Literal["example_v1"] | None = None  # type: ignore[assignment]  # wider than of an example, like the others
    task: Literal["detection"] | None = None  # type: ignore[assignment]
    id: str | int | None = None  # type: ignore[assignment]


def read_examples(path: Path) -> list[DetectionExample]:
    """The records of a JSONL file. Without an ``id`` a record gets its ``image_id``, without that its place (from 0).

    Raises UserError, naming file, line and field, for a line that is no such record, and for objects that are not
    exactly one box or polygon: a box has x1 <= x2 and y1 <= y2, a polygon an even number of at least 6 coordinates, and
    all of them are within 0-999 where ``coord_mode`` says "norm1000".
    """
    records = []
    for index, record in enumerate(read_all(path, WrittenExample)):
        problem = _problem(record)
        if problem is not None:
            field, what = problem
            where = f"{path}:{_line_of(path, index)}:{field}"
            raise UserError(what, where=where, remedy="correct that line; docs/detection.md says what a record holds")
        name = next(value for value in (record.id, record.image_id, index) if value is not None)
        said = structs.asdict(record) | {"schema": "example_v1", "task": "detection", "id": str(name)}
        records.append(DetectionExample(**said))
    return records


def _problem(record: WrittenExample) -> tuple[str, str] | None:
    """The first field of a record that is wrong, and what is wrong with it."""
    if record.id == "":
        return "id", "the id is empty"
    for index, thing in enumerate(record.objects):
        problem = problem_of_object(thing, record.coord_mode)
        if problem is not None:
            field, what = problem
            return f"objects[{index}].{field}".removesuffix("."), what
    return None


def problem_of_object(thing: TrueObject, coord_mode: CoordMode) -> tuple[str, str] | None:
    """What is wrong with one true object: the field ("" for the whole) and a sentence; None when nothing is."""
    if not thing.desc.strip():
        return "desc", "an object without a description"
    if (thing.bbox_2d is None) == (thing.poly is None):
        both = "both bbox_2d and poly" if thing.poly is not None else "neither bbox_2d nor poly"
        return "", f"the object has {both}, and exactly one is expected"
    if thing.bbox_2d is not None:
        field, values = "bbox_2d", list(thing.bbox_2d)
        if values[0] > values[2] or values[1] > values[3]:
            return field, f"the corners are swapped: {values} is to be [x1, y1, x2, y2] with x1 <= x2 and y1 <= y2"
    else:
        field, values = "poly", list(thing.poly or ())
        if len(values) < 6 or len(values) % 2:
            return field, f"a polygon has an even number of at least 6 coordinates, this one has {len(values)}"
    if coord_mode == "norm1000" and not all(0.0 <= value <= NORM_MAX for value in values):
        return field, f"coordinates of norm1000 lie within 0 and 999, and {values} do not"
    return None


def _line_of(path: Path, index: int) -> int:
    """Line number, from 1, of record ``index``: blank lines hold no record."""
    numbers = [number for number, line in enumerate(path.read_bytes().split(b"\n"), 1) if line.strip()]
    return numbers[index]
