"""Where a text value ends, in JSON whose quotes may be wrong, missing, or too many.

Every scan either consumes what it looked at or stops at the next quote of its own kind: reading any text takes time
linear in its length.
"""

from typing import Final

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import keys
from pipeline.tasks.detection.parser.characters import END, NO
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import Points

# What is known of the end of a text. CLOSED: a quote ends it. CUT: the end of everything does. UNFINISHED: the next
# object does. CLEAN: its quotes are as JSON has them.
CLOSED, CUT, UNFINISHED, CLEAN = 1, 2, 4, 8

Text = tuple[
    int, int, int, int
]  # its content is [start, stop), it is consumed up to the third; flags. start `NO`: none
NO_TEXT: Final = (NO, NO, NO, 0)


@part
def text_value(text: Points, pos: int, key_quote: int) -> Text:
    """The text that is the value of a key and begins at ``pos``, with a quote or without one.

    The first quote of the same kind ends it when what stands behind that quote can stand behind a value: so a valid
    JSON string is always read as what it is, whatever is in it. Only when that fails, quotes that stand unescaped
    in the text, and quotes that are missing, are thought of. ``key_quote`` is the quote around the key, 0 for none:
    its kind, and `keys.ESCAPED` where a backslash stands before it.
    """
    is_bare = key_quote == 0
    start = keys.quote_end(text, pos, keys.ANY_QUOTE)
    if start == NO:
        kinds = ch.DOUBLE | ch.SINGLE
        return _scan(text, pos, kinds | keys.ONLY_ESCAPED if key_quote & keys.ESCAPED else kinds, is_bare, True)
    stop, end = _closer(text, pos, start)
    plain = _unclosed_end(text, start)
    if plain != NO and not _ends_value(text, end):
        return start, plain, plain, 0
    if stop != NO:
        boundary = _bare_boundary(text, start, stop) if is_bare else NO
        if boundary != NO:
            return start, boundary, boundary, 0
        if _can_follow(text, end) and (is_bare or not _opens_key(text, stop)):
            is_clean = start == pos + 1 and text[pos] == ch.DOUBLE_QUOTE
            return start, stop, end, CLOSED | CLEAN if is_clean else CLOSED
    kinds = (key_quote | ch.quote_kind(text[start - 1])) & (ch.DOUBLE | ch.SINGLE)
    return _scan(text, start, kinds | keys.ONLY_ESCAPED if text[pos] == ch.BACKSLASH else kinds, is_bare, False)


@part
def list_text(text: Points, pos: int) -> Text:
    """The string in a list that begins with the quote at ``pos``, or `NO_TEXT` when it does not read as one."""
    start, stop, end, flags = _quoted(text, pos)
    if start == NO:
        return NO_TEXT
    after = ch.skip_space(text, end)
    char = text[after]
    if char == ch.COMMA or char == ch.CLOSE_BRACKET or char == ch.CLOSE_BRACE or char == END:
        return start, stop, end, flags
    if ch.is_fence(text, after) or ch.is_comment(text, after):
        return start, stop, end, flags
    return NO_TEXT


@part
def quoted_key(text: Points, pos: int) -> Text:
    """The quoted text at ``pos`` whose next quote is followed by a colon: a key of any characters; or `NO_TEXT`."""
    start, stop, end, flags = _quoted(text, pos)
    if start == NO or text[ch.skip_space(text, end)] != ch.COLON:
        return NO_TEXT
    return start, stop, end, flags


@part
def _quoted(text: Points, pos: int) -> Text:
    """From the quote at ``pos`` to the next one that could close it."""
    start = keys.quote_end(text, pos, keys.ANY_QUOTE)
    if start == NO:
        return NO_TEXT
    stop, end = _closer(text, pos, start)
    if stop == NO:
        return NO_TEXT
    is_clean = start == pos + 1 and text[pos] == ch.DOUBLE_QUOTE
    return start, stop, end, CLOSED | CLEAN if is_clean else CLOSED


@part
def _closer(text: Points, pos: int, start: int) -> tuple[int, int]:
    """Where the next quote that could close the one from ``pos`` to ``start`` begins and ends."""
    num_backslashes = start - pos - 1
    if num_backslashes > 2:
        return NO, NO
    if num_backslashes:
        return _escaped_closer(text, start)
    opener = text[pos]
    at = start
    while text[at] != END:
        if text[at] == ch.BACKSLASH:
            at += 1
            if text[at] == END:
                return NO, NO
        elif _closes(opener, text[at]):
            return at, at + 1
        at += 1
    return NO, NO


@part
def _closes(opener: int, char: int) -> bool:
    kind = ch.quote_kind(char)
    if not kind:
        return False
    if opener == ch.DOUBLE_QUOTE or opener == ch.SINGLE_QUOTE:
        return char == opener
    if opener == ch.TICK or opener == ch.ACUTE:
        return char == ch.SINGLE_QUOTE or char == ch.TICK or char == ch.ACUTE
    return kind == ch.quote_kind(opener) and char != ch.TICK and char != ch.ACUTE


