"""Coordinates: how they are read out of damaged text, and when they are a box or a polygon."""

from typing import Final

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import keys, numbers, words
from pipeline.tasks.detection.parser.characters import NO
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import (
    CLOSING_BRACKET,
    COMMENTS,
    COORD_TOKENS,
    G_AFTER,
    G_CODE,
    G_COUNT,
    G_DEPTH,
    G_END,
    G_IS_QUOTED,
    G_LIST_SIZE,
    G_NUM_BRACES,
    G_NUM_LISTS,
    G_NUM_LOOSE,
    G_NUM_UNPAIRED,
    MISSING_COMMA,
    NESTED_LIST,
    NOT_A_NUMBER,
    NUMBER_FORMAT,
    OPENING_BRACKET,
    OUT_OF_RANGE,
    PYTHON_LITERAL,
    QUOTED_NUMBERS,
    REPAIRED,
    SIZE,
    SWAPPED_CORNERS,
    TRAILING_COMMA,
    UNFINISHED,
    WRONG_ARITY,
    ZERO_AREA,
    Floats,
    Ints,
    Memory,
    Points,
)

MAX_COORDINATE: Final = 999
NO_VALUE: Final = -1  # in G_CODE: null, or the text ends in the middle of it

_AFTER_OPEN, _AFTER_NUMBER, _AFTER_COMMA, _AFTER_CLOSE = range(4)


@part
def read_geometry(m: Memory, pos: int) -> None:
    """The coordinates that begin at ``pos``, behind the colon.

    In the state: G_CODE 0 for G_COUNT numbers, which are the last ones of the memory; the code of why there are none;
    or `NO_VALUE`. G_END is the offset behind them.
    """
    s, text = m.state, m.text
    for field in range(G_CODE, G_COUNT + 1):
        s[field] = 0
    s[G_END] = pos
    is_in = True
    while is_in and text[pos] != ch.END:
        pos, is_in = _token(m, pos)
    if is_in:
        s[G_CODE], s[G_END] = NO_VALUE, s[SIZE]
    else:
        _finish(s)


@part
def _token(m: Memory, pos: int) -> tuple[int, bool]:
    """Take in what stands at ``pos``: the offset behind it, and whether the value goes on there."""
    s, text = m.state, m.text
    char = text[pos]
    if ch.is_space(char):
        return ch.skip_space(text, pos), True
    if char == ch.COMMA:
        if s[G_AFTER] == _AFTER_COMMA or s[G_AFTER] == _AFTER_OPEN:
            _fault(s, NOT_A_NUMBER)  # a number is left out: the others may not stand where they seem to
        s[G_AFTER] = _AFTER_COMMA
        return pos + 1, True
    if char == ch.LESS:
        end = numbers.coord_end(text, pos)
        if end != NO:
            _count_number(s, True)
            numbers.keep_coord(m, pos, end)
            s[G_END] = end
            return end, True
    end = numbers.number_end(text, pos)
    if end != NO:
        _count_number(s, False)
        numbers.keep_number(m, pos, end)
        if numbers.json_number_end(text, pos) != end:
            s[REPAIRED] |= NUMBER_FORMAT
        s[G_END] = end
        return end, True
    if char == ch.OPEN_BRACKET or char == ch.OPEN_PAREN:
        _open(s, pos, char)
        return pos + 1, True
    if char == ch.CLOSE_BRACKET or char == ch.CLOSE_PAREN:
        return pos + 1, not _close(s, text, pos)
    return _other_token(m, pos)


