"""Damages answers in every way that models do, alone and together, and knows which objects remain complete.

    python -m tests.tasks.detection.read_text.damage --count 10000

reads that many answers of each kind of damage with the project's parser, and prints recall and inventions.
"""

# ruff: noqa: RUF001  (characters that look like others are part of the damage)

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable

from pipeline.tasks.detection.read_text.parse import parse
from tests.tasks.detection.read_text.answers import (
    BOX,
    PLAIN,
    POLYGON,
    UNESCAPED,
    Answer,
    Part,
    Thing,
    random_box,
    random_thing,
    random_things,
    written,
)
from tests.tasks.detection.read_text.judging import judge

Damage = Callable[[Answer], None]

FAULTS: tuple[Thing, ...] = tuple(
    Thing("", BOX, (), fault, fields)
    for fault, fields in (
        ("line_geometry", (("line", "[1,2,3,4]"), ("desc", '"rope"'))),
        ("line_geometry", (("desc", '"rope"'), ("line", "[[1,2],[3,4]]"))),
        ("out_of_range", ((BOX, "[10,20,1000,30]"), ("desc", '"far"'))),
        ("out_of_range", (("desc", '"left"'), (BOX, "[-1,20,100,30]"))),
        ("not_a_number", ((BOX, "[NaN,1,2,3]"), ("desc", '"x"'))),
        ("not_a_number", ((BOX, "[1,null,2,3]"), ("desc", '"x"'))),
        ("not_a_number", (("desc", '"x"'), (BOX, "[x1,y1,x2,y2]"))),
        ("wrong_arity", ((BOX, "[1,2,3]"), ("desc", '"x"'))),
        ("wrong_arity", ((BOX, "[1,2,3,4,5]"), ("desc", '"x"'))),
        ("wrong_arity", ((POLYGON, "[1,2,30,4,5,60,7]"), ("desc", '"x"'))),
        ("wrong_arity", ((POLYGON, "[1,2,30,4]"), ("desc", '"x"'))),
        ("wrong_arity", ((BOX, "[]"), ("desc", '"x"'))),
        ("zero_area", ((BOX, "[5,20,5,30]"), ("desc", '"x"'))),
        ("zero_area", ((POLYGON, "[1,1,2,2,3,3]"), ("desc", '"x"'))),
        ("swapped_corners", ((BOX, "[50,20,5,30]"), ("desc", '"x"'))),
        ("both_geometries", ((BOX, "[1,2,3,4]"), (POLYGON, "[1,2,30,4,5,60]"), ("desc", '"x"'))),
        ("no_desc", ((BOX, "[1,2,3,4]"),)),
        ("no_desc", ((BOX, "[1,2,3,4]"), ("desc", '""'))),
        ("no_desc", ((BOX, "[1,2,3,4]"), ("desc", "null"))),
        ("no_geometry", (("desc", '"x"'),)),
        ("no_geometry", (("desc", '"x"'), (BOX, "null"))),
        ("unknown_geometry", (("bbox", "[1,2,3,4]"), ("desc", '"x"'))),
        ("duplicate_key", ((BOX, "[1,2,3,4]"), (BOX, "[1,2,3,9]"), ("desc", '"x"'))),
    )
)
DECOYS = (
    '{"x":1}',
    "[1]",
    '{"name":"cat","size":[640,480]}',
    "{}",
    "{see below}",
    "(a) [b]",
    '{"a":{"b":[1,2]}}',
    "[x]",
)
PROSE = (
    "Sure!", "Here are the objects:", "I can see 3 things.", "Hope this helps!", "Note: it's dark, isn't it?",
    'The "main" object', "50% done - see below.", "目标如下", "bbox_2d and desc follow", "1) first",
)  # fmt: skip


def fence(answer: Answer) -> None:
    """A code fence around it."""
    answer.before += answer.rng.choice(("```json\n", "```\n", "```", "``` json\n", "```python\n"))
    answer.after = answer.rng.choice(("\n```", "```", "\n```\n", "\n```")) + answer.after


def prose(answer: Answer) -> None:
    """Words before it, behind it, or both."""
    where = answer.rng.choice(("before", "after", "both"))
    if where != "after":
        answer.before = answer.rng.choice(PROSE) + answer.rng.choice(("\n", " ")) + answer.before
    if where != "before":
        answer.after += answer.rng.choice(("\n", " ")) + answer.rng.choice(PROSE)


def decoys(answer: Answer) -> None:
    """Brackets that hold no objects, before it or behind it."""
    if answer.rng.random() < 0.5:
        answer.before = f"{answer.rng.choice(DECOYS)} then {answer.before}"
    else:
        answer.after += f" and {answer.rng.choice(DECOYS)}"