@part
def _escaped_closer(text: Points, pos: int) -> tuple[int, int]:
    """The next quote with backslashes, in JSON written into a JSON string: \\"desc\\":\\"cat\\".

    Four backslashes are one in the text, three escape a quote.
    """
    while text[pos] != END:
        if text[pos] == ch.BACKSLASH:
            first = pos
            pos = ch.skip_backslashes(text, pos)
            rest = (pos - first) % 4
            if (rest == 1 or rest == 2) and ch.quote_kind(text[pos]):
                return pos - rest, pos + 1
        else:
            pos += 1
    return NO, NO


@part
def _unclosed_end(text: Points, start: int) -> int:
    """Where the text that begins at ``start`` ends if its closing quote is missing: before the first character that is
    no part of a plain text, if the object ends or goes on there. No quote stands between them, so that a valid text is
    none of these."""
    pos = start
    while not (_is_structure(text[pos]) or ch.quote_kind(text[pos])):
        pos += 1
    char, kind = text[pos], ch.quote_kind(text[start - 1])
    after = ch.skip_space(text, pos + 1)
    if pos == start:
        return NO
    if char == ch.COMMA:
        is_next = ch.quote_kind(text[after]) == kind and keys.quoted_key_end(text, after, kind, True, False) != NO
        return pos if is_next else NO
    if char != ch.CLOSE_BRACE:
        return NO
    if text[after] == ch.COMMA:
        after = ch.skip_space(text, after + 1)
    is_next = text[after] == ch.OPEN_BRACE and ch.quote_kind(text[ch.skip_space(text, after + 1)]) == kind
    return pos if is_next else NO


@part
def _is_structure(char: int) -> bool:
    """A character that ends a text whose quotes are in doubt."""
    if ch.is_bracket(char) or char == ch.BACKSLASH or char == ch.NEWLINE or char == END:
        return True
    return char == ch.COMMA or char == ch.COLON or char == ch.EQUALS


@part
def _ends_value(text: Points, pos: int) -> bool:
    """Behind a value's closing quote, at ``pos``, stands what JSON has there, but for the quotes of a key."""
    if pos == NO:
        return False
    pos = ch.skip_space(text, pos)
    char = text[pos]
    if char != ch.COMMA:
        return char == ch.CLOSE_BRACE or char == ch.CLOSE_BRACKET or char == END
    pos = ch.skip_space(text, pos + 1)
    return text[pos] == ch.OPEN_BRACE or keys.is_key(text, pos)


@part
def _bare_boundary(text: Points, start: int, stop: int) -> int:
    """Where keys have no quotes, what looks like the next key or object in a text tells that its quote is missing."""
    for at in range(start, stop):
        pos = at
        if text[pos] == ch.CLOSE_BRACE:
            pos = ch.skip_space(text, pos + 1)
            if text[pos] == ch.COMMA:
                pos = ch.skip_space(text, pos + 1)
            if text[pos] != ch.OPEN_BRACE:
                continue
        elif text[pos] != ch.COMMA:
            continue
        end = bare_key_end(text, ch.skip_space(text, pos + 1))
        if end != NO and end <= stop:
            return at
    return NO


@part
def bare_key_end(text: Points, pos: int) -> int:
    """A known name and its colon, without quotes."""
    pos = keys.known_name(text, pos)[1]
    if pos == NO:
        return NO
    pos = ch.skip_space(text, pos)
    return pos + 1 if text[pos] == ch.COLON or text[pos] == ch.EQUALS else NO


@part
def _can_follow(text: Points, pos: int) -> bool:
    """What stands behind a quote can stand behind a value in an object."""
    if _follows(text, pos, keys.ANY_QUOTE, True):
        return True
    pos = ch.skip_space(text, pos)
    if text[pos] != ch.COMMA and text[pos] != ch.OPEN_BRACE:
        return False
    return keys.json_key_end(text, ch.skip_space(text, pos + 1)) != NO


@part
def _follows(text: Points, pos: int, quotes: int, is_bare: bool) -> bool:
    """What may stand behind the quote that closes a value, in an answer that has such ``quotes``."""
    pos = ch.skip_space(text, pos)
    char = text[pos]
    if char == ch.CLOSE_BRACE or char == ch.CLOSE_BRACKET or char == END:
        return True
    if char == ch.COMMA:
        pos = ch.skip_space(text, pos + 1)
        char = text[pos]
        if char == ch.CLOSE_BRACE or char == ch.CLOSE_BRACKET or char == ch.OPEN_BRACE or char == END:
            return True
        if keys.key_end(text, pos, quotes, False, is_bare) != NO:
            return True
        return ch.is_comment(text, pos)
    if keys.key_end(text, pos, quotes, True, True) != NO or keys.quoted_key_end(text, pos, quotes, False, False) != NO:
        return True
    if ch.is_fence(text, pos) or ch.is_comment(text, pos):
        return True
    return keys.is_object(text, pos, quotes, is_bare)


