"""Keys with their values, and what else stands in objects and lists: texts, scalars, words."""

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import escapes, keys, numbers, objects, strings, words
from pipeline.tasks.detection.parser import memory as mem
from pipeline.tasks.detection.parser.characters import END, NO
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.coordinates import NO_VALUE, read_geometry
from pipeline.tasks.detection.parser.memory import (
    D_IS_DECODED,
    D_START,
    D_STOP,
    G_CODE,
    G_COUNT,
    G_END,
    KEY_QUOTE,
    NUM_FRAMES,
    POS,
    QUOTES,
    REPAIRED,
    STOP,
    VALUE,
    Ints,
    Memory,
    Points,
)


@part
def read_key(m: Memory) -> None:
    """A key at the current offset in an object, whose value is read next; or words."""
    s, text = m.state, m.text
    pos = s[POS]
    opened = keys.quote_end(text, pos, keys.ANY_QUOTE)
    start = ch.skip_space(text, pos if opened == NO else opened)
    stop = keys.name_end(text, start)
    after = closed = behind = NO
    if stop != NO:
        after = ch.skip_space(text, stop)
        closed = keys.quote_end(text, after, keys.ANY_QUOTE)
        behind = ch.skip_space(text, after if closed == NO else closed)
    is_colon = stop != NO and (text[behind] == ch.COLON or text[behind] == ch.EQUALS)
    is_json = opened == pos + 1 and text[pos] == ch.DOUBLE_QUOTE
    # The quote behind a backslash may be a part of the key: "a\\" is the JSON string of two characters.
    if (not is_colon or (is_json and closed != NO and text[after] == ch.BACKSLASH)) and _read_any_key(m, pos):
        return
    key = words.OTHER if stop == NO else keys.key_of(text, start, stop)
    if not is_colon and (stop == NO or not _is_object_key(key) or not _is_value(text, behind)):
        skip_junk(m)
        return
    is_json = is_json and start == opened and closed == stop + 1 and text[stop] == ch.DOUBLE_QUOTE
    if not is_json:
        s[REPAIRED] |= QUOTES
    if not is_colon or text[behind] != ch.COLON:
        s[REPAIRED] |= mem.COLONS
    at = pos if opened != NO else after
    quote = opened if opened != NO else closed
    _note_key(m, key, behind + 1 if is_colon else behind, 0 if quote == NO else _quote_of(text, at, quote))


@part
def _read_any_key(m: Memory, pos: int) -> bool:
    """A key in quotes, of any characters. False, and nothing done, where there is none."""
    text = m.text
    start, stop, end, flags = strings.quoted_key(text, pos)
    if start == NO:
        return False
    note_text(m, start, stop, flags)
    first = m.state[mem.NUM_DECODED]
    key = keys.key_of(m.decoded, first, _decoded_end(m, start, stop))
    _note_key(m, key, ch.skip_space(text, end) + 1, _quote_of(text, stop, end))
    return True


@part
def _note_key(m: Memory, key: int, pos: int, key_quote: int) -> None:
    """A key whose value begins at ``pos``, behind spaces."""
    s = m.state
    need_comma(s)
    frame = m.frames[s[NUM_FRAMES] - 1]
    frame[mem.KEY], frame[KEY_QUOTE] = key, key_quote
    if _is_object_key(key):
        frame[mem.KEYS] |= 1 << key
    if key == words.DESC:
        frame[mem.NUM_DESCS] += 1
    s[POS] = ch.skip_space(m.text, pos)
    s[mem.IS_VALUE_NEXT] = 1
    s[mem.LAST] = VALUE


@part
def _decoded_end(m: Memory, start: int, stop: int) -> int:
    """Decode a name behind what is decoded, with `END` behind it; its end."""
    end = escapes.decode(m, start, stop)
    m.decoded[end] = END
    return end