def single_quotes(answer: Answer) -> None:
    """The quotes of Python's repr."""
    for part in answer.parts:
        if part.opening == '"':
            part.opening = part.closing = "'"
            if part.role == "desc":
                part.text = part.text.replace('\\"', '"').replace("'", "\\'")


def apostrophes(answer: Answer) -> None:
    """Single quotes around texts that hold apostrophes, not escaped."""
    for part in answer.parts:
        if part.opening == '"' and answer.things[part.owner].desc in PLAIN:
            part.opening = part.closing = "'"


def curly_quotes(answer: Answer) -> None:
    """Typographic quotes, all or some."""
    share = answer.rng.choice((1.0, 0.3))
    for part in answer.roles("key.geometry", "key.desc", "desc"):
        if part.opening == '"' and answer.rng.random() < share and "\\" not in part.text and "“" not in part.text:
            part.opening, part.closing = answer.rng.choice((("“", "”"), ("“", "“"), ("”", "”"), ("„", "“"), ("‘", "’")))
            if part.opening == "‘" and any(mark in part.text for mark in "'’"):
                part.opening, part.closing = "“", "”"


def missing_quotes(answer: Answer) -> None:
    """One quote of a key or a text is lost, in one object or several."""
    candidates = [
        part
        for part in answer.healthy("key.geometry", "key.desc", "desc")
        if part.opening and answer.things[part.owner].desc in PLAIN
    ]
    for part in answer.rng.sample(candidates, min(len(candidates), answer.rng.randint(1, 3))):
        if part.owner in answer.hurt:
            continue
        if answer.rng.random() < 0.5:
            part.opening = ""
        else:
            part.closing = ""
        answer.hurt.add(part.owner)
        answer.unsure.add(part.owner)


def bare_keys(answer: Answer) -> None:
    """No quotes around keys."""
    for part in answer.roles("key.geometry", "key.desc"):
        if part.owner not in answer.hurt:
            part.opening = part.closing = ""


def bare_texts(answer: Answer) -> None:
    """No quotes around some texts."""
    for part in answer.healthy("desc"):
        if answer.things[part.owner].desc in PLAIN and answer.rng.random() < 0.5:
            part.opening = part.closing = ""
            answer.hurt.add(part.owner)
            answer.unsure.add(part.owner)


def unescaped_quotes(answer: Answer) -> None:
    """Quotes inside texts, not escaped."""
    for part in answer.healthy("desc"):
        if part.opening == '"' and answer.rng.random() < 0.5:
            part.text = answer.rng.choice(UNESCAPED)
            old = answer.things[part.owner]
            answer.things[part.owner] = Thing(part.text, old.kind, old.numbers)
            answer.hurt.add(part.owner)
            answer.unsure.add(part.owner)


def escapes(answer: Answer) -> None:
    """Texts in escapes, valid ones and others."""
    for part in answer.healthy("desc"):
        if part.opening == '"' and answer.rng.random() < 0.7:
            if answer.rng.random() < 0.7 or "\\\\" in part.text:
                part.text = json.dumps(answer.things[part.owner].desc)[1:-1]
            else:
                part.text = part.text.replace("'", "\\'").replace("/", "\\/").replace("\\n", "\n").replace("\\t", "\t")


def missing_commas(answer: Answer) -> None:
    """Commas between objects, fields or numbers are lost."""
    roles = answer.rng.choice((("comma.object",), ("comma.field",), ("comma.number",), ("comma.object", "comma.field")))
    for part in answer.healthy(*roles):
        if answer.rng.random() < 0.5:
            part.text = " " if part.role == "comma.number" else answer.rng.choice(("", " ", "\n"))
            answer.hurt.add(part.owner)


def trailing_commas(answer: Answer) -> None:
    """Commas before closing brackets."""
    roles = answer.rng.choice((("list]",), ("object}",), ("geometry]",), ("list]", "object}", "geometry]")))
    for part in answer.roles(*roles):
        if part.text and not part.text.startswith(","):
            part.text = answer.rng.choice((",", ", ", ",\n")) + part.text


def missing_brackets(answer: Answer) -> None:
    """Closing brackets of the list, of objects or of coordinates are lost."""
    for part in answer.healthy("object}", "geometry]"):
        if answer.rng.random() < 0.3 and part.owner not in answer.hurt:
            answer.parts.remove(part)
            answer.hurt.add(part.owner)
            answer.unsure.add(part.owner)
    if answer.rng.random() < 0.5:
        answer.parts = [part for part in answer.parts if part.role != "list]"]


def no_list(answer: Answer) -> None:
    """Objects without a list."""
    separator = answer.rng.choice(("\n", " ", ",\n", "", ", ", "\n\n"))
    answer.parts = [part for part in answer.parts if part.role not in ("list[", "list]")]
    for part in answer.roles("comma.object"):
        part.text = separator


