"""Vocabularies: both write the same JSON, every token says where it stands in the text, nothing needs escaping."""

import json

import pytest

from pipeline.errors import UserError
from pipeline.tasks.detection.model.tokens import (
    END,
    FIRST_PIECE,
    GEOMETRIES,
    PROMPT_TOKENS,
    VOCABULARIES,
    Geometry,
    Shape,
    read_prompt,
    write_text,
)

LABELS = ("circle", "red star")
BOX = Shape("circle", "bbox_2d", (1, 20, 300, 999))
OTHER = Shape("red star", "bbox_2d", (0, 0, 7, 8))
TRIANGLE = Shape("red star", "poly", (0, 1, 20, 30, 400, 999))

TEXTS = [
    ([], "bbox_2d", "[]"),
    ([BOX], "bbox_2d", '[{"bbox_2d":[1,20,300,999],"desc":"circle"}]'),
    (
        [BOX, OTHER],
        "bbox_2d",
        '[{"bbox_2d":[1,20,300,999],"desc":"circle"},{"bbox_2d":[0,0,7,8],"desc":"red star"}]',
    ),
    ([TRIANGLE], "poly", '[{"poly":[0,1,20,30,400,999],"desc":"red star"}]'),
]


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize(("shapes", "geometry", "text"), TEXTS)
def test_what_is_encoded_is_decoded_as_the_same_json(
    name: str, shapes: list[Shape], geometry: Geometry, text: str
) -> None:
    vocabulary = VOCABULARIES[name](labels=LABELS)
    tokens = vocabulary.encode(shapes, geometry)
    assert (tokens[0], tokens[-1]) == (PROMPT_TOKENS[geometry], END)
    assert all(FIRST_PIECE <= token < vocabulary.size for token in tokens[1:-1])
    assert vocabulary.decode(tokens)[0] == text == write_text(shapes)
    assert [entry["desc"] for entry in json.loads(text)] == [shape.desc for shape in shapes]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_ends_of_tokens_cut_the_text_into_their_pieces(name: str) -> None:
    vocabulary = VOCABULARIES[name](labels=LABELS)
    tokens = vocabulary.encode([BOX, OTHER], "bbox_2d")
    text, ends = vocabulary.decode(tokens)
    assert len(ends) == len(tokens) and ends[-1] == len(text) and ends == sorted(ends)
    for number in range(len(tokens)):
        assert vocabulary.decode(tokens[: number + 1]) == (text[: ends[number]], ends[: number + 1])


def test_a_fragment_answer_has_six_tokens_a_box_and_a_character_answer_one_a_character() -> None:
    text = write_text([BOX, OTHER])
    counts = {name: len(VOCABULARIES[name](labels=LABELS).encode([BOX, OTHER], "bbox_2d")) for name in VOCABULARIES}
    assert counts == {"fragments": 2 * 6 + 3, "characters": len(text) + 2}


def test_fragments_cannot_cut_digits_and_characters_can() -> None:
    fragments, characters = (VOCABULARIES[name](labels=LABELS) for name in ("fragments", "characters"))
    whole = fragments.encode([BOX], "bbox_2d")
    assert fragments.decode(whole[:5])[0] == '[{"bbox_2d":[1,20,300'
    cut = characters.encode([BOX], "bbox_2d")[: len('[{"bbox_2d":[1,20,30') + 1]
    assert characters.decode(cut)[0] == '[{"bbox_2d":[1,20,30'


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_tokens_of_a_wild_answer_are_text_all_the_same(geometry: Geometry) -> None:
    vocabulary = VOCABULARIES["fragments"](labels=LABELS)
    first = vocabulary.first_coordinate
    assert vocabulary.decode([first + 3, first, PROMPT_TOKENS[geometry], first + 12]) == ("3,012", [1, 3, 3, 5])


@pytest.mark.parametrize(
    ("prompt", "geometry"), [("", "bbox_2d"), ("boxes", "bbox_2d"), ("polygons", "poly"), (" Polygons ", "poly")]
)
def test_a_prompt_names_a_geometry(prompt: str, geometry: Geometry) -> None:
    assert read_prompt(prompt) == geometry


def test_another_prompt_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(UserError, match="cannot be asked 'find the cats'") as caught:
        read_prompt("find the cats")
    assert caught.value.remedy == "use one of: 'boxes', 'polygons'"
