"""The text that a model wrote, to objects: `parse`. docs/model-texts.md states what it promises.

Everything that is complete in the text is found, nothing that was not written is invented, and each object knows the
characters it came from. Any text is read, in time linear in its length.

Most texts are clean JSON, which a decoder written in C reads (`clean`). Whatever it does not take in, `scanner` reads;
of a clean text it makes the same.
"""

from msgspec import Struct

from pipeline.tasks.detection.read_text.clean import read_clean
from pipeline.tasks.detection.read_text.codes import CUT_WHILE_THINKING, ERRORS, REPAIRS
from pipeline.tasks.detection.read_text.formats import DEFAULT, TextFormat
from pipeline.tasks.detection.read_text.patterns import Words, words
from pipeline.tasks.detection.read_text.scale import Scale
from pipeline.tasks.detection.read_text.scanner import Scanner
from pipeline.tasks.detection.read_text.thinking import thought
from pipeline.tasks.detection.read_text.tokens import TokenReader
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject, Status

_DEFAULT_SCALE = Scale(DEFAULT)
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


def parse(
    text: str, *, cut: bool = False, written: TextFormat = DEFAULT, size: tuple[int, int] | None = None
) -> Parsed:
    """Read the objects out of ``text``, which is in the format ``written``. Never raises.

    ``cut`` says that the decoder stopped at its limit. It turns an answer in which nothing was found into a truncated
    one; besides that, only a label of tokens that nothing closes depends on it. ``size`` is the image's width and
    height in pixels, as stored, for formats whose grid are pixels.
    """
    if written is DEFAULT:
        preds = read_clean(text)
        if preds is not None:
            return Parsed(raw_output=text, status="ok" if preds else "empty", preds=preds)
    return scan(storable(text), cut=cut, written=written, size=size)


def scan(text: str, *, cut: bool = False, written: TextFormat = DEFAULT, size: tuple[int, int] | None = None) -> Parsed:
    """As `parse`, of a `storable` text, and without the decoder."""
    thinking = thought(text)
    scale = _DEFAULT_SCALE if written is DEFAULT else Scale(written, size)
    reader = _reader(text, thinking.end, scale)
    reader.read(cut)
    if thinking.end:
        reader.repairs.add("thinking")
        reader.repairs_of_complete.add("thinking")
    status = "truncated" if thinking.is_cut else _status(reader, text[thinking.end :], cut)
    is_truncated = status == "truncated"
    repairs = reader.repairs_of_complete if is_truncated else reader.repairs
    return Parsed(
        raw_output=text,
        status=status,
        preds=[] if is_truncated else reader.preds,
        repairs=() if status in ("no_json", "empty_output") else tuple(sorted(repairs, key=_REPAIR_ORDER.__getitem__)),
        dropped=tuple(reader.dropped),
        salvaged=tuple(reader.preds) if is_truncated else (),
        error=status if status in ERRORS else None,
        error_detail=CUT_WHILE_THINKING if thinking.is_cut else ERRORS.get(status),
    )


def _reader(text: str, start: int, scale: Scale) -> Scanner | TokenReader:
    written = scale.written
    if written.form is not None:
        return TokenReader(text, written.form, scale, start)
    return Scanner(text, _words(written), scale, start)


def _words(written: TextFormat) -> Words:
    return words(written.desc_key, written.box_key, written.poly_key, written.has_points)


def _status(reader: Scanner | TokenReader, answer: str, cut: bool) -> Status:
    if reader.is_truncated:
        return "truncated"
    if reader.preds or reader.dropped:
        return "repaired" if reader.repairs else "ok"
    if reader.is_empty:
        return "empty"
    if cut:
        return "truncated"
    return "no_json" if answer.strip("\ufeff \t\r\n") else "empty_output"


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: pairs of surrogates joined, halves of a pair replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_words(DEFAULT)  # its patterns are compiled here, and not at the first text
