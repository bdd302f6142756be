"""The text that a model wrote, to objects: `parse`. docs/model-texts.md states what it promises.

Everything that is complete in the text is found, nothing that was not written is invented, and each object knows the
characters it came from. Any text is read, in time linear in its length.

Most texts are clean JSON, which a decoder written in C reads (`clean`). Whatever it does not take in, `scanner` reads;
of a clean text it makes the same.
"""

import bisect
import re

from msgspec import Struct

from pipeline.tasks.detection.read_text.clean import read_clean
from pipeline.tasks.detection.read_text.formats import DEFAULT, TextFormat
from pipeline.tasks.detection.read_text.scale import Scale
from pipeline.tasks.detection.read_text.scanner import Scanner
from pipeline.tasks.detection.read_text.tokens import TokenReader
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject, Status

# What was wrong with a text, in the order in which it is told. The docs say what each means.
REPAIRS = (
    "surrogates", "bom", "thinking", "fence", "prose", "comments", "full_width", "spaces", "quotes", "escapes", "colon",
    "missing_comma", "trailing_comma", "extra_comma", "no_value", "closing_bracket", "opening_bracket", "stray_bracket",
    "python_literal", "no_list", "wrapper", "several_containers", "nested_objects", "nested_list", "several_boxes",
    "swapped_corners", "quoted_numbers", "number_format", "coord_tokens",
)  # fmt: skip
_RANKS = {repair: rank for rank, repair in enumerate(REPAIRS)}
ERRORS: dict[str, str] = {
    "truncated": "the text ends inside an object; the objects before it are in `salvaged`",
    "empty_output": "the model wrote nothing",
    "no_json": "the text holds no list of objects",
}
CUT_WHILE_THINKING = "the text ends while the model thinks; the objects that it had drafted are in `salvaged`"

_DEFAULT_SCALE = Scale(DEFAULT)
Scanner("", _DEFAULT_SCALE)  # compiles its patterns, which the first text would otherwise wait for
_THINK_TAG = re.compile(r"<(/?)think>")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# A whole object of JSON without objects in it: a tag in one of its texts is a part of that text.
_OBJECT = re.compile(rf'\{{\s*+(?:{_STRING}\s*+:\s*+(?:{_STRING}|[^"{{}}]*+)\s*+,?+\s*+)++\}}', re.DOTALL)


class Parsed(Struct, frozen=True, kw_only=True, gc=False):
    """What a text holds; the fields are those of `DetectionPrediction`.

    ``raw_output`` is the text as a row can keep it, and what spans refer to: the text itself, unless it holds halves
    of surrogate pairs (see `storable`). ``error`` is a key of `ERRORS`, ``error_detail`` its sentence.
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
    start, is_cut_in_thought = _answer_start(text)
    scale = _DEFAULT_SCALE if written is DEFAULT else Scale(written, size)
    reader = Scanner(text, scale, start) if written.form is None else TokenReader(text, written.form, scale, start)
    reader.read(cut)
    if start:
        reader.repairs.add("thinking")
        reader.repairs_of_complete.add("thinking")
    status = "truncated" if is_cut_in_thought else _status(reader, text[start:], cut)
    is_truncated = status == "truncated"
    repairs = reader.repairs_of_complete if is_truncated else reader.repairs
    return Parsed(
        raw_output=text,
        status=status,
        preds=[] if is_truncated else reader.preds,
        repairs=() if status in ("no_json", "empty_output") else tuple(sorted(repairs, key=_RANKS.__getitem__)),
        dropped=tuple(reader.dropped),
        salvaged=tuple(reader.preds) if is_truncated else (),
        error=status if status in ERRORS else None,
        error_detail=CUT_WHILE_THINKING if is_cut_in_thought else ERRORS.get(status),
    )


def _answer_start(text: str) -> tuple[int, bool]:
    """Where the answer begins, behind what was thought; and whether there is none, for the text ends in a thought.

    The opening tag may be missing, for many chat templates write it themselves.
    """
    start, is_open = 0, False
    if "think>" not in text:
        return start, is_open
    objects = [found.span() for found in _OBJECT.finditer(text)]
    for tag in _THINK_TAG.finditer(text):
        before = bisect.bisect(objects, (tag.start(),)) - 1
        if is_open or before < 0 or tag.start() >= objects[before][1]:
            is_open = not tag[1]
            start = start if is_open else tag.end()
    return start, is_open


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
