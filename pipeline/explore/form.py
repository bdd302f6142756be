"""A task's form as a page draws it: a field each, with what may be entered, from the types of a Struct."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from pipeline.errors import UserError

_NO_TEXTS = ("integer", "number", "boolean")
_BOUNDS = {"low": ("minimum", "exclusiveMinimum"), "high": ("maximum", "exclusiveMaximum"), "step": ("multipleOf",)}


class Field(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field: ``choices`` of a choice, ``low`` and ``high`` of a number where there are bounds, and words for it."""

    name: str
    kind: Literal["integer", "number", "choice", "boolean", "text"]
    title: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    help: str = ""


def fields_of(form: type[Struct], class_field: str, classes: tuple[str, ...]) -> list[Field]:
    """The fields of a form in order; ``class_field``, a text or null, is a choice of the ``classes`` and of none.

    Every field needs a default: a form can be sent as it is.
    """
    properties = msgspec.json.schema(form)["$defs"][form.__name__]["properties"]
    assert class_field in properties, f"{form.__name__} has no {class_field}"
    return [_field(name, told, (*classes, None) if name == class_field else ()) for name, told in properties.items()]


def _field(name: str, told: dict[str, Any], choices: tuple[Any, ...]) -> Field:
    assert "default" in told, f"{name} needs a default"
    told |= next(one for one in told.get("anyOf", [told]) if one.get("type") != "null")
    choices = choices or tuple(told.get("enum", ()))
    kind: Any = "choice" if choices else told.get("type") if told.get("type") in _NO_TEXTS else "text"
    bounds = {bound: next((told[key] for key in keys if key in told), None) for bound, keys in _BOUNDS.items()}
    return Field(
        name=name,
        kind=kind,
        title=told.get("title", name.replace("_", " ")),
        default=told["default"],
        choices=choices,
        help=told.get("description", ""),
        **bounds,
    )


def filled(form: type[Struct], values: dict[str, Any]) -> Any:
    """A form with these values. Raises UserError, naming the field that is wrong."""
    try:
        return msgspec.convert(values, form)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise UserError(what[:1].lower() + what[1:], where=where.rstrip("`") or None) from error
