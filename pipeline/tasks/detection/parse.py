"""The text that a model wrote, to objects: `parse`. docs/detection.md states what it promises.

Everything that is complete in the text is found, nothing that was not written is invented, and each object knows the
characters it came from. Any text is read, in time linear in its length.
"""

from msgspec import Struct

from pipeline.tasks.detection import lexer
from pipeline.tasks.detection.codes import ERRORS, REPAIRS
from pipeline.tasks.detection.reader import Reader
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject, Status

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
