"""Where a text ends in damaged JSON, and what the characters of the answer's grammar are.

All patterns are possessive or bounded, and every scan either consumes what it looked at or stops at the next quote of
its own kind: reading any text takes time linear in its length.
"""
# ruff: noqa: RUF001  (characters that look like others are what this file is about)

import re
from typing import NamedTuple

JSON_SPACE = r"[ \t\n\r]*+"
QUOTES = "\"“”„‟＂«»'‘’‚‛＇´`"
QUOTE = rf"\\*+[{QUOTES}]"
DESC, BOX, POLYGON = "desc", "bbox_2d", "poly"
LINES = ("line", "line_2d", "polyline")
KNOWN = (DESC, BOX, POLYGON, *LINES)

_CURLY_DOUBLE, _CURLY_SINGLE = "“”„‟＂«»", "‘’‚‛＇´`"
_CLOSERS = (
    {'"': '"', "'": "'"}
    | dict.fromkeys(_CURLY_DOUBLE, _CURLY_DOUBLE + '"')
    | dict.fromkeys(_CURLY_SINGLE, _CURLY_SINGLE + "'")
)
# From behind the opening quote to the next quote that could close it, which is not consumed.
_BODY = {
    opener: re.compile(rf"[^{closers}\\]*+(?:\\.[^{closers}\\]*+)*+(?=[{closers}])", re.DOTALL)
    for opener, closers in _CLOSERS.items()
}
_ESCAPED_CLOSER = re.compile(rf"(?<!\\)\\{{1,2}}[{QUOTES}]")  # JSON written into a JSON string: \"desc\":\"cat\"
_OPENER = re.compile(rf"(\\*+)([{QUOTES}])")

_KNOWN_KEY = rf"(?:{QUOTE})?+\s*+(?:{'|'.join(KNOWN)})\s*+(?:{QUOTE})?+\s*+[:=]"
_QUOTED_KEY = rf"(?:{QUOTE}\s*+[A-Za-z_][\w\-]*+\s*+(?:{QUOTE})?+|[A-Za-z_][\w\-]*+{QUOTE})\s*+[:=]"
_BARE_KEY = r"[A-Za-z_][\w\-]*+\s*+[:=]"
_COMMENT = r"//|/\*|\#"
_FENCE = "```"

# What may stand behind a text that is a value in an object. `quoted`: keys of this object stand in quotes, so that a
# word and a colon behind a comma are no key.
_FOLLOW_QUOTED = re.compile(
    rf"\s*+(?:[}}\]]|{_KNOWN_KEY}|{QUOTE}[A-Za-z_][\w\-]*+{QUOTE}\s*+[:=]|{_FENCE}|{_COMMENT}|\Z"
    rf"|,\s*+(?:[}}\]{{]|{_KNOWN_KEY}|{_QUOTED_KEY}|{_COMMENT}|\Z))"
)
_FOLLOW = re.compile(rf"{_FOLLOW_QUOTED.pattern}|\s*+,\s*+{_BARE_KEY}")
_FOLLOW_IN_LIST = re.compile(rf"\s*+(?:[,\]}}]|{_FENCE}|{_COMMENT}|\Z)")
_AFTER_BRACE = re.compile(rf"\s*+(?:\]|\}}|{_FENCE}|,?+\s*+\{{\s*+(?:{_KNOWN_KEY}|{_QUOTED_KEY}))|[ \t]*+\n")

KEY_AHEAD = re.compile(rf"{_KNOWN_KEY}|{_QUOTED_KEY}|{_BARE_KEY}")
KNOWN_KEY_AHEAD = re.compile(_KNOWN_KEY)
OBJECT_AHEAD = re.compile(rf"\s*+\{{\s*+(?:{_KNOWN_KEY}|{_QUOTED_KEY})")
_COMMA_KEY = re.compile(rf",\s*+(?:{_KNOWN_KEY}|{_QUOTED_KEY})")
_COMMA_BARE_KEY = re.compile(rf",\s*+(?:{_KNOWN_KEY}|{_QUOTED_KEY}|{_BARE_KEY})")
_QUOTED_KNOWN_KEY = re.compile(rf"{QUOTE}\s*+(?:{'|'.join(KNOWN)})\s*+{QUOTE}\s*+[:=]")

_STOP = re.compile(rf"\\.|[{QUOTES}{{}},\[\]]|(?<![\w.])(?:{BOX}|{POLYGON}|{DESC})\s*+[:=]", re.DOTALL)


class Text(NamedTuple):
    """A text value: its content is [start, stop), it is consumed up to ``end``.

    ``closed``: a quote ends it. ``cut``: the end of everything does. ``unfinished``: the next object does.
    """

    start: int
    stop: int
    end: int
    closed: bool = True
    cut: bool = False
    unfinished: bool = False
    clean: bool = False


