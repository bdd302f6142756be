"""What the characters of a text say: escapes replaced."""

from typing import Final

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import ESCAPES, NUM_DECODED, REPAIRED, SURROGATES, Memory, Points

_REPLACEMENT: Final = 0xFFFD
_LOWER_U, _LOWER_X, _LOWER_B, _LOWER_N, _LOWER_R, _LOWER_T = map(ord, "uxbnrt")
_BACKSPACE, _FORM_FEED = 0x08, 0x0C


@part
def decode(m: Memory, start: int, stop: int) -> int:
    """Write what the original characters from ``start`` to before ``stop`` say behind what is decoded; its end."""
    first = m.state[NUM_DECODED]
    for index in range(start, stop):
        m.decoded[first + index - start] = m.original[index]
    return decode_again(m, first, first + stop - start)


@part
def decode_again(m: Memory, start: int, stop: int) -> int:
    """Replace the escapes in a decoded text, in its place; its new end. Escapes that JSON does not have are repairs, as
    are control characters, and stay as they are, unless what they stand for is clear."""
    text = m.decoded
    pos = end = start
    while pos < stop:
        char = text[pos]
        if char < ch.SPACE:
            m.state[REPAIRED] |= ESCAPES
        if char != ch.BACKSLASH or pos + 1 == stop:
            text[end] = char
            pos, end = pos + 1, end + 1
            continue
        value, after = _escape(m, pos, stop)
        if value < 0:
            text[end], text[end + 1] = char, text[pos + 1]
            pos, end = pos + 2, end + 2
        else:
            text[end] = value
            pos, end = after, end + 1
    return end


@part
def _escape(m: Memory, pos: int, stop: int) -> tuple[int, int]:
    """The character that the escape at ``pos`` stands for, or -1 for none, and the offset behind it."""
    text = m.decoded
    kind = text[pos + 1]
    if kind == _LOWER_U:
        unit = _hexadecimal(text, pos + 2, 4, stop)
        if 0xD800 <= unit <= 0xDBFF and pos + 7 < stop and text[pos + 6] == ch.BACKSLASH and text[pos + 7] == _LOWER_U:
            low = _hexadecimal(text, pos + 8, 4, stop)
            if 0xDC00 <= low <= 0xDFFF:
                return 0x10000 + ((unit & 0x3FF) << 10) + (low & 0x3FF), pos + 12
        if 0xD800 <= unit <= 0xDFFF:
            m.state[REPAIRED] |= SURROGATES
            return _REPLACEMENT, pos + 6
        if unit >= 0:
            return unit, pos + 6
    simple = _simple(kind)
    if simple >= 0:
        return simple, pos + 2
    m.state[REPAIRED] |= ESCAPES
    byte = _hexadecimal(text, pos + 2, 2, stop) if kind == _LOWER_X else -1
    if byte >= 0:
        return byte, pos + 4
    return (kind, pos + 2) if ch.quote_kind(kind) else (-1, pos + 2)


@part
def _simple(kind: int) -> int:
    """What a backslash and one character stand for in JSON; -1 for nothing."""
    if kind == ch.DOUBLE_QUOTE or kind == ch.BACKSLASH or kind == ch.SLASH:
        return kind
    if kind == _LOWER_N:
        return ch.NEWLINE
    if kind == _LOWER_T:
        return ch.TAB
    if kind == _LOWER_R:
        return ch.RETURN
    return _BACKSPACE if kind == _LOWER_B else _FORM_FEED if kind == ch.LOWER_F else -1


@part
def _hexadecimal(text: Points, pos: int, count: int, stop: int) -> int:
    """The value of ``count`` digits; -1 when they are not there."""
    if pos + count > stop:
        return -1
    value = 0
    for index in range(pos, pos + count):
        char = text[index]
        if ch.is_digit(char):
            digit = char - ch.ZERO
        elif ch.LOWER_A <= char <= ch.LOWER_F:
            digit = char - ch.LOWER_A + 10
        elif ch.UPPER_A <= char <= ch.UPPER_F:
            digit = char - ch.UPPER_A + 10
        else:
            return -1
        value = 16 * value + digit
    return value


@part
def needs_decoding(text: Points, start: int, stop: int) -> bool:
    """A backslash or a control character is in it."""
    for index in range(start, stop):
        if text[index] < ch.SPACE or text[index] == ch.BACKSLASH:
            return True
    return False
