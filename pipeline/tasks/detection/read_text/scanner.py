"""Reads objects out of an answer that is not the JSON it should be: one pass, no recursion, no second guess."""

from pipeline.tasks.detection.read_text import patterns, strings
from pipeline.tasks.detection.read_text.clean import read_clean
from pipeline.tasks.detection.read_text.coordinates import Geometry, read_geometry
from pipeline.tasks.detection.read_text.formats import DEFAULT
from pipeline.tasks.detection.read_text.objects import Frame, object_or_code
from pipeline.tasks.detection.read_text.patterns import AREAS, ARGUMENTS, DESC, FENCE, NO_AREAS
from pipeline.tasks.detection.read_text.structure import COMMA, OPENED, VALUE, Structure


class Scanner(Structure):
    """What one text holds: `read` fills the attributes of `Structure`."""

    def read(self, cut: bool = False) -> None:
        """Read all of it. Never raises. What JSON holds does not depend on whether the decoder ``cut`` it."""
        if self.text.startswith("\ufeff"):
            self.repairs.add("bom")
            self.pos = max(self.pos, 1)
        if ARGUMENTS in self.text or patterns.JSON_IN_TEXT.match(self.text, self.pos):
            self.text = patterns.ESCAPED_SPACE.sub("  ", self.text)
        self._has_comment_end = True
        self._num_misses = 0 if self.scale.written is DEFAULT else 3  # the decoder knows the default form alone
        self._tried_until = 0  # up to here, not all objects are clean
        size = len(self.text)
        while self.pos < size:
            top = self._stack[-1] if self._stack else None
            if top is None:
                self._between()
            elif not isinstance(top, Frame):
                self._in_list()
            else:
                self._in_object(top)
        self._finish()

    # Between containers

    def _between(self) -> None:
        """Prose up to the next bracket."""
        found = patterns.BRACKET.search(self.text, self.pos)
        end = len(self.text) if found is None else found.start()
        gap = self.text[self.pos : end]
        if gap and not gap.isspace():
            self._texts.append((self.pos, end))
            self._prose(gap)
        self.pos = end
        if found is not None:
            self._num_roots += 1
            self._open(found[0])

    def _prose(self, gap: str) -> None:
        """What words, brackets and commas between containers are."""
        if FENCE in gap:
            self.repairs.add("fence")
            gap = patterns.FENCES.sub("", gap)
        others = gap.strip(" \t\r\n,")
        if others.strip(" \t\r\n,]})"):
            self.repairs.add("prose")
        elif others:
            self.repairs.add("stray_bracket")
        elif "," in gap:
            self.repairs.add("extra_comma")

    def _open(self, bracket: str) -> None:
        """A list or an object begins at the current offset."""
        if bracket == "[":
            self._open_list()
        elif self._clean_objects() or self._usual_object():
            return
        else:
            self._open_object()
        self.pos += 1

    def _clean_objects(self) -> bool:
        """Take in the objects from here on that are JSON as it should be, in a list up to the first that is not. False,
        and nothing done, where there is none. This is for speed: the same comes of them key by key."""
        if self._num_misses > 2:
            return False  # an answer mostly writes all its objects in the same way
        are_several = self._is_in_list() and self.pos >= self._tried_until
        run = (patterns.CLEAN_OBJECTS if are_several else patterns.CLEAN_OBJECT).match(self.original, self.pos)
        found = None if run is None else read_clean(self.original, *run.span())
        if run is None or found is None:
            self._num_misses += 1
            self._tried_until = self.pos if run is None else max(self._tried_until, run.end())
            return are_several and run is not None and self._clean_objects()
        self._texts.append(run.span())
        self.pos = run.end()
        self.preds += found
        self._note_place(self.pos)
        self._last = VALUE
        return True

    def _usual_object(self) -> bool:
        """Take in an object that one pattern matches whole: a label and a list of numbers, whatever its quotes. False,
        and nothing done, where none does. This is for speed: the same comes of it key by key."""
        found = patterns.USUAL_OBJECT.match(self.text, self.pos)
        if found is None:
            return False
        *groups, comma = found.groups()
        fields, at, text_at = (groups, 4, 10) if groups[3] else (groups[5:] + groups[:5], 9, 5)
        quote1, name, quote2, numbers, _, quote3, label, quote4, _, text = fields
        kind = self.words.kinds.get(name)
        if not (numbers and text) or kind not in AREAS or self.words.kinds.get(label) != DESC:
            return False
        start, stop = found.start(text_at) + 1, found.end(text_at) - 1
        repairs: set[str] = set()
        desc = self.original[start:stop]
        # What looks like a key in a text may be one: where keys have no quotes, or no key is behind the comma.
        if ((":" in desc or "=" in desc) and not (quote3 or quote4)) or (comma and ("," in desc or "}" in desc)):
            return False
        geometry = read_geometry(self.text, found.start(at), repairs, self.words)
        if geometry.end != found.end(at) or geometry.code or geometry.is_missing or geometry.boxes:
            return False
        if comma:
            repairs.add("trailing_comma")
        if not quote1 == quote2 == quote3 == quote4 == text[0] == '"':
            repairs.add("quotes")
        if "\\" in desc:
            desc = strings.unescape(desc, repairs)
        self.repairs |= repairs
        self._texts.append((start, stop))
        span = found.span()
        self.pos = span[1]
        self._take_in([object_or_code(kind, geometry.numbers, desc, span, self.scale, self.repairs)], span)
        self._last = VALUE
        return True

    # In a list

    def _in_list(self) -> None:
        char = self._next()
        while char == ",":
            char = self._comma()
        if char == "{" or char == "[":
            self._need_comma()
            self._open(char)
        elif char == "]":
            self._trailing_comma()
            self._close_list()
        elif char == "}":
            self._stray_brace()
        elif char == "`" and self.text.startswith(FENCE, self.pos):
            self._close_all()
        elif char and not (self._key_in_list() or (char in "/#" and self._comment())):
            self._element()

    def _key_in_list(self) -> bool:
        """A known key, which no list has; or any key, where an object is around the list for it to belong to. The list
        around it lacks its bracket, or an object in the list its brace. False, and nothing done, for anything else."""
        is_known = self.words.is_known_key.match(self.text, self.pos)
        is_in_object = len(self._stack) > 1 and isinstance(self._stack[-2], Frame)
        if not (is_known or (is_in_object and patterns.IS_QUOTED_KEY.match(self.text, self.pos))):
            return False
        if not is_known or (is_in_object and not self._frames[-1].has_child and self._last != OPENED):
            self.repairs.add("closing_bracket")
            self._stack.pop()
        else:
            self.repairs.add("opening_bracket")
            self._need_comma()
            self._open_object()
        return True

    def _element(self) -> None:
        """A string, a number or words in a list."""
        pos, around = self.pos, self._stack[-1]
        assert isinstance(around, int)
        text = strings.quoted(self.text, pos, patterns.ENDS_LIST_TEXT) if self._last != VALUE else None
        if text is not None:
            self.pos = text.end
            self._note_text(text)
            strings.unescape(self.original[text.start : text.stop], self.repairs)
        elif not self._scalar():
            self._junk()
            return
        self._need_comma()
        self._others.append(("not_an_object", pos, self.pos, around))
        self._last = VALUE

    def _stray_brace(self) -> None:
        """A brace that closes an object closes the lists in it; without an open object it closes nothing."""
        if not self._frames:
            self.repairs.add("stray_bracket")
            self.pos += 1
            return
        self.repairs.add("closing_bracket")
        self._trailing_comma()
        while self._is_in_list():
            self._stack.pop()
        self._last = VALUE

    # In an object

    def _in_object(self, frame: Frame) -> None:
        char = self._next()
        while char == ",":
            char = self._comma()
        if char == "}":
            self._trailing_comma()
            self.pos = frame.stop = self.pos + 1
            self._close_object()
        elif char == "{" or char == "[":
            self._unnamed(frame, char)
        elif char == "]" or char == ")":
            self._stray_list_end(frame, char)
        elif char == "`" and self.text.startswith(FENCE, self.pos):
            self._close_all()
        elif self.pos == frame.quote[0]:
            self.pos = frame.stop = frame.quote[1]
        elif char and not (char in "/#" and self._comment()):
            self._key(frame)

    def _unnamed(self, frame: Frame, bracket: str) -> None:
        """A bracket where a key should be: the next object, when this one has what objects have; else what it holds."""
        if bracket == "{" and (frame.keys or frame.has_numbers) and not frame.has_child:
            self.repairs.add("closing_bracket")
            last = self._last
            self._close_object()
            self._last = last
        else:
            self.repairs.add("prose")
            frame.key = ""
            self._open(bracket)

    def _stray_list_end(self, frame: Frame, bracket: str) -> None:
        """``]`` in an object: it closes the list around the object, unless the object goes on behind it."""
        is_list_open = len(self._stack) > len(self._frames)
        if bracket == ")" or not is_list_open or self._goes_on(frame):
            self.repairs.add("stray_bracket")
            self.pos += 1
        else:
            self.repairs.add("closing_bracket")
            self._trailing_comma()
            self._close_object()

    def _goes_on(self, frame: Frame) -> bool:
        """Behind the bracket at the current offset stands a key. Where the object's list is in another object, which
        the key could belong to, it is a known one that the object does not have."""
        behind = patterns.KEY_BEHIND_BRACKET.match(self.text, self.pos)
        if behind is None or not frame.is_in_list or len(self._stack) <= 2:
            return behind is not None
        kind = self.words.kinds.get(behind[1])
        return kind is not None and kind not in frame.keys

    def _key(self, frame: Frame) -> None:
        """A key with its value, or words."""
        key = patterns.KEY.match(self.text, self.pos)
        opening, name, closing, colon = key.groups("") if key is not None else ("", "", "", "")
        # The quote behind a backslash may be a part of the key: "a\\" is the JSON string of two characters.
        if (not colon or (opening == '"' and closing.startswith("\\"))) and self._any_key(frame):
            return
        if key is None or not (
            colon or (name in self.words.kinds and patterns.LOOKS_LIKE_VALUE.match(self.text, key.end()))
        ):
            self._junk()
            return
        if not (opening == closing == '"' and key.end(3) - self.pos == len(name) + 2):
            self.repairs.add("quotes")
        if colon != ":":
            self.repairs.add("colon")
        self._name(frame, name, opening or closing)
        self._value(frame, key.end())

    def _any_key(self, frame: Frame) -> bool:
        """A key in quotes, of any characters. False, and nothing done, where there is none."""
        key = strings.quoted(self.text, self.pos, patterns.COLON)
        if key is None:
            return False
        self._note_text(key)
        name = strings.unescape(self.original[key.start : key.stop], self.repairs)
        self._name(frame, name, self.text[key.stop : key.end])
        self._value(frame, self.text.index(":", key.end) + 1)
        return True

    def _name(self, frame: Frame, name: str, quote: str) -> None:
        """A key begins."""
        self._need_comma()
        frame.key, frame.key_quote = name, quote
        kind = self.words.kinds.get(name)
        if kind is not None:
            frame.keys[kind] = frame.keys.get(kind, 0) + 1

    def _value(self, frame: Frame, pos: int) -> None:
        """The value of the frame's last key, at ``pos`` or behind the spaces there."""
        self.pos = pos
        char = self._next()
        self._last = VALUE
        kind = self.words.kinds.get(frame.key)
        if kind in AREAS or (kind in NO_AREAS and char in ("[", "(", "<")):
            geometry = self._geometry(frame, self.repairs)
            if not geometry.is_missing:
                frame.geometries.append((kind, geometry))
        elif char == "[" and kind != DESC and patterns.LIST_OF_NUMBERS.match(self.text, self.pos):
            self._other_numbers(frame)
        elif char == "[" or char == "{":
            self._open(char)
        elif kind == DESC:
            frame.desc = self._text(frame, is_label=True)
        elif frame.key == ARGUMENTS and self._json_in_text(frame):
            self._open(self.text[self.pos])
        else:
            self._text(frame)

    def _json_in_text(self, frame: Frame) -> bool:
        """Go to the bracket that the text at the current offset begins with. False, and nothing done, for other texts
        and for objects of the answer."""
        found = None if frame.keys or frame.has_numbers else patterns.JSON_IN_TEXT.match(self.text, self.pos)
        opener = patterns.OPENER.match(self.text, self.pos)
        if found is None or opener is None:
            return False
        frame.quote = strings.closing_quote(self.text, opener) or frame.quote
        self.repairs.add("escapes")
        self.pos = found.start(1)
        return True

    def _geometry(self, frame: Frame, repairs: set[str]) -> Geometry:
        geometry = read_geometry(self.text, self.pos, repairs, self.words)
        self.pos = frame.stop = geometry.end
        return geometry

    def _other_numbers(self, frame: Frame) -> None:
        """A list of numbers under a key that is no geometry; only that it is there counts."""
        frame.has_numbers = True
        repairs: set[str] = set()
        geometry = self._geometry(frame, repairs)
        self.repairs |= repairs - {"nested_list"}
        if geometry.code == "not_a_number":
            self.repairs.add("number_format")

    def _text(self, frame: Frame, *, is_label: bool = False) -> str | None:
        """Take in a text, a number or a literal; what a text says, and None for the others. A number that is to be a
        label is one without its quotes."""
        pos, char = self.pos, self.text[self.pos : self.pos + 1]
        if char in (",", "}", "]", ""):
            self.repairs.add("no_value")
            return None
        if char not in patterns.QUOTES and self._scalar():
            frame.stop = self.pos
            if not (is_label and self.text[self.pos - 1].isdigit()):
                return None
            self.repairs.add("quotes")
            return self.original[pos : self.pos]
        text = strings.text_value(self.text, pos, frame.key_quote, self.words)
        self.pos = frame.stop = text.end
        if text.is_cut:
            return None
        self._note_text(text)
        if text.is_unfinished:
            frame.code = "unfinished"
        content = self.original[text.start : text.stop]
        if text.start == pos or not text.is_closed:
            content = strings.trimmed(content)
        if text.start > pos + 1:  # JSON in a JSON string: escaped twice
            content = strings.unescape(content, self.repairs)
        return strings.unescape(content, self.repairs)

    # Small things

    def _next(self) -> str:
        """The next character that is no space, where the current offset is then; "" for none."""
        char = self.text[self.pos : self.pos + 1]
        if char.isspace():
            space = patterns.SPACE.match(self.text, self.pos)
            assert space is not None
            self.pos = space.end()
            char = self.text[self.pos : self.pos + 1]
        return char

    def _need_comma(self) -> None:
        if self._last == VALUE:
            self.repairs.add("missing_comma")

    def _comma(self) -> str:
        """Go behind a comma. Returns what `_next` does there."""
        if self._last == VALUE:
            self._last = COMMA
        else:
            self.repairs.add("extra_comma")
        self.pos += 1
        return self._next()

    def _scalar(self) -> bool:
        """Skip a number or a literal, behind which a value can end. False, and nothing done, where there is none."""
        scalar = patterns.SCALAR.match(self.text, self.pos)
        if scalar is None:
            return False
        if scalar[1]:
            self.repairs.add("python_literal")
        self.pos = scalar.end()
        return True

    def _comment(self) -> bool:
        """Skip a comment of any kind. False, and nothing done, where there is none."""
        comment = patterns.LINE_COMMENT.match(self.text, self.pos)
        if comment is not None:
            self.pos = comment.end()
        elif self._has_comment_end and self.text.startswith("/*", self.pos):
            end = self.text.find("*/", self.pos + 2)
            self._has_comment_end = end >= 0  # without one, no later comment has an end either
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
        junk = patterns.JUNK.match(self.text, self.pos)
        assert junk is not None, "any character is junk"
        self._texts.append(junk.span())
        self.pos = junk.end()

    def _note_text(self, text: strings.Text) -> None:
        """Note where a text stands, and what is wrong with its quotes."""
        self._texts.append((text.start, text.stop))
        if not (text.is_clean and text.is_closed):
            is_escaped = text.is_closed and self.text.startswith("\\", text.start - 2)
            self.repairs.add("escapes" if is_escaped else "quotes")