@part
def _other_token(m: Memory, pos: int) -> tuple[int, bool]:
    """Quotes, braces, comments and whatever is no number."""
    s, text = m.state, m.text
    if text[pos] == ch.OPEN_BRACE or text[pos] == ch.CLOSE_BRACE:
        return pos + 1, not _brace(s, text, pos)
    if ch.is_fence(text, pos):
        _stop(s)
        return pos, False
    end = _skip_comment(text, pos)
    if end != NO:
        s[REPAIRED] |= COMMENTS
        return end, True
    end = keys.quote_end(text, pos, keys.ANY_QUOTE)
    is_quote = end != NO
    if not is_quote:
        end = ch.skip_backslashes(text, pos)
        if end == pos:
            end = _word_end(text, pos)
    if (is_quote or text[pos] != ch.BACKSLASH) and _is_key(s, text, pos):
        _stop(s)
        return pos, False
    if is_quote:
        s[G_IS_QUOTED] = 1
        if s[G_AFTER] == _AFTER_NUMBER and s[G_END] == pos:
            s[G_END] = end
    elif s[G_AFTER] == _AFTER_OPEN and not s[G_DEPTH] and not s[G_IS_QUOTED] and _is_null(text, pos, end):
        if text[pos] == ch.UPPER_N:
            s[REPAIRED] |= PYTHON_LITERAL
        s[G_CODE], s[G_END] = NO_VALUE, end
        return end, False
    else:
        _fault(s, NOT_A_NUMBER)
    return max(end, pos + 1), True


@part
def _skip_comment(text: Points, pos: int) -> int:
    """A comment of any kind, `NO` for none. Between numbers none reaches over a bracket."""
    if text[pos] != ch.SLASH or text[pos + 1] != ch.STAR:
        return ch.skip_line_comment(text, pos)
    pos += 2
    while not (text[pos] == ch.STAR and text[pos + 1] == ch.SLASH):
        if ch.is_bracket(text[pos]) or text[pos] == ch.END:
            return NO
        pos += 1
    return pos + 2


@part
def _word_end(text: Points, pos: int) -> int:
    while ch.is_word(text[pos]) or (ch.PLUS <= text[pos] <= ch.DOT and text[pos] != ch.COMMA):
        pos += 1
    return pos


@part
def _is_null(text: Points, start: int, stop: int) -> bool:
    return words.any_word_end(text, start, words.FIRST_LITERAL, words.FIRST_LITERAL + 1) == stop


@part
def _is_key(s: Ints, text: Points, pos: int) -> bool:
    """A key stands here; of an object in place of the list, only a known one counts."""
    return keys.is_known_key(text, pos) if s[G_NUM_BRACES] else keys.is_key(text, pos)


@part
def _count_number(s: Ints, is_coord: bool) -> None:
    if s[G_AFTER] == _AFTER_CLOSE or (s[G_AFTER] == _AFTER_NUMBER and not is_coord):
        s[REPAIRED] |= MISSING_COMMA
    if is_coord:
        s[REPAIRED] |= COORD_TOKENS
    s[G_LIST_SIZE if s[G_DEPTH] > 1 else G_NUM_LOOSE] += 1
    s[G_COUNT] += 1
    s[G_AFTER] = _AFTER_NUMBER


@part
def _open(s: Ints, pos: int, char: int) -> None:
    if s[G_AFTER] == _AFTER_NUMBER and s[G_END] == pos:
        _fault(s, UNFINISHED)
    if char == ch.OPEN_PAREN:
        s[REPAIRED] |= PYTHON_LITERAL
    if s[G_DEPTH] == 0 and s[G_COUNT]:
        _fault(s, WRONG_ARITY)
    if s[G_DEPTH] >= 1:
        if s[G_NUM_LISTS] and s[G_LIST_SIZE] != 2:
            s[G_NUM_UNPAIRED] += 1
        s[G_NUM_LISTS] += 1
        s[G_LIST_SIZE] = 0
    if s[G_DEPTH] >= 2:
        _fault(s, WRONG_ARITY)
    s[G_DEPTH] += 1
    s[G_AFTER] = _AFTER_OPEN


@part
def _close(s: Ints, text: Points, pos: int) -> bool:
    """A closing bracket: whether the value ends before it or with it."""
    if s[G_DEPTH] == 0:
        if not _is_value_behind(text, pos + 1):
            _stop(s)  # it closes the list around the object
            return True
        s[REPAIRED] |= OPENING_BRACKET
    if s[G_AFTER] == _AFTER_COMMA:
        s[REPAIRED] |= TRAILING_COMMA
    s[G_DEPTH] -= 1
    s[G_AFTER], s[G_END] = _AFTER_CLOSE, pos + 1
    if s[G_DEPTH] > 0:
        return False
    s[G_DEPTH] = 0
    if s[G_IS_QUOTED]:
        end = keys.quote_end(text, ch.skip_space(text, pos + 1), keys.ANY_QUOTE)
        if end != NO and keys.key_end(text, end - 1, keys.ANY_QUOTE, False, True) == NO:
            s[G_END] = end
    return True