@part
def _quote_of(text: Points, start: int, end: int) -> int:
    """The kind of the quote that ends before ``end``, with `keys.ESCAPED` for a backslash at ``start``."""
    kind = ch.quote_kind(text[end - 1])
    return kind | keys.ESCAPED if text[start] == ch.BACKSLASH else kind


@part
def _is_object_key(key: int) -> bool:
    """One of those that an object of an answer has."""
    return key != words.OTHER and key != words.OBJECTS


@part
def _is_value(text: Points, pos: int) -> bool:
    """What stands here looks like the value of a key whose colon is missing."""
    char = text[pos]
    if char == ch.OPEN_BRACKET or char == ch.OPEN_PAREN or char == ch.MINUS or char == ch.LESS or ch.is_digit(char):
        return True
    return keys.quote_end(text, pos, keys.ANY_QUOTE) != NO


@part
def read_value(m: Memory) -> None:
    """The value at the current offset, of the last key of the object on top of the stack."""
    s, text = m.state, m.text
    s[mem.IS_VALUE_NEXT] = 0
    frame = m.frames[s[NUM_FRAMES] - 1]
    pos, key = s[POS], frame[mem.KEY]
    char = text[pos]
    is_geometry = key == words.BOX or key == words.POLYGON
    if not is_geometry and _is_object_key(key) and key != words.DESC:
        is_geometry = char == ch.OPEN_BRACKET or char == ch.OPEN_PAREN or char == ch.LESS
    if is_geometry or (key != words.DESC and _are_numbers(text, pos)):
        first, before = s[mem.NUM_NUMBERS], s[REPAIRED]
        read_geometry(m, pos)
        s[POS] = frame[STOP] = s[G_END]
        if is_geometry:
            _note_geometry(s, frame, first)
        else:
            _note_numbers(s, frame, before)
    elif char == ch.OPEN_BRACKET or char == ch.OPEN_BRACE:
        objects.open_bracket(m)
    else:
        is_text = _read_text(m)
        if key == words.DESC:
            _note_desc(m, pos, is_text)


@part
def _note_geometry(s: Ints, frame: Ints, first: int) -> None:
    """The coordinates that were read last, from number ``first`` on, are a geometry of the object."""
    if s[G_CODE] == NO_VALUE:
        return
    if not frame[mem.NUM_GEOMETRIES]:
        frame[mem.GEOMETRY], frame[mem.GEOMETRY_CODE] = frame[mem.KEY], s[G_CODE]
        frame[mem.FIRST_NUMBER], frame[mem.NUM_NUMBERS_OF_IT] = first, s[G_COUNT]
    frame[mem.NUM_GEOMETRIES] += 1
    frame[mem.GEOMETRY_KEYS] |= 1 << frame[mem.KEY]


@part
def _note_numbers(s: Ints, frame: Ints, repaired: int) -> None:
    """A list of numbers under a key that is no geometry; only that it is there counts."""
    frame[mem.HAS_NUMBERS] = 1
    s[REPAIRED] &= repaired | ~mem.NESTED_LIST
    if s[G_CODE] == mem.NOT_A_NUMBER:
        s[REPAIRED] |= mem.NUMBER_FORMAT


@part
def _note_desc(m: Memory, start: int, is_text: bool) -> None:
    """The text that was read last is what the object is called; or the number at ``start``, a label without quotes."""
    s = m.state
    frame = m.frames[s[NUM_FRAMES] - 1]
    stop = s[POS]
    if is_text:
        frame[mem.DESC_START], frame[mem.DESC_STOP] = s[D_START], s[D_STOP]
        frame[mem.DESC_IS_DECODED] = s[D_IS_DECODED]
        if s[D_IS_DECODED]:
            s[mem.NUM_DECODED] = s[D_STOP]
    elif s[mem.IS_SCALAR] and ch.is_digit(m.text[stop - 1]):
        frame[mem.DESC_START], frame[mem.DESC_STOP], frame[mem.DESC_IS_DECODED] = start, stop, 0
        s[REPAIRED] |= QUOTES
    else:
        frame[mem.DESC_STOP] = mem.NONE