def text_value(text: str, pos: int, *, quoted_keys: bool) -> Text:
    """The text that is the value of a key and begins at ``pos``, with a quote or without one.

    The first quote of the same kind ends it when what stands behind that quote can stand behind a value: so a valid
    JSON string is always read as what it is, whatever is in it. Only when that fails, quotes that stand unescaped
    in the text, and quotes that are missing, are thought of.
    """
    opener = _OPENER.match(text, pos)
    if opener is None:
        return _scan(text, pos, bare=True, quoted_keys=quoted_keys)
    start = opener.end()
    closer = _closer(text, opener)
    if closer is not None and _FOLLOW.match(text, closer[1]) and not _QUOTED_KNOWN_KEY.match(text, closer[0]):
        return Text(start, *closer, clean=opener.group() == '"')
    return _scan(text, start, bare=False, quoted_keys=quoted_keys)


def list_text(text: str, pos: int) -> Text | None:
    """The string in a list that begins with the quote at ``pos``; None when it does not read as one."""
    opener = _OPENER.match(text, pos)
    closer = None if opener is None else _closer(text, opener)
    if opener is None or closer is None or not _FOLLOW_IN_LIST.match(text, closer[1]):
        return None
    return Text(opener.end(), *closer, clean=opener.group() == '"')


def quoted_key(text: str, pos: int) -> Text | None:
    """The quoted text at ``pos`` whose next quote is followed by a colon: a key of any characters. None if there is
    none."""
    opener = _OPENER.match(text, pos)
    closer = None if opener is None else _closer(text, opener)
    if opener is None or closer is None or not _COLON.match(text, closer[1]):
        return None
    return Text(opener.end(), *closer, clean=opener.group() == '"')


_COLON = re.compile(r"\s*+:")


def _closer(text: str, opener: re.Match[str]) -> tuple[int, int] | None:
    """Where the next quote that could close ``opener`` begins and ends."""
    if not opener.group(1):
        body = _BODY[opener.group(2)].match(text, opener.end())
        return None if body is None else (body.end(), body.end() + 1)
    if len(opener.group(1)) > 2:
        return None
    closer = _ESCAPED_CLOSER.search(text, opener.end())
    return None if closer is None else closer.span()


def _scan(text: str, start: int, *, bare: bool, quoted_keys: bool) -> Text:
    """The end of a text with a quote too many or too few: the first place behind which the answer goes on.

    ``bare``: no quote opened it, so that the first bracket that it did not open ends it. A text in quotes is ended by
    a brace only where the answer's structure goes on behind: a brace at the very end may belong to a text that was cut.
    """
    follow = _FOLLOW_QUOTED if quoted_keys else _FOLLOW
    comma_key = _COMMA_KEY if quoted_keys else _COMMA_BARE_KEY
    num_open = 0
    for stop in _STOP.finditer(text, start):
        at, what = stop.start(), stop.group()
        if what == ",":
            if comma_key.match(text, at) or OBJECT_AHEAD.match(text, at + 1):
                return Text(start, at, at, closed=False)
        elif what in "{[":
            if what == "{" and OBJECT_AHEAD.match(text, at):
                return Text(start, at, at, closed=False, unfinished=True)
            num_open += bare or what == "{"
        elif what in "}]":
            if num_open:
                num_open -= bare or what == "}"
            elif bare or (what == "}" and _AFTER_BRACE.match(text, at + 1)):
                return Text(start, at, at, closed=False)
        elif what in QUOTES:
            if _QUOTED_KNOWN_KEY.match(text, at):
                return Text(start, at, at, closed=False)
            if follow.match(text, at + 1):
                return Text(start, at, at + 1)
        elif what[0] != "\\" and (bare or not quoted_keys):
            return Text(start, at, at, closed=False)
    return Text(start, len(text), len(text), closed=False, cut=True)


_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))",
    re.DOTALL,
)
_SIMPLE = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONTROL = re.compile(r"[\x00-\x1f]")
_LONE = re.compile("[\ud800-\udfff]")


def unescape(content: str, repairs: set[str]) -> str:
    """What the characters between the quotes say. Escapes that JSON does not have stay as they are."""
    if _CONTROL.search(content):
        repairs.add("escapes")
    if "\\" not in content:
        return content

    def one(match: re.Match[str]) -> str:
        high, low, code, byte, other = match.groups()
        if high:
            return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
        if code:
            character = chr(int(code, 16))
            if _LONE.match(character):
                repairs.add("surrogates")
                return "\ufffd"
            return character
        if other in _SIMPLE:
            return _SIMPLE[other]
        repairs.add("escapes")
        if byte:
            return chr(int(byte, 16))
        return other if other in QUOTES else match.group()

    return _ESCAPE.sub(one, content)


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: pairs of surrogates joined, halves of a pair replaced by U+FFFD."""
    if text.isascii() or not _LONE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# Full-width forms of what has a meaning outside texts, one character for one, so that offsets stay.
_FULL_WIDTH = dict(
    zip(map(ord, "，、：＝［］｛｝（）【】０１２３４５６７８９．－＋"), ",,:=[]{}()[]0123456789.-+", strict=True)
)
FULL_WIDTH = re.compile("[，、：＝［］｛｝（）【】０-９．－＋]")


def plain_width(text: str) -> str:
    """``text`` with full-width punctuation and digits made plain; of the same length."""
    if text.isascii() or not FULL_WIDTH.search(text):
        return text
    return text.translate(_FULL_WIDTH)