@part
def _is_value_behind(text: Points, pos: int) -> bool:
    """What stands here can stand behind a value in an object."""
    pos = ch.skip_space(text, pos)
    if text[pos] == ch.CLOSE_BRACE:
        return True
    return text[pos] == ch.COMMA and keys.is_key(text, ch.skip_space(text, pos + 1))


@part
def _brace(s: Ints, text: Points, pos: int) -> bool:
    """A brace: whether the value ends before it or with it."""
    if text[pos] == ch.CLOSE_BRACE:
        if not s[G_NUM_BRACES]:
            _stop(s)
            return True
        s[G_NUM_BRACES] -= 1
        s[G_END] = pos + 1
        return s[G_NUM_BRACES] == 0 and s[G_DEPTH] == 0
    is_value = s[G_NUM_BRACES] > 0 or (s[G_AFTER] == _AFTER_OPEN and s[G_DEPTH] == 0)
    if not (is_value and not keys.is_known_key(text, pos + 1)) and keys.is_object(text, pos, keys.ANY_QUOTE, True):
        if s[G_END] == pos and s[G_AFTER] == _AFTER_NUMBER:
            _fault(s, UNFINISHED)
        _stop(s)
        return True
    s[G_NUM_BRACES] += 1
    _fault(s, NOT_A_NUMBER)
    return False


@part
def _stop(s: Ints) -> None:
    """The value ends here although no bracket of its own said so."""
    is_bracket_open = s[G_DEPTH] > 0 or s[G_COUNT] == 0
    s[REPAIRED] |= CLOSING_BRACKET if is_bracket_open else OPENING_BRACKET


@part
def _fault(s: Ints, code: int) -> None:
    if s[G_CODE] == 0:
        s[G_CODE] = code


@part
def _finish(s: Ints) -> None:
    if s[G_IS_QUOTED]:
        s[REPAIRED] |= QUOTED_NUMBERS
    if s[G_CODE] != NO_VALUE and s[G_NUM_LISTS]:
        is_pairs = s[G_NUM_UNPAIRED] == 0 and s[G_LIST_SIZE] == 2
        if s[G_NUM_LOOSE] or not (is_pairs or s[G_NUM_LISTS] == 1):
            _fault(s, WRONG_ARITY)
        s[REPAIRED] |= NESTED_LIST


@part
def fault(is_box: bool, values: Floats, first: int, count: int) -> int:
    """Why these coordinates are no ``bbox_2d`` or no ``poly``: the first code that holds; 0 when they are one.

    A polygon may touch or cross itself: COCO's masks are defined for those, too.
    """
    if count != 4 if is_box else (count < 6 or count % 2):
        return WRONG_ARITY
    for index in range(first, first + count):
        if values[index] < 0 or values[index] > MAX_COORDINATE:
            return OUT_OF_RANGE
    if not is_box:
        return ZERO_AREA if _on_one_line(values, first, count) else 0
    width, height = values[first + 2] - values[first], values[first + 3] - values[first + 1]
    if width < 0 or height < 0:
        return SWAPPED_CORNERS
    return ZERO_AREA if width == 0 or height == 0 else 0


@part
def _on_one_line(points: Floats, first: int, count: int) -> bool:
    """All points [x1, y1, x2, y2, ...] lie on one line, or are one point."""
    x0, y0 = points[first], points[first + 1]
    dx = dy = 0.0
    for index in range(first + 2, first + count, 2):
        x, y = points[index], points[index + 1]
        # 1e-6: the product of two coordinates is below 1e6, and rounded by less than 1e-9.
        if abs(dx * (y - y0) - dy * (x - x0)) > 1e-6:
            return False
        if dx == 0.0 and dy == 0.0:
            dx, dy = x - x0, y - y0
    return True
