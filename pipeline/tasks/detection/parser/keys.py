"""Keys, and the objects that begin with one."""

from typing import Final

from pipeline.tasks.detection.parser.characters import (
    BACKSLASH,
    COLON,
    DOUBLE,
    DOUBLE_QUOTE,
    END,
    EQUALS,
    MINUS,
    NO,
    OPEN_BRACE,
    SINGLE,
    UNDERSCORE,
    is_latin_letter,
    is_word,
    quote_kind,
    skip_backslashes,
    skip_space,
)
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import Points
from pipeline.tasks.detection.parser.words import DESC, OBJECTS, OTHER, word_end

# Which quotes count: their kinds, and whether backslashes may (ESCAPED) or must (ONLY_ESCAPED) stand before them.
ESCAPED: Final = 4
ONLY_ESCAPED: Final = 8
ANY_QUOTE: Final = DOUBLE | SINGLE | ESCAPED


@part
def known_name(text: Points, pos: int) -> tuple[int, int]:
    """Which known name of an object's key stands at ``pos``, the longest, and the offset behind it; OTHER and `NO`."""
    name, end = OTHER, NO
    for word in range(DESC, OBJECTS):
        stop = word_end(text, pos, word)
        if stop > end:
            name, end = word, stop
    return name, end


@part
def key_of(text: Points, start: int, stop: int) -> int:
    """What the characters from ``start`` to before ``stop`` mean as a key."""
    name, end = known_name(text, start)
    if end == stop and name != OTHER:
        return name
    return OBJECTS if word_end(text, start, OBJECTS) == stop else OTHER


@part
def name_end(text: Points, pos: int) -> int:
    """A name: a letter of ASCII or an underscore, then letters of any kind, digits, underscores and hyphens."""
    if not (is_latin_letter(text[pos]) or text[pos] == UNDERSCORE):
        return NO
    while is_word(text[pos]) or text[pos] == MINUS:
        pos += 1
    return pos


@part
def quote_end(text: Points, pos: int, quotes: int) -> int:
    """A quote, with the backslashes before it if ``quotes`` says so."""
    start = pos
    if quotes >= ESCAPED:
        pos = skip_backslashes(text, pos)
        if quotes & ONLY_ESCAPED and pos == start:
            return NO
    return pos + 1 if quote_kind(text[pos]) & quotes else NO


@part
def _name_end(text: Points, pos: int, is_known: bool) -> int:
    return known_name(text, pos)[1] if is_known else name_end(text, pos)


@part
def key_end(text: Points, pos: int, quotes: int, is_known: bool, is_bare: bool) -> int:
    """A key with its colon (or equals sign): a quote before the name, behind it or both; ``is_bare``: or none."""
    opened = quote_end(text, pos, quotes)
    if opened != NO:
        pos = skip_space(text, opened)
    name = _name_end(text, pos, is_known)
    if name == NO:
        return NO
    pos = skip_space(text, name)
    closed = quote_end(text, pos, quotes)
    if closed != NO:
        pos = skip_space(text, closed)
    elif opened == NO and not is_bare:
        return NO
    return pos + 1 if text[pos] == COLON or text[pos] == EQUALS else NO


@part
def quoted_key_end(text: Points, pos: int, quotes: int, is_known: bool, has_spaces: bool) -> int:
    """A key with a quote on both sides, and its colon; ``has_spaces``: there may be spaces between."""
    pos = quote_end(text, pos, quotes)
    if pos == NO:
        return NO
    pos = _name_end(text, skip_space(text, pos) if has_spaces else pos, is_known)
    if pos == NO:
        return NO
    pos = quote_end(text, skip_space(text, pos) if has_spaces else pos, quotes)
    if pos == NO:
        return NO
    pos = skip_space(text, pos)
    return pos + 1 if text[pos] == COLON or text[pos] == EQUALS else NO


@part
def json_key_end(text: Points, pos: int) -> int:
    """A key of valid JSON, whatever its characters, with its colon."""
    if text[pos] != DOUBLE_QUOTE:
        return NO
    pos += 1
    while text[pos] != DOUBLE_QUOTE:
        if text[pos] == BACKSLASH:
            pos += 1
        if text[pos] == END:
            return NO
        pos += 1
    pos = skip_space(text, pos + 1)
    return pos + 1 if text[pos] == COLON else NO


@part
def is_known_key(text: Points, pos: int) -> bool:
    return key_end(text, pos, ANY_QUOTE, True, True) != NO


@part
def is_quoted_key(text: Points, pos: int) -> bool:
    return key_end(text, pos, ANY_QUOTE, False, False) != NO or json_key_end(text, pos) != NO


@part
def is_key(text: Points, pos: int) -> bool:
    return key_end(text, pos, ANY_QUOTE, False, True) != NO or json_key_end(text, pos) != NO


@part
def is_object(text: Points, pos: int, quotes: int, is_bare: bool) -> bool:
    """The beginning of an object: its brace and a key in quotes, or a known key."""
    if text[pos] != OPEN_BRACE:
        return False
    pos = skip_space(text, pos + 1)
    return key_end(text, pos, quotes, True, is_bare) != NO or key_end(text, pos, quotes, False, False) != NO
