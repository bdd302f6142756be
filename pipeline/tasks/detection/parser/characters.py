"""Characters, each by its code point: spaces, quotes, letters, and full-width forms.

``text`` is int64 everywhere, the code points of an answer with `END` behind the last one, so that nothing that looks
for a character runs over it. What looks for something at ``pos`` returns the offset behind it, or `NO`.
"""

from typing import Final

from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import Points

END: Final = -1
NO: Final = -1

OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET, OPEN_PAREN, CLOSE_PAREN = map(ord, "{}[]()")
COLON, EQUALS, COMMA, DOT, PLUS, MINUS, UNDERSCORE = map(ord, ":=,.+-_")
SLASH, BACKSLASH, STAR, HASH, TICK, LESS, BAR, GREATER = map(ord, "/\\*#`<|>")
TAB, NEWLINE, RETURN, SPACE = map(ord, "\t\n\r ")
DOUBLE_QUOTE, SINGLE_QUOTE, ACUTE, RIGHT_QUOTE, BYTE_ORDER_MARK = 0x22, 0x27, 0xB4, 0x2019, 0xFEFF
ZERO, NINE, LOWER_A, LOWER_E, LOWER_F, LOWER_Z = map(ord, "09aefz")
UPPER_A, UPPER_E, UPPER_F, UPPER_N, UPPER_T, UPPER_Z = map(ord, "AEFNTZ")

DOUBLE: Final = 1  # " “ ” „ ‟ ＂ « »
SINGLE: Final = 2  # ' ‘ ’ ‚ ‛ ＇ ´ `

FULL_WIDTH: Final = 0xFEE0  # from a full-width form to the character itself


@part
def is_json_space(char: int) -> bool:
    return char == SPACE or char == NEWLINE or char == RETURN or char == TAB


@part
def is_space(char: int) -> bool:
    """As `str.isspace`."""
    if char <= SPACE:
        return TAB <= char <= RETURN or char >= 0x1C
    if char < 0x85:
        return False
    if char < 0x2000:
        return char == 0x85 or char == 0xA0 or char == 0x1680
    return char <= 0x200A or char == 0x2028 or char == 0x2029 or char == 0x202F or char == 0x205F or char == 0x3000


@part
def is_digit(char: int) -> bool:
    return ZERO <= char <= NINE


@part
def is_bracket(char: int) -> bool:
    """One of {, }, [ and ]."""
    return char == OPEN_BRACE or char == CLOSE_BRACE or char == OPEN_BRACKET or char == CLOSE_BRACKET


@part
def is_latin_letter(char: int) -> bool:
    return LOWER_A <= char <= LOWER_Z or UPPER_A <= char <= UPPER_Z


@part
def quote_kind(char: int) -> int:
    """`DOUBLE`, `SINGLE`, or 0 for what is no quote."""
    if char < 0x80:
        return DOUBLE if char == DOUBLE_QUOTE else SINGLE if char == SINGLE_QUOTE or char == TICK else 0
    if char < 0x2018:
        return DOUBLE if char == 0xAB or char == 0xBB else SINGLE if char == ACUTE else 0
    if char <= 0x201F:
        return SINGLE if char <= 0x201B else DOUBLE
    return DOUBLE if char == 0xFF02 else SINGLE if char == 0xFF07 else 0


@part
def is_letter(char: int) -> bool:
    """A letter of any script; beyond ASCII, whatever is no space, punctuation, symbol or emoji counts as one."""
    if char < 0x80:
        return is_latin_letter(char)
    if char < 0x2000:
        return char >= 0xC0 or char == 0xAA or char == 0xB5 or char == 0xBA
    if char < 0x3040:
        return 0x2C00 <= char < 0x2E00 or 0x2E80 <= char < 0x3000 or 0x3005 <= char < 0x3008
    if 0xD800 <= char < 0xF900 or 0xFE00 <= char < 0xFE70 or 0xFEFF <= char < 0xFF10 or 0xFFF0 <= char < 0x10000:
        return False
    return not 0x1F000 <= char < 0x20000


@part
def is_word(char: int) -> bool:
    """A letter, a digit or an underscore."""
    return is_letter(char) or is_digit(char) or char == UNDERSCORE


@part
def skip_space(text: Points, pos: int) -> int:
    while is_space(text[pos]):
        pos += 1
    return pos


@part
def skip_digits(text: Points, pos: int) -> int:
    while is_digit(text[pos]):
        pos += 1
    return pos


@part
def skip_backslashes(text: Points, pos: int) -> int:
    while text[pos] == BACKSLASH:
        pos += 1
    return pos


@part
def is_fence(text: Points, pos: int) -> bool:
    """Three backticks."""
    return text[pos] == TICK and text[pos + 1] == TICK and text[pos + 2] == TICK


@part
def skip_line_comment(text: Points, pos: int) -> int:
    """``//`` or ``#`` to the end of the line, or to a bracket: lines may have been joined."""
    if text[pos] == HASH:
        pos += 1
    elif text[pos] == SLASH and text[pos + 1] == SLASH:
        pos += 2
    else:
        return NO
    while not (text[pos] == NEWLINE or text[pos] == END or is_bracket(text[pos])):
        pos += 1
    return pos


@part
def is_comment(text: Points, pos: int) -> bool:
    """The beginning of a comment of any kind."""
    return text[pos] == HASH or (text[pos] == SLASH and (text[pos + 1] == SLASH or text[pos + 1] == STAR))


@part
def plain_width(char: int) -> int:
    """Full-width punctuation and digits made plain; any other character as it is."""
    if char < 0x3001:
        return char
    if char <= 0x3011:
        if char == 0x3001:
            return COMMA
        return OPEN_BRACKET if char == 0x3010 else CLOSE_BRACKET if char == 0x3011 else char
    plain = char - FULL_WIDTH
    if is_digit(plain) or OPEN_PAREN <= plain <= CLOSE_PAREN or PLUS <= plain <= DOT:
        return plain
    if plain == COLON or plain == EQUALS or plain == OPEN_BRACKET or plain == CLOSE_BRACKET:
        return plain
    return plain if plain == OPEN_BRACE or plain == CLOSE_BRACE else char
