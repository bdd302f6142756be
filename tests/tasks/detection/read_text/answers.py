"""Answers whose truth is known by construction: text in parts with roles, so that damage knows what it damages."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

BOX, POLYGON = "bbox_2d", "poly"

PLAIN = (
    "cat", "red car", "person", "traffic light", "dog's bowl", "the dogs' bed", "cat, black and white", "café table",
    "猫", "зелёный мяч", "a-b_c", "no. 7 bus", "x2", "bread & butter", "🚲 bicycle", "half-open door", "o'clock",
    "l'été",
)  # fmt: skip
TRICKY = (
    'a "big" cat', '"stop" sign', 'sign saying "go"', '6" pipe', "curly { brace", "closing } brace", "}, {", "], [",
    "]", "{x: 1}", "[a, b]", "C:\\dir\\new", "line\nbreak", "tab\there", "a ``` fence", "http://x.y//z", "# 5",
    "/* no */", "<|coord_5|>", "null", "NaN", "7", "desc: cat", '{"bbox_2d":[1,2,3,4],"desc":"x"}',
    "the “old” sign", "a, b: c", "{'bbox_2d':[1,2,3,4],'desc':'x'}",
    '"}, {"bbox_2d": [1, 2, 3, 4], "desc": "', "\uff0c\uff1a\uff3b\uff3d", "\\", '\\"',
    "ends with }", "'", "a\u2028b",
)  # fmt: skip
UNESCAPED = ('a "big" cat', '"stop" sign', 'sign saying "go"', '6" pipe', 'the "x", and "y" signs', '"a" "b"')


@dataclass(frozen=True)
class Thing:
    """One object as the model meant it. ``fault`` is the code under which it must be dropped, None for a good one."""

    desc: str
    kind: str
    numbers: tuple[float, ...]
    fault: str | None = None
    fields: tuple[tuple[str, str], ...] | None = None  # key and value as text, in place of the usual two


@dataclass
class Part:
    """A piece of text. ``role`` says what it is, ``owner`` to which object it belongs (-1: to none)."""

    role: str
    text: str
    owner: int = -1
    opening: str = ""
    closing: str = ""

    def __str__(self) -> str:
        return self.opening + self.text + self.closing


@dataclass
class Answer:
    """Parts of the JSON, what stands around them, and the truth.

    ``hurt``: objects that already lost a character of their structure; they lose no second one. ``unsure``: objects
    that may count as complete or not when the text behind them is cut.
    """

    things: list[Thing]
    parts: list[Part]
    rng: random.Random
    before: str = ""
    after: str = ""
    hurt: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)
    is_cut: bool = False
    cut_at: int | None = None
    encoded: bool = False

    def roles(self, *roles: str) -> list[Part]:
        return [part for part in self.parts if part.role in roles]

    def healthy(self, *roles: str) -> list[Part]:
        """Parts of objects that are still whole."""
        return [part for part in self.roles(*roles) if part.owner not in self.hurt]

    def whole_text(self) -> str:
        return self.before + "".join(self._pieces()) + self.after

    def text(self) -> str:
        return self.whole_text()[: self.cut_at]

    def spans(self) -> dict[int, tuple[int, int]]:
        """Where each object stands: from its first part to its last."""
        spans: dict[int, tuple[int, int]] = {}
        at = len(self.before)
        for part, piece in zip(self.parts, self._pieces(), strict=True):
            if part.owner >= 0 and part.role not in ("space", "comma.object"):
                start = spans.get(part.owner, (at, 0))[0]
                spans[part.owner] = (start, at + len(piece))
            at += len(piece)
        return spans

    def complete(self) -> list[int]:
        """Objects that are complete in the text: their end is there, and where their brace is lost, something behind
        ends them."""
        spans, end = self.spans(), len(self.text())
        closed = {part.owner for part in self.roles("object}")}
        closes = [start for start, _ in spans.values()] + self._ends()
        return [
            owner
            for owner, (start, stop) in sorted(spans.items())
            if stop <= end and (owner in closed or any(start < at < end for at in closes if at >= stop))
        ]

    def is_open_before_words(self) -> bool:
        """The last object lacks its brace, and only words stand behind it: it may count as complete or not."""
        owners = [part.owner for part in self.parts if part.owner >= 0]
        closed = {part.owner for part in self.roles("object}")}
        is_open = bool(owners) and owners[-1] not in closed and bool(self.after.strip())
        return is_open and owners[-1] not in self.complete()

    def ends_inside(self) -> bool:
        """The text ends inside an object."""
        end, complete = len(self.text()), set(self.complete())
        return any(start < end and owner not in complete for owner, (start, _) in self.spans().items())

    def _ends(self) -> list[int]:
        """Where the list's bracket or a fence stands."""
        at, ends = len(self.before), []
        for part, piece in zip(self.parts, self._pieces(), strict=True):
            if part.role == "list]" or (part.role == "outer" and part.text.strip()[0] in "]},"):
                ends.append(at)
            at += len(piece)
        return [*ends, at + self.after.index("```")] if "```" in self.after else ends

    def _pieces(self) -> Iterator[str]:
        for part in self.parts:
            yield json.dumps(str(part).replace("\n", " "), ensure_ascii=False)[1:-1] if self.encoded else str(part)


