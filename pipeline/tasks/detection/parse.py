"""The text that a model wrote, to objects: `parse`. docs/model-texts.md states what it promises.

Everything that is complete in the text is found, nothing that was not written is invented, and each object knows the
characters it came from. Any text is read, in time linear in its length.

The reading itself is compiled, in `parser`; here its rows of numbers become objects. A first call compiles it, for as
long as nothing is kept on disk.
"""

import threading
from functools import cache
from operator import itemgetter

from msgspec import Struct

from pipeline.tasks.detection.codes import DROP_CODES, ERRORS, REPAIRS
from pipeline.tasks.detection.parser import memory as mem
from pipeline.tasks.detection.parser.characters import BYTE_ORDER_MARK
from pipeline.tasks.detection.parser.text import EMPTY, TRUNCATED, UNSORTED, load_reader
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject, Status

_CODES = ("", *DROP_CODES)
_BLANK = f"{chr(BYTE_ORDER_MARK)} \t\r\n"
_KEPT_BYTES = 1 << 16  # memory for texts up to this size is kept


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


def prepare() -> None:
    """Load the parser, or compile it, which takes about half a minute. Else the first call of `parse` does so."""
    load_reader()


def parse(text: str, *, cut: bool = False) -> Parsed:
    """Read the objects out of ``text``. Never raises.

    ``cut`` says that the decoder stopped at its limit. It turns an answer in which nothing was found into a truncated
    one, and changes nothing else: what is complete does not depend on it.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        text = storable(text)
        data = text.encode()
    read_text, memory = load_reader(), _memory(len(data))
    num_found, num_numbers, num_hard, repaired, repaired_complete, flags = read_text(data, memory, 0)
    if num_hard:
        _tell_values(memory, num_hard)
        num_found, num_numbers, num_hard, repaired, repaired_complete, flags = read_text(data, memory, num_hard)
    preds, dropped = _objects(text, memory, num_found, num_numbers, flags & UNSORTED) if num_found else ([], [])
    if flags & TRUNCATED:
        return _failed("truncated", text, repaired_complete, dropped, preds)
    if preds or dropped:
        status: Status = "repaired" if repaired else "ok"
    elif flags & EMPTY:
        status = "empty"
    elif cut:
        return _failed("truncated", text, repaired_complete, dropped, preds)
    else:
        return _failed("no_json" if text.strip(_BLANK) else "empty_output", text, 0, dropped, preds)
    return Parsed(raw_output=text, status=status, preds=preds, repairs=_repairs(repaired), dropped=tuple(dropped))


def _failed(
    error: Status, text: str, repaired: int, dropped: list[DroppedObject], salvaged: list[PredictedObject]
) -> Parsed:
    return Parsed(
        raw_output=text,
        status=error,
        preds=[],
        repairs=_repairs(repaired),
        dropped=tuple(dropped),
        salvaged=tuple(salvaged),
        error=error,
        error_detail=ERRORS[error],
    )


def _objects(
    text: str, memory: mem.Memory, num_found: int, num_numbers: int, is_unsorted: int
) -> tuple[list[PredictedObject], list[DroppedObject]]:
    """The rows that were found, as objects and as what is none."""
    rows = memory.found[:num_found].tolist()
    numbers = memory.numbers[:num_numbers].tolist()
    if is_unsorted:  # an object closes behind those that are inside it
        rows.sort(key=itemgetter(mem.F_START, mem.F_STOP))
    preds: list[PredictedObject] = []
    dropped: list[DroppedObject] = []
    for code, start, stop, is_box, desc_start, desc_stop, is_decoded, first, count, _ in rows:
        if code == 0:
            desc = text[desc_start:desc_stop] if not is_decoded else _decoded(memory, desc_start, desc_stop)
            values, span = numbers[first : first + count], (start, stop)
            if is_box:
                preds.append(PredictedObject(desc=desc, bbox_2d=tuple(values), score=1.0, span=span))
            else:
                preds.append(PredictedObject(desc=desc, poly=values, score=1.0, span=span))
        elif code > 0:
            dropped.append(DroppedObject(code=_CODES[code], span=(start, stop)))
    return preds, dropped


def _decoded(memory: mem.Memory, start: int, stop: int) -> str:
    return "".join(map(chr, memory.decoded[start:stop].tolist()))


def _tell_values(memory: mem.Memory, count: int) -> None:
    """The values of the numbers that are not one rounding away from their digits, for a second reading."""
    last_row, last_value = len(memory.found) - 1, len(memory.numbers) - 1
    for index in range(count):
        row = memory.found[last_row - index]
        digits = memory.text[row[mem.F_START] : row[mem.F_STOP]].tolist()
        memory.numbers[last_value - index] = float("".join(map(chr, digits)))


@cache
def _repairs(bits: int) -> tuple[str, ...]:
    """In the order of the list in `codes`."""
    return tuple(name for index, name in enumerate(REPAIRS) if bits & 1 << index)


class _Kept(threading.local):
    """The memory of this thread: as large as its largest text of a usual size."""

    memory = mem.memory_for(0)
    size = 0


_kept = _Kept()


def _memory(size: int) -> mem.Memory:
    if size > _KEPT_BYTES:
        return mem.memory_for(size)
    if size > _kept.size or _kept.size == 0:
        _kept.size = max(2 * size, 1 << 10)
        _kept.memory = mem.memory_for(_kept.size)
    return _kept.memory


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: pairs of surrogates joined, halves of a pair replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
