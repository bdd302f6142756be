"""A task's form as a page draws it: a field each, with what may be entered, from the types of a Struct."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct

from pipeline.errors import UserError

Kind = Literal["integer", "number", "choice", "boolean", "text"]


class Field(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field: ``choices`` of a choice, ``low`` and ``high`` of a number where there are bounds, and words for it."""

    name: str
    kind: Kind
    title: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    help: str = ""


def fields_of(form: type[Struct], class_field: str, classes: tuple[str, ...]) -> list[Field]:
    """The fields of a form in order; ``class_field`` is a choice of the ``classes``, and of none where null may be.

    Every field needs a default: a form can be sent as it is.
    """
    schema = msgspec.json.schema(form)
    properties = schema["$defs"][form.__name__]["properties"]
    found = []
    for one in msgspec.structs.fields(form):
        assert not one.required, f"{form.__name__}.{one.name} needs a default"
        found.append(_field(one.name, one.default if one.default is not UNSET else None, properties[one.name]))
    choices = {one.name: classes + ((None,) if one.kind == "text" else ()) for one in found if one.name == class_field}
    assert choices, f"{form.__name__} has no {class_field}"
    replace = msgspec.structs.replace
    return [
        replace(one, kind="choice", choices=choices[one.name], default=one.default if one.default in classes else None)
        if one.name in choices
        else one
        for one in found
    ]


def _field(name: str, default: Any, schema: dict[str, Any]) -> Field:
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    told = schema | options[0]
    kinds: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean"}
    kind = "choice" if "enum" in told else kinds.get(told.get("type", ""), "text")
    return Field(
        name=name,
        kind=kind,
        title=told.get("title", name.replace("_", " ")),
        default=default,
        choices=tuple(told.get("enum", ())),
        low=told.get("minimum", told.get("exclusiveMinimum")),
        high=told.get("maximum", told.get("exclusiveMaximum")),
        step=told.get("multipleOf"),
        help=told.get("description", ""),
    )


def filled(form: type[Struct], values: dict[str, Any]) -> Any:
    """A form with these values. Raises UserError, naming the field that is wrong."""
    try:
        return msgspec.convert(values, form)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise UserError(what[:1].lower() + what[1:], where=where.rstrip("`") or None) from error