def random_things(rng: random.Random, count: int, *, tricky: float = 0.2, polygons: float = 0.25) -> list[Thing]:
    """Good objects."""
    return [random_thing(rng, tricky=tricky, polygons=polygons) for _ in range(count)]


def random_thing(rng: random.Random, *, tricky: float, polygons: float) -> Thing:
    desc = rng.choice(TRICKY if rng.random() < tricky else PLAIN)
    if rng.random() < polygons:
        corners = rng.randint(3, 7)
        numbers = [float(rng.randint(0, 999)) for _ in range(2 * corners)]
        numbers[:6] = [10.0, 20.0, 500.0, 30.0, 40.0, float(rng.randint(100, 999))]  # never on one line
        return Thing(desc, POLYGON, tuple(numbers))
    return Thing(desc, BOX, random_box(rng))


def random_box(rng: random.Random) -> tuple[float, ...]:
    x1, y1 = rng.randint(0, 998), rng.randint(0, 998)
    return (float(x1), float(y1), float(rng.randint(x1 + 1, 999)), float(rng.randint(y1 + 1, 999)))


def written(things: list[Thing], rng: random.Random) -> Answer:
    """The answer as it should be: a list of objects in one of JSON's usual layouts."""
    space = rng.choice(("", " "))
    line = rng.choice(("", "", " ", "\n  "))
    desc_first = rng.random() < 0.4
    parts = [Part("list[", "["), Part("space", line)]
    for owner, thing in enumerate(things):
        if owner:
            parts += [Part("comma.object", ",", owner - 1), Part("space", line or space)]
        parts += _object(thing, owner, space, rng.choice((desc_first, desc_first, rng.random() < 0.5)))
    parts += [Part("space", "\n" if "\n" in line else ""), Part("list]", "]")]
    return Answer(things, parts, rng)


def _object(thing: Thing, owner: int, space: str, desc_first: bool) -> list[Part]:
    if thing.fields is not None:
        parts: list[Part] = []
        for key, value in thing.fields:
            parts += [Part("comma.extra", ",", owner)] if parts else []
            parts += [Part("fixed", f'"{key}":{value}', owner)]
        return [Part("object{", "{", owner), *parts, Part("object}", "}", owner)]
    numbers: list[Part] = []
    for number in thing.numbers:
        numbers += [Part("comma.number", ",", owner), Part("space", space, owner)] if numbers else []
        numbers.append(Part("number", f"{number:.0f}", owner))
    geometry = [
        Part("key.geometry", thing.kind, owner, '"', '"'),
        Part("colon", ":", owner),
        Part("space", space, owner),
        Part("geometry[", "[", owner),
        *numbers,
        Part("geometry]", "]", owner),
    ]
    desc = [
        Part("key.desc", "desc", owner, '"', '"'),
        Part("colon", ":", owner),
        Part("space", space, owner),
        Part("desc", json.dumps(thing.desc, ensure_ascii=False)[1:-1], owner, '"', '"'),
    ]
    first, second = (desc, geometry) if desc_first else (geometry, desc)
    comma = [Part("comma.field", ",", owner), Part("space", space, owner)]
    return [Part("object{", "{", owner), *first, *comma, *second, Part("object}", "}", owner)]
