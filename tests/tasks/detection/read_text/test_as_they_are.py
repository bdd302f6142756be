"""Texts as models write them that went wrong elsewhere: thoughts, lists of boxes, tool calls, other grids and keys."""

import json

import pytest

from pipeline.tasks.detection.geometry import to_pixels
from pipeline.tasks.detection.read_text.parse import CUT_WHILE_THINKING, Parsed, parse
from pipeline.tasks.detection.recipe import TextFormatSection
from pipeline.tasks.detection.rows import PredictedObject

DRAFT = '[{"bbox_2d":[0,0,100,100],"desc":"cat"}]'
ANSWER = '[{"bbox_2d":[100,100,500,500],"desc":"cat"}]'
CAT = ("cat", (100.0, 100.0, 500.0, 500.0))
OTHER = ("cat", (600.0, 600.0, 700.0, 700.0))


def facts(found: tuple[PredictedObject, ...] | list[PredictedObject]) -> list[tuple[str, tuple[float, ...]]]:
    return [(one.desc, one.bbox_2d or ()) for one in found]


def in_format(text: str, **settings: object) -> Parsed:
    return parse(text, written=TextFormatSection(**settings).resolved(), size=(640, 480))  # type: ignore[arg-type]


def in_pixels(parsed: Parsed) -> list[tuple[float, ...]]:
    return [tuple(to_pixels(one.bbox_2d or (), "norm1000", 640, 480)) for one in parsed.preds]


# what was thought


@pytest.mark.parametrize(
    "text",
    [
        f"<think>maybe {DRAFT} no</think>{ANSWER}",
        f"maybe {DRAFT} no</think>{ANSWER}",
        f"<think>\n{DRAFT}\n</think>\n\n```json\n{ANSWER}\n```",
        f"{DRAFT}</think>{ANSWER}",  # nothing but drafts
        f'<think>a {{"desc": "b</think>{ANSWER}',  # a draft that stops in a text
        f"<think>one {DRAFT}</think> so <think>two {DRAFT}</think>{ANSWER}",
        f"I'd say [{{'bbox_2d': [0, 0, 100, 100], 'desc': 'it's a cat'}}, hm</think>{ANSWER}",
    ],
)
def test_drafts_before_a_closing_tag_are_no_answers(text: str) -> None:
    parsed = parse(text)
    assert facts(parsed.preds) == [CAT]
    assert (parsed.status, parsed.dropped) == ("repaired", ())
    assert "thinking" in parsed.repairs
    start, stop = parsed.preds[0].span or (0, 0)
    assert text[start:stop] == ANSWER[1:-1]


@pytest.mark.parametrize(
    ("text", "drafted"),
    [(f"<think>maybe {DRAFT} no", 1), ("<think>I see", 0), (f'Well.\n<think>{DRAFT}, or {{"bbox_2d": [1, 2', 1)],
)
def test_a_text_that_is_cut_while_thinking_says_so_and_has_no_object(text: str, drafted: int) -> None:
    parsed = parse(text)
    assert (parsed.status, parsed.error, parsed.preds) == ("truncated", "truncated", [])
    assert parsed.error_detail == CUT_WHILE_THINKING
    assert len(parsed.salvaged) == drafted  # which evaluate counts when it is asked to


@pytest.mark.parametrize("text", [f"<think>{DRAFT}</think>", "no</think>\n"])
def test_a_thought_without_an_answer_is_an_empty_output(text: str) -> None:
    assert (parse(text).status, parse(text).preds, parse(text).salvaged) == ("empty_output", [], ())


@pytest.mark.parametrize("desc", ["</think>", "the <think> tag", 'a "</think>" sign'])
def test_a_tag_in_a_text_of_an_object_is_text(desc: str) -> None:
    text = json.dumps([{"desc": desc, "bbox_2d": [1, 2, 3, 4]}])
    for around in (text, f" {text}", f"Here: {text} done"):
        assert [one.desc for one in parse(around).preds] == [desc]


def test_thoughts_end_in_tokens_as_in_json() -> None:
    text = "<ref>a</ref><box>[[1, 2, 3, 4]]</box>? No.</think><ref>cat</ref><box>[[100, 100, 500, 500]]</box>"
    parsed = in_format(text, preset="internvl")
    assert (len(parsed.preds), parsed.repairs) == (1, ("thinking",))


# several boxes under one key


