"""The parser: observed cases with what they must give, statuses, spans, repairs and codes, each by its name."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from pipeline.files import encode
from pipeline.tasks.detection.read_text import parse as parse_module
from pipeline.tasks.detection.read_text.parse import ERRORS, REPAIRS, Parsed, parse
from pipeline.tasks.detection.rows import DetectionPrediction
from tests.conftest import ROOT
from tests.tasks.detection.read_text.test_parse_docs import DROP_CODES

A = '{"bbox_2d":[1,2,300,400],"desc":"cat"}'
B = '{"bbox_2d":[5,6,70,80],"desc":"dog"}'
CAT, DOG = ("cat", (1.0, 2.0, 300.0, 400.0)), ("dog", (5.0, 6.0, 70.0, 80.0))
T = '{"poly":[1,2,30,4,5,60],"desc":"kite"}'
KITE = ("kite", (1.0, 2.0, 30.0, 4.0, 5.0, 60.0))

Found = tuple[str, tuple[float, ...]]


def objects(parsed: Parsed) -> list[Found]:
    return [(one.desc, one.bbox_2d or tuple(one.poly or ())) for one in parsed.preds]


def codes(parsed: Parsed) -> list[str]:
    return [one.code for one in parsed.dropped]


# the observed cases of the contract


@pytest.mark.parametrize(
    ("text", "status", "found", "repairs", "dropped"),
    [
        (f"[{A}]", "ok", [CAT], (), []),
        (f'{{"objects":[{A},{B}]}}', "ok", [CAT, DOG], (), []),
        (f"[{A},]", "repaired", [CAT], ("trailing_comma",), []),
        (f"Sure! ```json\n[{A}]\n``` ", "repaired", [CAT], ("fence", "prose"), []),
        ("[{'bbox_2d':[1,2,300,400],'desc':'cat'}]", "repaired", [CAT], ("quotes",), []),
        (f'[{A}] then {{"x":1}}', "repaired", [CAT], ("prose",), []),
        (f'{{"x":1}} [{A}]', "repaired", [CAT], ("prose",), []),
        (f"[{A},{B}", "repaired", [CAT, DOG], ("closing_bracket",), []),
        (f'{{"objects":[{A},{{"line":[1,2,3,4],"desc":"rope"}}]}}', "ok", [CAT], (), ["line_geometry"]),
        (f'[{{"bbox_2d":[10,20,1000,30],"desc":"x"}},{B}]', "ok", [DOG], (), ["out_of_range"]),
        (f'[{{"bbox_2d":[NaN,1,2,3],"desc":"x"}},{B}]', "ok", [DOG], (), ["not_a_number"]),
        (f"[{','.join([A] * 20)}]", "ok", [CAT] * 20, (), []),
    ],
)
def test_observed_cases(
    text: str, status: str, found: list[Found], repairs: tuple[str, ...], dropped: list[str]
) -> None:
    parsed = parse(text)
    assert (parsed.status, objects(parsed), parsed.repairs, codes(parsed)) == (status, found, repairs, dropped)
    assert (parsed.error, parsed.salvaged) == (None, ())


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        '{"bbox_2d":[100,200,30', '{"bbox_2d":[100,200,300,400', '{"bbox_2d":[100,200,300,400]', "{", '{"', '{"bbo',
        '{"bbox_2d":[5,6,70,80],"desc":"do', '{"bbox_2d":[5,6,70,80],"desc":"dog"',
        '{"desc":"dog","bbox_2d":[5,6,70,80]',
        '{"score":0.5,"bbox_2d":[5,6,70,80],', '{"desc":"a brace }', '{"desc":"escaped \\"}', '{"x":[1,', '{"x":{"y":',
    ],
)  # fmt: skip
def test_a_text_cut_inside_an_object_is_truncated_and_what_was_complete_is_salvaged(end: str, cut: bool) -> None:
    parsed = parse(f"[{A},{end}", cut=cut)
    assert (parsed.status, parsed.error, parsed.preds) == ("truncated", "truncated", [])
    assert [(one.desc, one.bbox_2d) for one in parsed.salvaged] == [CAT]


def test_every_prefix_of_an_answer_holds_the_objects_that_end_in_it_and_no_other() -> None:
    text = f'{{"objects": [{A}, {T}, {B}]}}'
    ends = [text.index(piece) + len(piece) for piece in (A, T, B)]
    for stop in range(len(text) + 1):
        parsed = parse(text[:stop])
        found = [(one.desc, one.bbox_2d or tuple(one.poly or ())) for one in (*parsed.preds, *parsed.salvaged)]
        assert found == [CAT, KITE, DOG][: sum(end <= stop for end in ends)], text[:stop]


@pytest.mark.parametrize(
    "text", ["[]", '{"objects": []}', " [ ]\n", "```json\n[]\n```", "None here: []", '{"objects":[]']
)
def test_an_empty_list_is_an_answer(text: str) -> None:
    parsed = parse(text)
    assert (parsed.status, parsed.error, parsed.preds, parsed.dropped) == ("empty", None, [], ())


@pytest.mark.parametrize(
    ("text", "cut", "error"),
    [
        ("", False, "empty_output"),
        (" \n\ufeff", False, "empty_output"),
        ("I see no objects.", False, "no_json"),
        ("```json\n```", False, "no_json"),
        ('{"x":1}', False, "no_json"),
        ("[1,2,3]", False, "no_json"),
        ("[none]", False, "no_json"),
        ("{}", False, "no_json"),
        ("I see [three] {things}", False, "no_json"),
        ("[", False, "truncated"),
        ('{"objects":[', False, "truncated"),
        ('{"objects"', False, "truncated"),
        ("Here are the objects that I", True, "truncated"),
        ("", True, "truncated"),
    ],
)
def test_a_text_without_objects_has_an_error(text: str, cut: bool, error: str) -> None:
    parsed = parse(text, cut=cut)
    assert (parsed.status, parsed.error, parsed.error_detail) == (error, error, ERRORS[error])
    assert (parsed.preds, parsed.salvaged, parsed.repairs) == ([], (), ())


# repairs

REPAIRED: list[tuple[str, str, list[Found]]] = [
    ("surrogates", '[{"bbox_2d":[1,2,300,400],"desc":"\\ud83d"}]', [("\ufffd", CAT[1])]),
    ("bom", f"\ufeff[{A}]", [CAT]),
    ("fence", f"```json\n[{A}]\n```", [CAT]),
    ("thinking", f"<think>maybe [{B}] no</think>[{A}]", [CAT]),
    ("prose", f"Here: [{A}] and [1], bye", [CAT]),
    ("prose", f"[{A}, and then {B}]", [CAT, DOG]),
    ("comments", f"[{A}, // it's [one]\n {B} /* {B} */]", [CAT, DOG]),
    ("full_width", "[{\"bbox_2d\":\uff3b\uff11\uff0c2\uff0c300\uff0c400\uff3d,\"desc\":\"cat\"}]", [CAT]),
    ("spaces", f"[\u00a0{A}]", [CAT]),
    ("quotes", '[{"bbox_2d":[1,2,300,400],"desc":“cat”}]', [CAT]),
    ("quotes", "[{bbox_2d:[1,2,300,400],desc:cat}]", [CAT]),
    ("quotes", f'[{{"bbox_2d":[1,2,300,400],"desc":"cat}},{B}]', [CAT, DOG]),
    ("quotes", f'[{{"bbox_2d":[1,2,300,400],"desc":cat"}},{B}]', [CAT, DOG]),
    ("quotes", f'[{{"bbox_2d:[1,2,300,400],"desc":"cat"}},{B}]', [CAT, DOG]),
    ("quotes", f'[{{"desc":"cat,"bbox_2d":[1,2,300,400]}},{B}]', [CAT, DOG]),
    ("quotes", '[{"bbox_2d":[1,2,300,400],"desc":"a "big" cat"}]', [('a "big" cat', CAT[1])]),
    ("quotes", "[{'bbox_2d':[1,2,300,400],'desc':'dog's bowl'}]", [("dog's bowl", CAT[1])]),
    ("quotes", '[{"bbox_2d":[1,2,300,400],"desc":7}]', [("7", CAT[1])]),
    ("escapes", '[{"bbox_2d":[1,2,300,400],"desc":"dog\\\'s\nbowl"}]', [("dog's\nbowl", CAT[1])]),
    ("escapes", '[{\\"bbox_2d\\":[1,2,300,400],\\"desc\\":\\"cat\\"}]', [CAT]),
    ("colon", '[{"bbox_2d" [1,2,300,400],"desc"="cat"}]', [CAT]),
    ("no_value", f'[{{"score":,{A[1:]}]', [CAT]),
    ("missing_comma", f"[{A}\n{B}]", [CAT, DOG]),
    ("missing_comma", '[{"bbox_2d":[1 2 300 400] "desc":"cat"}]', [CAT]),
    ("trailing_comma", '[{"bbox_2d":[1,2,300,400,],"desc":"cat",},]', [CAT]),
    ("extra_comma", f"[,{A},,{B}]", [CAT, DOG]),
    ("closing_bracket", '[{"bbox_2d":[1,2,300,400,"desc":"cat"}]', [CAT]),
    ("closing_bracket", f'[{A[:-1]},{B}]', [CAT, DOG]),
    ("closing_bracket", f'{{"objects":[{A},{B[:-1]}]', [CAT, DOG]),
    ("closing_bracket", f"```json\n[{A},{B[:-1]}\n```", [CAT, DOG]),
    ("opening_bracket", f"[{A},{B[1:]}]", [CAT, DOG]),
    ("opening_bracket", '[{"bbox_2d":1,2,300,400],"desc":"cat"}]', [CAT]),
    ("stray_bracket", f"[{A}}},{B}]]", [CAT, DOG]),
    ("stray_bracket", '[{"bbox_2d":[1,2,300,400]],"desc":"cat"}]', [CAT]),
    ("python_literal", '[{"ok":True,"poly":None,"bbox_2d":(1,2,300,400),"desc":"cat"}]', [CAT]),
    ("no_list", f"{A}\n{B}", [CAT, DOG]),
    ("no_list", f'{{"objects":{A}}}', [CAT]),
    ("wrapper", f'{{"results":{{"objects":[{A}]}}}}', [CAT]),
    ("wrapper", f'[{{"objects":[{A}]}}]', [CAT]),
    ("several_containers", f"[{A}]\n[{B}]", [CAT, DOG]),
    ("nested_objects", f'[{{"parts":[{B}],{A[1:]}]', [CAT, DOG]),
    ("nested_list", '[{"poly":[[1,2],[30,4],[5,60]],"desc":"kite"}]', [KITE]),
    ("several_boxes", '[{"bbox_2d":[[1,2,300,400],[5,6,70,80]],"desc":"cat"}]', [CAT, ("cat", DOG[1])]),
    ("quoted_numbers", '[{"bbox_2d":"[1,2,300,400]","desc":"cat"}]', [CAT]),
    ("quoted_numbers", '[{"bbox_2d":["1","2","300","400"],"desc":"cat"}]', [CAT]),
    ("number_format", '[{"bbox_2d":[+1,002,300.,400],"desc":"cat"}]', [CAT]),
    ("coord_tokens", '[{"bbox_2d":[<|coord_1|>,<|coord_2|>,<|coord_300|>,<|coord_400|>],"desc":"cat"}]', [CAT]),
    ("coord_tokens", '[{"bbox_2d":<|coord_1|><|coord_2|><|coord_300|><|coord_400|>,"desc":"cat"}]', [CAT]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "found"), REPAIRED)
def test_a_repair_finds_the_objects_and_is_named(name: str, text: str, found: list[Found]) -> None:
    parsed = parse(text)
    assert (parsed.status, objects(parsed)) == ("repaired", found)
    assert name in parsed.repairs


def test_every_repair_has_a_case() -> None:
    assert {name for name, _, _ in REPAIRED} | {"swapped_corners"} == set(REPAIRS)  # that one with a format alone


@pytest.mark.parametrize(
    "text",
    [
        f' {{ "objects" :\n[ {A} ,\t{B} ] }} ',
        '[{"desc":"cat","bbox_2d":[1,2,300,400],"score":0.5,"more":{"a":[1,{"b":null}],"c":"}]"},"tags":["x"]}]',
        '[{"bbox_2d":[1.0,2,3e2,400.0],"poly":null,"desc":"c\\u0061t"}]',
        '[{"\\u0062box_2d":[1,2,300,400],"d\\u0065sc":"cat","a \\"key\\"":1}]',
    ],
)
def test_json_as_it_should_be_needs_no_repair(text: str) -> None:
    parsed = parse(text)
    assert (parsed.status, parsed.repairs, objects(parsed)[0]) == ("ok", (), CAT)


# dropped objects

DROPPED: list[tuple[str, str]] = [
    ("line_geometry", '{"line":[1,2,3,4],"desc":"rope"}'),
    ("both_geometries", '{"bbox_2d":[1,2,3,4],"poly":[1,2,30,4,5,60],"desc":"x"}'),
    ("both_geometries", '{"bbox_2d":[1,2,3,4],"line":[1,2,3,4],"desc":"x"}'),
    ("unknown_geometry", '{"bbox":[1,2,3,4],"desc":"x"}'),
    ("unknown_geometry", '{"box_2d":[[1,2],[3,4]],"label":"x"}'),
    ("no_geometry", '{"desc":"x"}'),
    ("no_geometry", '{"desc":"x","bbox_2d":null}'),
    ("no_geometry", '{"x":1}'),
    ("no_geometry", "{}"),
    ("no_desc", '{"bbox_2d":[1,2,3,4]}'),
    ("no_desc", '{"bbox_2d":[1,2,3,4],"desc":""}'),
    ("no_desc", '{"bbox_2d":[1,2,3,4],"desc":" "}'),
    ("no_desc", '{"bbox_2d":[1,2,3,4],"desc":null}'),
    ("no_desc", '{"bbox_2d":[1,2,3,4],"desc":["a"]}'),
    ("no_desc", '{"bbox_2d":[1,2,3,4],"label":"x"}'),
    ("duplicate_key", '{"bbox_2d":[1,2,3,4],"bbox_2d":[1,2,3,9],"desc":"x"}'),
    ("duplicate_key", '{"bbox_2d":[1,2,3,4],"desc":"x","desc":"y"}'),
    ("wrong_arity", '{"bbox_2d":[1,2,3],"desc":"x"}'),
    ("wrong_arity", '{"bbox_2d":[1,2,3,4,5],"desc":"x"}'),
    ("wrong_arity", '{"bbox_2d":[],"desc":"x"}'),
    ("wrong_arity", '{"bbox_2d":[[1,2,3],[5,6,7]],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":[[1,2,3,4],[5,6,null,8]],"desc":"x"}'),
    ("wrong_arity", '{"poly":[1,2,3,4],"desc":"x"}'),
    ("wrong_arity", '{"poly":[1,2,30,4,5,60,7],"desc":"x"}'),
    ("wrong_arity", '{"poly":[[1,2,30,4,5,60],[1,2,30,4,5,60]],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":[NaN,1,2,3],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":[1,2,Infinity,3],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":[1,2,null,3],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":["a",1,2,3],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":[1,,30,40,5],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":[12px,2,30,40],"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":{"x1":1,"y1":2},"desc":"x"}'),
    ("not_a_number", '{"bbox_2d":"unknown","desc":"x"}'),
    ("out_of_range", '{"bbox_2d":[10,20,1000,30],"desc":"x"}'),
    ("out_of_range", '{"bbox_2d":[-1,20,100,30],"desc":"x"}'),
    ("out_of_range", '{"bbox_2d":[1,20,999.5,30],"desc":"x"}'),
    ("out_of_range", '{"bbox_2d":[1,20,1e999,30],"desc":"x"}'),
    ("out_of_range", '{"poly":[1,2,30,4,5,1e5],"desc":"x"}'),
    ("swapped_corners", '{"bbox_2d":[50,20,5,30],"desc":"x"}'),
    ("zero_area", '{"bbox_2d":[5,20,5,30],"desc":"x"}'),
    ("zero_area", '{"poly":[1,1,2,2,3,3],"desc":"x"}'),
    ("zero_area", '{"poly":[7,7,7,7,7,7],"desc":"x"}'),
    ("unfinished", '{"desc":"x","bbox_2d":[1,2,3,4'),
    ("not_an_object", '"a text"'),
    ("not_an_object", "17"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text"), DROPPED)
def test_what_is_no_object_is_dropped_with_its_code_and_the_others_stay(code: str, text: str) -> None:
    separator = "" if code == "unfinished" else ","
    parsed = parse(f"[{A},{text}{separator}{B}]")
    assert (objects(parsed), codes(parsed), parsed.error) == ([CAT, DOG], [code], None)
    start, stop = parsed.dropped[0].span
    assert parsed.raw_output[start:stop] == text


def test_every_code_has_a_case() -> None:
    of_formats = {"point_geometry", "not_whole"}
    assert {code for code, _ in DROPPED} | of_formats == DROP_CODES


@pytest.mark.parametrize(
    "poly", [(0, 0, 9, 9, 0, 9, 9, 0), (0, 0, 9, 0, 5, 5, 9, 9, 0, 9, 5, 5), (0, 0, 9, 0, 9, 9, 0, 0)]
)
def test_a_polygon_may_cross_or_touch_itself(poly: tuple[int, ...]) -> None:
    assert objects(parse(f'[{{"poly":{list(poly)},"desc":"x"}}]')) == [("x", tuple(map(float, poly)))]


def test_corners_of_the_range_are_in_it() -> None:
    assert objects(parse('[{"bbox_2d":[0,0,999,999],"desc":"x"}]')) == [("x", (0.0, 0.0, 999.0, 999.0))]


def test_a_score_that_the_model_wrote_is_ignored() -> None:
    assert [one.score for one in parse(f'[{{"score":0.25,{A[1:]}]').preds] == [1.0]


# what is never invented


@pytest.mark.parametrize(
    "desc",
    [
        '{"bbox_2d":[1,2,3,4],"desc":"x"}', "{'bbox_2d':[1,2,3,4],'desc':'x'}",
        '"}, {"bbox_2d": [1, 2, 3, 4], "desc": "',
        "}]", "```", 'a "b", "c": d', "\\", "// x", "{bbox_2d:[1,2,3,4],desc:x}",
    ],
)  # fmt: skip
def test_json_inside_a_text_stays_text_whole_and_cut(desc: str) -> None:
    text = json.dumps([{"desc": desc, "bbox_2d": [1, 2, 300, 400]}])
    assert objects(parse(text)) == [(desc, CAT[1])]
    for stop in range(len(text) - 2):
        parsed = parse(text[:stop])
        assert (parsed.preds, parsed.salvaged) == ([], ()), text[:stop]


def test_numbers_that_run_into_the_next_object_are_no_box() -> None:
    assert objects(parse(f'[{{"desc":"x","bbox_2d":[1,2,3,4{B}]')) == [DOG]


# spans and texts


def test_an_object_knows_the_characters_it_came_from() -> None:
    text = f"\ufeffHère: ```json\n[{A}, {T},\n {B[:-1]}]\n```"
    assert [parse(text).raw_output[slice(*one.span or ())] for one in parse(text).preds] == [A, T, B[:-1]]


def test_a_text_with_half_a_surrogate_pair_gives_a_row_that_can_be_written() -> None:
    parsed = parse(f"\ud83d \ud83d\ude00 [{A}] \udc00")
    assert parsed.raw_output == f"\ufffd \U0001f600 [{A}] \ufffd"
    assert parsed.raw_output[slice(*parsed.preds[0].span or ())] == A
    assert parse(parsed.raw_output) == parsed
    row = DetectionPrediction(
        id="1", model="m", image_id=1, images=["a.png"], width=8, height=8, gt=[], gt_coord_mode="pixel",
        raw_output=parsed.raw_output, status=parsed.status, preds=parsed.preds, repairs=parsed.repairs,
    )  # fmt: skip
    assert msgspec.json.decode(encode(row), type=DetectionPrediction) == row


def test_threads_read_texts_of_their_own() -> None:
    texts = [f"[{', '.join([one] * count)}]" for one in (A, B, T) for count in (3, 40)]
    expected = [parse(text) for text in texts]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(texts)) as threads:
            assert list(threads.map(parse, texts * 100)) == expected * 100
    finally:
        sys.setswitchinterval(interval)


def test_the_parser_imports_neither_torch_nor_pandas() -> None:
    code = f"import sys, {parse_module.__name__}; sys.exit(bool({{'torch', 'pandas'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
