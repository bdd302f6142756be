"""The words that mean something to the parser, as rows of code points."""

from typing import Final

import numpy as np

from pipeline.tasks.detection.parser.characters import END, NO
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.memory import Ints, Points

_WORDS: Final = (
    "", "desc", "bbox_2d", "poly", "line", "line_2d", "polyline", "objects",
    "null", "None", "true", "True", "false", "False", "NaN", "Infinity", "-Infinity",
    "json5", "jsonl", "json", "JSON", "python", "py", "javascript", "js", "text",
    "<|coord_",
)  # fmt: skip

# Keys: those that an object has, and the one around a list of objects. A row without a word is any other key.
OTHER, DESC, BOX, POLYGON, LINE, LINE_2D, POLYLINE, OBJECTS = range(8)
FIRST_LITERAL, LAST_LITERAL = _WORDS.index("null"), _WORDS.index("-Infinity")
FIRST_LANGUAGE, LAST_LANGUAGE = _WORDS.index("json5"), _WORDS.index("text")
COORD: Final = _WORDS.index("<|coord_")
COORD_SIZE: Final = len("<|coord_")


def _table() -> Ints:
    table = np.full((len(_WORDS), max(map(len, _WORDS)) + 1), END, np.int64)
    for row, word in enumerate(_WORDS):
        table[row, : len(word)] = list(map(ord, word))
    return table


_POINTS: Final = _table()


@part
def word_end(text: Points, pos: int, word: int) -> int:
    """The offset behind ``word``, a row of the table, where it stands at ``pos``; `NO` where it does not."""
    index = 0
    while _POINTS[word, index] != END:
        if text[pos + index] != _POINTS[word, index]:
            return NO
        index += 1
    return pos + index


@part
def any_word_end(text: Points, pos: int, first: int, last: int) -> int:
    """The offset behind the first of the words from ``first`` to ``last`` that stands at ``pos``; `NO` for none."""
    for word in range(first, last + 1):
        end = word_end(text, pos, word)
        if end != NO:
            return end
    return NO
