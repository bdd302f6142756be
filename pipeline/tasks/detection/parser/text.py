"""From the bytes of a text to rows of what was found in it."""

import functools
from collections.abc import Callable

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import memory as mem
from pipeline.tasks.detection.parser.compiled import fingerprint, part, whole
from pipeline.tasks.detection.parser.memory import Memory, memory_for
from pipeline.tasks.detection.parser.reader import close, read_next

# Bits of the flags that `read_text` returns.
TRUNCATED, EMPTY, UNSORTED = 1, 2, 4


@part
def _decode_utf8(m: Memory, data: bytes) -> None:
    """The characters of valid UTF-8, and what they are without full-width forms."""
    pos = size = 0
    while pos < len(data):
        first = int(data[pos])
        pos += 1
        if first < 0x80:
            char = first
        else:
            num_more = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
            char = first & (0x3F >> num_more)
            for _ in range(num_more):
                char = char << 6 | int(data[pos]) & 0x3F
                pos += 1
        plain = ch.plain_width(char)
        m.original[size], m.text[size], m.marks[size] = char, plain, 0
        if plain != char or (ch.is_space(char) and not ch.is_json_space(char)):
            m.state[mem.IS_ODD] = 1
        size += 1
    for index in range(size, size + 4):
        m.original[index] = m.text[index] = ch.END
        m.marks[index] = 0
    m.state[mem.SIZE] = size


Reader = Callable[[bytes, Memory, int], tuple[int, int, int, int, int, int]]


def _reader(version: int) -> Reader:
    @whole
    def read_text(data: bytes, m: Memory, num_exact: int) -> tuple[int, int, int, int, int, int]:
        """Read the text whose UTF-8 is ``data``.

        Returns how many rows of ``found`` and of ``numbers`` there are, how many hard numbers were met, the bits of all
        repairs, those up to the last complete object, and flags. If there were more hard numbers than ``num_exact``,
        nothing counts: their values belong at the end of ``numbers``, and the text is to be read again.
        """
        s = m.state
        for field in range(mem.NUM_STATE_FIELDS):
            s[field] = 0
        s[mem.VERSION] = version
        s[mem.NUM_EXACT] = num_exact
        s[mem.ROOT] = mem.NONE
        _decode_utf8(m, data)
        if m.text[0] == ch.BYTE_ORDER_MARK:
            s[mem.REPAIRED] = mem.BOM
            s[mem.POS] = 1
        while s[mem.POS] < s[mem.SIZE] or s[mem.IS_VALUE_NEXT]:
            read_next(m)
        close(m)
        flags = TRUNCATED * s[mem.IS_TRUNCATED] + EMPTY * s[mem.IS_EMPTY] + UNSORTED * s[mem.IS_UNSORTED]
        return (
            s[mem.NUM_FOUND], s[mem.NUM_NUMBERS], s[mem.NUM_HARD], s[mem.REPAIRED], s[mem.REPAIRED_COMPLETE], flags,
        )  # fmt: skip

    return read_text


@functools.cache
def load_reader() -> Reader:
    """The function that reads texts: compiled, which takes about half a minute, or as it was kept on disk."""
    read_text = _reader(fingerprint())
    read_text(b"", memory_for(0), 0)
    return read_text
