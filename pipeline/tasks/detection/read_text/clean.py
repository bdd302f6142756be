"""Texts that are JSON as it should be, which most texts are: a decoder written in C reads them."""

import re
from typing import Annotated

from msgspec import Meta, MsgspecError, Struct
from msgspec.json import Decoder

from pipeline.tasks.detection.geometry import NORM_MAX
from pipeline.tasks.detection.read_text.patterns import ARGUMENTS, BOX, DESC, JSON_NUMBER, NO_AREAS, POLYGON
from pipeline.tasks.detection.read_text.scale import are_on_one_line
from pipeline.tasks.detection.rows import PredictedObject

_Coordinate = Annotated[float, Meta(ge=0, le=NORM_MAX)]


class _Object(Struct, frozen=True, gc=False):
    """A `PredictedObject` as a model writes it; the decoder checks what it can."""

    desc: Annotated[str, Meta(min_length=1)]
    bbox_2d: tuple[_Coordinate, _Coordinate, _Coordinate, _Coordinate] | None = None
    poly: Annotated[list[_Coordinate], Meta(min_length=6)] | None = None


class _Objects(Struct, frozen=True, gc=False):
    objects: list[_Object]


_decode = Decoder(list[_Object] | _Objects).decode
# Other keys, whose values are texts without braces and tags, numbers or literals, with their commas. In JSON, a
# quote without a backslash and a name behind it begin a text, so that no part of another text is taken for a key.
_SPACE = r"[ \t\r\n]*+"
_KNOWN = "|".join((DESC, BOX, POLYGON, *NO_AREAS, ARGUMENTS, "objects"))
_OTHER = (
    rf'{_SPACE}"(?!(?:{_KNOWN})")[A-Za-z_][A-Za-z0-9_]*+"{_SPACE}:{_SPACE}'
    rf'(?:"[^"\\<{{}}\x00-\x1f]*+"|{JSON_NUMBER}|true|false|null){_SPACE}'
)
_OTHERS = re.compile(rf"(?<=\{{)(?:{_OTHER},)++|(?:,{_OTHER}(?=[,}}]))++")
_ASCII_ESCAPE = re.compile(r"\\u00[0-7]")


def read_clean(text: str, start: int = 0, stop: int | None = None) -> list[PredictedObject] | None:
    """The objects of a text that is a list of good objects, or such a list under ``objects``, and nothing else; with
    ``stop``, those that [start, stop) of the text holds with commas between them.

    Other keys with plain values count for nothing. None for anything else, which may be valid JSON: lists and objects
    under other keys, escapes of ASCII characters and a negative zero are left to the scanner, too. (One function, and
    no other is called for most objects: half of the time is Python's.)
    """
    written = text if stop is None else f"[{text[start:stop]}]"
    try:
        objects = _decode(written)
    except (MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    find, num_colons, pos = text.find, written.count(":"), start
    if isinstance(objects, _Objects):
        objects, num_colons, pos = objects.objects, num_colons - 1, find("{") + 1
    # A decoder takes the last one of two equal keys. An object that has no key twice has two known ones: two colons.
    num_colons -= 2 * len(objects)
    if num_colons:
        num_colons -= "".join([one.desc for one in objects]).count(":")
        if num_colons and num_colons != written.count(":") - _OTHERS.sub("", written).count(":"):
            return None
    # Escapes that could hide a colon or a brace; zeros whose sign the decoder forgets.
    if ("\\" in written and _ASCII_ESCAPE.search(written)) or ("-" in written and "-0" in written):
        return None
    found: list[PredictedObject] = []
    for one in objects:
        desc, box, poly = one.desc, one.bbox_2d, one.poly
        start = find("{", pos)
        pos = find("}", start) + 1
        if "}" in desc:
            for _ in range(desc.count("}")):
                pos = find("}", pos) + 1
        if desc.isspace():
            return None
        if box:
            x1, y1, x2, y2 = box
            if x1 >= x2 or y1 >= y2:
                return None
        elif not (poly and _is_polygon(poly)):
            return None
        found.append(PredictedObject(desc=desc, bbox_2d=box, poly=poly, score=1.0, span=(start, pos)))
    return found


def _is_polygon(poly: list[float]) -> bool:
    """Whether six or more numbers in the range are a polygon: mostly its first three points tell."""
    across = (poly[2] - poly[0]) * (poly[5] - poly[1]) - (poly[3] - poly[1]) * (poly[4] - poly[0])
    return len(poly) % 2 == 0 and (abs(across) > 1e-6 or not are_on_one_line(poly))
