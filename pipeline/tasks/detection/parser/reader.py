"""Reads objects out of an answer that is not the JSON it should be: one pass, no recursion, no second guess."""

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import fields, keys, objects, strings, words
from pipeline.tasks.detection.parser import memory as mem
from pipeline.tasks.detection.parser.characters import END, NO
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import (
    AFTER_COMMA,
    CLOSING_BRACKET,
    DEPTH,
    LAST,
    NUM_FRAMES,
    OPENED,
    POS,
    REPAIRED,
    START,
    STOP,
    VALUE,
    Memory,
)


@part
def read_next(m: Memory) -> None:
    """Read on, by one thing: prose, a bracket, a comma, a key, its value, or something that has no place there."""
    s = m.state
    if s[mem.IS_VALUE_NEXT]:
        fields.read_value(m)
    elif s[DEPTH] == 0:
        _between(m)
    elif m.stack[s[DEPTH] - 1] < 0:
        _in_object(m)
    else:
        _in_list(m)


# Between containers


@part
def _between(m: Memory) -> None:
    """Prose up to the next bracket."""
    s, text = m.state, m.text
    start = pos = s[POS]
    is_blank = True
    while text[pos] != ch.OPEN_BRACKET and text[pos] != ch.OPEN_BRACE and text[pos] != END:
        is_blank = is_blank and ch.is_space(text[pos])
        pos += 1
    if not is_blank:
        fields.mark_text(m, start, pos)
        _prose(m, start, pos)
    s[POS] = pos
    if text[pos] != END:
        s[mem.NUM_ROOTS] += 1
        objects.open_bracket(m)


@part
def _prose(m: Memory, pos: int, end: int) -> None:
    """What words, brackets and commas between containers are."""
    s, text = m.state, m.text
    has_words = has_brackets = has_commas = False
    while pos < end:
        char = text[pos]
        if ch.is_fence(text, pos):
            s[REPAIRED] |= mem.FENCE
            pos += 3
            language = words.any_word_end(text, pos, words.FIRST_LANGUAGE, words.LAST_LANGUAGE)
            pos = pos if language == NO else language
            continue
        if char == ch.COMMA:
            has_commas = True
        elif char == ch.CLOSE_BRACKET or char == ch.CLOSE_BRACE or char == ch.CLOSE_PAREN:
            has_brackets = True
        elif not ch.is_json_space(char):
            has_words = True
        pos += 1
    if has_words:
        s[REPAIRED] |= mem.PROSE
    elif has_brackets:
        s[REPAIRED] |= mem.STRAY_BRACKET
    elif has_commas:
        s[REPAIRED] |= mem.EXTRA_COMMA


# In a list


@part
def _in_list(m: Memory) -> None:
    s, text = m.state, m.text
    s[POS] = pos = ch.skip_space(text, s[POS])
    char = text[pos]
    if char == END:
        return
    if char == ch.OPEN_BRACE or char == ch.OPEN_BRACKET:
        fields.need_comma(s)
        objects.open_bracket(m)
    elif char == ch.COMMA:
        _comma(s)
    elif char == ch.CLOSE_BRACKET:
        _close_list(m)
    elif char == ch.CLOSE_BRACE:
        _stray_brace(m)
    elif _is_key_in_list(m, pos):
        _key_in_list(m)
    elif ch.is_fence(text, pos):
        _close_all(m)
    elif not _comment(m):
        _element(m, pos)


@part
def _is_key_in_list(m: Memory, pos: int) -> bool:
    """A known key, which no list has; or any key, where an object is around the list for it to belong to."""
    return keys.is_known_key(m.text, pos) or (_is_in_object(m) and keys.is_quoted_key(m.text, pos))


@part
def _is_in_object(m: Memory) -> bool:
    """The list on top of the stack is the value of a key."""
    return m.state[DEPTH] > 1 and m.stack[m.state[DEPTH] - 2] < 0


