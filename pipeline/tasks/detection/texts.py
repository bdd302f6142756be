"""Where a text value ends, in JSON whose quotes may be wrong, missing, or too many.

Every scan either consumes what it looked at or stops at the next quote of its own kind, and every pattern is possessive
or bounded: reading any text takes time linear in its length.
"""
# ruff: noqa: RUF001  (characters that look like others are what this file is about)

import functools
import re
from typing import NamedTuple

from pipeline.tasks.detection.lexer import (
    ANY_KEY,
    DOUBLE,
    KNOWN_NAME,
    QUOTE,
    QUOTES,
    SINGLE,
    WORD,
    key_pattern,
    object_ahead,
)

_CLOSERS = (
    {'"': '"', "'": "'"}
    | dict.fromkeys(DOUBLE.replace('"', ""), DOUBLE)
    | dict.fromkeys(SINGLE.strip("'´`"), SINGLE.strip("´`"))
    | dict.fromkeys("´`", "'´`")
)
# From behind the opening quote to the next quote that could close it, which is not consumed.
_BODY = {
    opener: re.compile(rf"[^{closers}\\]*+(?:\\.[^{closers}\\]*+)*+(?=[{closers}])", re.DOTALL)
    for opener, closers in _CLOSERS.items()
}
_OPENER = re.compile(rf"(\\*+)([{QUOTES}])")
# JSON written into a JSON string: \"desc\":\"cat\". Four backslashes are one in the text, three escape a quote.
_ESCAPED_CLOSER = re.compile(rf"(?<!\\)(?:\\{{4}})*+(\\{{1,2}}[{QUOTES}])")

_COMMENT, _FENCE = r"//|/\*|\#", "```"


def _follow(quote: str, *, bare: bool) -> str:
    """What may stand behind the quote that closes a value in an object."""
    known, word = (key_pattern(name, quote, bare=bare) for name in (KNOWN_NAME, WORD))
    return (
        rf"\s*+(?:[}}\]]|{key_pattern(KNOWN_NAME, quote, bare=True)}|{quote}{WORD}{quote}\s*+[:=]|{_FENCE}|{_COMMENT}"
        rf"|\Z|{object_ahead(quote, bare=bare)}|,\s*+(?:[}}\]{{]|{known}|{word}|{_COMMENT}|\Z))"
    )


_FOLLOW = re.compile(rf"{_follow(QUOTE, bare=True)}|\s*+(?:,|\{{)\s*+{ANY_KEY}", re.DOTALL)
# Where keys have no quotes, what looks like the next key or object inside a text tells that its quote is missing.
_BARE_BOUNDARY = re.compile(rf"(?:\}}\s*+,?+\s*+\{{|,)\s*+{KNOWN_NAME}\s*+[:=]")
_FOLLOW_IN_LIST = re.compile(rf"\s*+(?:[,\]}}]|{_FENCE}|{_COMMENT}|\Z)")
_TRAILING_COMMA = re.compile(r",\s*+[}\]]")
_COLON = re.compile(r"\s*+:")
_KNOWN_KEY_IN_QUOTES = re.compile(rf"{QUOTE}\s*+{KNOWN_NAME}\s*+{QUOTE}\s*+[:=]")
_KNOWN_KEY = re.compile(rf"{QUOTE}\s*+{KNOWN_NAME}\s*+[:=]")


class Text(NamedTuple):
    """A text value: its content is [start, stop), it is consumed up to ``end``.

    ``closed``: a quote ends it. ``cut``: the end of everything does. ``unfinished``: the next object does.
    ``clean``: its quotes are as JSON has them.
    """

    start: int
    stop: int
    end: int
    closed: bool = True
    cut: bool = False
    unfinished: bool = False
    clean: bool = False


def text_value(text: str, pos: int, key_quote: str) -> Text:
    """The text that is the value of a key and begins at ``pos``, with a quote or without one.

    The first quote of the same kind ends it when what stands behind that quote can stand behind a value: so a valid
    JSON string is always read as what it is, whatever is in it. Only when that fails, quotes that stand unescaped
    in the text, and quotes that are missing, are thought of. ``key_quote`` is the quote around the key, "" for none.
    """
    opener = _OPENER.match(text, pos)
    if opener is None:
        return _scan(text, pos, _style(key_quote, ""), bare=True)
    start = opener.end()
    closer = _closer(text, opener)
    boundary = None if key_quote or closer is None else _BARE_BOUNDARY.search(text, start, closer[0])
    if boundary is not None:
        return Text(start, boundary.start(), boundary.start(), closed=False)
    if closer is not None and _FOLLOW.match(text, closer[1]) and not (key_quote and _opens_key(text, closer[0])):
        return Text(start, *closer, clean=opener.group() == '"')
    return _scan(text, start, _style(key_quote, opener.group()), bare=False)