def wrapped(answer: Answer) -> None:
    """The list in objects, or in lists, with other keys beside it."""
    head, tail = answer.rng.choice(
        (
            ('{"objects":', "}"),
            ('{"results":{"objects": ', "}}"),
            ('[{"objects":', "}]"),
            ("[", "]"),
            ('{"count": 3, "note": "a [list] of \\"things\\"", "objects":', ', "done": true}'),
            ("{'annotations': ", "}"),
            ("{objects: ", "}"),
        )
    )
    answer.parts.insert(0, Part("outer", head))
    answer.parts.append(Part("outer", tail))


def coordinate_tokens(answer: Answer) -> None:
    """Numbers as bare tokens; with commas, without, or without brackets."""
    style = answer.rng.choice(("plain", "glued", "quoted", "unbracketed"))
    for part in answer.roles("number"):
        part.text = f"<|coord_{part.text}|>"
        if style == "quoted":
            part.opening = part.closing = '"'
    for part in answer.roles("comma.number") if style == "glued" else ():
        part.text = ""
    for part in answer.healthy("geometry[", "geometry]") if style == "unbracketed" else ():
        part.text = ""


def number_styles(answer: Answer) -> None:
    """Numbers with points, signs, leading zeros, exponents, quotes."""
    style = answer.rng.choice(("{}.0", "{}.", "+{}", "00{}", "{}e0", '"{}"', "'{}'", "{}.0000"))
    for part in answer.roles("number"):
        if part.text.isdigit():
            part.text = style.format(part.text)


def quoted_lists(answer: Answer) -> None:
    """Coordinates as a text, or as a tuple, or in pairs."""
    style = answer.rng.choice(("quoted", "tuple", "nested", "pairs"))
    for opening, closing in zip(answer.roles("geometry["), answer.roles("geometry]"), strict=False):
        if opening.owner != closing.owner or opening.owner in answer.hurt:
            return
        numbers = [part for part in answer.roles("number") if part.owner == opening.owner]
        if style == "quoted":
            opening.text, closing.text = '"[', ']"'
        elif style == "tuple":
            opening.text, closing.text = "(", ")"
        elif style == "nested":
            opening.text, closing.text = "[[", "]]"
        else:
            for first, second in zip(numbers[::2], numbers[1::2], strict=True):
                first.opening, second.closing = f"[{first.opening}", f"{second.closing}]"


def python_literals(answer: Answer) -> None:
    """True, False and None under other keys, and where a second geometry could be."""
    for part in answer.roles("object{"):
        if answer.rng.random() < 0.5:
            other = POLYGON if answer.things[part.owner].kind == BOX else BOX
            part.text += answer.rng.choice(("'ok': True, ", f'"{other}": None, ', "'a': [None, False], ", '"b": None,'))


def other_keys(answer: Answer) -> None:
    """Keys that mean nothing here, with values of all kinds."""
    values = (
        '"score": 0.93', '"label": "cat"', '"id": 7', '"a": {"b": [1, {"c": 2}]}', '"tags": ["x", "y]"]', '"k": null',
        '"text": "{\\"bbox_2d\\":[1,2,3,4],\\"desc\\":\\"no\\"}"',
        '"color": [255, 0, 0]', '"e": []', '"f": {}', '"a b": -1.5e3',
    )  # fmt: skip
    for part in answer.roles("object{"):
        if answer.rng.random() < 0.6 and answer.things[part.owner].fault != "no_geometry":
            part.text += answer.rng.choice(values) + ", "
    for part in answer.healthy("object}"):
        if answer.rng.random() < 0.3 and part.text.startswith("}") and not answer.things[part.owner].fault:
            part.text = ", " + answer.rng.choice(values) + part.text


def comments(answer: Answer) -> None:
    """Comments between the parts."""
    for part in answer.roles("comma.object", "comma.field", "comma.number", "list["):
        if part.text and answer.rng.random() < 0.3:
            marks = (
                ("// the first\n", '# it\'s "x", y\n', "/* a: 'b', c */")
                if part.role != "comma.number"
                else ("// x\n",)
            )
            part.text += answer.rng.choice(marks)


def full_width(answer: Answer) -> None:
    """Full-width punctuation and digits."""
    table = str.maketrans("[]{},:0123456789", "［］｛｝，：０１２３４５６７８９")
    share = answer.rng.choice((1.0, 0.3))
    for part in answer.parts:
        if part.role not in ("desc", "outer", "fixed") and answer.rng.random() < share and '"' not in part.text:
            part.text = part.text if "key" in part.role or "<" in part.text else part.text.translate(table)


def bad_objects(answer: Answer) -> None:
    """Objects that are none, among the good ones. (They are there from the start: see `make`.)"""


