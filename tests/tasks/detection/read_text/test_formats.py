"""Families of models: answers in their published form become the right boxes, and what they never write is not read.

The formulas beside each answer are those of the family's own pages, which docs/model-texts.md names.
"""
# ruff: noqa: RUF001  (the end token of one family looks like this)

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import pytest

from pipeline.tasks.detection.geometry import to_pixels
from pipeline.tasks.detection.read_text.formats import DEFAULT, PRESETS, Preset, TextFormat, seen_size
from pipeline.tasks.detection.read_text.parse import Parsed, parse
from pipeline.tasks.detection.recipe import TextFormatSection

SIZES = ((640, 480), (333, 1000))
Size = tuple[int, int]
Pixel = Callable[[float, int], float]  # a number and a side to pixels


class Answer(NamedTuple):
    """A text, what it says of each object (label; x1, y1, x2, y2 in the family's numbers), and what numbers mean."""

    preset: Preset
    text: str
    objects: list[tuple[str, tuple[float, float, float, float]]]
    pixel: Pixel


def thousandths(number: float, side: int) -> float:
    return number / 1000 * side


def of_resized(number: float, side: int) -> float:
    return number / {640: 644, 480: 476, 333: 336, 1000: 1008}[side] * side


def of_999(number: float, side: int) -> float:
    return number / 999 * side


def of_bins(number: float, side: int) -> float:
    return (number + 0.5) * (side / 1000)


def of_1024(number: float, side: int) -> float:
    return number / 1024 * side


def share(number: float, side: int) -> float:
    return number * side


CAT: tuple[str, tuple[float, float, float, float]] = ("cat", (100, 120, 300, 400))
ANSWERS = [
    Answer(
        "qwen3-vl",
        '```json\n[\n\t{"bbox_2d": [100, 120, 300, 400], "label": "cat"},\n'
        '\t{"bbox_2d": [0, 5, 1000, 1000], "label": "room"}\n]\n```',
        [CAT, ("room", (0, 5, 1000, 1000))],
        thousandths,
    ),
    Answer(
        "qwen2.5-vl",
        '```json\n[\n\t{"bbox_2d": [100, 120, 300, 400], "label": "cat", "sub_label": "asleep"}\n]\n```',
        [CAT],
        of_resized,
    ),
    Answer(
        "qwen2-vl",
        "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(100,120),(300,400)<|box_end|>"
        "<|box_start|>(1,2),(999,9)<|box_end|>",
        [CAT, ("cat", (1, 2, 999, 9))],
        thousandths,
    ),
    Answer("qwen-vl", "<ref>cat</ref><box>(100,120),(300,400)</box>", [CAT], thousandths),
    Answer(
        "gemini",
        '```json\n[\n  {"box_2d": [120, 100, 400, 300], "mask": "data:image/png;base64,iVBO[1,2", "label": "cat"},\n'
        '  {"box_2d": [5, 0, 1000, 1000], "label": "room"}\n]\n```',
        [CAT, ("room", (0, 5, 1000, 1000))],
        thousandths,
    ),
    Answer("glm-v", '[{"label": "cat", "bbox_2d": [100, 120, 300, 400]}]', [CAT], thousandths),
    Answer(
        "internvl",
        "<ref>cat</ref><box>[[100, 120, 300, 400], [0, 5, 1000, 1000]]</box>",
        [CAT, ("cat", (0, 5, 1000, 1000))],
        thousandths,
    ),
    Answer(
        "deepseek-vl2",
        "<|ref|>The giraffe at the back.<|/ref|><|det|>[[580, 270, 999, 900]]<|/det|><｜end▁of▁sentence｜>",
        [("The giraffe at the back.", (580, 270, 999, 900))],
        of_999,
    ),
    Answer(
        "florence",
        "</s><s>cat<loc_100><loc_120><loc_300><loc_400><loc_0><loc_5><loc_9><loc_999>"
        "door handle<loc_1><loc_2><loc_3><loc_4></s>",
        [CAT, ("cat", (0, 5, 9, 999)), ("door handle", (1, 2, 3, 4))],
        of_bins,
    ),
    Answer(
        "paligemma",
        "<loc0120><loc0100><loc0400><loc0300> cat ; <loc0005><loc0000><loc1023><loc1023> the room<eos>",
        [CAT, ("the room", (0, 5, 1023, 1023))],
        of_1024,
    ),
    Answer(
        "kosmos-2",
        "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object> "
        "warming himself by<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911></object>.",
        [
            ("a snowman", (0.390625, 0.046875, 0.984375, 0.828125)),
            ("a fire", (0.171875, 0.015625, 0.484375, 0.890625)),
        ],
        share,
    ),
]  # fmt: skip


