"""The characters of an answer: quotes, keys, escapes, surrogates and full-width forms."""
# ruff: noqa: RUF001  (characters that look like others are what this file is about)

import re

JSON_SPACE = r"[ \t\n\r]*+"
DOUBLE = '"“”„‟＂«»'
SINGLE = "'‘’‚‛＇´`"
QUOTES = DOUBLE + SINGLE
QUOTE = rf"\\*+[{QUOTES}]"
DESC, BOX, POLYGON = "desc", "bbox_2d", "poly"
LINES = ("line", "line_2d", "polyline")
KNOWN = (DESC, BOX, POLYGON, *LINES)
KNOWN_NAME = f"(?:{'|'.join(KNOWN)})"
WORD = r"[A-Za-z_][\w\-]*+"


def key_pattern(name: str, quote: str, *, bare: bool) -> str:
    """A key up to its colon: ``name`` with a ``quote`` before it, behind it or both; with ``bare`` also with none."""
    unquoted = f"|{name}" if bare else ""
    return rf"(?:{quote}\s*+{name}\s*+(?:{quote})?+|{name}\s*+{quote}{unquoted})\s*+[:=]"


def object_ahead(quote: str, *, bare: bool) -> str:
    """The beginning of an object: its brace and a key in quotes, or a known key."""
    return rf"\{{\s*+(?:{key_pattern(KNOWN_NAME, quote, bare=bare)}|{key_pattern(WORD, quote, bare=False)})"


KNOWN_KEY_AHEAD = re.compile(key_pattern(KNOWN_NAME, QUOTE, bare=True))
ANY_KEY = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:'  # a key of valid JSON, whatever its characters
QUOTED_KEY_AHEAD = re.compile(rf"{key_pattern(WORD, QUOTE, bare=False)}|{ANY_KEY}", re.DOTALL)
KEY_AHEAD = re.compile(rf"{key_pattern(WORD, QUOTE, bare=True)}|{ANY_KEY}", re.DOTALL)
OBJECT_AHEAD = re.compile(object_ahead(QUOTE, bare=True))

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


def without_lone_quote(content: str) -> str:
    """A text whose quotes are not a pair of one kind, without the last one: 'cat" with another quote than it began."""
    last = content[-1:]
    return content[:-1].rstrip("\\") if last and last in QUOTES and content.count(last) == 1 else content


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: pairs of surrogates joined, halves of a pair replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        pass
    else:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# Full-width forms of what has a meaning outside texts, one character for one, so that offsets stay.
_FULL_WIDTH = dict(
    zip(map(ord, "，、：＝［］｛｝（）【】０１２３４５６７８９．－＋"), ",,:=[]{}()[]0123456789.-+", strict=True)
)
_FULL_WIDTH_CHARACTERS = tuple(map(chr, _FULL_WIDTH))
FULL_WIDTH = re.compile("[，、：＝［］｛｝（）【】０-９．－＋]")


def plain_width(text: str) -> str:
    """``text`` with full-width punctuation and digits made plain; of the same length."""
    if text.isascii() or not any(map(text.__contains__, _FULL_WIDTH_CHARACTERS)):
        return text
    return text.translate(_FULL_WIDTH)
