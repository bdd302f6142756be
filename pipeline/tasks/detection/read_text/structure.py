"""What is open at a place of an answer, and what was found up to there."""

from operator import attrgetter

from pipeline.tasks.detection.read_text.objects import Frame
from pipeline.tasks.detection.read_text.patterns import LOOKS_LIKE_JSON, ODD, plain_width, words
from pipeline.tasks.detection.read_text.scale import Scale
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject

OPENED, VALUE, COMMA = range(3)  # what came last in the innermost bracket
_SPAN = attrgetter("span")


class Structure:
    """Open brackets, objects and repairs of one text, from ``start`` on. Offsets are characters of the text.

    The stack holds what is open: a list is the offset of its bracket (a million brackets cost a million integers), an
    object is a `Frame`. Whatever closes an object - its own brace, or the next thing that cannot be inside it - has it
    judged; only the end of the text does not, for the object may have been cut there.
    """

    def __init__(self, text: str, scale: Scale, start: int = 0) -> None:
        self._has_odd = ODD.search(text) is not None
        self.original, self.text = text, plain_width(text) if self._has_odd else text
        written = scale.written
        self.scale, self.words = scale, words(written.desc_key, written.box_key, written.poly_key, written.has_points)
        self.pos = start
        self.preds: list[PredictedObject] = []
        self.dropped: list[DroppedObject] = []
        self.repairs: set[str] = set()
        self.repairs_of_complete: set[str] = set()  # those up to the last object that is complete
        self.is_truncated = False
        self.is_empty = False  # an empty list that is an answer was read
        self._is_empty_wrapped = False
        self._last = OPENED
        self._stack: list[Frame | int] = []
        self._frames: list[Frame] = []  # those in the stack
        self._root: int | None = None  # where the list of the objects, or what is around it, begins
        self._num_roots = 0
        self._lists: set[int] = set()  # lists that hold objects
        self._others: list[tuple[str, int, int, int]] = []  # code, start, stop, list: dropped if that holds objects
        self._is_list_closed = False
        self._texts: list[tuple[int, int]] = [(0, start)]  # prose and texts: their characters are no punctuation

    def _is_in_list(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1], int)

    def _open_list(self) -> None:
        self._stack.append(self.pos)
        self._last = OPENED

    def _open_object(self) -> None:
        frame = Frame(self.pos, self.pos + 1, self._is_in_list())
        self._stack.append(frame)
        self._frames.append(frame)
        self._last = OPENED

    def _close_object(self) -> None:
        """Judge the object on top of the stack, whose end is known."""
        frame = self._frames.pop()
        self._stack.pop()
        found = frame.judge(self.scale, self.repairs)
        around = self._stack[-1] if self._stack else None
        is_answer = isinstance(around, int) and (not self._frames or self._frames[-1].key == "objects")
        if frame.has_child and any(isinstance(one, PredictedObject) for one in found):
            self.repairs.add("nested_objects")
        if found and (frame.keys or is_answer):
            self._take_in(found, (frame.start, frame.stop))
        elif isinstance(around, int) and not frame.has_child:
            code = found[0] if found and isinstance(found[0], str) else "no_geometry"
            self._others.append((code, frame.start, frame.stop, around))
        if self._frames:
            self._frames[-1].stop = frame.stop
            self._frames[-1].has_child |= frame.has_child
        self._last = VALUE

    def _take_in(self, found: list[PredictedObject | str], span: tuple[int, int]) -> None:
        """Objects that stand at ``span``, and codes of those that are none."""
        for one in found:
            if isinstance(one, str):
                self.dropped.append(DroppedObject(code=one, span=span))
            else:
                self.preds.append(one)
        self._note_place(span[1])

    def _note_place(self, stop: int) -> None:
        """Note what is around an object that ends at ``stop``."""
        if not self._stack:
            self.repairs.add("no_list")
        elif self._stack[-1] not in self._lists:  # of one that is, all was noted
            self._note_containers()
        if self._frames:
            self._frames[-1].stop = stop
            self._frames[-1].has_child = True
        if len(self.repairs) != len(self.repairs_of_complete):
            self.repairs_of_complete = set(self.repairs)

    def _note_containers(self) -> None:
        bottom, around = self._stack[0], self._stack[-1]
        root, is_in_object = _start(bottom), bool(self._frames) and bool(self._frames[-1].keys)
        if self._root is None:
            self._root = root
        elif self._root != root:
            self.repairs.add("several_containers")
        if isinstance(around, int):
            self._lists.add(around)
            if len(self._stack) > 2 or (len(self._stack) == 2 and (isinstance(bottom, int) or bottom.key != "objects")):
                self.repairs.add("nested_objects" if is_in_object else "wrapper")
        else:
            self.repairs.add("nested_objects" if is_in_object else "no_list")

    def _close_list(self) -> None:
        """The bracket at the current offset closes the list on top of the stack."""
        start = self._stack.pop()
        assert isinstance(start, int)
        if start in self._lists:
            self._is_list_closed = True
        elif self._last == OPENED and not self.text[start + 1 : self.pos].strip(" \t\r\n,"):
            self._empty_list()
        self.pos += 1
        if self._frames:
            self._frames[-1].stop = self.pos
        self._last = VALUE

    def _empty_list(self) -> None:
        """A list without anything is an answer when it stands alone or under ``objects``."""
        around = self._stack[-1] if self._stack else None
        if isinstance(around, Frame):
            if around.key != "objects":
                return
            around.has_empty_list = True
        elif self._frames:
            return
        self.is_empty = True
        self._is_empty_wrapped |= isinstance(around, int) or len(self._stack) > 1

    def _close_all(self) -> None:
        """A code fence ends here: nothing before it was cut, so what is open lacks its bracket."""
        self.repairs.add("closing_bracket")
        self._trailing_comma()
        while self._stack:
            if self._is_in_list():
                self._is_list_closed |= self._stack.pop() in self._lists
            else:
                self._close_object()

    def _trailing_comma(self) -> None:
        if self._last == COMMA:
            self.repairs.add("trailing_comma")

    def _finish(self) -> None:
        """The text has ended, with or without open brackets."""
        if self._stack and self._ends_in_object():
            self.is_truncated = True
        elif self._stack:
            self.repairs.add("closing_bracket")
            self._trailing_comma()
        for code, start, stop, around in self._others:
            if around in self._lists:
                self.dropped.append(DroppedObject(code=code, span=(start, stop)))
        self.dropped.sort(key=_SPAN)
        self.preds.sort(key=_SPAN)  # an object closes behind those that are inside it
        if self._is_empty_wrapped and not self.preds and not self.dropped:
            self.repairs.add("wrapper")
        if self._num_roots > 1 and not self.repairs & {"no_list", "several_containers"}:
            self.repairs.add("prose")
        if self._has_odd:
            self._report_odd_characters()

    def _ends_in_object(self) -> bool:
        if any(frame.keys for frame in self._frames):
            return True
        inner = self._frames[-1] if self._frames else None
        if inner is not None and not (inner.has_child or inner.has_empty_list):
            if inner.is_in_list:
                return True
            return not self._is_list_closed and bool(LOOKS_LIKE_JSON.match(self.text, inner.start))
        if self.preds or self.dropped or self.is_empty:
            return False
        return bool(LOOKS_LIKE_JSON.match(self.text, _start(self._stack[0])))

    def _report_odd_characters(self) -> None:
        """Full-width forms and odd spaces are faults outside of prose and texts."""
        index = 0
        for odd in ODD.finditer(self.original):
            while index < len(self._texts) and self._texts[index][1] <= odd.start():
                index += 1
            if index == len(self._texts) or odd.start() < self._texts[index][0]:
                self.repairs.add("spaces" if odd[0].isspace() else "full_width")


def _start(opened: Frame | int) -> int:
    return opened if isinstance(opened, int) else opened.start
