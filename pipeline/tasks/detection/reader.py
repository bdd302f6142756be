"""Reads objects out of an answer that is not the JSON it should be: one pass, no recursion, no second guess."""

import re

from pipeline.tasks.detection import lexer, texts
from pipeline.tasks.detection.coordinates import Geometry, read_geometry
from pipeline.tasks.detection.lexer import BOX, DESC, KNOWN, LINES, POLYGON, QUOTE
from pipeline.tasks.detection.objects import Frame
from pipeline.tasks.detection.structure import COMMA, OPENED, VALUE, Structure
from pipeline.tasks.detection.texts import Text
from pipeline.tasks.detection.usual import has_comment, read_numbers, usual_text

_SPACE = re.compile(r"\s*+")
_COMMA_BEHIND = re.compile(r"\s*+,\s*+")
_OPENING = re.compile(r"[\[{]")
_COMMENT = re.compile(r"//[^\n{}\[\]]*+|\#[^\n{}\[\]]*+")
_KEY = re.compile(rf"({QUOTE})?+\s*+([A-Za-z_][\w\-]*+)\s*+({QUOTE})?+\s*+([:=])?+")
_VALUE_AHEAD = re.compile(rf"{QUOTE}|[\[(\d\-<]")
_AFTER_STRAY = re.compile(rf"[\])]\s*+,\s*+(?:{QUOTE})?+([A-Za-z_][\w\-]*+)(?:{QUOTE})?+\s*+:")
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


