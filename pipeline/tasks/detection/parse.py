"""The text that a model wrote, to objects: `parse`. docs/detection.md states what it promises.

Everything that is complete in the text is found, nothing that was not written is invented, and each object knows the
characters it came from. Any text is read, in time linear in its length.
"""

import re

from msgspec import Struct

from pipeline.tasks.detection import lexer
from pipeline.tasks.detection.codes import ERRORS, REPAIRS
from pipeline.tasks.detection.lexer import JSON_SPACE
from pipeline.tasks.detection.objects import GOOD_OBJECT, good_object
from pipeline.tasks.detection.reader import Reader
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject, Status

_HEAD = re.compile(rf'{JSON_SPACE}(\{{{JSON_SPACE}"objects"{JSON_SPACE}:{JSON_SPACE})?+\[{JSON_SPACE}')
_OBJECT = re.compile(GOOD_OBJECT)
_NEXT = re.compile(rf"{JSON_SPACE}([,\]]){JSON_SPACE}")
_BRACE = re.compile(rf"\}}{JSON_SPACE}")
_ORDER = {name: index for index, name in enumerate(REPAIRS)}


class Parsed(Struct, frozen=True, kw_only=True):
    """What a text holds; the fields are those of `DetectionPrediction`.

    ``raw_output`` is the text as a row can keep it, and what spans refer to: the text itself, unless it holds halves
    of surrogate pairs (see `lexer.storable`). ``error`` is a key of `codes.ERRORS`, ``error_detail`` its sentence.
    """

    raw_output: str
    status: Status
    preds: list[PredictedObject]
    repairs: tuple[str, ...] = ()
    dropped: tuple[DroppedObject, ...] = ()
    salvaged: tuple[PredictedObject, ...] = ()
    error: str | None = None
    error_detail: str | None = None


def parse(text: str, *, cut: bool = False) -> Parsed:
    """Read the objects out of ``text``. Never raises.

    ``cut`` says that the decoder stopped at its limit. It turns an answer in which nothing was found into a truncated
    one, and changes nothing else: what is complete does not depend on it.
    """
    text = lexer.storable(text)
    good = _read_good(text)
    if good is not None:
        return good
    reader = Reader(text)
    reader.read()
    status = _status(reader, text, cut)
    error = status if status in ERRORS else None
    is_truncated = status == "truncated"
    return Parsed(
        raw_output=text,
        status=status,
        preds=[] if is_truncated else reader.preds,
        salvaged=tuple(reader.preds) if is_truncated else (),
        repairs=_repairs(reader, status),
        dropped=tuple(reader.dropped),
        error=error,
        error_detail=None if error is None else ERRORS[error],
    )


def _repairs(reader: Reader, status: Status) -> tuple[str, ...]:
    """In the order of the list in `codes`."""
    if status in ("empty_output", "no_json"):
        return ()
    repairs = reader.repairs_of_complete if status == "truncated" else reader.repairs
    return tuple(sorted(repairs, key=_ORDER.__getitem__))


def _status(reader: Reader, text: str, cut: bool) -> Status:
    if reader.is_truncated:
        return "truncated"
    if reader.preds or reader.dropped:
        return "repaired" if reader.repairs else "ok"
    if reader.is_empty:
        return "empty"
    if cut:
        return "truncated"
    return "no_json" if text.strip("\ufeff \t\r\n") else "empty_output"


def _read_good(text: str) -> Parsed | None:
    """The fast path: a list of good objects, alone or under ``objects``, with nothing around it. None: it is not that.

    Patterns find the objects together with where they stand, which decoders do not tell.
    """
    head = _HEAD.match(text)
    if head is None:
        return None
    preds: list[PredictedObject] = []
    dropped: list[DroppedObject] = []
    pos, more = head.end(), True
    while more:
        match = _OBJECT.match(text, pos)
        after = None if match is None else _NEXT.match(text, match.end())
        if match is None or after is None:
            return None
        found = good_object(match)
        if isinstance(found, str):
            dropped.append(DroppedObject(code=found, span=match.span()))
        else:
            preds.append(found)
        pos, more = after.end(), after.group(1) == ","
    if head.group(1):
        brace = _BRACE.match(text, pos)
        pos = -1 if brace is None else brace.end()
    if pos != len(text):
        return None
    return Parsed(raw_output=text, status="ok", preds=preds, dropped=tuple(dropped))