@part
def _key_in_list(m: Memory) -> None:
    """The list around it lacks its bracket, or an object in the list its brace."""
    s = m.state
    belongs_outside = not keys.is_known_key(m.text, s[POS]) or (
        _is_in_object(m) and not m.frames[s[NUM_FRAMES] - 1, mem.HAS_CHILD] and s[LAST] != OPENED
    )
    if belongs_outside:
        s[REPAIRED] |= CLOSING_BRACKET
        s[DEPTH] -= 1
        return
    s[REPAIRED] |= mem.OPENING_BRACKET
    fields.need_comma(s)
    objects.push_frame(m)


@part
def _element(m: Memory, pos: int) -> None:
    """A string, a number or words in a list."""
    s = m.state
    end = NO
    if s[LAST] != VALUE:
        start, stop, end, flags = strings.list_text(m.text, pos)
        if end != NO:
            fields.note_text(m, start, stop, flags)
            fields.say(m, start, stop, False)
    if end == NO:
        end = fields.scalar(m)
        if end == NO:
            fields.skip_junk(m)
            return
    fields.need_comma(s)
    objects.note(m, mem.NOT_AN_OBJECT, pos, end, m.stack[s[DEPTH] - 1])
    s[POS] = end
    s[LAST] = VALUE


@part
def _close_list(m: Memory) -> None:
    """The bracket at the current offset closes the list on top of the stack."""
    s = m.state
    s[DEPTH] -= 1
    start = m.stack[s[DEPTH]]
    s[POS] += 1
    _trailing_comma(s)
    if m.marks[start] & mem.HOLDS_OBJECTS:
        s[mem.IS_LIST_CLOSED] = 1
    elif s[LAST] == OPENED and not _has_words(m, start + 1, s[POS] - 1):
        _empty_list(m)
    if s[NUM_FRAMES]:
        m.frames[s[NUM_FRAMES] - 1, STOP] = s[POS]
    s[LAST] = VALUE


@part
def _has_words(m: Memory, start: int, stop: int) -> bool:
    """Words or comments stand there."""
    for index in range(start, stop):
        if not ch.is_json_space(m.text[index]) and m.text[index] != ch.COMMA:
            return True
    return False


@part
def _empty_list(m: Memory) -> None:
    """A list without anything is an answer when it stands alone or under ``objects``."""
    s = m.state
    top = s[NUM_FRAMES] - 1
    is_in_list = False
    if s[DEPTH] and m.stack[s[DEPTH] - 1] < 0:
        if m.frames[top, mem.KEY] != words.OBJECTS:
            return
        m.frames[top, mem.HAS_LIST] = 1
    elif s[NUM_FRAMES]:
        return
    else:
        is_in_list = s[DEPTH] > 0
    s[mem.IS_EMPTY] = 1
    if is_in_list or s[DEPTH] > 1:
        s[mem.IS_EMPTY_WRAPPED] = 1


@part
def _stray_brace(m: Memory) -> None:
    """A brace that closes an object closes the lists in it; without an open object it closes nothing."""
    s = m.state
    if not s[NUM_FRAMES]:
        s[REPAIRED] |= mem.STRAY_BRACKET
        s[POS] += 1
        return
    s[REPAIRED] |= CLOSING_BRACKET
    _trailing_comma(s)
    while m.stack[s[DEPTH] - 1] >= 0:
        s[DEPTH] -= 1
    s[LAST] = VALUE


# In an object


@part
def _in_object(m: Memory) -> None:
    s, text = m.state, m.text
    s[POS] = pos = ch.skip_space(text, s[POS])
    char = text[pos]
    if char == END:
        return
    if char == ch.CLOSE_BRACE:
        _trailing_comma(s)
        s[POS] = m.frames[s[NUM_FRAMES] - 1, STOP] = pos + 1
        objects.close_frame(m)
    elif char == ch.COMMA:
        _comma(s)
    elif char == ch.OPEN_BRACE or char == ch.OPEN_BRACKET:
        _unnamed(m, char)
    elif char == ch.CLOSE_BRACKET or char == ch.CLOSE_PAREN:
        _stray_list_end(m)
    elif ch.is_fence(text, pos):
        _close_all(m)
    elif not _comment(m):
        fields.read_key(m)


