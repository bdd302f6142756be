"""Reading the texts of models, against json_repair: time, and what is found and invented."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import json_repair

from benchmarks.harness import Report, Samples, at_least, at_most, quotients, take_turns, timed
from pipeline.tasks.detection.read_text.parse import parse
from tests.tasks.detection.read_text.answers import BOX, POLYGON, Answer
from tests.tasks.detection.read_text.damage import KINDS, combination, make
from tests.tasks.detection.read_text.judging import judge

Facts = tuple[str, str, tuple[float, ...]]


def run(quick: bool) -> Report:
    """Whole answers, answers with one kind of damage each, with several, and a mix as models write them, from seeds."""
    rounds, num_answers = (2, 30) if quick else (15, 400)
    corpora = {
        "undamaged": [_undamaged(n) for n in range(num_answers)],
        "one damage": [_damaged(n) for n in range(2 * num_answers)],
        "several": [_several(n) for n in range(2 * num_answers)],
        "mix": [_undamaged(n) if n % 20 else _damaged(n // 20) for n in range(4 * num_answers)],
    }
    samples, quotient, facts = [], {}, []
    for name, answers in corpora.items():
        texts = [answer.text() for answer in answers]
        seconds = take_turns(
            {"Baton": timed(partial(_read_all, parse, texts)), "json_repair": timed(partial(_read_all, _peer, texts))},
            rounds,
        )
        for who, times in seconds.items():
            samples.append(Samples(f"{name}: {who}", "us a text", tuple(s / len(texts) * 1e6 for s in times)))
        quotient[name] = quotients(seconds["json_repair"], seconds["Baton"])
        facts.append(_found(name, answers))
    totals = sum((counts for _, counts in facts), Counter[str]())
    return Report(
        title="reading the texts of models",
        method=(
            f"{sum(map(len, corpora.values())):,} made-up answers of 0 to 7 objects whose truth is known: whole, with "
            f"one of {len(KINDS)} kinds of damage (missing quotes, cut anywhere, comments, ...), with 2 to 5, and a "
            "mix of 95 % whole ones and 5 % with one damage. Baton's `parse` gives rows with spans, named repairs and "
            "reasons; json_repair a Python object, in which every dictionary with a description and a box of 4 numbers "
            "or a polygon of at least 3 points counts as an object, wherever it stands."
        ),
        samples=samples,
        claims=[
            at_most("time of an undamaged text, of json_repair's", [1 / x for x in quotient["undamaged"]], 1.0),
            at_least("texts a second, against json_repair, one damage", quotient["one damage"], 2.5),
            at_least("texts a second, against json_repair, mix", quotient["mix"], 1.5),
            at_least("recall of complete objects", [1 - totals["missed"] / totals["complete"]], 1.0, ""),
            at_most("invented objects", [totals["invented"]], 0.0, ""),
        ],
        notes=[_sentence(name, counts) for name, counts in facts],
    )


def _undamaged(number: int) -> Answer:
    return make((), random.Random(f"bench {number}"))


def _damaged(number: int) -> Answer:
    return make((list(KINDS)[number % len(KINDS)],), random.Random(f"bench {number}"))


def _several(number: int) -> Answer:
    rng = random.Random(f"bench several {number}")
    return make(combination(rng), rng)


def _read_all(read: Callable[[str], object], texts: Sequence[str]) -> None:
    for text in texts:
        read(text)


def _peer(text: str) -> object:
    return json_repair.loads(text)


def _found(name: str, answers: Sequence[Answer]) -> tuple[str, Counter[str]]:
    """Complete objects of the corpus, and what both sides missed and invented."""
    counts = Counter[str]()
    for answer in answers:
        counts.update(judge(answer, parse(answer.text(), cut=answer.is_cut)))
        good = [thing for thing in answer.things if thing.fault is None]
        complete = {owner for owner in answer.complete() if answer.things[owner].fault is None} - answer.unsure
        sure = Counter((t.desc, t.kind, t.numbers) for owner, t in enumerate(answer.things) if owner in complete)
        theirs = Counter(_objects(json_repair.loads(answer.text())))
        counts["their_complete"] += sure.total()
        counts["their_missed"] += (sure - theirs).total()
        counts["their_invented"] += (theirs - Counter((t.desc, t.kind, t.numbers) for t in good)).total()
    return name, counts


def _objects(value: Any) -> list[Facts]:
    """Every dictionary in what json_repair made of a text that can be taken for an object."""
    found: list[Facts] = []
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            found += _object(one)
            rest += one.values()
        elif isinstance(one, list):
            rest += one
    return found


def _object(one: dict[Any, Any]) -> list[Facts]:
    if not isinstance(one.get("desc"), str):
        return []
    box, polygon = (_numbers(one.get(key)) for key in (BOX, POLYGON))
    if len(box) == 4:
        return [(one["desc"], BOX, box)]
    return [(one["desc"], POLYGON, polygon)] if len(polygon) >= 6 else []


def _numbers(value: Any) -> tuple[float, ...]:
    """The numbers of a list of nothing else; none otherwise."""
    is_plain = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    return tuple(map(float, value)) if is_plain else ()


def _sentence(name: str, counts: Counter[str]) -> str:
    ours = (
        f"Baton misses {counts['missed']:,} of {counts['complete']:,} complete objects, invents {counts['invented']:,}"
    )
    theirs = (
        f"json_repair misses {counts['their_missed']:,} of {counts['their_complete']:,}, "
        f"invents {counts['their_invented']:,}"
    )
    return f"{name}: {ours}; {theirs}."
