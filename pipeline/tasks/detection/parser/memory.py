"""The memory of one text: what was read, what is open, and what was found; every array belongs to the caller."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.detection.codes import DROP_CODES, REPAIRS

Ints = NDArray[np.int64]
Points = Ints
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

NONE: Final = -1


class Memory(NamedTuple):
    """For a text of N bytes. Offsets are characters.

    ``text`` and ``original`` hold its M <= N characters, with and without full-width forms made plain, and `END`.
    ``decoded`` holds texts whose escapes were replaced. ``state`` is laid out as the constants below say, ``frames``
    has one row for each open object, ``stack`` what is open: the offset of a list's bracket, or ``~row`` of an object.
    ``found`` has one row for everything that was found. Of what it found of an object, ``numbers`` holds coordinates.
    ``marks`` says of every character `HOLDS_OBJECTS` for the bracket of a list, `IN_TEXT` for prose and texts.
    The ends of ``found`` and ``numbers`` are for `hard` numbers, counted from the last one down.
    """

    text: Points  # [N + 8]
    original: Points  # [N + 8]
    decoded: Points  # [N + 8]
    state: Ints  # [64]
    stack: Ints  # [N + 2]
    frames: Ints  # [N + 2, NUM_FRAME_FIELDS]
    found: Ints  # [N + 4, NUM_FOUND_FIELDS]; what is found, and each hard number, has a character of its own
    numbers: Floats  # [N + 4]; a number and what separates it from the next have two, a hard one more than four
    marks: Bytes  # [N + 8]


# Columns of `state`.
(
    SIZE,  # characters
    POS,
    LAST,  # what came last in the innermost bracket: OPENED, VALUE or AFTER_COMMA
    REPAIRED,  # bits of repairs
    REPAIRED_COMPLETE,  # those up to the last object that is complete
    DEPTH,  # of the stack
    NUM_FRAMES,
    NUM_FOUND,
    NUM_PLACED,  # of those, the ones that are objects, or were meant as such
    NUM_NUMBERS,
    NUM_DECODED,
    NUM_HARD,
    NUM_EXACT,  # hard numbers whose value the caller told
    ROOT,  # where the list of the objects, or what is around it, begins
    NUM_ROOTS,
    IS_EMPTY,  # an empty list that is an answer
    IS_EMPTY_WRAPPED,
    IS_TRUNCATED,
    IS_LIST_CLOSED,
    IS_ODD,  # full-width forms or odd spaces: then it matters where texts stand
    IS_UNSORTED,
    HAS_NO_COMMENT_END,
    # The value of a geometry while it is read.
    G_CODE,  # a code of DROPPED, NULL, or 0
    G_DEPTH,
    G_NUM_LISTS,  # lists in the list
    G_LIST_SIZE,  # numbers in the last of them
    G_NUM_UNPAIRED,  # those before it that do not hold two
    G_NUM_LOOSE,  # numbers that stand in no list in the list
    G_NUM_BRACES,
    G_AFTER,  # what came last: AFTER_OPEN, AFTER_NUMBER, AFTER_COMMA or AFTER_CLOSE
    G_END,  # behind the last number or closing bracket
    G_IS_QUOTED,
    G_COUNT,  # numbers
    # What the text that was read last says: where it stands in `original`, or in `decoded`.
    D_START,
    D_STOP,
    D_IS_DECODED,
    IS_SCALAR,  # it was no text but a number or a literal
    IS_VALUE_NEXT,  # of the last key
    VERSION,
    NUM_STATE_FIELDS,
) = range(40)
OPENED, VALUE, AFTER_COMMA = range(3)

# Columns of `frames`: an object whose brace is open, and what was read of it so far.
(
    START,
    STOP,  # behind its last value
    KEY,  # its last key
    KEY_QUOTE,  # the kind of quote around that, with ESCAPED; 0 for none
    KEYS,  # bits of the known ones
    NUM_DESCS,
    DESC_START,
    DESC_STOP,  # NONE: there is no text
    DESC_IS_DECODED,
    CODE,
    NUM_GEOMETRIES,
    GEOMETRY,  # the key of the first one
    GEOMETRY_KEYS,  # bits
    GEOMETRY_CODE,
    FIRST_NUMBER,
    NUM_NUMBERS_OF_IT,
    HAS_CHILD,  # an object was found inside it
    HAS_LIST,  # an empty list of objects was
    HAS_NUMBERS,  # a list of numbers stands under another key
    IS_IN_LIST,
    NUM_FRAME_FIELDS,
) = range(21)

# Columns of `found`.
(
    F_CODE,  # 0 for an object, else why it is none; NONE for what turned out to be nothing
    F_START,
    F_STOP,
    F_IS_BOX,
    F_DESC_START,
    F_DESC_STOP,
    F_IS_DECODED,
    F_FIRST,
    F_COUNT,
    F_LIST,  # it counts only if this list holds objects; NONE: it counts
    NUM_FOUND_FIELDS,
) = range(11)

HOLDS_OBJECTS, IN_TEXT = 1, 2


def _repair(name: str) -> int:
    return 1 << list(REPAIRS).index(name)


SURROGATES, BOM, FENCE = map(_repair, ("surrogates", "bom", "fence"))
PROSE, COMMENTS, FULL_WIDTH_FORMS = map(_repair, ("prose", "comments", "full_width"))
SPACES, QUOTES, ESCAPES, COLONS = map(_repair, ("spaces", "quotes", "escapes", "colon"))
MISSING_COMMA, TRAILING_COMMA, EXTRA_COMMA = map(_repair, ("missing_comma", "trailing_comma", "extra_comma"))
NO_VALUE, CLOSING_BRACKET, OPENING_BRACKET = map(_repair, ("no_value", "closing_bracket", "opening_bracket"))
STRAY_BRACKET, PYTHON_LITERAL, NO_LIST = map(_repair, ("stray_bracket", "python_literal", "no_list"))
WRAPPER, SEVERAL_CONTAINERS = map(_repair, ("wrapper", "several_containers"))
NESTED_OBJECTS, NESTED_LIST = map(_repair, ("nested_objects", "nested_list"))
QUOTED_NUMBERS, NUMBER_FORMAT, COORD_TOKENS = map(_repair, ("quoted_numbers", "number_format", "coord_tokens"))


def _code(name: str) -> int:
    return 1 + list(DROP_CODES).index(name)


LINE_GEOMETRY, BOTH_GEOMETRIES = map(_code, ("line_geometry", "both_geometries"))
UNKNOWN_GEOMETRY, NO_GEOMETRY, NO_DESC = map(_code, ("unknown_geometry", "no_geometry", "no_desc"))
DUPLICATE_KEY, WRONG_ARITY, NOT_A_NUMBER = map(_code, ("duplicate_key", "wrong_arity", "not_a_number"))
OUT_OF_RANGE, SWAPPED_CORNERS, ZERO_AREA = map(_code, ("out_of_range", "swapped_corners", "zero_area"))
UNFINISHED, NOT_AN_OBJECT = map(_code, ("unfinished", "not_an_object"))


def memory_for(size: int) -> Memory:
    """Memory for a text of ``size`` bytes. The system gives pages of it only as far as they are used."""
    return Memory(
        text=np.empty(size + 8, np.int64),
        original=np.empty(size + 8, np.int64),
        decoded=np.empty(size + 8, np.int64),
        state=np.zeros(NUM_STATE_FIELDS, np.int64),
        stack=np.empty(size + 2, np.int64),
        frames=np.empty((size + 2, NUM_FRAME_FIELDS), np.int64),
        found=np.empty((size + 4, NUM_FOUND_FIELDS), np.int64),
        numbers=np.empty(size + 4, np.float64),
        marks=np.empty(size + 8, np.uint8),
    )