@part
def _unnamed(m: Memory, bracket: int) -> None:
    """A bracket where a key should be: the next object, when this one has what objects have; else what it holds."""
    s = m.state
    frame = m.frames[s[NUM_FRAMES] - 1]
    if bracket == ch.OPEN_BRACE and not frame[mem.HAS_CHILD] and (frame[mem.KEYS] or frame[mem.HAS_NUMBERS]):
        s[REPAIRED] |= CLOSING_BRACKET
        last = s[LAST]
        objects.close_frame(m)
        s[LAST] = last
        return
    s[REPAIRED] |= mem.PROSE
    frame[mem.KEY] = words.OTHER
    objects.open_bracket(m)


@part
def _stray_list_end(m: Memory) -> None:
    """``]`` in an object: it closes the list around the object, unless the object goes on behind it."""
    s = m.state
    is_list_open = s[DEPTH] > s[NUM_FRAMES]
    if not is_list_open or m.text[s[POS]] == ch.CLOSE_PAREN or _goes_on(m):
        s[REPAIRED] |= mem.STRAY_BRACKET
        s[POS] += 1
        return
    s[REPAIRED] |= CLOSING_BRACKET
    _trailing_comma(s)
    objects.close_frame(m)


@part
def _goes_on(m: Memory) -> bool:
    """Behind the bracket at the current offset stands a key; where the object's list is in another object, which the
    key could belong to, a known one that the object does not have."""
    s, text = m.state, m.text
    pos = ch.skip_space(text, s[POS] + 1)
    if text[pos] != ch.COMMA:
        return False
    pos = ch.skip_space(text, pos + 1)
    quote = keys.quote_end(text, pos, keys.ANY_QUOTE)
    pos = pos if quote == NO else quote
    end = keys.name_end(text, pos)
    if end == NO:
        return False
    quote = keys.quote_end(text, end, keys.ANY_QUOTE)
    if text[ch.skip_space(text, end if quote == NO else quote)] != ch.COLON:
        return False
    frame = m.frames[s[NUM_FRAMES] - 1]
    if not frame[mem.IS_IN_LIST] or s[DEPTH] <= 2:
        return True
    key = keys.key_of(text, pos, end)
    return key != words.OTHER and key != words.OBJECTS and not frame[mem.KEYS] & (1 << key)


# Small things


@part
def _comma(s: mem.Ints) -> None:
    if s[LAST] == VALUE:
        s[LAST] = AFTER_COMMA
    else:
        s[REPAIRED] |= mem.EXTRA_COMMA
    s[POS] += 1


@part
def _trailing_comma(s: mem.Ints) -> None:
    if s[LAST] == AFTER_COMMA:
        s[REPAIRED] |= mem.TRAILING_COMMA


@part
def _comment(m: Memory) -> bool:
    """Skip a comment of any kind."""
    s, text = m.state, m.text
    pos = s[POS]
    end = ch.skip_line_comment(text, pos)
    if text[pos] == ch.SLASH and text[pos + 1] == ch.STAR:
        end = _comment_end(s, text, pos + 2)
    if end == NO:
        return False
    s[POS] = end
    s[REPAIRED] |= mem.COMMENTS
    return True


@part
def _comment_end(s: mem.Ints, text: mem.Points, pos: int) -> int:
    """Behind the next ``*/``, `NO` for none: then no later one has an end either, and none is looked for again."""
    if s[mem.HAS_NO_COMMENT_END]:
        return NO
    while not (text[pos] == ch.STAR and text[pos + 1] == ch.SLASH):
        if text[pos] == END:
            s[mem.HAS_NO_COMMENT_END] = 1
            return NO
        pos += 1
    return pos + 2


