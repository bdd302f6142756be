"""The text that a model wrote, to objects: `parse`. docs/model-texts.md states what it promises.

Everything that is complete in the text is found, nothing that was not written is invented, and each object knows the
characters it came from. Any text is read, in time linear in its length.

Most texts are clean JSON, which a decoder written in C reads (`clean`). Whatever it does not take in, `scanner` reads;
of a clean text it makes the same.
"""

from msgspec import Struct

from pipeline.tasks.detection.read_text.clean import read_clean
from pipeline.tasks.detection.read_text.codes import ERRORS, REPAIRS
from pipeline.tasks.detection.read_text.scanner import Scanner
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject, Status

_REPAIR_ORDER = {name: index for index, name in enumerate(REPAIRS)}


class Parsed(Struct, frozen=True, kw_only=True):
    """What a text holds; the fields are those of `DetectionPrediction`.

    ``raw_output`` is the text as a row can keep it, and what spans refer to: the text itself, unless it holds halves
    of surrogate pairs (see `storable`). ``error`` is a key of `codes.ERRORS`, ``error_detail`` its sentence.
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
    preds = read_clean(text)
    if preds is not None:
        return Parsed(raw_output=text, status="ok" if preds else "empty", preds=preds)
    return scan(storable(text), cut=cut)


def scan(text: str, *, cut: bool = False) -> Parsed:
    """As `parse`, of a `storable` text, and without the decoder."""
    scanner = Scanner(text)
    scanner.read()
    status = _status(scanner, cut)
    is_truncated = status == "truncated"
    repairs = scanner.repairs_of_complete if is_truncated else scanner.repairs
    return Parsed(
        raw_output=text,
        status=status,
        preds=[] if is_truncated else scanner.preds,
        repairs=() if status in ("no_json", "empty_output") else tuple(sorted(repairs, key=_REPAIR_ORDER.__getitem__)),
        dropped=tuple(scanner.dropped),
        salvaged=tuple(scanner.preds) if is_truncated else (),
        error=status if status in ERRORS else None,
        error_detail=ERRORS.get(status),
    )


def _status(scanner: Scanner, cut: bool) -> Status:
    if scanner.is_truncated:
        return "truncated"
    if scanner.preds or scanner.dropped:
        return "repaired" if scanner.repairs else "ok"
    if scanner.is_empty:
        return "empty"
    if cut:
        return "truncated"
    return "no_json" if scanner.text.strip("\ufeff \t\r\n") else "empty_output"


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: pairs of surrogates joined, halves of a pair replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