@part
def _are_numbers(text: Points, pos: int) -> bool:
    """A list that holds numbers and lists of numbers, at least one, and nothing else."""
    if text[pos] != ch.OPEN_BRACKET:
        return False
    pos, depth = pos + 1, 1
    is_empty = True
    while True:
        pos = ch.skip_space(text, pos)
        char = text[pos]
        if char == ch.CLOSE_BRACKET and not is_empty:
            depth -= 1
            pos += 1
            if not depth:
                return True
        elif char == ch.OPEN_BRACKET and depth == 1:
            depth, pos, is_empty = 2, pos + 1, True
            continue
        else:
            pos = _rough_number_end(text, pos)
            if pos == NO:
                return False
            is_empty = False
        pos = ch.skip_space(text, pos)
        if text[pos] == ch.COMMA:
            pos += 1


@part
def _rough_number_end(text: Points, pos: int) -> int:
    """Characters of a number in any order, or a token."""
    if text[pos] == ch.LESS:
        return numbers.coord_end(text, pos)
    start = pos
    while (
        ch.is_digit(text[pos]) or (text[pos] != ch.COMMA and ch.PLUS <= text[pos] <= ch.DOT) or _is_e(text, pos, start)
    ):
        pos += 1
    return NO if pos == start else pos


@part
def _is_e(text: Points, pos: int, start: int) -> bool:
    return pos > start and (text[pos] == ch.LOWER_E or text[pos] == ch.UPPER_E)


@part
def _read_text(m: Memory) -> bool:
    """Take in a text, a number or a literal. Whether it is a text; then `say` has noted what it says."""
    s, text = m.state, m.text
    pos = s[POS]
    char = text[pos]
    if char == ch.COMMA or char == ch.CLOSE_BRACE or char == ch.CLOSE_BRACKET or char == END:
        s[REPAIRED] |= mem.NO_VALUE
        s[mem.IS_SCALAR] = 0
        return False
    frame = m.frames[s[NUM_FRAMES] - 1]
    end = scalar(m)
    s[mem.IS_SCALAR] = end != NO
    if end != NO:
        s[POS] = frame[STOP] = end
        return False
    start, stop, end, flags = strings.text_value(text, pos, frame[KEY_QUOTE])
    s[POS] = frame[STOP] = end
    if flags & strings.CUT:
        return False
    note_text(m, start, stop, flags)
    if flags & strings.UNFINISHED:
        frame[mem.CODE] = mem.UNFINISHED
    if start == pos or not flags & strings.CLOSED:
        start, stop = _trimmed(m.original, start, stop)
    say(m, start, stop, start > pos + 1 and text[pos] == ch.BACKSLASH)
    return True


@part
def say(m: Memory, start: int, stop: int, is_escaped_twice: bool) -> None:
    """Note where to find what the text from ``start`` to before ``stop`` says: there, or decoded."""
    s = m.state
    s[D_START], s[D_STOP], s[D_IS_DECODED] = start, stop, 0
    if escapes.needs_decoding(m.original, start, stop):
        s[D_START] = s[mem.NUM_DECODED]
        s[D_STOP] = escapes.decode(m, start, stop)
        s[D_IS_DECODED] = 1
        if is_escaped_twice:  # JSON in a JSON string
            s[D_STOP] = escapes.decode_again(m, s[D_START], s[D_STOP])


@part
def _stripped(text: Points, start: int, stop: int) -> tuple[int, int]:
    while start < stop and ch.is_space(text[start]):
        start += 1
    while start < stop and ch.is_space(text[stop - 1]):
        stop -= 1
    return start, stop


@part
def _trimmed(text: Points, start: int, stop: int) -> tuple[int, int]:
    """A text whose quotes are not a pair of one kind, without space, commas and the quote at its end."""
    start, stop = _stripped(text, start, stop)
    while start < stop and text[stop - 1] == ch.COMMA:
        stop -= 1
    while start < stop and ch.is_space(text[stop - 1]):
        stop -= 1
    if start == stop or not ch.quote_kind(text[stop - 1]):
        return start, stop
    for index in range(start, stop - 1):
        if text[index] == text[stop - 1]:
            return start, stop
    stop -= 1
    while start < stop and text[stop - 1] == ch.BACKSLASH:
        stop -= 1
    return start, stop


