"""A strict YAML reader that remembers lines: plain data out, and where each key stood.

Less than YAML on purpose, so that a text means what it looks like: no aliases (with them a small file can unfold into
gigabytes), no tags, no duplicate keys, and only the scalars of YAML 1.2's core schema - ``no`` is a string, ``1:30`` is
not ninety, ``1e-3`` is a number.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.errors import UserError
from pipeline.files.foreign import latin_1, refuse_foreign

Path = tuple[str | int, ...]

_MAX_BYTES = 1 << 20  # the longest recipes are a few kB
_MAX_DEPTH = 32
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]{0,24})")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")
_SPECIAL_FLOAT = re.compile(r"([-+]?\.inf|\.nan)", re.IGNORECASE)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Document:
    """``data`` as plain dicts, lists and scalars; ``lines`` the line (from 1) of each key or item by its path."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)


def parse(raw: bytes, source: str) -> Document:
    """Read one YAML document. ``source`` names it in errors. Raises UserError, with the line, on what is no data."""
    text = _decoded(raw, source)
    return _Reader(source).document(text)


def _decoded(raw: bytes, source: str) -> str:
    if len(raw) > _MAX_BYTES:
        raise UserError(f"{len(raw)} bytes are too many for a YAML file (limit {_MAX_BYTES})", where=source)
    refuse_foreign(raw, source)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = latin_1(raw, error, source)
        raise UserError(fault.what, where=f"{source}:{line}", remedy=fault.remedy) from error


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Path, int] = {}

    def document(self, text: str) -> Document:
        try:
            events = iter(list(yaml.parse(text, Loader=yaml.SafeLoader)))
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self._error("this is not a text file: it holds control characters", line) from error
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from error
        next(events)  # the start of the stream
        if isinstance(next(events), yaml.StreamEndEvent):
            raise self._error("the file is empty", 1)
        data = self._value(next(events), events, ())
        next(events)  # the end of the document
        event: Any = next(events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._error("a second document starts here", event.start_mark.line + 1)
        return Document(data, self.lines)

    def _value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error("anchors and aliases (& and *) are not allowed", line, "write the value out")
        if event.tag is not None:
            raise self._error(f"tags are not allowed: {event.tag}", line, "take it away, or quote the text")
        if len(path) > _MAX_DEPTH:
            raise self._error("this is nested too deeply", line)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return self._scalar(event.value, line) if event.style is None else event.value

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
                raise self._error("a key must be a plain name", line)
            key = event.value
            if key in mapping:
                first = self.lines[(*path, key)]
                raise self._error(f"key {key!r} is there twice, first in line {first}", line, "remove one of them")
            self.lines[(*path, key)] = line
            mapping[key] = self._value(next(events), events, (*path, key))
        return mapping

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self.lines[here] = event.start_mark.line + 1
            items.append(self._value(event, events, here))
        return items

    def _scalar(self, text: str, line: int) -> Any:
        if text.lower() in _WORDS and text in (text.lower(), text.capitalize(), text.upper()):
            return _WORDS[text.lower()]
        if _INT.fullmatch(text):
            return int(text.replace("_", ""))
        if _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?[0-9_]+", text):  # 007 and overlong integers are neither
            number = float(text.replace("_", ""))
            if math.isfinite(number):
                return number
        elif not _SPECIAL_FLOAT.fullmatch(text):
            return text
        raise self._error(f"{text} is not a finite number", line)

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> UserError:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or error.context or "it does not read"
        remedy = "indent with spaces" if "\\t" in problem else "check colons, indentation and quotes around there"
        return self._error(f"this is not YAML: {problem}", line, remedy)

    def _error(self, what: str, line: int, remedy: str | None = None) -> UserError:
        return UserError(what, where=f"{self.source}:{line}", remedy=remedy)