@part
def _opens_key(text: Points, at: int) -> bool:
    """The quote at ``at`` rather opens a known key than closes a text: the key's other quote is there, or a brace or a
    comma stands before it."""
    if keys.quoted_key_end(text, at, keys.ANY_QUOTE, True, True) != NO:
        return True
    pos = keys.quote_end(text, at, keys.ANY_QUOTE)
    if pos == NO or bare_key_end(text, ch.skip_space(text, pos)) == NO:
        return False
    while at > 1 and ch.is_space(text[at - 1]):
        at -= 1
    return text[at - 1] == ch.OPEN_BRACE or text[at - 1] == ch.COMMA


@part
def _scan(text: Points, start: int, quotes: int, is_bare_answer: bool, is_bare: bool) -> Text:
    """The end of a text with a quote too many or too few: the first place behind which the answer goes on.

    Only ``quotes`` count, those with which the answer writes its keys and texts; others may be part of a text, which
    may hold JSON itself. ``is_bare_answer``: keys have none. ``is_bare``: no quote opened the text, so that the first
    bracket that it did not open ends it. A text in quotes is ended by a brace only where the answer's structure goes on
    behind: a brace at the very end may belong to a text that was cut.
    """
    num_open = 0
    at = start
    while text[at] != END:
        char = text[at]
        if char == ch.BACKSLASH or ch.quote_kind(char):
            stop, end, after = _closing(text, at, quotes)
            if stop != NO:
                if keys.quoted_key_end(text, stop, quotes, True, True) != NO:
                    return start, stop, stop, 0
                if _follows(text, end, quotes, is_bare_answer):
                    return start, stop, end, CLOSED
            at = after
            continue
        if char == ch.OPEN_BRACE and keys.is_object(text, at, quotes, is_bare_answer):
            return start, at, at, UNFINISHED
        if char == ch.OPEN_BRACE or (is_bare and char == ch.OPEN_BRACKET):
            num_open += 1
        elif num_open and (char == ch.CLOSE_BRACE or (is_bare and char == ch.CLOSE_BRACKET)):
            num_open -= 1
        elif _ends_here(text, at, quotes, is_bare_answer, is_bare, num_open > 0):
            return start, at, at, 0
        at += 1
    return start, at, at, CUT


@part
def _ends_here(text: Points, at: int, quotes: int, is_bare_answer: bool, is_bare: bool, has_open: bool) -> bool:
    """The character at ``at``, which is no quote and opens nothing, ends the text."""
    char = text[at]
    if char == ch.COMMA:
        return _comma_ends(text, at, quotes, is_bare_answer, is_bare)
    if char == ch.CLOSE_BRACE or char == ch.CLOSE_BRACKET:
        if has_open:
            return False
        return is_bare or (char == ch.CLOSE_BRACE and _goes_on(text, at + 1, quotes, is_bare_answer))
    if not is_bare or ch.is_word(text[at - 1]) or text[at - 1] == ch.DOT:
        return False
    return bare_key_end(text, at) != NO


@part
def _closing(text: Points, at: int, quotes: int) -> tuple[int, int, int]:
    """The quote at ``at`` that may close a text, from and to, `NO` for none; and where to look on."""
    if not quotes & keys.ONLY_ESCAPED:
        if text[at] == ch.BACKSLASH:
            return NO, NO, at + 1 if text[at + 1] == END else at + 2
        return (at, at + 1, at + 1) if ch.quote_kind(text[at]) & quotes else (NO, NO, at + 1)
    end = ch.skip_backslashes(text, at)
    rest = (end - at) % 4
    if end == at or not ch.quote_kind(text[end]) & quotes:
        return NO, NO, max(end, at + 1)
    return (end - rest, end + 1, end + 1) if rest == 1 or rest == 2 else (NO, NO, end + 1)


@part
def _comma_ends(text: Points, at: int, quotes: int, is_bare_answer: bool, is_bare: bool) -> bool:
    """Behind the comma at ``at`` stands a key or an object; or, behind a text without quotes, a closing bracket."""
    pos = ch.skip_space(text, at + 1)
    if is_bare and (text[pos] == ch.CLOSE_BRACE or text[pos] == ch.CLOSE_BRACKET):
        return True
    if keys.key_end(text, pos, quotes, False, is_bare_answer) != NO:
        return True
    return keys.is_object(text, pos, quotes, is_bare_answer)


@part
def _goes_on(text: Points, pos: int, quotes: int, is_bare_answer: bool) -> bool:
    """Behind a brace stands what stands behind an object."""
    after = ch.skip_space(text, pos)
    if text[after] == ch.CLOSE_BRACE or ch.is_fence(text, after):
        return True
    if text[after] == ch.COMMA:
        after = ch.skip_space(text, after + 1)
    if text[after] == ch.CLOSE_BRACKET or keys.is_object(text, after, quotes, is_bare_answer):
        return True
    while text[pos] == ch.SPACE or text[pos] == ch.TAB:
        pos += 1
    return text[pos] == ch.NEWLINE