def _opens_key(text: str, at: int) -> bool:
    """The quote at ``at`` rather opens a known key than closes a text: the key's other quote is there, or a brace or a
    comma stands before it."""
    if _KNOWN_KEY_IN_QUOTES.match(text, at):
        return True
    if not _KNOWN_KEY.match(text, at):
        return False
    while text[at - 1].isspace():
        at -= 1
    return text[at - 1] in "{,"


def list_text(text: str, pos: int) -> Text | None:
    """The string in a list that begins with the quote at ``pos``; None when it does not read as one."""
    return _text_before(text, pos, _FOLLOW_IN_LIST)


def quoted_key(text: str, pos: int) -> Text | None:
    """The quoted text at ``pos`` whose next quote is followed by a colon: a key of any characters; None for none."""
    return _text_before(text, pos, _COLON)


def _text_before(text: str, pos: int, follow: re.Pattern[str]) -> Text | None:
    opener = _OPENER.match(text, pos)
    closer = None if opener is None else _closer(text, opener)
    if opener is None or closer is None or not follow.match(text, closer[1]):
        return None
    return Text(opener.end(), *closer, clean=opener.group() == '"')


def _closer(text: str, opener: re.Match[str]) -> tuple[int, int] | None:
    """Where the next quote that could close ``opener`` begins and ends."""
    if not opener.group(1):
        body = _BODY[opener.group(2)].match(text, opener.end())
        return None if body is None else (body.end(), body.end() + 1)
    if len(opener.group(1)) > 2:
        return None
    closer = _ESCAPED_CLOSER.search(text, opener.end())
    return None if closer is None else closer.span(1)


class _Style(NamedTuple):
    """What an answer that writes its keys and texts in certain quotes looks like behind a text.

    Only these quotes count: other ones, and escaped ones, may be part of a text, which may hold JSON itself.
    """

    stop: re.Pattern[str]
    closer: re.Pattern[str]
    follow: re.Pattern[str]
    known_key: re.Pattern[str]
    object_ahead: re.Pattern[str]
    comma_key: re.Pattern[str]
    after_brace: re.Pattern[str]


def _style(key_quote: str, opener: str) -> _Style:
    kinds = "".join(kind for kind in (DOUBLE, SINGLE) if not opener or {key_quote[-1:], opener[-1:]} & set(kind))
    return _compiled(kinds, not key_quote, (opener or key_quote).startswith("\\"))


@functools.cache
def _compiled(kinds: str, bare: bool, escaped: bool) -> _Style:
    quote = rf"\\++[{kinds}]" if escaped else f"[{kinds}]"
    known, word = (key_pattern(name, quote, bare=bare) for name in (KNOWN_NAME, WORD))
    ahead = object_ahead(quote, bare=bare)
    quotes = rf"\\++[{kinds}]?+" if escaped else rf"\\.|[{kinds}]"
    return _Style(
        stop=re.compile(rf"{quotes}|[{{}},\[\]]|(?<![\w.]){KNOWN_NAME}\s*+[:=]", re.DOTALL),
        closer=re.compile(rf"(?:\\{{4}})*+(\\{{1,2}}[{kinds}])" if escaped else rf"({quote})"),
        follow=re.compile(_follow(quote, bare=bare)),
        known_key=re.compile(rf"{quote}\s*+{KNOWN_NAME}\s*+{quote}\s*+[:=]"),
        object_ahead=re.compile(ahead),
        comma_key=re.compile(rf",\s*+(?:{known}|{word}|{ahead})"),
        after_brace=re.compile(rf"\s*+(?:\}}|{_FENCE}|(?:,\s*+)?+(?:\]|{ahead}))|[ \t]*+\n"),
    )


def _scan(text: str, start: int, style: _Style, *, bare: bool) -> Text:
    """The end of a text with a quote too many or too few: the first place behind which the answer goes on.

    ``bare``: no quote opened it, so that the first bracket that it did not open ends it. A text in quotes is ended by
    a brace only where the answer's structure goes on behind: a brace at the very end may belong to a text that was cut.
    """
    num_open = 0
    for stop in style.stop.finditer(text, start):
        at, what = stop.start(), stop.group()
        if what == ",":
            if style.comma_key.match(text, at) or (bare and _TRAILING_COMMA.match(text, at)):
                return Text(start, at, at, closed=False)
        elif what in "{[":
            if what == "{" and style.object_ahead.match(text, at):
                return Text(start, at, at, closed=False, unfinished=True)
            num_open += bare or what == "{"
        elif what in "}]":
            if num_open:
                num_open -= bare or what == "}"
            elif bare or (what == "}" and style.after_brace.match(text, at + 1)):
                return Text(start, at, at, closed=False)
        elif closer := style.closer.fullmatch(what):
            at += closer.start(1)
            if style.known_key.match(text, at):
                return Text(start, at, at, closed=False)
            if style.follow.match(text, stop.end()):
                return Text(start, at, stop.end())
        elif what[0] != "\\" and bare:
            return Text(start, at, at, closed=False)
    return Text(start, len(text), len(text), closed=False, cut=True)
