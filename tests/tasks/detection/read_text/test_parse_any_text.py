"""Any text gives exactly one valid row, in time that grows with its length and no faster."""
# ruff: noqa: RUF001  (characters that look like others are part of the texts)

import json
import random
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.files import encode
from pipeline.tasks.detection.read_text import parse as parse_module
from pipeline.tasks.detection.read_text.clean import read_clean
from pipeline.tasks.detection.read_text.parse import ERRORS, REPAIRS, Parsed, parse, scan, storable
from pipeline.tasks.detection.rows import DetectionPrediction
from tests.tasks.detection.read_text.damage import make
from tests.tasks.detection.read_text.test_parse_docs import DROP_CODES

CORPUS = Path(__file__).parent / "corpus"
PIECES = (
    *"[]{}(),:;=\"'`\\/#<|>-+.019 \n\t“”‘’\u00a0\ufeff\ud83d\udc00\u2028\x00，：［］｛｝",
    "bbox_2d", '"bbox_2d"', '"desc"', "desc", '"poly"', '"line"', '"objects"', "```", "json", "//", "/*", "*/", "null",
    "None", "True", "NaN", "1e999", "<|coord_", "|>", '":', '","', "},{", '"}', "[1,2,30,40]", "\\u0041", "\\ud83d",
    '{"bbox_2d":[1,2,30,40],"desc":"cat"}', '{"desc":"', "<|coord_5|>", "[[1,2],[3,4],[5,9]]", "cat", "1000",
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=300),
    st.text(st.characters(), max_size=100),  # surrogates, too
    st.lists(st.sampled_from(PIECES), max_size=150).map("".join),
    st.binary(max_size=300).map(lambda data: data.decode("utf-8", "replace")),
)


def check_row(text: str, cut: bool) -> Parsed:
    """What holds of every parse, whatever the text."""
    parsed = parse(text, cut=cut)
    row = DetectionPrediction(
        id="1", model="m", image_id=1, images=["a.png"], width=8, height=8, gt=[], gt_coord_mode="pixel", cut=cut,
        raw_output=parsed.raw_output, status=parsed.status, preds=parsed.preds, repairs=parsed.repairs,
        dropped=parsed.dropped, salvaged=parsed.salvaged, error=parsed.error, error_detail=parsed.error_detail,
    )  # fmt: skip
    line = encode(row)
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line, type=DetectionPrediction) == row
    assert parse(parsed.raw_output, cut=cut) == parsed  # a replay
    _check_facts(parsed)
    return parsed


def _check_facts(parsed: Parsed) -> None:
    assert (parsed.error is not None) == (parsed.status in ERRORS)
    assert not (parsed.error and parsed.preds)
    assert not parsed.salvaged or parsed.status == "truncated"
    assert set(parsed.repairs) <= set(REPAIRS)
    assert (parsed.status != "ok") or not parsed.repairs
    assert {one.code for one in parsed.dropped} <= DROP_CODES
    found = [*parsed.preds, *parsed.salvaged]
    for one in found:
        start, stop = one.span or (-1, -1)
        assert 0 <= start < stop <= len(parsed.raw_output)
        assert one.desc.strip() and one.score == 1.0
        assert all(0 <= number <= 999 for number in one.bbox_2d or one.poly or ())
        assert (one.bbox_2d is None) != (one.poly is None)
        assert all(_stands_in(number, parsed.raw_output[start:stop]) for number in one.bbox_2d or one.poly or ())
    starts = [one.span for one in found]
    assert starts == sorted(starts, key=lambda span: span or (0, 0))


FULL_WIDTH_DIGITS = str.maketrans("０１２３４５６７８９．", "0123456789.")


def _stands_in(number: float, text: str) -> bool:
    """Digits of the number are in the text: it was not made up."""
    plain = text.translate(FULL_WIDTH_DIGITS)
    return f"{number:g}".lstrip("0")[:1] in plain or "e" in plain.lower() or number == 0.0