@part
def _close_all(m: Memory) -> None:
    """A code fence ends here: nothing before it was cut, so what is open lacks its bracket."""
    s = m.state
    s[REPAIRED] |= CLOSING_BRACKET
    _trailing_comma(s)
    while s[DEPTH]:
        top = m.stack[s[DEPTH] - 1]
        if top < 0:
            objects.close_frame(m)
        else:
            s[DEPTH] -= 1
            s[mem.IS_LIST_CLOSED] |= m.marks[top] & mem.HOLDS_OBJECTS


# At the end


@part
def close(m: Memory) -> None:
    """The text has ended, with or without open brackets."""
    s = m.state
    if s[DEPTH]:
        _unclosed(s, _ends_in_object(m))
    _report_the_rest(m)


@part
def _unclosed(s: mem.Ints, is_truncated: bool) -> None:
    s[mem.IS_TRUNCATED] = is_truncated
    if not is_truncated:
        s[REPAIRED] |= CLOSING_BRACKET
        _trailing_comma(s)


@part
def _ends_in_object(m: Memory) -> bool:
    s = m.state
    for row in range(s[NUM_FRAMES]):
        if m.frames[row, mem.KEYS]:
            return True
    if s[NUM_FRAMES]:
        frame = m.frames[s[NUM_FRAMES] - 1]
        if not (frame[mem.HAS_CHILD] or frame[mem.HAS_LIST]):
            if frame[mem.IS_IN_LIST]:
                return True
            return not s[mem.IS_LIST_CLOSED] and _looks_like_json(m, frame[START])
    if s[mem.NUM_PLACED] or s[mem.IS_EMPTY]:
        return False
    bottom = m.stack[0]
    return _looks_like_json(m, bottom if bottom >= 0 else m.frames[0, START])


@part
def _looks_like_json(m: Memory, pos: int) -> bool:
    """Behind the bracket at ``pos`` stands what could be a value or a key, or nothing."""
    text = m.text
    pos = ch.skip_space(text, pos + 1)
    char = text[pos]
    if char == END or char == ch.OPEN_BRACE or char == ch.OPEN_BRACKET or ch.is_digit(char):
        return True
    if (char == ch.MINUS and ch.is_digit(text[pos + 1])) or keys.quote_end(text, pos, keys.ANY_QUOTE) != NO:
        return True
    end = keys.name_end(text, pos)
    if end == NO:
        return False
    char = text[ch.skip_space(text, end)]
    return char == ch.COLON or char == ch.EQUALS or char == END


@part
def _report_the_rest(m: Memory) -> None:
    """What is known only at the end."""
    s = m.state
    num_kept = s[mem.NUM_PLACED]
    for row in range(s[mem.NUM_FOUND]):
        parent = m.found[row, mem.F_LIST]
        if parent != mem.NONE:
            if m.marks[parent] & mem.HOLDS_OBJECTS:
                num_kept += 1
            else:
                m.found[row, mem.F_CODE] = mem.NONE
    if s[mem.IS_EMPTY_WRAPPED] and not num_kept:
        s[REPAIRED] |= mem.WRAPPER
    if s[mem.NUM_ROOTS] > 1 and not s[REPAIRED] & (mem.NO_LIST | mem.SEVERAL_CONTAINERS):
        s[REPAIRED] |= mem.PROSE
    if s[mem.IS_ODD]:
        for index in range(s[mem.SIZE]):
            if not m.marks[index] & mem.IN_TEXT:
                if m.original[index] != m.text[index]:
                    s[REPAIRED] |= mem.FULL_WIDTH_FORMS
                if ch.is_space(m.text[index]) and not ch.is_json_space(m.text[index]):
                    s[REPAIRED] |= mem.SPACES
