"""Coordinates: how they are read out of damaged text."""

import re
from collections.abc import Sequence

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from pipeline.tasks.detection.read_text import patterns
from pipeline.tasks.detection.read_text.patterns import Words

_decode = Decoder(list[float]).decode


class Geometry(Struct, frozen=True, gc=False):
    """The value of a geometry's key, consumed up to ``end``: numbers, or the code of why there are none.

    ``is_missing``: it is no value; null, or the text ends in the middle of it. ``boxes``: the numbers of each of
    several boxes, where they stand in a list; empty otherwise.
    """

    numbers: list[float]
    code: str | None
    end: int
    is_missing: bool = False
    boxes: Sequence[list[float]] = ()


def read_geometry(text: str, pos: int, repairs: set[str], words: Words) -> Geometry:
    """The value of a geometry's key, at ``pos``. Of a plain list the reader makes the same, token by token."""
    usual = patterns.JSON_LIST.match(text, pos)
    if usual is not None:
        try:
            return Geometry(_decode(usual[0]), None, usual.end())
        except MsgspecError:  # a style or a space that JSON does not have
            pass
    plain = patterns.PLAIN_LIST.match(text, pos)
    if plain is None:
        return GeometryReader(text, pos, repairs, words).read()
    bracket, numbers, coords, comma = plain.groups()
    if bracket == "(":
        repairs.add("python_literal")
    if comma:
        repairs.add("trailing_comma")
    if coords:
        repairs.add("coord_tokens")
    elif not patterns.JSON_NUMBERS.fullmatch(numbers):
        repairs.add("number_format")
    return Geometry(integers(coords) if coords else floats(numbers), None, plain.end())


class GeometryReader:
    """One pass over the tokens of what should be a list of numbers, which begins at ``pos``, behind the colon.

    ``words`` are the keys that objects have.
    """

    def __init__(self, text: str, pos: int, repairs: set[str], words: Words) -> None:
        self.text, self.repairs, self.words = text, repairs, words
        self.numbers: list[float] = []
        self.code: str | None = None
        self.depth = self.num_braces = 0
        self.sublists: list[list[float]] = []  # the lists in the list
        self.has_loose = False  # numbers stand in no list in the list
        self.last = "open"  # what came last: open, number, comma or close
        self.end = pos  # behind the last number or closing bracket
        self.is_quoted = self.is_null = False

    def read(self) -> Geometry:
        """The coordinates, or why there are none. Never raises."""
        for token in patterns.TOKEN.finditer(self.text, self.end):
            kind = token.lastgroup
            if kind == "numbers" or kind == "coords":
                self._take_in(token)
            elif kind == "comma":
                if self.last in ("comma", "open"):
                    self._fault("not_a_number")  # one is left out: the others may not stand where they seem to
                self.last = "comma"
            elif kind == "comment":
                self.repairs.add("comments")
            elif kind == "open":
                self._open(token)
            elif kind == "close" or kind == "brace":
                if self._close(token) if kind == "close" else self._brace(token):
                    return self._finished()
            elif kind != "space" and self._ends(token):
                return self._finished()
        return Geometry([], None, len(self.text), is_missing=True)

    def _take_in(self, token: re.Match[str]) -> None:
        """Numbers with commas between them, or coordinates with or without."""
        is_coords = token.lastgroup == "coords"
        if self.last == "close" or (self.last == "number" and not is_coords):
            self.repairs.add("missing_comma")
        if is_coords:
            self.repairs.add("coord_tokens")
        elif not patterns.JSON_NUMBERS.fullmatch(token[0]):
            self.repairs.add("number_format")
        values = integers(token[0]) if is_coords else floats(token[0])
        self.numbers += values
        if self.depth > 1:
            self.sublists[-1] += values
        else:
            self.has_loose = True
        self.last, self.end = "number", token.end()

    def _open(self, token: re.Match[str]) -> None:
        if self.last == "number" and self.end == token.start():
            self._fault("unfinished")
        if token[0] == "(":
            self.repairs.add("python_literal")
        if self.depth >= 1:
            self.sublists.append([])
        if self.depth >= 2 or (self.depth == 0 and self.numbers):
            self._fault("wrong_arity")
        self.depth += 1
        self.last = "open"

    def _close(self, token: re.Match[str]) -> bool:
        """A closing bracket: whether the value ends before it or with it."""
        if self.depth == 0:
            if not patterns.IS_BEHIND_VALUE.match(self.text, token.end()):
                return self._stop()  # it closes the list around the object
            self.repairs.add("opening_bracket")
        if self.last == "comma":
            self.repairs.add("trailing_comma")
        self.depth = max(self.depth - 1, 0)
        self.last, self.end = "close", token.end()
        if self.depth > 0:
            return False
        if self.is_quoted and (quote := patterns.CLOSING_QUOTE.match(self.text, self.end)) is not None:
            self.end = quote.end()
        return True

    def _brace(self, token: re.Match[str]) -> bool:
        """A brace: whether the value ends before it or with it."""
        if token[0] == "}":
            if not self.num_braces:
                return self._stop()
            self.num_braces -= 1
            self.end = token.end()
            return self.num_braces == 0 and self.depth == 0
        is_value = self.num_braces > 0 or (self.last == "open" and self.depth == 0)
        is_value = is_value and not self.words.is_known_key.match(self.text, token.end())
        if not is_value and self.words.is_object.match(self.text, token.start()):
            if self.last == "number" and self.end == token.start():
                self._fault("unfinished")
            return self._stop()
        self.num_braces += 1
        self._fault("not_a_number")
        return False

    def _ends(self, token: re.Match[str]) -> bool:
        """Quotes, fences and what is no number: whether the value ends before it or with it."""
        kind, at = token.lastgroup, token.start()
        # Of an object in place of the list, only a known key counts.
        is_key = self.words.is_known_key if self.num_braces else patterns.IS_KEY
        if kind == "fence" or (kind != "other" and is_key.match(self.text, at)):
            return self._stop()
        if kind == "quote":
            self.is_quoted = True
            if self.last == "number" and self.end == at:
                self.end = token.end()
        elif token[0] in ("null", "None") and self.last == "open" and not (self.depth or self.is_quoted):
            if token[0] == "None":
                self.repairs.add("python_literal")
            self.is_null, self.end = True, token.end()
        else:
            self._fault("not_a_number")
        return self.is_null

    def _stop(self) -> bool:
        """The value ends here although no bracket of its own said so."""
        is_bracket_open = self.depth > 0 or not self.numbers
        self.repairs.add("closing_bracket" if is_bracket_open else "opening_bracket")
        return True

    def _fault(self, code: str) -> None:
        self.code = self.code or code

    def _finished(self) -> Geometry:
        if self.is_quoted:
            self.repairs.add("quoted_numbers")
        sizes = [len(one) for one in self.sublists]
        if len(sizes) > 1 and 4 in sizes and not self.has_loose and self.code is None:
            return Geometry(self.numbers, None, self.end, boxes=self.sublists)
        if sizes:
            if self.has_loose or not (set(sizes) == {2} or len(sizes) == 1):
                self._fault("wrong_arity")
            self.repairs.add("nested_list")
        return Geometry(self.numbers, self.code, self.end, self.is_null)


def integers(tokens: str) -> list[float]:
    """The numbers of coordinates that are tokens."""
    return list(map(float, patterns.INTEGER.findall(tokens)))


def floats(text: str) -> list[float]:
    """The numbers that stand in ``text`` with commas between them. (`float` does not strip every space of Unicode.)"""
    return list(map(float, map(str.strip, text.split(","))))