def read(preset: Preset, text: str, size: Size = SIZES[0], *, cut: bool = False) -> Parsed:
    return parse(text, cut=cut, written=PRESETS[preset], size=size)


def found(parsed: Parsed, size: Size = SIZES[0]) -> list[tuple[str, tuple[float, ...]]]:
    """Labels and boxes in pixels."""
    both = (*parsed.preds, *parsed.salvaged)
    return [(one.desc, tuple(round(x, 6) for x in to_pixels(one.bbox_2d or (), "norm1000", *size))) for one in both]


def expected(answer: Answer, size: Size) -> list[tuple[str, tuple[float, ...]]]:
    return [
        (label, tuple(round(answer.pixel(number, size[place % 2]), 6) for place, number in enumerate(box)))
        for label, box in answer.objects
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.preset)
def test_an_answer_in_the_form_of_its_family_becomes_the_boxes_that_it_says(answer: Answer, size: Size) -> None:
    parsed = read(answer.preset, answer.text, size)
    assert found(parsed, size) == expected(answer, size)
    assert (parsed.error, parsed.dropped) == (None, ())
    for one in parsed.preds:
        assert one.desc in parsed.raw_output[slice(*one.span or ())]


def test_every_preset_has_an_answer() -> None:
    told = {answer.preset for answer in ANSWERS}
    assert told | {"baton", "molmo"} == set(PRESETS) == set(get_args(Preset))  # molmo points, and baton is the default


SAME_FORM = ({"qwen3-vl", "qwen2.5-vl", "glm-v"},)  # what their numbers mean differs, and the text does not say


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.preset)
@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_family_never_writes_is_not_read_as_if_it_had(preset: Preset, answer: Answer) -> None:
    is_same = any({preset, answer.preset} <= group for group in SAME_FORM)
    if preset != answer.preset and not is_same:
        assert found(read(preset, answer.text)) == []


