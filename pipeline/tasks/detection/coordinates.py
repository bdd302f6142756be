"""Coordinates: how they are read out of damaged text, and when they are a box or a polygon."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.tasks.detection.lexer import BOX, JSON_SPACE, KEY_AHEAD, KNOWN_KEY_AHEAD, OBJECT_AHEAD, QUOTE, QUOTES

MAX_COORDINATE = 999

_INTEGER = r"-?(?:0|[1-9][0-9]*+)"
_PLAIN_LIST = re.compile(
    rf"\[{JSON_SPACE}({_INTEGER}(?:{JSON_SPACE},{JSON_SPACE}{_INTEGER})*+){JSON_SPACE}\](?={JSON_SPACE}[,}}])"
)
_TOKEN = re.compile(
    rf"""(?P<space>\s++)
    |(?P<comma>,)
    |(?P<coord><\|coord_(?P<index>-?[0-9]++)\|>)
    |(?P<number>[+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+(?![\w.]))
    |(?P<open>[\[(])
    |(?P<close>[\])])
    |(?P<fence>```)
    |(?P<quote>\\*+[{QUOTES}])
    |(?P<backslashes>\\++)
    |(?P<brace>[{{}}])
    |(?P<word>[\w.+\-]++)
    |(?P<comment>//[^\n{{}}\[\]]*+|\#[^\n{{}}\[\]]*+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
_CLOSING_QUOTE = re.compile(rf"\s*+{QUOTE}")
_AFTER_VALUE = re.compile(rf"\s*+(?:\}}|,\s*+(?:{KEY_AHEAD.pattern}))", re.DOTALL)
_NULLS = ("null", "None")


class Geometry(NamedTuple):
    """The value of a geometry's key: its numbers, or the code of why there are none; consumed up to ``end``.

    Both null: the value is null, which is no geometry. ``cut``: the text ends in the middle of it.
    """

    numbers: tuple[float, ...] | None
    code: str | None
    end: int
    cut: bool = False


def read_geometry(text: str, pos: int, repairs: set[str]) -> Geometry:
    """The coordinates that begin at ``pos``, behind the colon."""
    plain = _PLAIN_LIST.match(text, pos)
    if plain is not None:
        return Geometry(tuple(map(float, plain.group(1).split(","))), None, plain.end())
    return _Numbers(text, repairs).read(pos)


class _Numbers:
    """One pass over the tokens of a list of numbers that is not plain JSON, or not plain."""

    def __init__(self, text: str, repairs: set[str]) -> None:
        self.text = text
        self.repairs = repairs
        self.numbers: list[float] = []
        self.code: str | None = None
        self.depth = 0
        self.sublists: list[int] = []  # how many numbers each list in the list holds
        self.num_loose = 0  # numbers that stand in no list in the list
        self.num_braces = 0
        self.after = "open"  # what came last: open, number, comma or close
        self.end = 0  # behind the last number or closing bracket
        self.is_quoted = False

    def read(self, pos: int) -> Geometry:
        self.end = pos
        for token in _TOKEN.finditer(self.text, pos):
            kind = token.lastgroup or ""
            kind = "coord" if kind == "index" else kind
            if kind in ("space", "comment"):
                if kind == "comment":
                    self.repairs.add("comments")
            elif kind in ("number", "coord"):
                self._number(token, kind)
            elif kind == "comma":
                self._comma()
            elif self._is_end(token, kind):
                return self._finished()
        return Geometry(None, None, len(self.text), cut=True)

    def _is_end(self, token: re.Match[str], kind: str) -> bool:
        """Brackets, quotes and whatever is no number: takes it in, or says that the value ends before it or with it."""
        at = token.start()
        if kind == "open":
            self._open(token)
        elif kind == "close":
            return self._close(token)
        elif kind == "brace":
            return self._brace(token)
        elif kind == "fence" or (kind in ("quote", "word") and self._is_key(at)):
            return self._stop()
        elif kind == "quote":
            self.is_quoted = True
        elif token.group() in _NULLS and not self.depth and self.after == "open" and not self.is_quoted:
            self.code, self.end = "null", token.end()
            return True
        else:
            self._fault("not_a_number")
        return False

    def _is_key(self, at: int) -> bool:
        """A key stands here; of an object in place of the list, only a known one counts."""
        return bool((KNOWN_KEY_AHEAD if self.num_braces else KEY_AHEAD).match(self.text, at))

    def _number(self, token: re.Match[str], kind: str) -> None:
        if self.after == "number":
            if kind == "number":
                self.repairs.add("missing_comma")
        elif self.after == "close":
            self.repairs.add("missing_comma")
        if kind == "coord":
            self.repairs.add("coord_tokens")
            self.numbers.append(float(token.group("index")))
        else:
            if not _JSON_NUMBER.fullmatch(token.group()):
                self.repairs.add("number_format")
            self.numbers.append(float(token.group()))
        if self.depth > 1:
            self.sublists[-1] += 1
        else:
            self.num_loose += 1
        self.after, self.end = "number", token.end()

    def _comma(self) -> None:
        if self.after in ("comma", "open"):
            self._fault("not_a_number")  # a number is left out: the others may not stand where they seem to
        self.after = "comma"

    def _open(self, token: re.Match[str]) -> None:
        if self.after == "number" and self.end == token.start():
            self._fault("unfinished")
        if token.group() == "(":
            self.repairs.add("python_literal")
        if self.depth == 0 and self.numbers:
            self._fault("wrong_arity")
        if self.depth >= 1:
            self.sublists.append(0)
        if self.depth >= 2:
            self._fault("wrong_arity")
        self.depth += 1
        self.after = "open"

    def _close(self, token: re.Match[str]) -> bool:
        if self.depth == 0:
            if not _AFTER_VALUE.match(self.text, token.end()):
                return self._stop()  # it closes the list around the object
            self.repairs.add("opening_bracket")
        if self.after == "comma":
            self.repairs.add("trailing_comma")
        self.depth -= 1
        self.after, self.end = "close", token.end()
        if self.depth > 0:
            return False
        self.depth = 0
        quote = _CLOSING_QUOTE.match(self.text, self.end) if self.is_quoted else None
        if quote is not None and not KEY_AHEAD.match(self.text, quote.end() - 1):
            self.end = quote.end()
        return True

    def _brace(self, token: re.Match[str]) -> bool:
        if token.group() == "}":
            if not self.num_braces:
                return self._stop()
            self.num_braces -= 1
            self.end = token.end()
            return self.num_braces == 0 and self.depth == 0
        is_value = self.num_braces or (self.after == "open" and not self.depth)
        if is_value and not KNOWN_KEY_AHEAD.match(self.text, token.end()):
            self.num_braces += 1
            self._fault("not_a_number")
        elif OBJECT_AHEAD.match(self.text, token.start()):
            if self.end == token.start() and self.after == "number":
                self._fault("unfinished")
            return self._stop()
        else:
            self.num_braces += 1
            self._fault("not_a_number")
        return False

    def _stop(self) -> bool:
        """The value ends here although no bracket of its own said so."""
        if self.depth or not self.numbers:
            self.repairs.add("closing_bracket")
        else:
            self.repairs.add("opening_bracket")
        return True

    def _fault(self, code: str) -> None:
        self.code = self.code or code

    def _finished(self) -> Geometry:
        if self.is_quoted:
            self.repairs.add("quoted_numbers")
        if self.code == "null":
            if self.text.startswith("None", self.end - 4):
                self.repairs.add("python_literal")
            return Geometry(None, None, self.end)
        if self.sublists:
            is_pairs = all(length == 2 for length in self.sublists)
            if self.num_loose or not (is_pairs or len(self.sublists) == 1):
                self._fault("wrong_arity")
            self.repairs.add("nested_list")
        if self.code is not None:
            return Geometry(None, self.code, self.end)
        return Geometry(tuple(self.numbers), None, self.end)


def fault(kind: str, numbers: Sequence[float]) -> str | None:
    """Why these coordinates are no ``bbox_2d`` or no ``poly``: the first code that holds; None when they are one.

    A polygon may touch or cross itself: COCO's masks are defined for those, too.
    """
    count = len(numbers)
    if count != 4 if kind == BOX else (count < 6 or count % 2):
        return "wrong_arity"
    if min(numbers) < 0 or max(numbers) > MAX_COORDINATE:
        return "out_of_range"
    if kind == BOX:
        x1, y1, x2, y2 = numbers
        if x1 > x2 or y1 > y2:
            return "swapped_corners"
        return "zero_area" if x1 == x2 or y1 == y2 else None
    return "zero_area" if _on_one_line(numbers) else None


def _on_one_line(points: Sequence[float]) -> bool:
    """All points [x1, y1, x2, y2, ...] lie on one line, or are one point."""
    x0, y0 = points[0], points[1]
    dx = dy = 0.0
    for x, y in zip(points[2::2], points[3::2], strict=True):
        # 1e-6: the product of two coordinates is below 1e6, and rounded by less than 1e-9.
        if abs(dx * (y - y0) - dy * (x - x0)) > 1e-6:
            return False
        if dx == dy == 0.0:
            dx, dy = x - x0, y - y0
    return True