class Reader(Structure):
    """What one text holds: `read` fills the attributes of `Structure`."""

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
            if self._usual_objects():
                return
            self._push_frame()
            self.pos += 1
        else:
            self._stack.append(self.pos)
            self._state = OPENED
            self.pos += 1

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
        return self._is_in_object() and bool(lexer.QUOTED_KEY_AHEAD.match(self.text, pos))

    def _is_in_object(self) -> bool:
        """The list on top of the stack is the value of a key."""
        return len(self._stack) > 1 and isinstance(self._stack[-2], Frame)

    def _key_in_list(self) -> None:
        """The list around it lacks its bracket, or an object in the list its brace."""
        is_known = bool(lexer.KNOWN_KEY_AHEAD.match(self.text, self.pos))
        if not is_known or (self._is_in_object() and not self._frames[-1].has_child and self._state != OPENED):
            self.repairs.add("closing_bracket")
            self._stack.pop()
            return
        self.repairs.add("opening_bracket")
        self._need_comma()
        self._push_frame()

    def _element(self, pos: int) -> None:
        """A string, a number or words in a list."""
        end = None
        if self._state != VALUE:
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
        self._state = VALUE

    def _close_list(self) -> None:
        """The bracket at the current offset closes the list on top of the stack."""
        start = self._stack.pop()
        self.pos += 1
        self._trailing_comma()
        if start in self._lists:
            self._is_list_closed = True
        elif self._state == OPENED and not self._texts_since(start):
            self._empty_list()
        if self._frames:
            self._frames[-1].end = self.pos
        self._state = VALUE

    def _texts_since(self, start: Frame | int) -> bool:
        """Words or comments stand behind the bracket at ``start``."""
        return isinstance(start, int) and bool(self.text[start + 1 : self.pos - 1].strip(" \t\r\n,"))

    def _empty_list(self) -> None:
        """A list without anything is an answer when it stands alone or under ``objects``."""
        parent = self._stack[-1] if self._stack else None
        if isinstance(parent, Frame):
            if parent.key != "objects":
                return
            parent.has_list = True
        elif self._frames:
            return
        self.is_empty = True
        self.is_empty_wrapped = self.is_empty_wrapped or isinstance(parent, int) or len(self._stack) > 1

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
        self._state = VALUE

    # In an object

    def _in_object(self, frame: Frame) -> None:
        text = self.text
        while self._usual_field(frame):
            behind = _COMMA_BEHIND.match(text, self.pos)
            if behind is None:
                break
            self.pos, self._state = behind.end(), COMMA
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
            self._stray_list_end(frame)
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

    def _stray_list_end(self, frame: Frame) -> None:
        """``]`` in an object: it closes the list around the object, unless the object goes on behind it."""
        is_list_open = len(self._stack) > len(self._frames)
        key_behind = _AFTER_STRAY.match(self.text, self.pos)
        if key_behind is not None and frame.is_in_list and len(self._stack) > 2:
            name = key_behind.group(1)
            if name not in KNOWN or name in frame.keys:
                key_behind = None  # the key belongs to what is around the list
        if not is_list_open or self.text[self.pos] == ")" or key_behind is not None:
            self.repairs.add("stray_bracket")
            self.pos += 1
            return
        self.repairs.add("closing_bracket")
        self._trailing_comma()
        self._close_frame()

    def _usual_field(self, frame: Frame) -> bool:
        """Take in a key with its value that one pattern matches whole. False, and nothing done, when none does."""
        text, pos, patterns = self.text, self.pos, self._patterns
        if (match := patterns.geometry.match(text, pos)) is not None:
            key, whole, other, comma, bracket, form = match.groups()
            numbers = read_numbers(whole, other, form, bracket, self.repairs)
            frame.key = BOX if BOX in key else POLYGON
            frame.geometries += ((frame.key, Geometry(tuple(numbers), None, match.end())),)
            if comma:
                self.repairs.add("trailing_comma")
            span = match.span(1)
        elif (match := patterns.desc.match(text, pos)) is not None:
            desc = usual_text(match, self.repairs)
            if desc is None:
                return False
            key, span = match[1], match.span(match.lastindex or 2)
            if text is not self.original:
                desc = self.original[span[0] : span[0] + len(desc)]
            frame.key, frame.desc = DESC, lexer.unescape(desc, self.repairs)
        elif (match := patterns.other.match(text, pos)) is not None:
            key, span = self._usual_other(match, frame), match.span()
        else:
            return False
        if frame.key:
            frame.keys += (frame.key,)
        self._usual_end(frame, match, key, span)
        return True

    def _usual_other(self, match: re.Match[str], frame: Frame) -> str:
        """A field that is no geometry and no text: its key, or the quotes of it."""
        opening, closing, literal, single, null, none = match.groups()
        frame.key = "" if null is None else BOX if BOX in null else POLYGON
        if literal or none:
            self.repairs.add("python_literal")
        if single:
            self.repairs.add("quotes")
        return null or opening + closing

    def _usual_end(self, frame: Frame, match: re.Match[str], key: str, span: tuple[int, int]) -> None:
        """What holds of every field: ``span`` is where its text stands, or anything that holds no comment."""
        first, last = key[:1], key[-1:]
        frame.key_quote = first if first in lexer.QUOTES else last if last in lexer.QUOTES else ""
        if first != '"' or last != '"' or len(key) < 2:
            self.repairs.add("quotes")
        if self._is_noted:
            self._texts.append(span)
            if has_comment(self.text[match.start() : span[0]]) or has_comment(self.text[span[1] : match.end()]):
                self.repairs.add("comments")
        self._need_comma()
        self._state = VALUE
        self.pos = frame.end = match.end()

    def _key(self, frame: Frame) -> None:
        """A key with its value, or words."""
        key = _KEY.match(self.text, self.pos)
        is_key = key is not None and key.group(4) is not None
        # The quote behind a backslash may be a part of the key: "a\\" is the JSON string of two characters.
        if key is None or not is_key or (key.group(1) == '"' and (key.group(3) or "").startswith("\\")):
            named = texts.quoted_key(self.text, self.pos)
            if named is not None:
                self._need_comma()
                self._note_text(named)
                name = lexer.unescape(self.original[named.start : named.stop], self.repairs)
                frame.key_quote = self.text[named.stop : named.end]
                self._value(frame, name, self.text.index(":", named.end) + 1)
                return
            if key is None or not (is_key or (key.group(2) in KNOWN and _VALUE_AHEAD.match(self.text, key.end()))):
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
        self._state = VALUE
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
            self._other_numbers(frame)
        elif char == "[" or char == "{":
            self._open(char)
        else:
            self._text(frame)

    def _other_numbers(self, frame: Frame) -> None:
        """A list of numbers under a key that is no geometry; only that it is there counts."""
        frame.has_numbers = True
        repairs: set[str] = set()
        geometry = read_geometry(self.text, self.pos, repairs)
        self.pos = frame.end = geometry.end
        self.repairs |= repairs - {"nested_list"} | ({"number_format"} if geometry.code == "not_a_number" else set())

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

    # Small things

    def _skip_space(self) -> int:
        found = _SPACE.match(self.text, self.pos)
        self.pos = self.pos if found is None else found.end()
        return self.pos

    def _need_comma(self) -> None:
        if self._state == VALUE:
            self.repairs.add("missing_comma")

    def _comma(self) -> None:
        if self._state == VALUE:
            self._state = COMMA
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