@settings(max_examples=600, deadline=None)
@given(texts, st.booleans())
@example("", False)
@example("\x00" * 50, True)
@example("[" * 2000, False)
@example('{"' * 1000, False)
def test_any_text_gives_one_valid_row(text: str, cut: bool) -> None:
    check_row(text, cut)


names = st.one_of(st.sampled_from(["desc", "bbox_2d", "poly", "line", "objects", "x"]), st.text(max_size=5))
numbers = st.one_of(st.integers(-5, 1005), st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=12), st.lists(numbers, min_size=4, max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
things = st.fixed_dictionaries(
    {"desc": st.text(max_size=12), "bbox_2d": st.lists(st.integers(0, 1000), min_size=3, max_size=5)},
    optional={"extra": values, "poly": values},
)


def as_json_has_them(data: Any) -> list[tuple[str, list[float]]]:
    """Boxes of the list, told by a JSON decoder: the oracle for what is valid JSON."""
    found = []
    for item in data:
        if not isinstance(item, dict) or not item["desc"].strip() or item.get("poly") is not None:
            continue
        box, desc = item["bbox_2d"], item["desc"]
        if len(box) == 4 and all(0 <= number <= 999 for number in box) and box[0] < box[2] and box[1] < box[3]:
            found.append((desc, [float(number) for number in box]))
    return found


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.one_of(things, st.integers(), st.text(max_size=8)), max_size=5),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_valid_json_is_read_as_a_decoder_reads_it(data: list[Any], ascii_only: bool, indent: int | None) -> None:
    data = [{**item, "extra": None} if isinstance(item, dict) and "extra" in item else item for item in data]
    text = json.dumps(data, ensure_ascii=ascii_only, indent=indent)
    parsed = check_row(text, False)
    assert [(one.desc, list(one.bbox_2d)) for one in parsed.preds if one.bbox_2d] == as_json_has_them(data)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.decimals(0, 999, places=3), st.floats(0, 999), st.integers(0, 999).map("{}e-0".format)))
@example("999.00000000000000000001")
@example("0.000000000000000000000000000000000000000123")
@example("123456789012345678e-15")
@example("1e+2")
def test_a_number_is_what_float_makes_of_it(number: object) -> None:
    parsed = parse(f'[{{"poly":[0,5,900,{number},500,999,{number},77],"desc":"cat"}}]')
    assert parsed.preds[0].poly == [0.0, 5.0, 900.0, float(str(number)), 500.0, 999.0, float(str(number)), 77.0]


@pytest.mark.parametrize("space", [char for char in map(chr, range(0x3001)) if char.isspace()])
def test_any_space_may_stand_between_numbers(space: str) -> None:
    parsed = parse(f'[{{"bbox_2d":[{space}1{space},{space}2,3.{space},4{space}],"desc":"cat"}}]')
    assert parsed.preds[0].bbox_2d == (1.0, 2.0, 3.0, 4.0)


@settings(max_examples=250, deadline=None)
@given(values)
def test_no_value_of_another_key_disturbs_an_object(value: Any) -> None:
    inner = json.dumps({"x": value})
    if any(name in inner for name in ("desc", "bbox_2d", "poly", "line")):
        return
    parsed = check_row(f'[{{"y":{json.dumps(value)},"bbox_2d":[1,2,30,40],"desc":"cat","z":{inner}}}]', False)
    assert (parsed.status, [one.desc for one in parsed.preds]) == ("ok", ["cat"])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_a_text_without_repairs_is_json(text: str) -> None:
    if parse(text).status == "ok":
        json.loads(parse(text).raw_output)


def test_the_corpus_of_the_fuzzer_gives_valid_rows() -> None:
    files = sorted(CORPUS.glob("*"))
    assert files
    for file in files:
        for cut in (False, True):
            check_row(file.read_bytes()[1:].decode("utf-8", "replace"), cut)  # the first byte is the fuzzer's


