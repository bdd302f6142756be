"""Why a value of a recipe or a brain spec is wrong: file:line:key or flag, and the nearest thing it may be."""

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import inspect

from pipeline.errors import UserError
from pipeline.files.explain import split_message

KeyPath = tuple[str | int, ...]


@dataclass
class Places:
    """Where each value came from: a line of the file ``source``, or a flag that replaced it."""

    source: str
    lines: dict[KeyPath, int]
    flags: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """``file:line:key`` of a value, or the flag that set it or what it lies in."""
        parents = [path[:end] for end in range(len(path), 0, -1)]
        flag = next((self.flags[parent] for parent in parents if parent in self.flags), None)
        if flag is not None:
            return flag
        line = next((self.lines[parent] for parent in parents if parent in self.lines), 1)
        return f"{self.source}:{line}:{dotted(path)}" if path else f"{self.source}:{line}"


def dotted(path: KeyPath) -> str:
    """``("curriculum", "stages", 0)`` as ``curriculum.stages[0]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def explain_value(
    error: msgspec.ValidationError, data: Any, struct_type: Any, places: Places, listing: str
) -> UserError:
    """The error of converting ``data`` to ``struct_type``, for a user. ``listing`` says where all keys are listed."""
    what, text = split_message(error)
    path = _key_path(text)
    if unknown := re.fullmatch(r"Object contains unknown field '(.*)'", what):
        return _unknown_key((*path, unknown[1]), data, struct_type, places)
    if missing := re.fullmatch(r"Object missing required field '(.*)'", what):
        return UserError(f"{dotted((*path, missing[1]))} is missing", where=places.where(path), remedy=listing)
    if re.match(r"Invalid (enum )?value", what):
        known = values_at(struct_type, data, path)
        found = str(_value_at(data, path))
        close = difflib.get_close_matches(found, known, n=1)
        remedy = (f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(known)}"
        return UserError(f"{dotted(path)} cannot be {found!r}", where=places.where(path), remedy=remedy)
    value = _value_at(data, path)
    if "'bool'" in what and str(value).lower() in ("yes", "no", "on", "off"):  # booleans of YAML 1.1, text since 1.2
        listing = "write true or false"
    shown = msgspec.json.encode(value).decode()
    what = f"{dotted(path)} is {shown[:60]}: {what[0].lower()}{what[1:]}"
    return UserError(what, where=places.where(path), remedy=listing)


def values_at(struct_type: Any, data: Any, path: KeyPath) -> list[str]:
    """What a Literal field, or the tag of a union of Structs, may be."""
    options = _options(_type_at(struct_type, data, path[:-1], pick=False))
    tags = [str(one.tag) for one in options if isinstance(one, inspect.StructType) and one.tag_field == path[-1]]
    if tags:
        return tags
    options = _options(_type_at(struct_type, data, path))
    return [str(value) for one in options if isinstance(one, inspect.LiteralType) for value in one.values]


def _unknown_key(path: KeyPath, data: Any, struct_type: Any, places: Places) -> UserError:
    info = _type_at(struct_type, data, path[:-1])
    known = [field.encode_name for field in info.fields] if isinstance(info, inspect.StructType) else []
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"
    section = dotted(path[:-1])
    what = f"{section} has no key {path[-1]!r}" if section else f"there is no key {path[-1]!r}"
    return UserError(what, where=places.where(path), remedy=hint)


def _key_path(field: str) -> KeyPath:
    return tuple(
        int(match["index"]) if match["index"] else match["name"]
        for match in re.finditer(r"\[(?P<index>\d+)\]|(?P<name>[^.\[\]]+)", field)
    )


def _value_at(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else data[key]
    return data


def _type_at(struct_type: Any, data: Any, path: KeyPath, *, pick: bool = True) -> Any:
    """msgspec's description of the type at ``path``; of a union of Structs, if ``pick``, the one the tag picks."""
    info: Any = inspect.type_info(struct_type)
    for depth, key in enumerate(path):
        info = _picked(info, _value_at(data, path[:depth]))
        if isinstance(info, inspect.StructType):
            info = next((field.type for field in info.fields if field.encode_name == key), None)
        elif isinstance(info, inspect.ListType | inspect.VarTupleType):
            info = info.item_type
        elif isinstance(info, inspect.TupleType) and isinstance(key, int):
            info = info.item_types[key]
        else:
            return None
    return _picked(info, _value_at(data, path)) if pick else info


def _options(info: Any) -> list[Any]:
    return list(info.types) if isinstance(info, inspect.UnionType) else [info]


def _picked(info: Any, value: Any) -> Any:
    """The member of a union that ``value`` belongs to, as far as a Struct's tag can tell; ``info`` itself otherwise."""
    structs = [one for one in _options(info) if isinstance(one, inspect.StructType)]
    if isinstance(value, dict):
        structs = [one for one in structs if one.tag_field is None or value.get(one.tag_field) == one.tag]
    return structs[0] if len(structs) == 1 else info
