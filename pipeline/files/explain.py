"""What is wrong with a row, for a user: file:line:field, the versions found and known, and what to run."""

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from schemas import upgrades

# "Expected `float`, got `str` - at `$.trace[3].q[1]`"
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<field>.*)`)?$", re.DOTALL)

# Which stage writes rows of a kind ("prediction" of "prediction_v1").
WRITERS = {
    "example": "examples",
    "episode": "train",
    "progress": "train",
    "monitor": "train",
    "prediction": "infer",
    "score": "evaluate",
    "metric": "evaluate",
    "figure": "visualize",
}

# Rows and documents that people take for ours, by keys that they have and ours have not.
_OTHERS = (
    (("images", "annotations", "categories"), "a COCO file", "baton convert detection --from coco --annotations FILE"),
    (("messages",), "a row of a chat data set", None),
    (("conversations",), "a row of a chat data set", None),
)


def stated(row_type: Any, name: str) -> str | None:
    """The one value that a row type, or the one it extends, takes in field ``name`` (its schema version, its task);
    None where it is open."""
    if not isinstance(row_type, type):
        return None
    kinds = (kind for kind in row_type.__mro__ if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct)
    found = (field.default for kind in kinds for field in msgspec.structs.fields(kind) if field.name == name)
    return next((value for value in found if isinstance(value, str)), None)


def split_message(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, and the path of the field it is wrong with ("" for the whole)."""
    match = _AT.match(str(error))
    assert match is not None  # every part of the pattern is optional
    return match["what"].replace("`", "'"), match["field"] or ""


def invalid_row(where: str, error: msgspec.ValidationError) -> UserError:
    """A row with a wrong field. ``where`` is file:line."""
    what, field = split_message(error)
    remedy = "correct that line, or run the stage that writes the file again"
    return UserError(what, where=f"{where}:{field}" if field else where, remedy=remedy)


def explain(where: str, raw: Any, row_type: Any, error: msgspec.ValidationError) -> UserError:
    """Why ``raw``, a decoded line, is no ``row_type``: another kind, version or task, or a wrong field."""
    version, task = stated(row_type, "schema"), stated(row_type, "task")
    other = _other_tool(where, raw, row_type)
    if other is not None:
        return other
    if isinstance(raw, dict) and version is not None and raw.get("schema", version) != version:
        return _other_version(where, raw, version, task)
    if isinstance(raw, dict) and task is not None and raw.get("task", task) != task:
        return UserError(
            f"this row is of task {raw.get('task')!r}, not of {task!r}",
            where=f"{where}:task",
            remedy=f"name {raw.get('task')} as the task, or give a file of task {task}",
        )
    return invalid_row(where, error)


def one_document(first_line: bytes, path: Path) -> UserError | None:
    """The error where a file's first line shows that it is one JSON document, not an object a line."""
    start, name = first_line.strip(), shlex.quote(str(path))
    if start.startswith(b"["):
        what, jq = "this is a JSON array, and a JSON object a line is expected", "jq -c '.[]'"
    elif start == b"{":
        what, jq = "this is one JSON object over several lines, and a JSON object a line is expected", "jq -c ."
    else:
        return None
    return UserError(what, where=f"{path}:1", remedy=f"an object a line: {jq} {name} > NEW")


def _other_tool(where: str, raw: Any, row_type: Any) -> UserError | None:
    """The error where a row is what another tool writes."""
    if not isinstance(raw, dict) or not (isinstance(row_type, type) and issubclass(row_type, msgspec.Struct)):
        return None
    fields = msgspec.structs.fields(row_type)
    for keys, what, remedy in _OTHERS:
        if raw.keys() >= {*keys} and not {*keys} <= {field.encode_name for field in fields}:
            needed = ", ".join(field.encode_name for field in fields if field.required)
            return UserError(f"this is {what}", where=where, remedy=remedy or f"write rows that have {needed}")
    return None


def _other_version(where: str, raw: dict[str, Any], version: str, task: str | None) -> UserError:
    found = str(raw.get("schema"))
    kind, wanted = found.rpartition("_v")[0], version.rpartition("_v")[0]
    writer = WRITERS.get(wanted, "STAGE")
    if kind != wanted and kind in WRITERS:
        what = f"this is a file of {kind} rows ({found}), and {wanted} rows ({version}) are expected here"
        remedy = f"give a file that `baton {writer}` wrote"
    else:
        known = ", ".join(upgrades.known_versions(str(task or raw.get("task")), version))
        what = f"row version {found!r} is not known; known: {known}"
        remedy = f"write the file again with this version of Baton: `baton {writer} {task or 'TASK'} --force`"
    return UserError(what, where=f"{where}:schema", remedy=remedy)
