"""Objects whose brace is open, what becomes of them, and the list of what was found."""

from pipeline.tasks.detection.parser import characters as ch
from pipeline.tasks.detection.parser import memory as mem
from pipeline.tasks.detection.parser import words
from pipeline.tasks.detection.parser.compiled import part
from pipeline.tasks.detection.parser.coordinates import fault
from pipeline.tasks.detection.parser.memory import (
    CODE,
    DEPTH,
    HAS_CHILD,
    KEYS,
    LAST,
    NONE,
    NUM_FOUND,
    NUM_FRAMES,
    POS,
    REPAIRED,
    START,
    STOP,
    VALUE,
    Memory,
)


@part
def push_frame(m: Memory) -> None:
    """An object begins at the current offset."""
    s = m.state
    row, depth = s[NUM_FRAMES], s[DEPTH]
    for field in range(mem.NUM_FRAME_FIELDS):
        m.frames[row, field] = 0
    m.frames[row, START], m.frames[row, STOP] = s[POS], s[POS] + 1
    m.frames[row, mem.DESC_STOP] = NONE
    m.frames[row, mem.IS_IN_LIST] = depth > 0 and m.stack[depth - 1] >= 0
    m.stack[depth] = ~row
    s[DEPTH], s[NUM_FRAMES] = depth + 1, row + 1
    s[LAST] = mem.OPENED


@part
def open_bracket(m: Memory) -> None:
    """A list or an object begins at the current offset."""
    s = m.state
    if m.text[s[POS]] == ch.OPEN_BRACE:
        push_frame(m)
    else:
        m.stack[s[DEPTH]] = s[POS]
        s[DEPTH] += 1
        s[LAST] = mem.OPENED
    s[POS] += 1


@part
def close_frame(m: Memory) -> None:
    """Judge the object on top of the stack, whose end is known."""
    s = m.state
    s[NUM_FRAMES] -= 1
    s[DEPTH] -= 1
    row = s[NUM_FRAMES]
    frame = m.frames[row]
    code = _judge(m, row)
    around = m.stack[s[DEPTH] - 1] if s[DEPTH] else NONE
    is_in_list = s[DEPTH] > 0 and around >= 0
    is_answer = is_in_list and (row == 0 or m.frames[row - 1, mem.KEY] == words.OBJECTS)
    if frame[HAS_CHILD] and code == 0:
        s[REPAIRED] |= mem.NESTED_OBJECTS
    if code != NONE and (frame[KEYS] or is_answer):
        _place(m, row, code)
    elif is_in_list and not frame[HAS_CHILD]:
        note(m, mem.NO_GEOMETRY if code == NONE else code, frame[START], frame[STOP], around)
    if row:
        m.frames[row - 1, STOP] = frame[STOP]
        m.frames[row - 1, HAS_CHILD] |= frame[HAS_CHILD]
    s[LAST] = VALUE


@part
def _judge(m: Memory, row: int) -> int:
    """0 for an object; the code of why it is none; or `NONE` for what is not meant as one, such as a wrapper."""
    frame = m.frames[row]
    if not frame[KEYS] and not frame[mem.HAS_NUMBERS]:
        return NONE
    if frame[CODE]:
        return frame[CODE]
    if frame[mem.NUM_GEOMETRIES] > 1 or frame[mem.NUM_DESCS] > 1:
        several = frame[mem.GEOMETRY_KEYS] & (frame[mem.GEOMETRY_KEYS] - 1)
        return mem.BOTH_GEOMETRIES if several else mem.DUPLICATE_KEY
    if not frame[mem.NUM_GEOMETRIES]:
        if frame[HAS_CHILD] or frame[mem.HAS_LIST]:
            return NONE
        return mem.UNKNOWN_GEOMETRY if frame[mem.HAS_NUMBERS] else mem.NO_GEOMETRY
    name = frame[mem.GEOMETRY]
    if name != words.BOX and name != words.POLYGON:
        return mem.LINE_GEOMETRY
    code = frame[mem.GEOMETRY_CODE]
    if code == 0:
        code = fault(name == words.BOX, m.numbers, frame[mem.FIRST_NUMBER], frame[mem.NUM_NUMBERS_OF_IT])
    return mem.NO_DESC if code == 0 and not _has_text(m, row) else code


@part
def _has_text(m: Memory, row: int) -> bool:
    """Its `desc` is a text of more than spaces."""
    frame = m.frames[row]
    text = m.decoded if frame[mem.DESC_IS_DECODED] else m.original
    for index in range(frame[mem.DESC_START], frame[mem.DESC_STOP]):
        if not ch.is_space(text[index]):
            return True
    return False


@part
def note(m: Memory, code: int, start: int, stop: int, parent: int) -> int:
    """A row of what was found; ``parent`` is the list that has to hold objects for it to count, or `NONE`."""
    row = m.state[NUM_FOUND]
    m.state[NUM_FOUND] += 1
    found = m.found[row]
    found[mem.F_CODE], found[mem.F_START], found[mem.F_STOP], found[mem.F_LIST] = code, start, stop, parent
    if row and m.found[row - 1, mem.F_START] > start:
        m.state[mem.IS_UNSORTED] = 1
    return row


@part
def _place(m: Memory, row: int, code: int) -> None:
    """Keep an object that was closed, or the code of why it is none, and note where it stood."""
    s, frame = m.state, m.frames[row]
    found = m.found[note(m, code, frame[START], frame[STOP], NONE)]
    found[mem.F_IS_BOX] = frame[mem.GEOMETRY] == words.BOX
    found[mem.F_DESC_START], found[mem.F_DESC_STOP] = frame[mem.DESC_START], frame[mem.DESC_STOP]
    found[mem.F_IS_DECODED] = frame[mem.DESC_IS_DECODED]
    found[mem.F_FIRST], found[mem.F_COUNT] = frame[mem.FIRST_NUMBER], frame[mem.NUM_NUMBERS_OF_IT]
    s[mem.NUM_PLACED] += 1
    if s[DEPTH]:
        _note_place(m, frame[STOP])
    else:
        s[REPAIRED] |= mem.NO_LIST
    s[mem.REPAIRED_COMPLETE] = s[REPAIRED]


@part
def _note_place(m: Memory, stop: int) -> None:
    """What is around an object that ends at ``stop``."""
    s = m.state
    bottom, depth, num_frames = m.stack[0], s[DEPTH], s[NUM_FRAMES]
    root = bottom if bottom >= 0 else m.frames[0, START]
    if s[mem.ROOT] == NONE:
        s[mem.ROOT] = root
    elif s[mem.ROOT] != root:
        s[REPAIRED] |= mem.SEVERAL_CONTAINERS
    is_in_object = num_frames > 0 and m.frames[num_frames - 1, KEYS] != 0
    around = m.stack[depth - 1]
    if around >= 0:
        m.marks[around] |= mem.HOLDS_OBJECTS
        if depth > 2 or (depth == 2 and (bottom >= 0 or m.frames[0, mem.KEY] != words.OBJECTS)):
            s[REPAIRED] |= mem.NESTED_OBJECTS if is_in_object else mem.WRAPPER
    else:
        s[REPAIRED] |= mem.NESTED_OBJECTS if is_in_object else mem.NO_LIST
    if num_frames:
        m.frames[num_frames - 1, STOP] = stop
        m.frames[num_frames - 1, HAS_CHILD] = 1