def both_ways(text: str) -> Parsed:
    """What both the decoder with the scanner behind it and the scanner alone make of a text."""
    parsed = parse(text)
    assert repr(parsed) == repr(scan(storable(text))), text
    return parsed


def test_clean_texts_are_read_alike_by_the_decoder_and_the_scanner() -> None:
    num_decoded = 0
    for number in range(500):
        rng = random.Random(f"clean {number}")
        text = make((), rng).text()
        text = (
            rng.choice(("", " ", "\n"))
            + (f'{{"objects": {text}}}' if number % 3 == 0 else text)
            + rng.choice(("", "\n"))
        )
        assert both_ways(text).status in ("ok", "empty")
        num_decoded += read_clean(text) is not None
        for _ in range(4):  # nearly clean ones, too
            at = rng.randrange(len(text))
            both_ways(text[:at] + rng.choice((*PIECES, "")) + text[at + rng.randint(0, 2) :])
    assert num_decoded > 230  # the scanner has those with space before the list


@pytest.mark.parametrize(
    "text",
    [
        '[{"desc":"a","bbox_2d":[1,2,3,4],"desc":"b"}]',
        '[{"desc":"a","bbox_2d":[1,2,3,4],"bbox_2d":[1,2,3,5]}]',
        '[{"desc":"a","desc":"b\\u003a","bbox_2d":[1,2,3,4]}]',
        '[{"d\\u0065sc":"a","desc":"b","bbox_2d":[1,2,3,4]}]',
        '[{"desc":"a","bbox_2d":[1,2,3,4],"poly":[1,2,30,4,5,60]}]',
        '[{"desc":"a","bbox_2d":[1,2,3,4],"poly":null}]',
        '[{"desc":"\\u007d } \\" :","bbox_2d":[1,2,3,4]},{"desc":"{","bbox_2d":[1,2,3,4]}]',
        '[{"desc":"a } : { \\" b","bbox_2d":[1,2,3,4]},{"desc":"{","bbox_2d":[1,2,3,4]}]',
        '{"objects":[],"objects":[{"desc":"a:","bbox_2d":[1,2,3,4]}]}',
        '{"objects":[{"desc":"a:","bbox_2d":[1,2,3,4]}],"score":1}',
        '[{"desc":"a","bbox_2d":[-0,-0.0,3,4]}]',
        '[{"desc":"a","bbox_2d":[0,1e-400,1e999,4]}]',
        '[{"desc":"a","bbox_2d":[0,0,998.9999999999999999999,999.00000000000000000001]}]',
        '[{"desc":"a","bbox_2d":[0,0,123456789012345678901234567890,4]}]',
        '[{"desc":"a","bbox_2d":[NaN,0,1,4]}]',
        '[{"desc":"a","bbox_2d":[true,0,1,4]}]',
        '[{"desc":"a","bbox_2d":["1",0,1,4]}]',
        '[{"desc":" \\t\u3000","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"\\ud83d\\ude00","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"\\ud83d","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"\ud83d","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"a\tb","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"a","poly":[0,0,1,1,2,2]},{"desc":"a","poly":[0,0,1,1,2,3,4]},{"desc":"a","poly":[0,0,1,1,2,3]}]',
        '\ufeff[{"desc":"a","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4]}]x',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"span":[1,2],"score":0.5}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4]}, "score":1]',
        '["score":1,{"desc":"a","bbox_2d":[0,0,1,4]}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"score":01}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"note":"}"},{"desc":"b","bbox_2d":[0,0,1,4],"note":"{"}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"note":"\\u007d"}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4]," score ":1}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"x\uff11":1}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"score":1,"desc":"b"}]',
        '[{"desc":"a, ","score":1,"bbox_2d":[0,0,1,4],"desc ":"b"}]',
        '[{"desc":"a","score":1}]',
        '[{"desc":"a","bbox_2d":[0,0,1,4],"parts":[{"desc":"b","bbox_2d":[0,0,1,4],"score":1}]}]',
        '{"objects":[{"desc":"a","bbox_2d":[0,0,1,4]}],"note":"<think>"}',
        '{"objects":[],"n":0}',
        "[[]]", "[]", "[ ]", '{"objects":[]}', "[{}]", "null", "",
    ],
)  # fmt: skip
def test_what_is_nearly_clean_is_read_alike_by_the_decoder_and_the_scanner(text: str) -> None:
    both_ways(text)