@pytest.mark.parametrize(
    ("boxes", "found", "codes"),
    [
        ("[[100,100,500,500],[600,600,700,700]]", [CAT, OTHER], []),
        ("[[100,100,500,500],[600,600,1200,700]]", [CAT], ["out_of_range"]),
        ("[[100,100,500,500],[600,600,700]]", [CAT], ["wrong_arity"]),
        ("[[100,100],[500,500]]", [CAT], []),  # two corners of one box, as before
        ("[[100,100,500,500]]", [CAT], []),
    ],
)
def test_a_list_of_boxes_under_one_key_is_several_objects(
    boxes: str, found: list[tuple[str, tuple[float, ...]]], codes: list[str]
) -> None:
    text = f'[{{"bbox_2d":{boxes},"desc":"cat"}}]'
    parsed = parse(text)
    assert (facts(parsed.preds), [one.code for one in parsed.dropped]) == (found, codes)
    assert {one.span for one in parsed.preds} == {(1, len(text) - 1)}
    for stop in range(len(text) - 1):
        assert facts(parse(text[:stop]).preds) == facts(parse(text[:stop]).salvaged) == []


# tool calls


@pytest.mark.parametrize(
    "call",
    [
        {"name": "detect", "arguments": ANSWER},
        {"name": "detect", "arguments": json.dumps({"objects": json.loads(ANSWER)}), "id": 3},
        [{"type": "function", "function": {"arguments": json.dumps(json.loads(ANSWER), indent=1), "name": "a"}}],
        {"name": "detect", "arguments": json.loads(ANSWER)},
    ],
)
def test_arguments_of_a_tool_call_are_read_whether_they_are_json_or_a_string_of_it(call: object) -> None:
    text = f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
    parsed = parse(text)
    assert (facts(parsed.preds), parsed.dropped, parsed.status) == ([CAT], (), "repaired")
    start, stop = parsed.preds[0].span or (0, 0)
    assert (text[start], text[stop - 1]) == ("{", "}")


@pytest.mark.parametrize("answer", [ANSWER, json.dumps(json.loads(ANSWER), indent="\t")])
def test_a_whole_answer_in_a_json_string_is_read(answer: str) -> None:
    assert facts(parse(json.dumps(answer)).preds) == [CAT]


def test_a_cut_tool_call_holds_what_was_complete() -> None:
    text = json.dumps({"arguments": f'[{ANSWER[1:-1]},{{"bbox_2d":[1,2,30'})
    for stop in range(len(text)):
        parsed = parse(text[:stop])
        assert facts(parsed.preds) + facts(parsed.salvaged) == [CAT][: stop >= text.index("}") + 1]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"bbox_2d": [100, 100, 500, 500], "desc": "cat", "arguments": DRAFT}]),
        json.dumps([{"bbox_2d": [100, 100, 500, 500], "desc": "cat", "note": DRAFT}]),
        json.dumps({"note": DRAFT, "objects": json.loads(ANSWER)}),
        json.dumps([{"arguments": "{see below", "bbox_2d": [100, 100, 500, 500], "desc": "cat"}]),
        json.dumps([{"arguments": "[as said]", "bbox_2d": [100, 100, 500, 500], "desc": "cat"}]),
    ],
)
def test_json_in_other_texts_stays_text(text: str) -> None:
    assert facts(parse(text).preds) == [CAT]


# grids, keys, corners


def test_a_coordinate_of_1000_is_the_edge_in_a_grid_of_1000_and_outside_of_one_of_999() -> None:
    text = '[{"bbox_2d":[100,100,1000,500],"desc":"cat"}]'
    assert in_pixels(in_format(text, grid=1000)) == [pytest.approx((64, 48, 640, 240))]
    assert [one.code for one in parse(text).dropped] == ["out_of_range"]
    assert [one.code for one in in_format(text.replace("1000", "1001"), grid=1000).dropped] == ["out_of_range"]
    assert in_pixels(in_format('[{"bbox_2d":[0,0,1000,1000],"desc":"room"}]', grid=1000)) == [(0, 0, 640, 480)]


@pytest.mark.parametrize("numbers", [(500, 500, 100, 100), (500, 100, 100, 500), (100, 500, 500, 100)])
def test_swapped_corners_are_dropped_or_put_in_order(numbers: tuple[int, ...]) -> None:
    text = f'[{{"bbox_2d":{list(numbers)},"desc":"cat"}}]'
    assert [one.code for one in parse(text).dropped] == ["swapped_corners"]
    ordered = in_format(text, swapped_corners="order")
    assert (facts(ordered.preds), ordered.status, ordered.repairs) == ([CAT], "repaired", ("swapped_corners",))
    assert in_format(ANSWER, swapped_corners="order").repairs == ()


def test_corners_are_put_in_order_in_tokens_too() -> None:
    text = "cat<loc_500><loc_500><loc_100><loc_100>"
    assert [one.code for one in in_format(text, preset="florence").dropped] == ["swapped_corners"]
    parsed = in_format(text, preset="florence", swapped_corners="order")
    assert in_pixels(parsed) == [pytest.approx((64.32, 48.24, 320.32, 240.24))]
    assert parsed.repairs == ("swapped_corners",)