@pytest.mark.parametrize(
    ("preset", "text", "codes"),
    [
        ("qwen3-vl", '[{"bbox_2d":[100,120,300,1001],"label":"cat"}]', ["out_of_range"]),
        ("qwen3-vl", '[{"bbox_2d":[0.1,0.12,0.3,0.4],"label":"cat"}]', ["not_whole"]),
        ("qwen3-vl", '[{"bbox_2d":[100,120,300,400],"desc":"cat"}]', ["no_desc"]),
        ("qwen3-vl", '[{"poly":[1,2,30,4,5,60],"label":"cat"}]', ["unknown_geometry"]),
        ("qwen3-vl", '[{"point_2d":[100,120],"label":"cat"}]', ["point_geometry"]),
        ("qwen2.5-vl", '[{"bbox_2d":[100,120,645,400],"label":"cat"}]', ["out_of_range"]),
        ("gemini", '[{"point":[100,120],"label":"cat"}]', ["point_geometry"]),
        ("gemini", '[{"bbox_2d":[100,120,300,400],"label":"cat"}]', ["unknown_geometry"]),
        ("deepseek-vl2", "<|ref|>a<|/ref|><|det|>[[1, 2, 1000, 4]]<|/det|>", ["out_of_range"]),
        ("deepseek-vl2", "<|ref|>a<|/ref|><|det|>[[1, 2, 3]]<|/det|>", ["wrong_arity"]),
        ("internvl", "<box>[[1, 2, 3, 4]]</box>", ["no_desc"]),
        ("internvl", "<ref>a</ref><box>[[1, 2.5, 3, 4]]</box>", ["not_whole"]),
        (
            "internvl",
            "<ref>a</ref> is there, <ref>b</ref><box>[[3, 2, 1, 4]]</box>",
            ["no_geometry", "swapped_corners"],
        ),
        ("qwen2-vl", "<|object_ref_start|>a<|object_ref_end|><|box_start|>(1,2),(3,1000)<|box_end|>", ["out_of_range"]),
        ("florence", "cat<loc_1><loc_2><loc_3></s>", ["wrong_arity"]),
        ("florence", "cat<loc_1><loc_2><loc_3><loc_1000></s>", ["out_of_range"]),
        ("florence", "cat<loc_5><loc_2><loc_5><loc_4></s>", ["zero_area"]),
        ("florence", "<loc_1><loc_2><loc_3><loc_4></s>", ["no_desc"]),
        ("paligemma", "<loc0001><loc0002><loc0003> cat", ["wrong_arity"]),
        ("paligemma", "<loc0001><loc0002><loc0003><loc1024> cat", ["out_of_range"]),
        ("paligemma", "<loc1><loc2><loc3><loc4> cat; <loc0001><loc0002><loc0003><loc0004> ;", ["unfinished"] * 3),
        ("molmo", '<point x="61.5" y="40.4" alt="cat">cat</point>', ["point_geometry"]),
        ("molmo", '<points x1="1" y1="2" x2="3.5" y2="4" alt="cats">cats</points>.', ["point_geometry"]),
        ("molmo", 'Counting the <points coords="1 1 073 160 2 173 600"/> shows 2.', ["point_geometry"]),
    ],
)
def test_what_is_no_object_of_the_family_has_a_code(preset: Preset, text: str, codes: list[str]) -> None:
    parsed = read(preset, text)
    assert found(parsed) == []
    assert [one.code for one in parsed.dropped][: len(codes)] == codes


@pytest.mark.parametrize(
    "answer", [answer for answer in ANSWERS if PRESETS[answer.preset].form], ids=lambda answer: answer.preset
)
def test_every_prefix_of_tokens_holds_the_objects_that_end_in_it_and_no_other(answer: Answer) -> None:
    whole = read(answer.preset, answer.text)
    is_label_last = answer.preset == "paligemma"
    for stop in range(len(answer.text) + 1):
        parsed = read(answer.preset, answer.text[:stop], cut=True)
        ends = [(one.span or (0, 0))[1] for one in whole.preds]
        sure = [fact for fact, end in zip(found(whole), ends, strict=True) if end + is_label_last <= stop]
        got = found(parsed)
        assert got[: len(sure)] == sure, answer.text[:stop]
        assert got == found(whole)[: len(got)], answer.text[:stop]
        assert parsed.preds == [] or parsed.status in ("ok", "repaired")


def test_a_label_at_the_end_is_whole_unless_the_text_was_cut_there() -> None:
    text = "<loc0120><loc0100><loc0400><loc0300> ca"
    assert [one.desc for one in read("paligemma", text).preds] == ["ca"]
    cut = read("paligemma", text, cut=True)
    assert (cut.status, cut.preds, cut.salvaged) == ("truncated", [], ())


def test_words_around_tokens_are_a_repair_where_the_family_writes_none() -> None:
    assert read("internvl", "Here: <ref>cat</ref><box>[[1, 2, 3, 4]]</box>.").repairs == ("prose",)
    assert read("kosmos-2", ANSWERS[-1].text).repairs == ()


