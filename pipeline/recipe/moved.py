"""Keys of recipes that are called otherwise now (`RecipePart.moved`): recipes are corrected, records are read.

A recipe that still says an old name is refused, and told what to write. What a training left behind (a manifest, a
model file, the recipe beside it) is a record, is not rewritten, and is read by the new names.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.recipe.explain import Places


def with_new_names(data: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """A copy of a recipe in which every key has the name that it has today."""
    renamed = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for old, value in _old_names(data, moved).items():
        section, key = old.split(".")
        del renamed[section][key]
        section, key = moved[old].split(".")
        renamed.setdefault(section, {})[key] = value
    return renamed


def refuse_old_names(data: Mapping[str, Any], moved: Mapping[str, str], places: Places) -> None:
    """Raises UserError when a recipe says old names: where, what they are called now, and what to write instead."""
    found = _old_names(data, moved)
    if not found:
        return
    flags: list[str] = []
    sections: dict[str, list[str]] = {}
    for old, value in found.items():
        section, key = moved[old].split(".")
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if tuple(old.split(".")) in places.flags:
            flags.append(f"--set {moved[old]}={text}")
        else:
            sections.setdefault(section, []).append(f"{key}: {text}")
    lines = [f"`{section}: {{{', '.join(keys)}}}`" for section, keys in sections.items()]
    raise UserError(
        ", ".join(f"{old} is now {moved[old]}" for old in found),
        where=places.where(tuple(next(iter(found)).split("."))),
        remedy=f"write {' and '.join([*lines, *flags])}",
    )


def _old_names(data: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """The old names that a recipe says, with their values."""
    found = {}
    for old in moved:
        name, key = old.split(".")
        section = data.get(name)
        if isinstance(section, Mapping) and key in section:
            found[old] = section[key]
    return found