def repeated(answer: Answer) -> None:
    """The same object many times. (They are there from the start: see `make`.)"""


def tokens_around(answer: Answer) -> None:
    """Marks of the tokenizer, and a byte order mark."""
    answer.before = answer.rng.choice(("\ufeff", "<|im_start|>assistant\n", "\n\n", "\u00a0")) + answer.before
    answer.after += answer.rng.choice(("<|im_end|>", "</s>", "\n", "\u00a0", "<|endoftext|>"))


def encoded_twice(answer: Answer) -> None:
    """JSON written into a JSON string."""
    answer.encoded = True


def cut(answer: Answer) -> None:
    """The text ends anywhere."""
    answer.is_cut = True
    answer.cut_at = answer.rng.randint(1, max(1, len(answer.whole_text())))


KINDS: dict[str, Damage] = {
    kind.__name__: kind
    for kind in (
        bad_objects, repeated, other_keys, python_literals, escapes, number_styles, coordinate_tokens, quoted_lists,
        single_quotes, apostrophes, curly_quotes, bare_keys, bare_texts, unescaped_quotes, missing_quotes,
        missing_commas, trailing_commas, missing_brackets, comments, no_list, wrapped, full_width, encoded_twice,
        fence, prose, decoys, tokens_around, cut,
    )
}  # fmt: skip
# What does not say the same together as alone: which of them came first decides what the other one finds.
EXCLUSIVE = (
    {"number_styles", "coordinate_tokens", "quoted_lists", "full_width"},
    {"encoded_twice", "single_quotes", "apostrophes", "curly_quotes", "escapes", "comments", "bare_texts",
     "unescaped_quotes", "missing_quotes", "coordinate_tokens", "number_styles", "quoted_lists", "python_literals",
     "other_keys", "full_width"},
    {"single_quotes", "apostrophes", "escapes", "curly_quotes"},
    {"no_list", "wrapped"},
    {"comments", "missing_commas", "missing_brackets"},
    {"unescaped_quotes", "curly_quotes"},
)  # fmt: skip


def make(kinds: tuple[str, ...], rng: random.Random) -> Answer:
    """A random answer with these kinds of damage."""
    things = random_things(rng, rng.randint(0 if rng.random() < 0.1 else 1, 7))
    if "bad_objects" in kinds:
        for _ in range(rng.randint(1, 3)):
            things.insert(rng.randint(0, len(things)), rng.choice(FAULTS))
    if "repeated" in kinds:
        things += [random_thing(rng, tricky=0.2, polygons=0.2)] * 20
    if "bare_keys" in kinds and "cut" in kinds:
        things = [
            thing if thing.desc in PLAIN or thing.fault else Thing("cat", BOX, random_box(rng)) for thing in things
        ]
    answer = written(things, rng)
    for name, damage in KINDS.items():
        if name in kinds:
            damage(answer)
    return answer


def combination(rng: random.Random) -> tuple[str, ...]:
    """Two to five kinds that go together."""
    names = rng.sample(list(KINDS), rng.randint(2, 5))
    kept: list[str] = []
    for name in names:
        if not any(name in group and group & set(kept) for group in EXCLUSIVE):
            kept.append(name)
    return tuple(kept)


def main() -> int:
    """0 when nothing was missed or invented."""
    parser = argparse.ArgumentParser(prog="python -m tests.tasks.detection.read_text.damage", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="answers of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=[*KINDS, "combinations", "none"], help="only this one")
    parser.add_argument("--show", type=int, default=3, help="this many failures of each kind")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    print(f"{'damage':<20} {'answers':>8} {'complete':>9} {'missed':>7} {'invented':>9} {'other':>6}")
    for name in arguments.kind or ["none", *KINDS, "combinations"]:
        counts, shown = Counter[str](), 0
        for number in range(arguments.count):
            rng = random.Random(f"{name} {arguments.seed} {number}")
            kinds = combination(rng) if name == "combinations" else () if name == "none" else (name,)
            answer = make(kinds, rng)
            parsed = parse(answer.text(), cut=answer.is_cut)
            wrong = judge(answer, parsed)
            counts += wrong
            if set(wrong) - {"complete"} and shown < arguments.show:
                shown += 1
                print(f"  {number} {kinds} {dict(wrong)} {parsed.status}\n  {answer.text()!r}", file=sys.stderr)
        other = counts["span"] + counts["status"] + counts["codes"]
        print(
            f"{name:<20} {arguments.count:>8} {counts['complete']:>9} {counts['missed']:>7} "
            f"{counts['invented']:>9} {other:>6}",
            flush=True,
        )
        total += counts
    return 1 if set(total) - {"complete"} else 0


if __name__ == "__main__":
    sys.exit(main())