@pytest.mark.parametrize(
    "text",
    [
        '[{"score": 0.9, "desc": "a: b", "id": 1, "bbox_2d": [0, 0, 1, 4], "note": "c: d, e"}]',
        '{"caption": "a", "objects": [{"desc": "b", "bbox_2d": [0, 0, 1, 4], "is_crowd": false}], "n": 1}',
        '[{"desc": "l\\u00e9opard", "bbox_2d": [0, 0, 1, 4]}]',
    ],
)
def test_other_keys_and_escaped_letters_are_left_to_the_decoder(text: str) -> None:
    preds = read_clean(text)
    assert preds is not None
    assert preds == both_ways(text).preds


REPEATED = (
    "[", "{", '"', "'", "\\", "[{", '{"', '{"a":', '{"a":[', '{"desc":"', '{"desc":"a"b', '{"desc":"a}', '{"bbox_2d":[',
    '{"bbox_2d":[1', "/*", "```", "“‘", "],", "{},", "{a:b,", "desc:", '["a",', "here's [",
    '{"bbox_2d":[1,2,3,4],"desc":"cat',
    "/* ", '{"desc":"a" "', "{'a':'", "[1,", '{"desc":"a","bbox_2d":[1,2,3,4]', '{"desc":"a","bbox_2d":[1,2,3,0]},',
    '{"bbox_2d":[1,2,3,4],"parts":[', "\u00a0", "，", "<|coord_1|>", "\\\"",
    "<think>", "</think>", '{"a":1}</think>', '{"a":"b"', '{"arguments":"[', '{"arguments":"\\n[1,', "\\n",
)  # fmt: skip


BEFORE = ("", "[", '{"desc":"', '{"bbox_2d":[')


def num_lines(text: str) -> int:
    """Lines of the parser that are run to read ``text``."""
    folder, count = str(Path(parse_module.__file__).parent), 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if event == "call":
            return trace if frame.f_code.co_filename.startswith(folder) else None
        count += event == "line"
        return trace

    traced_before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(text)
    finally:
        sys.settrace(traced_before)
    return count


@pytest.mark.parametrize("before", BEFORE)
def test_twice_the_text_is_twice_the_work(before: str) -> None:
    for piece in REPEATED:
        once, twice = (num_lines(before + piece * count) for count in (60, 120))
        assert twice <= 2.2 * once + 100, piece


@pytest.mark.parametrize("before", BEFORE)
def test_no_pattern_reads_a_long_text_again_and_again(before: str) -> None:
    """Inside a pattern no line is counted: there, quadratic time would take minutes for all pieces."""
    for piece in REPEATED:
        began = time.process_time()
        parse(before + piece * (30_000 // len(piece)))
        assert time.process_time() - began < 3, piece


@pytest.mark.parametrize(
    "piece", ["[", "]", "{", "}", '"', "'", "\\", '[{"', '{"desc":', "[\\", "/*", "“", ",", " ", "[ "]
)
def test_any_number_of_anything_is_read(piece: str) -> None:
    """A million brackets; a tenth of that, for time, of what costs more."""
    parsed = parse(piece * (1_000_000 if piece in "[]" else 100_000 // len(piece)))
    assert parsed.preds == []


def test_a_key_may_end_with_a_backslash() -> None:
    parsed = parse(r'[{"a\\":1,"bbox_2d":[1,2,30,40],"desc":"cat"}]')
    assert (parsed.status, [one.desc for one in parsed.preds]) == ("ok", ["cat"])
