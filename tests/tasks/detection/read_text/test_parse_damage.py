"""Damaged answers whose truth is known: everything that is complete is found, nothing is invented.

``python -m tests.tasks.detection.read_text.damage --count 10000`` reads 10,000 of each kind; here are a few hundred.
"""

import random
import re
from collections import Counter

import pytest

from pipeline.tasks.detection.read_text import patterns
from pipeline.tasks.detection.read_text.formats import TextFormat
from pipeline.tasks.detection.read_text.parse import parse, scan
from tests.tasks.detection.read_text.answers import BOX, Answer, Thing, written
from tests.tasks.detection.read_text.damage import KINDS, combination, make
from tests.tasks.detection.read_text.judging import judge

ANSWERS_OF_A_KIND, COMBINATIONS = 100, 700


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_of_each_damage_all_complete_objects_are_found_and_no_others(kind: str) -> None:
    for number in range(ANSWERS_OF_A_KIND):
        rng = random.Random(f"{kind} {number}")
        answer = make((kind,) if kind in KINDS else (), rng)
        wrong = judge(answer, parse(answer.text(), cut=answer.is_cut))
        assert not set(wrong) - {"complete"}, (number, answer.text())


def test_of_damages_together_all_complete_objects_are_found_and_no_others() -> None:
    seen: Counter[str] = Counter()
    for number in range(COMBINATIONS):
        rng = random.Random(f"together {number}")
        kinds = combination(rng)
        answer = make(kinds, rng)
        wrong = judge(answer, parse(answer.text(), cut=answer.is_cut))
        assert not set(wrong) - {"complete"}, (number, kinds, answer.text())
        seen.update(kinds)
    assert set(seen) == set(KINDS)


def test_what_is_read_at_once_is_what_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [make((kind,), random.Random(f"once {kind} {n}")).text() for kind in KINDS for n in range(20)]
    at_once = [parse(text) for text in texts]
    for name in ("CLEAN_OBJECT", "CLEAN_OBJECTS", "USUAL_OBJECT", "JSON_LIST", "PLAIN_LIST"):
        monkeypatch.setattr(patterns, name, re.compile("(?!)"))
    assert [scan(text) for text in texts] == at_once


def test_the_judge_tells_what_was_missed_and_what_was_invented() -> None:
    cat, dog = Thing("cat", BOX, (1.0, 2.0, 3.0, 4.0)), Thing("dog", BOX, (5.0, 6.0, 7.0, 8.0))
    answer = written([cat, dog], random.Random(0))
    text = answer.text()
    assert judge(answer, parse(text)) == Counter(complete=2)
    assert judge(answer, parse(text.replace("dog", "fox"))) == Counter(complete=2, missed=1, invented=1)
    assert judge(answer, parse("[]"))["missed"] == 2
    assert judge(answer, parse(text + text))["invented"] == 2
    assert judge(answer, parse(f"  {text}"))["span"] == 2


def test_a_cut_answer_holds_what_ends_before_the_cut() -> None:
    answer = written([Thing("cat", BOX, (1.0, 2.0, 3.0, 4.0))] * 2, random.Random(0))
    start, stop = answer.spans()[0]
    answer.cut_at = stop
    assert (answer.complete(), answer.ends_inside()) == ([0], False)
    answer.cut_at = stop - 1
    assert (answer.complete(), answer.ends_inside()) == ([], True)
    answer.cut_at = start
    assert (answer.complete(), answer.ends_inside()) == ([], False)


def renamed(answer: Answer) -> str:
    """The text of an answer whose objects have other keys."""
    for part in answer.parts:
        if part.role in ("key.geometry", "key.desc"):
            part.text = KEYS.get(part.text, part.text)
        elif part.role == "fixed":
            for old, new in KEYS.items():
                part.text = part.text.replace(f'"{old}":', f'"{new}":')
    return answer.text()


KEYS = {"desc": "title", "bbox_2d": "box_2d", "poly": "outline"}
RENAMED = TextFormat(desc_key="title", box_key="box_2d", poly_key="outline")


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_with_keys_of_ones_own_damage_costs_as_little(kind: str) -> None:
    for number in range(ANSWERS_OF_A_KIND // 4):
        rng = random.Random(f"renamed {kind} {number}")
        answer = make((kind,) if kind in KINDS else (), rng)
        text = renamed(answer)
        wrong = judge(answer, parse(text, cut=answer.is_cut, written=RENAMED))
        assert not set(wrong) - {"complete"}, (number, text)


@pytest.mark.parametrize(
    "thought", ["<think>a [draft] {</think>", 'maybe [{"bbox_2d":[1,2,3,4],"desc":"x"}]</think>\n']
)
def test_a_thought_before_a_damaged_answer_changes_nothing_of_it(thought: str) -> None:
    for number in range(ANSWERS_OF_A_KIND):
        rng = random.Random(f"thought {number}")
        answer = make(combination(rng), rng)
        answer.before = thought + answer.before.lstrip("\ufeff")
        wrong = judge(answer, parse(answer.text(), cut=answer.is_cut))
        if answer.cut_at is None or answer.cut_at > len(thought):
            assert not set(wrong) - {"complete"}, (number, answer.text())