@part
def scalar(m: Memory) -> int:
    """Behind the number or the literal at the current offset; `NO` for none."""
    end = _scalar_end(m.text, m.state[POS])
    if end != NO and _is_python(m.text, m.state[POS]):
        m.state[REPAIRED] |= mem.PYTHON_LITERAL
    return end


@part
def _scalar_end(text: Points, pos: int) -> int:
    """A number or a literal, behind which a value can end."""
    end = numbers.json_number_end(text, pos)
    if end == NO:
        end = words.any_word_end(text, pos, words.FIRST_LITERAL, words.LAST_LITERAL)
        if end == NO:
            return NO
    after = ch.skip_space(text, end)
    char = text[after]
    if char == ch.COMMA or char == ch.CLOSE_BRACE or char == ch.CLOSE_BRACKET or char == END:
        return end
    return end if keys.is_key(text, after) else NO


@part
def _is_python(text: Points, pos: int) -> bool:
    """The literal at ``pos`` is one of Python."""
    if text[pos] == ch.UPPER_N:
        return text[pos + 1] != ch.LOWER_A
    return text[pos] == ch.UPPER_T or text[pos] == ch.UPPER_F


@part
def need_comma(s: Ints) -> None:
    if s[mem.LAST] == VALUE:
        s[REPAIRED] |= mem.MISSING_COMMA


@part
def skip_junk(m: Memory) -> None:
    """Skip a word, or one character, that has no place here."""
    s = m.state
    s[REPAIRED] |= mem.PROSE
    end = max(_junk_end(m.text, s[POS]), s[POS] + 1)
    mark_text(m, s[POS], end)
    s[POS] = end


@part
def _junk_end(text: Points, pos: int) -> int:
    """A word with its apostrophes, or a quote with all its backslashes: one backslash at a time would take quadratic
    time."""
    if text[pos] == ch.BACKSLASH:
        pos = ch.skip_backslashes(text, pos)
        return pos + 1 if ch.quote_kind(text[pos]) else pos
    start = pos
    pos = _plain_end(text, pos)
    while pos > start and (text[pos] == ch.SINGLE_QUOTE or text[pos] == ch.RIGHT_QUOTE) and ch.is_letter(text[pos + 1]):
        pos += 1
        while ch.is_letter(text[pos]):
            pos += 1
    return pos


@part
def _plain_end(text: Points, pos: int) -> int:
    """Behind the characters that are no space, quote or punctuation of JSON."""
    while True:
        char = text[pos]
        if char == END or ch.is_space(char) or ch.quote_kind(char) or ch.OPEN_PAREN <= char <= ch.CLOSE_PAREN:
            return pos
        if ch.OPEN_BRACKET <= char <= ch.CLOSE_BRACKET or char == ch.OPEN_BRACE or char == ch.CLOSE_BRACE:
            return pos
        if char == ch.COMMA or char == ch.SLASH or char == ch.HASH:
            return pos
        pos += 1


@part
def mark_text(m: Memory, start: int, stop: int) -> None:
    """Note where prose or a text stands: its characters are no punctuation."""
    if m.state[mem.IS_ODD]:
        for index in range(start, stop):
            m.marks[index] |= mem.IN_TEXT


@part
def note_text(m: Memory, start: int, stop: int, flags: int) -> None:
    """Note where a text stands, and what is wrong with its quotes."""
    mark_text(m, start, stop)
    if not (flags & strings.CLEAN and flags & strings.CLOSED):
        is_escaped = flags & strings.CLOSED and start >= 2 and m.text[start - 2] == ch.BACKSLASH
        m.state[REPAIRED] |= mem.ESCAPES if is_escaped else QUOTES