def test_nothing_in_tokens_is_an_error_as_it_is_in_json() -> None:
    assert [read("florence", text).status for text in ("", "no cat here", "a <b> c")] == [
        "empty_output", "no_json", "no_json",
    ]  # fmt: skip


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if PRESETS[preset].form])
@pytest.mark.parametrize(
    "piece", ["<", "<loc_1>", "<ref>", "<box>[[1,", "a", "<loc0001>", "<phrase>a</phrase>", "<point"]
)
def test_tokens_are_read_in_time_that_grows_with_their_number(preset: Preset, piece: str) -> None:
    assert read(preset, piece * 20_000).preds == [] or piece == "<loc_1>"


# keys, axes and grids of one's own

A_CAT = ("cat", (64.0, 48.0, 320.0, 240.0))
Grid = int | Literal["pixels"]


def said(text: str, size: Size = SIZES[0], **settings: object) -> Parsed:
    return parse(text, written=TextFormatSection(**settings).resolved(), size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "grid", "numbers"),
    [
        ("xyxy", 1000, [100, 100, 500, 500]),
        ("yxyx", 1, [0.1, 0.1, 0.5, 0.5]),
        ("xywh", "pixels", [64, 48, 256, 192]),
        ("cxcywh", 1, [0.3, 0.3, 0.4, 0.4]),
        ("cxcywh", "pixels", [192, 144, 256, 192]),
        ("xyxy", "pixels", [64.0, 48.0, 320.0, 240.0]),
    ],
)
def test_axes_and_grid_say_what_numbers_mean(axes: str, grid: Grid, numbers: list[float]) -> None:
    text = f'[{{"box":{numbers},"name":"cat"}}]'
    assert found(said(text, axes=axes, grid=grid, box_key="box", desc_key="name")) == [A_CAT]


def test_y_first_also_holds_for_polygons() -> None:
    parsed = said('[{"poly":[0,10,20,30,40,0],"desc":"x"}]', axes="yxyx")
    assert parsed.preds[0].poly == [10.0, 0.0, 30.0, 20.0, 0.0, 40.0]


def test_a_centre_and_a_size_may_reach_over_the_edge_by_their_rounding_and_not_by_more() -> None:
    settings: dict[str, Any] = {"axes": "cxcywh", "grid": 1000}
    assert found(said('[{"bbox_2d":[499,500,1000,1000],"desc":"x"}]', **settings)) == [("x", (0.0, 0.0, 639.36, 480.0))]
    assert [one.code for one in said('[{"bbox_2d":[490,500,1000,1000],"desc":"x"}]', **settings).dropped] == [
        "out_of_range"
    ]


def test_the_default_is_what_is_read_without_a_section() -> None:
    assert TextFormatSection().resolved() == DEFAULT == PRESETS["baton"] == TextFormat()


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((640, 480), (644, 476)), ((333, 1000), (336, 1008)), ((64, 64), (56, 56)), ((20, 20), (56, 56)),
        ((8000, 6000), (4116, 3080)), ((10, 1000), (28, 560)),
    ],
)  # fmt: skip
def test_an_image_in_pixels_is_seen_at_sides_that_are_multiples(size: Size, seen: Size) -> None:
    """As `smart_resize` of transformers computes them."""
    assert seen_size(PRESETS["qwen2.5-vl"], *size) == seen


def test_pixels_of_the_stored_image_are_read_with_a_multiple_of_zero() -> None:
    text = '[{"bbox_2d":[64,48,320,240],"label":"cat"}]'
    assert found(said(text, preset="qwen2.5-vl", image_multiple=0)) == [A_CAT]
    of_small = said(text, preset="qwen2.5-vl", image_max_pixels=400 * 300)  # seen as 392 x 280
    assert found(of_small)[0][1] == pytest.approx((64 / 392 * 640, 48 / 280 * 480, 320 / 392 * 640, 240 / 280 * 480))
