"""Reads objects out of an answer that is not the JSON it should be: one pass, a stack, no recursion, no second guess.

The stack holds what is open: a list is the offset of its bracket (a million brackets cost a million integers), an
object is a `Frame`. Whatever closes an object - its own brace, or the next thing that cannot be inside it - has it
judged; only the end of the text does not, for the object may have been cut there.
"""

import re

from pipeline.tasks.detection import lexer, texts
from pipeline.tasks.detection.coordinates import Geometry, read_geometry
from pipeline.tasks.detection.lexer import DESC, KNOWN, LINES, QUOTE
from pipeline.tasks.detection.objects import GOOD_OBJECT, Frame, good_object
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject
from pipeline.tasks.detection.texts import Text

_GOOD_OBJECT = re.compile(GOOD_OBJECT)
_SPACE = re.compile(r"\s*+")
_OPENING = re.compile(r"[\[{]")
_COMMENT = re.compile(r"//[^\n{}\[\]]*+|\#[^\n{}\[\]]*+")
_KEY = re.compile(rf"({QUOTE})?+\s*+([A-Za-z_][\w\-]*+)\s*+({QUOTE})?+\s*+([:=])?+")
_VALUE_AHEAD = re.compile(rf"{QUOTE}|[\[(\d\-<]")
_AFTER_STRAY = re.compile(rf"[\])]\s*+,\s*+(?:{QUOTE})?+[A-Za-z_][\w\-]*+(?:{QUOTE})?+\s*+:")
_NUMBER = r"\s*+(?:[-+.0-9][0-9.eE+\-]*+|<\|coord_[0-9]++\|>)\s*+"
_NUMBERS = re.compile(rf"\[(?:{_NUMBER},?+|\s*+\[(?:{_NUMBER},?+)++\]\s*+,?+)++\]")
_SCALAR = re.compile(
    r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+|true|false|null|NaN|-?Infinity)"
    rf"(?=\s*+(?:[,}}\]]|\Z|{lexer.KEY_AHEAD.pattern}))"
)
_PYTHON = ("True", "False", "None")
# A word with its apostrophes, or a quote with all its backslashes: one backslash at a time would take quadratic time.
_JUNK = re.compile(
    rf"[^\s\[\]{{}}(),/#{lexer.QUOTES}\\]++(?:['\u2019][^\W\d_]++)*+|\\++[{lexer.QUOTES}]?+|[{lexer.QUOTES}]"
)
_FENCE = re.compile(r"```(?:json[5l]?|JSON|python|py|js|javascript|text)?")
_LOOKS_LIKE_JSON = re.compile(rf"[\[{{]\s*+(?:\Z|{QUOTE}|[\[{{]|-?[0-9]|[A-Za-z_][\w\-]*+\s*+(?:[:=]|\Z))")
_ODD_SPACE = re.compile(r"[^\S \t\n\r]")

_OPENED, _VALUE, _COMMA = range(3)  # what came last in the innermost bracket


