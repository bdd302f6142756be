"""What is open at a place of an answer, and what was found up to there."""

import re

from msgspec.structs import replace

from pipeline.tasks.detection import lexer
from pipeline.tasks.detection.objects import Frame
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject
from pipeline.tasks.detection.usual import PLAIN, TEXT_GROUP, has_comment, patterns_for, usual_object

_LOOKS_LIKE_JSON = re.compile(rf"[\[{{]\s*+(?:\Z|{lexer.QUOTE}|[\[{{]|-?[0-9]|[A-Za-z_][\w\-]*+\s*+(?:[:=]|\Z))")
_ODD_SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace() and char not in " \t\n\r")
_ODD_SPACE = re.compile(f"[{_ODD_SPACES}]")

OPENED, VALUE, COMMA = range(3)  # what came last in the innermost bracket


class Structure:
    """Open brackets, objects and repairs of one text. Offsets are characters of the text.

    The stack holds what is open: a list is the offset of its bracket (a million brackets cost a million integers), an
    object is a `Frame`. Whatever closes an object - its own brace, or the next thing that cannot be inside it - has it
    judged; only the end of the text does not, for the object may have been cut there.
    """

    def __init__(self, text: str) -> None:
        self.original = text
        self.text = lexer.plain_width(text)
        # Characters that are no punctuation in texts, and a fault elsewhere: then it matters where texts stand.
        self._is_odd = self.text is not text or any(map(text.__contains__, _ODD_SPACES))
        self.pos = 0
        self.preds: list[PredictedObject] = []
        self.dropped: list[DroppedObject] = []
        self.repairs: set[str] = set()
        self.repairs_of_complete: set[str] = set()  # without those of an object that was cut
        self.is_truncated = False
        self.is_empty = False
        self.is_empty_wrapped = False
        self._patterns = patterns_for(self.text)
        self._is_noted = self._is_odd or self._patterns is not PLAIN
        self._order = 0  # 1: texts before geometries
        self._state = OPENED
        self._stack: list[Frame | int] = []
        self._frames: list[Frame] = []  # those in the stack
        self._root: int | None = None  # where the list of the objects, or what is around it, begins
        self._num_roots = 0
        self._lists: set[int] = set()  # lists that hold objects
        self._others: list[tuple[str, int, int, int]] = []  # code, start, stop, list: dropped if the list holds objects
        self._is_list_closed = False
        self._texts: list[tuple[int, int]] = []  # prose and text values: their characters are no punctuation
        self._has_comment_end = True

    def _push_frame(self) -> None:
        frame = Frame(self.pos, is_in_list=bool(self._stack) and isinstance(self._stack[-1], int))
        self._stack.append(frame)
        self._frames.append(frame)
        self._state = OPENED

    def _usual_objects(self) -> bool:
        """Take in the objects from here on that one pattern each matches whole. False, and nothing done, for none.

        The first is placed with what is around it; the others stand in the same list.
        """
        num_found = 0
        is_in_list = bool(self._stack) and isinstance(self._stack[-1], int)
        while (match := self._usual_match()) is not None:
            found = usual_object(match, self._order == 1, self.repairs)
            if found is None:
                break
            if self._is_noted:
                found = self._noted(match, found)
            start, self.pos = match.span()
            self._state = VALUE
            num_found += 1
            if num_found == 1:
                self._place(found, start, self.pos)
            elif isinstance(found, str):
                self.dropped.append(DroppedObject(code=found, span=(start, self.pos)))
            else:
                self.preds.append(found)
            next_object = self._patterns.next_object.match(self.text, self.pos) if is_in_list else None
            if next_object is None:
                break
            if next_object.group(1):
                self._state = COMMA
            else:
                self.repairs.add("missing_comma")
            if self._is_noted and has_comment(next_object.group()):
                self.repairs.add("comments")
            self.pos = next_object.end()
        if num_found > 1 and len(self.repairs) != len(self.repairs_of_complete):
            self.repairs_of_complete = set(self.repairs)
        return num_found > 0

    def _usual_match(self) -> re.Match[str] | None:
        """The objects of one answer mostly have their keys in the same order: that one is tried first."""
        match = self._patterns.objects[self._order].match(self.text, self.pos)
        if match is None:
            match = self._patterns.objects[1 - self._order].match(self.text, self.pos)
            self._order = self._order if match is None else 1 - self._order
        return match

    def _noted(self, match: re.Match[str], found: PredictedObject | str) -> PredictedObject | str:
        """Note where the text of the object stands; from the original, where that has other characters."""
        first = TEXT_GROUP[self._order]
        span = next(span for span in map(match.span, range(first, first + 4)) if span[0] >= 0)
        self._texts.append(span)
        if has_comment(self.text[match.start() : span[0]]) or has_comment(self.text[span[1] : match.end()]):
            self.repairs.add("comments")
        if isinstance(found, str) or self.text is self.original:
            return found
        return replace(found, desc=lexer.unescape(self.original[slice(*span)], set()))

    def _close_frame(self) -> None:
        """Judge the object on top of the stack, whose end is known."""
        frame = self._frames.pop()
        self._stack.pop()
        found = frame.judge()
        parent = self._stack[-1] if self._stack else None
        is_answer = isinstance(parent, int) and (not self._frames or self._frames[-1].key == "objects")
        if frame.has_child and isinstance(found, PredictedObject):
            self.repairs.add("nested_objects")
        if found is not None and (frame.keys or is_answer):
            self._place(found, frame.start, frame.end)
        elif isinstance(parent, int) and not frame.has_child:
            code = found if isinstance(found, str) else "no_geometry"
            self._others.append((code, frame.start, frame.end, parent))
        if self._frames:
            self._frames[-1].end = frame.end
            self._frames[-1].has_child |= frame.has_child
        self._state = VALUE

    def _place(self, found: PredictedObject | str, start: int, end: int) -> None:
        """Keep an object, or the code of why it is none, and note where it stood."""
        if isinstance(found, str):
            self.dropped.append(DroppedObject(code=found, span=(start, end)))
        else:
            self.preds.append(found)
        stack = self._stack
        if stack:
            self._note_place(stack, end)
        else:
            self.repairs.add("no_list")
        if len(self.repairs) != len(self.repairs_of_complete):
            self.repairs_of_complete = set(self.repairs)

    def _note_place(self, stack: list[Frame | int], end: int) -> None:
        """What is around an object that ends at ``end``."""
        bottom = stack[0]
        root = bottom if isinstance(bottom, int) else bottom.start
        if self._root is None:
            self._root = root
        elif self._root != root:
            self.repairs.add("several_containers")
        parent = stack[-1]
        if isinstance(parent, int):
            self._lists.add(parent)
            if len(stack) > 2 or (len(stack) == 2 and (isinstance(bottom, int) or bottom.key != "objects")):
                self.repairs.add("nested_objects" if self._frames and self._frames[-1].keys else "wrapper")
        else:
            self.repairs.add("nested_objects" if parent.keys else "no_list")
        if self._frames:
            self._frames[-1].end = end
            self._frames[-1].has_child = True

    def _close_all(self) -> None:
        """A code fence ends here: nothing before it was cut, so what is open lacks its bracket."""
        self.repairs.add("closing_bracket")
        self._trailing_comma()
        while self._stack:
            if isinstance(self._stack[-1], Frame):
                self._close_frame()
            else:
                self._is_list_closed |= self._stack.pop() in self._lists

    def _unclosed(self) -> None:
        """The text has ended, and brackets are open."""
        self.is_truncated = self._ends_in_object()
        if not self.is_truncated:
            self.repairs.add("closing_bracket")
            self._trailing_comma()

    def _ends_in_object(self) -> bool:
        if any(frame.keys for frame in self._frames):
            return True
        inner = self._frames[-1] if self._frames else None
        if inner is not None and not (inner.has_child or inner.has_list):
            if inner.is_in_list:
                return True
            return not self._is_list_closed and bool(_LOOKS_LIKE_JSON.match(self.text, inner.start))
        if self.preds or self.dropped or self.is_empty:
            return False
        bottom = self._stack[0]
        return bool(_LOOKS_LIKE_JSON.match(self.text, bottom if isinstance(bottom, int) else bottom.start))

    def _report_the_rest(self) -> None:
        """What is known only at the end."""
        self.dropped += [
            DroppedObject(code=code, span=(start, stop))
            for code, start, stop, parent in self._others
            if parent in self._lists
        ]
        self.dropped.sort(key=lambda dropped: dropped.span)
        self.preds.sort(key=lambda pred: pred.span or (0, 0))  # an object closes behind those that are inside it
        if self.is_empty_wrapped and not self.preds and not self.dropped:
            self.repairs.add("wrapper")
        if self._num_roots > 1 and not self.repairs & {"no_list", "several_containers"}:
            self.repairs.add("prose")
        if self._is_odd and self._is_outside_texts(lexer.FULL_WIDTH):
            self.repairs.add("full_width")
        if self._is_odd and self._is_outside_texts(_ODD_SPACE):
            self.repairs.add("spaces")

    def _is_outside_texts(self, pattern: re.Pattern[str]) -> bool:
        """``pattern`` matches a character outside prose and text values."""
        index = 0
        for match in pattern.finditer(self.original):
            while index < len(self._texts) and self._texts[index][1] <= match.start():
                index += 1
            if index == len(self._texts) or match.start() < self._texts[index][0]:
                return True
        return False

    def _trailing_comma(self) -> None:
        if self._state == COMMA:
            self.repairs.add("trailing_comma")
