"""Numbers as models write them, and their values."""

from typing import Final

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import words
from pipeline.tasks.detection.parser.characters import NO
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import F_START, F_STOP, NUM_EXACT, NUM_HARD, NUM_NUMBERS, Memory, Points

_MAX_DIGITS: Final = 15  # an integer of so many digits is a float64
_MAX_POWER: Final = 22  # 10 ** 22 is the largest power of ten that is one


@part
def number_end(text: Points, pos: int) -> int:
    """A number with any sign, leading zeros, a bare point; not followed by what would make it a word."""
    if text[pos] == ch.PLUS or text[pos] == ch.MINUS:
        pos += 1
    if ch.is_digit(text[pos]):
        pos = ch.skip_digits(text, pos)
        if text[pos] == ch.DOT:
            pos = ch.skip_digits(text, pos + 1)
    elif text[pos] == ch.DOT and ch.is_digit(text[pos + 1]):
        pos = ch.skip_digits(text, pos + 1)
    else:
        return NO
    pos = _exponent_end(text, pos)
    return NO if ch.is_word(text[pos]) or text[pos] == ch.DOT else pos


@part
def _exponent_end(text: Points, pos: int) -> int:
    """The offset behind an exponent, or ``pos`` where there is none."""
    if text[pos] != ch.LOWER_E and text[pos] != ch.UPPER_E:
        return pos
    digits = pos + 2 if text[pos + 1] == ch.PLUS or text[pos + 1] == ch.MINUS else pos + 1
    return ch.skip_digits(text, digits) if ch.is_digit(text[digits]) else pos


@part
def json_number_end(text: Points, pos: int) -> int:
    """A number as JSON has it."""
    if text[pos] == ch.MINUS:
        pos += 1
    if not ch.is_digit(text[pos]):
        return NO
    pos = pos + 1 if text[pos] == ch.ZERO else ch.skip_digits(text, pos)
    if text[pos] == ch.DOT and ch.is_digit(text[pos + 1]):
        pos = ch.skip_digits(text, pos + 1)
    return _exponent_end(text, pos)


@part
def coord_end(text: Points, pos: int) -> int:
    """A coordinate as a token, <|coord_123|>."""
    pos = words.word_end(text, pos, words.COORD)
    if pos == NO:
        return NO
    if text[pos] == ch.MINUS:
        pos += 1
    if not ch.is_digit(text[pos]):
        return NO
    pos = ch.skip_digits(text, pos)
    return pos + 2 if text[pos] == ch.BAR and text[pos + 1] == ch.GREATER else NO


@part
def keep_number(m: Memory, start: int, end: int) -> None:
    """The value of the number from ``start`` to before ``end``, behind the numbers before it."""
    m.numbers[m.state[NUM_NUMBERS]] = _value(m, start, end)
    m.state[NUM_NUMBERS] += 1


@part
def keep_coord(m: Memory, start: int, end: int) -> None:
    """As `keep_number`, of a token."""
    keep_number(m, start + words.COORD_SIZE, end - 2)


@part
def _value(m: Memory, start: int, end: int) -> float:
    """As `float` has it. Numbers for which that takes more than one rounding are the caller's: see `_hard`."""
    text, pos = m.text, start
    is_negative = text[pos] == ch.MINUS
    if is_negative or text[pos] == ch.PLUS:
        pos += 1
    digits = power = num_digits = 0
    is_behind_point = False
    while pos < end and text[pos] != ch.LOWER_E and text[pos] != ch.UPPER_E:
        if text[pos] == ch.DOT:
            is_behind_point = True
        else:
            if digits or text[pos] != ch.ZERO:
                num_digits += 1
            if num_digits > _MAX_DIGITS:
                return _hard(m, start, end)
            digits = 10 * digits + text[pos] - ch.ZERO
            power -= is_behind_point
        pos += 1
    if pos < end:
        if end - pos > 5:
            return _hard(m, start, end)
        power += _integer(text, pos + 1, end)
    if abs(power) > _MAX_POWER:
        return _hard(m, start, end)
    scale = 1.0
    for _ in range(abs(power)):
        scale *= 10.0
    value = digits / scale if power < 0 else digits * scale
    return -value if is_negative else value


@part
def _integer(text: Points, pos: int, end: int) -> int:
    is_negative = text[pos] == ch.MINUS
    if is_negative or text[pos] == ch.PLUS:
        pos += 1
    value = 0
    while pos < end:
        value = 10 * value + text[pos] - ch.ZERO
        pos += 1
    return -value if is_negative else value


@part
def _hard(m: Memory, start: int, end: int) -> float:
    """The value that the caller told of a number that takes more than one rounding; 0.0, and a note of where it stands,
    before it did. What is found depends on values, but not which numbers are read."""
    index = m.state[NUM_HARD]
    m.state[NUM_HARD] += 1
    if index < m.state[NUM_EXACT]:
        return m.numbers[len(m.numbers) - 1 - index]
    row = len(m.found) - 1 - index
    m.found[row, F_START], m.found[row, F_STOP] = start, end
    return 0.0