class Reader:
    """What one text holds. `read` fills the attributes; offsets are characters of the text."""

    def __init__(self, text: str) -> None:
        self.original = text
        self.text = lexer.plain_width(text)
        self._is_ascii = text.isascii()
        self.pos = 0
        self.preds: list[PredictedObject] = []
        self.dropped: list[DroppedObject] = []
        self.repairs: set[str] = set()
        self.is_truncated = False
        self.is_empty = False
        self._state = _OPENED
        self._stack: list[Frame | int] = []
        self._frames: list[Frame] = []  # those in the stack
        self._root: int | None = None  # where the list of the objects, or what is around it, begins
        self._num_roots = 0
        self._lists: set[int] = set()  # lists that hold objects
        self._others: list[tuple[str, int, int, int]] = []  # code, start, stop, list: dropped if the list holds objects
        self._is_list_closed = False
        self._texts: list[tuple[int, int]] = []  # prose and text values: their characters are no punctuation
        self._has_comment_end = True

    def read(self) -> None:
        """Read all of it. Never raises."""
        if self.text.startswith("\ufeff"):
            self.repairs.add("bom")
            self.pos = 1
        size = len(self.text)
        while self.pos < size:
            if not self._stack:
                self._between()
            elif isinstance(top := self._stack[-1], Frame):
                self._in_object(top)
            else:
                self._in_list()
        if self._stack:
            self._unclosed()
        self._report_the_rest()

    # Between containers

    def _between(self) -> None:
        """Prose up to the next bracket."""
        found = _OPENING.search(self.text, self.pos)
        end = len(self.text) if found is None else found.start()
        gap = self.text[self.pos : end]
        if gap and not gap.isspace():
            self._prose(gap, end)
        self.pos = end
        if found is not None:
            self._num_roots += 1
            self._open(found.group())

    def _prose(self, gap: str, end: int) -> None:
        self._texts.append((self.pos, end))
        if "```" in gap:
            self.repairs.add("fence")
            gap = _FENCE.sub("", gap)
        words = gap.strip(" \t\r\n,")
        if words.strip(" \t\r\n,]})"):
            self.repairs.add("prose")
        elif words:
            self.repairs.add("stray_bracket")
        elif "," in gap:
            self.repairs.add("extra_comma")

    def _open(self, bracket: str) -> None:
        """A list or an object begins at the current offset."""
        if bracket == "{":
            good = _GOOD_OBJECT.match(self.text, self.pos)
            if good is not None:
                self._good_object(good)
                return
            self._push_frame()
            self.pos += 1
        else:
            self._stack.append(self.pos)
            self._state = _OPENED
            self.pos += 1

    def _push_frame(self) -> None:
        frame = Frame(self.pos, is_in_list=bool(self._stack) and isinstance(self._stack[-1], int))
        self._stack.append(frame)
        self._frames.append(frame)
        self._state = _OPENED

    # In a list

    def _in_list(self) -> None:
        text = self.text
        pos = self._skip_space()
        if pos == len(text):
            return
        char = text[pos]
        if char == "{" or char == "[":
            self._need_comma()
            self._open(char)
        elif char == ",":
            self._comma()
        elif char == "]":
            self._close_list()
        elif char == "}":
            self._stray_brace()
        elif self._is_key_in_list(pos):
            self._key_in_list()
        elif text.startswith("```", pos):
            self._close_all()
        elif not self._comment():
            self._element(pos)

    def _is_key_in_list(self, pos: int) -> bool:
        """A known key, which no list has; or any key, where an object is around the list for it to belong to."""
        if lexer.KNOWN_KEY_AHEAD.match(self.text, pos):
            return True
        return self._is_in_object() and bool(lexer.ANY_KEY_AHEAD.match(self.text, pos))

    def _is_in_object(self) -> bool:
        """The list on top of the stack is the value of a key."""
        return len(self._stack) > 1 and isinstance(self._stack[-2], Frame)

    def _key_in_list(self) -> None:
        """The list around it lacks its bracket, or an object in the list its brace."""
        is_known = bool(lexer.KNOWN_KEY_AHEAD.match(self.text, self.pos))
        if not is_known or (self._is_in_object() and not self._frames[-1].has_child and self._state != _OPENED):
            self.repairs.add("closing_bracket")
            self._stack.pop()
            return
        self.repairs.add("opening_bracket")
        self._need_comma()
        self._push_frame()

    def _element(self, pos: int) -> None:
        """A string, a number or words in a list."""
        end = None
        if self._state != _VALUE:
            found = texts.list_text(self.text, pos)
            if found is not None:
                end = found.end
                self._note_text(found)
                lexer.unescape(self.original[found.start : found.stop], self.repairs)
        if end is None:
            scalar = _SCALAR.match(self.text, pos)
            if scalar is None:
                self._junk()
                return
            end = scalar.end()
        self._need_comma()
        top = self._stack[-1]
        if isinstance(top, int):
            self._others.append(("not_an_object", pos, end, top))
        self.pos = end
        self._state = _VALUE

    def _close_list(self) -> None:
        """The bracket at the current offset closes the list on top of the stack."""
        start = self._stack.pop()
        self.pos += 1
        self._trailing_comma()
        if start in self._lists:
            self._is_list_closed = True
        elif self._state == _OPENED and not self._texts_since(start):
            self._empty_list()
        if self._frames:
            self._frames[-1].end = self.pos
        self._state = _VALUE

    def _texts_since(self, start: Frame | int) -> bool:
        """Words or comments stand behind the bracket at ``start``."""
        return isinstance(start, int) and bool(self.text[start + 1 : self.pos - 1].strip(" \t\r\n,"))

    def _empty_list(self) -> None:
        """A list without anything is an answer when it stands alone or under ``objects``."""
        parent = self._stack[-1] if self._stack else None
        if parent is None or isinstance(parent, int) or parent.key == "objects":
            self.is_empty = True
            if isinstance(parent, int) or len(self._stack) > 1:
                self.repairs.add("wrapper")

    def _stray_brace(self) -> None:
        """A brace that closes an object closes the lists in it; without an open object it closes nothing."""
        if not self._frames:
            self.repairs.add("stray_bracket")
            self.pos += 1
            return
        self.repairs.add("closing_bracket")
        self._trailing_comma()
        while not isinstance(self._stack[-1], Frame):
            self._stack.pop()
        self._state = _VALUE

    # In an object

    def _in_object(self, frame: Frame) -> None:
        text = self.text
        pos = self._skip_space()
        if pos == len(text):
            return
        char = text[pos]
        if char == "}":
            self._trailing_comma()
            self.pos = frame.end = pos + 1
            self._close_frame()
        elif char == ",":
            self._comma()
        elif char == "{" or char == "[":
            self._unnamed(frame, char)
        elif char == "]" or char == ")":
            self._stray_list_end()
        elif text.startswith("```", pos):
            self._close_all()
        elif not self._comment():
            self._key(frame)

    def _unnamed(self, frame: Frame, bracket: str) -> None:
        """A bracket where a key should be: the next object, when this one has what objects have; else what it holds."""
        if bracket == "{" and not frame.has_child and (frame.keys or frame.has_numbers):
            self.repairs.add("closing_bracket")
            state = self._state
            self._close_frame()
            self._state = state
            return
        self.repairs.add("prose")
        frame.key = ""
        self._open(bracket)

    def _stray_list_end(self) -> None:
        """``]`` in an object: it closes the list around the object, unless the object goes on behind it."""
        is_list_open = len(self._stack) > len(self._frames)
        if not is_list_open or self.text[self.pos] == ")" or _AFTER_STRAY.match(self.text, self.pos):
            self.repairs.add("stray_bracket")
            self.pos += 1
            return
        self.repairs.add("closing_bracket")
        self._trailing_comma()
        self._close_frame()

    def _key(self, frame: Frame) -> None:
        """A key with its value, or words."""
        key = _KEY.match(self.text, self.pos)
        if key is None or key.group(4) is None:
            named = texts.quoted_key(self.text, self.pos)
            if named is not None:
                self._need_comma()
                self._note_text(named)
                name = lexer.unescape(self.original[named.start : named.stop], self.repairs)
                frame.key_quote = self.text[named.stop : named.end]
                self._value(frame, name, self.text.index(":", named.end) + 1)
                return
            if key is None or key.group(2) not in KNOWN or not _VALUE_AHEAD.match(self.text, key.end()):
                self._junk()
                return
        self._need_comma()
        opening, name, closing, colon = key.groups()
        if opening != '"' or closing != '"' or key.start(2) != key.end(1) or key.end(2) != key.start(3):
            self.repairs.add("quotes")
        if colon != ":":
            self.repairs.add("colon")
        frame.key_quote = opening or closing or ""
        self._value(frame, name, key.end())

    def _value(self, frame: Frame, name: str, pos: int) -> None:
        self.pos = pos
        pos = self._skip_space()
        self._state = _VALUE
        frame.key = name
        char = self.text[pos : pos + 1]
        if name in KNOWN:
            frame.keys += (name,)
        if name == DESC:
            self._desc(frame, char)
        elif name in KNOWN and (name not in LINES or char in ("[", "(", "<")):
            geometry = self._numbers(frame)
            if geometry.numbers is not None or geometry.code is not None:
                frame.geometries += ((name, geometry),)
        elif _NUMBERS.match(self.text, pos):
            frame.has_numbers = True
            self._numbers(frame)
        elif char == "[" or char == "{":
            self._open(char)
        else:
            self._text(frame)

    def _numbers(self, frame: Frame) -> Geometry:
        geometry = read_geometry(self.text, self.pos, self.repairs)
        self.pos = frame.end = geometry.end
        return geometry

    def _desc(self, frame: Frame, char: str) -> None:
        if char == "[" or char == "{":
            self._open(char)
            return
        scalar = _SCALAR.match(self.text, self.pos)
        frame.desc = self._text(frame)
        if scalar is not None and scalar.group()[-1].isdigit():
            frame.desc = scalar.group()  # a label such as 7, without its quotes
            self.repairs.add("quotes")

    def _text(self, frame: Frame) -> str | None:
        """Take in a text, a number or a literal; what a text says, and None for the others."""
        pos = self.pos
        if self.text[pos : pos + 1] in (",", "}", "]", ""):
            self.repairs.add("no_value")
            return None
        scalar = _SCALAR.match(self.text, pos)
        if scalar is not None:
            self.pos = frame.end = scalar.end()
            return None
        found = texts.text_value(self.text, pos, frame.key_quote)
        self.pos = frame.end = found.end
        if found.cut:
            return None
        content = self.original[found.start : found.stop]
        if found.start == pos and content.strip() in _PYTHON:
            self.repairs.add("python_literal")
            return None
        self._note_text(found)
        if found.unfinished:
            frame.code = "unfinished"
        if found.start == pos or not found.closed:
            content = lexer.without_lone_quote(content.strip().rstrip(",").rstrip())
        if found.start > pos + 1:  # JSON in a JSON string: escaped twice
            content = lexer.unescape(content, self.repairs)
        return lexer.unescape(content, self.repairs)

    # What closes

    def _good_object(self, match: re.Match[str]) -> None:
        """An object that one pattern matched whole."""
        start, self.pos = match.span()
        desc = None
        if not self._is_ascii:
            span = match.span(5) if match.start(5) >= 0 else match.span(6)
            self._texts.append(span)
            desc = self.original[slice(*span)]
        self._place(good_object(match, desc), start, self.pos)
        self._state = _VALUE

    def _close_frame(self) -> None:
        """Judge the object on top of the stack, whose end is known."""
        frame = self._frames.pop()
        self._stack.pop()
        found = frame.judge()
        parent = self._stack[-1] if self._stack else None
        is_meant = bool(frame.keys) or isinstance(parent, int)
        if found is not None and is_meant:
            self._place(found, frame.start, frame.end)
        elif isinstance(parent, int) and not frame.has_child:
            self._others.append(("no_geometry", frame.start, frame.end, parent))
        if self._frames:
            self._frames[-1].end = frame.end
            self._frames[-1].has_child |= frame.has_child
        self._state = _VALUE

    def _place(self, found: PredictedObject | str, start: int, end: int) -> None:
        """Keep an object, or the code of why it is none, and note where it stood."""
        if isinstance(found, str):
            self.dropped.append(DroppedObject(code=found, span=(start, end)))
        else:
            self.preds.append(found)
        stack = self._stack
        if not stack:
            self.repairs.add("no_list")
            return
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
        if inner is not None and not inner.has_child:
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
        if "nested_objects" in self.repairs:
            self.preds.sort(key=lambda pred: pred.span or (0, 0))
        if self._num_roots > 1 and not self.repairs & {"no_list", "several_containers"}:
            self.repairs.add("prose")
        if self.text is not self.original and self._is_outside_texts(lexer.FULL_WIDTH):
            self.repairs.add("full_width")
        if self._is_outside_texts(_ODD_SPACE):
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

    # Small things

    def _skip_space(self) -> int:
        found = _SPACE.match(self.text, self.pos)
        self.pos = self.pos if found is None else found.end()
        return self.pos

    def _need_comma(self) -> None:
        if self._state == _VALUE:
            self.repairs.add("missing_comma")

    def _trailing_comma(self) -> None:
        if self._state == _COMMA:
            self.repairs.add("trailing_comma")

    def _comma(self) -> None:
        if self._state == _VALUE:
            self._state = _COMMA
        else:
            self.repairs.add("extra_comma")
        self.pos += 1

    def _comment(self) -> bool:
        """Skip a comment. One to the end of the line ends at a bracket, too: lines may have been joined."""
        comment = _COMMENT.match(self.text, self.pos)
        if comment is not None:
            self.pos = comment.end()
        elif self._has_comment_end and self.text.startswith("/*", self.pos):
            end = self.text.find("*/", self.pos + 2)
            self._has_comment_end = end >= 0
            if end < 0:
                return False
            self.pos = end + 2
        else:
            return False
        self.repairs.add("comments")
        return True

    def _junk(self) -> None:
        """Skip a word, or one character, that has no place here."""
        self.repairs.add("prose")
        junk = _JUNK.match(self.text, self.pos)
        end = self.pos + 1 if junk is None else junk.end()
        self._texts.append((self.pos, end))
        self.pos = end

    def _note_text(self, found: Text) -> None:
        self._texts.append((found.start, found.stop))
        if not (found.clean and found.closed):
            is_escaped = found.closed and self.text.startswith("\\", found.start - 2)
            self.repairs.add("escapes" if is_escaped else "quotes")
