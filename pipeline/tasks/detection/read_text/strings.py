"""Texts: where one ends, in JSON whose quotes may be wrong, missing, or too many, and what its characters say.

Every search either consumes what it looked at or stops at the next quote of its own kind: reading any text takes time
linear in its length.
"""

import re

from msgspec import Struct

from pipeline.tasks.detection.read_text import patterns
from pipeline.tasks.detection.read_text.patterns import DOUBLE, QUOTES, SINGLE, Words


class Text(Struct, frozen=True, gc=False):
    """A text: its content is [start, stop), it is consumed up to ``end``.

    ``is_closed``: a quote ends it. ``is_cut``: the end of everything does. ``is_unfinished``: the next object does.
    ``is_clean``: its quotes are as JSON has them.
    """

    start: int
    stop: int
    end: int
    is_closed: bool = True
    is_cut: bool = False
    is_unfinished: bool = False
    is_clean: bool = False


def text_value(text: str, pos: int, key_quote: str, words: Words) -> Text:
    """The text that is the value of a key and begins at ``pos``, with a quote or without one.

    The first quote of the same kind ends it when what stands behind that quote can stand behind a value: so a valid
    JSON string is always read as what it is, whatever is in it. Only when that fails, quotes that stand unescaped
    in the text, and quotes that are missing, are thought of. ``key_quote`` is the quote around the key, "" for none;
    ``words`` are the keys that objects have.
    """
    opener = patterns.OPENER.match(text, pos)
    if opener is None:
        style = patterns.style(words.known, QUOTES, not key_quote, key_quote.startswith("\\"))
        return _scan(text, pos, style, is_bare=True)
    start = opener.end()
    closer = closing_quote(text, opener)
    if closer is not None and key_quote and patterns.IS_BEHIND_VALUE.match(text, closer[1]):
        return Text(start, *closer, is_clean=opener[0] == '"')  # for speed: what is below says the same
    unclosed = words.unclosed[opener[2]].match(text, start)
    if unclosed is not None and not (closer and patterns.ENDS_VALUE.match(text, closer[1])):
        return Text(start, unclosed.end(), unclosed.end(), is_closed=False)
    if closer is not None:
        boundary = None if key_quote else words.bare_boundary.search(text, start, closer[0])
        if boundary is not None:
            return Text(start, boundary.start(), boundary.start(), is_closed=False)
        if words.can_follow.match(text, closer[1]) and not (key_quote and _opens_key(text, closer[0], words)):
            return Text(start, *closer, is_clean=opener[0] == '"')
    kinds = "".join(kind for kind in (DOUBLE, SINGLE) if opener[2] in kind or (key_quote and key_quote[-1] in kind))
    style = patterns.style(words.known, kinds, not key_quote, bool(opener[1]))
    return _scan(text, start, style, is_bare=False)


def quoted(text: str, pos: int, follow: re.Pattern[str]) -> Text | None:
    """From the quote at ``pos`` to the next one of its kind, where ``follow`` stands behind that; None otherwise."""
    opener = patterns.OPENER.match(text, pos)
    closer = None if opener is None else closing_quote(text, opener)
    if opener is None or closer is None or not follow.match(text, closer[1]):
        return None
    return Text(opener.end(), *closer, is_clean=opener[0] == '"')


def closing_quote(text: str, opener: re.Match[str]) -> tuple[int, int] | None:
    """Where the next quote that could close ``opener`` begins and ends."""
    if not opener[1]:
        body = patterns.BODY[opener[2]].match(text, opener.end())
        return None if body is None else (body.end(), body.end() + 1)
    if len(opener[1]) > 2:
        return None
    closer = patterns.ESCAPED_CLOSER.search(text, opener.end())
    return None if closer is None else closer.span(1)


def _opens_key(text: str, at: int, words: Words) -> bool:
    """The quote at ``at`` rather opens a known key than closes a text: the key's other quote is there, or a brace or a
    comma stands before it."""
    if words.known_key_in_quotes.match(text, at):
        return True
    if not words.quote_and_known_key.match(text, at):
        return False
    while text[at - 1].isspace():
        at -= 1
    return text[at - 1] in "{,"


def _scan(text: str, start: int, style: patterns.Style, *, is_bare: bool) -> Text:
    """The end of a text with a quote too many or too few: the first place behind which the answer goes on.

    ``is_bare``: no quote opened it, so that the first bracket that it did not open ends it. A text in quotes is ended
    by a brace only where the answer's structure goes on behind: one at the very end may belong to a text that was cut.
    """
    num_open = 0
    for mark in style.mark.finditer(text, start):
        at, what = mark.start(), mark[0]
        if what == ",":
            if style.comma_key.match(text, at) or (is_bare and patterns.TRAILING_COMMA.match(text, at)):
                return Text(start, at, at, is_closed=False)
        elif what in "{[":
            if what == "{" and style.object_start.match(text, at):
                return Text(start, at, at, is_closed=False, is_unfinished=True)
            num_open += is_bare or what == "{"
        elif what in "}]":
            if num_open:
                num_open -= is_bare or what == "}"
            elif is_bare or (what == "}" and style.after_brace.match(text, at + 1)):
                return Text(start, at, at, is_closed=False)
        elif (closer := style.closer.fullmatch(what)) is not None:
            at += closer.start(1)
            if style.known_key.match(text, at):
                return Text(start, at, at, is_closed=False)
            if style.follow.match(text, mark.end()):
                return Text(start, at, mark.end())
        elif is_bare and what[0] != "\\":  # a key
            return Text(start, at, at, is_closed=False)
    return Text(start, len(text), len(text), is_closed=False, is_cut=True)


_SIMPLE_ESCAPES = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))


def unescape(content: str, repairs: set[str]) -> str:
    """What the characters between the quotes say. Escapes that JSON does not have stay as they are, unless what they
    stand for is clear; they are repairs, as are control characters."""
    if not content.isprintable() and patterns.CONTROL.search(content):
        repairs.add("escapes")
    if "\\" not in content:
        return content

    def character(escape: re.Match[str]) -> str:
        high, low, code, byte, other = escape.groups()
        if high:
            return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
        if code:
            if not 0xD800 <= int(code, 16) <= 0xDFFF:
                return chr(int(code, 16))
            repairs.add("surrogates")
            return "\ufffd"
        if other in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[other]
        repairs.add("escapes")
        if byte:
            return chr(int(byte, 16))
        return other if other in QUOTES else escape[0]

    return patterns.ESCAPE.sub(character, content)


def trimmed(content: str) -> str:
    """A text whose quotes are not a pair of one kind, without space, commas and the lone quote at its end."""
    content = content.strip().rstrip(",").rstrip()
    last = content[-1:]
    return content[:-1].rstrip("\\") if last and last in QUOTES and content.count(last) == 1 else content
