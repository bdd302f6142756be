"""The requests that follow from a recipe."""

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.tasks.diffusion.data.load import load_split
from pipeline.tasks.diffusion.examples import make_examples
from pipeline.tasks.diffusion.pixels import decode_png


def test_every_request_stands_beside_a_real_image_of_its_class_that_is_held_out() -> None:
    recipe = load_recipe("tiny", "diffusion")
    rows = list(make_examples(recipe))
    heldout = load_split(recipe.data).heldout
    known = {(heldout.names[k], image.tobytes()) for k, image in zip(heldout.labels, heldout.images, strict=True)}
    assert all(row.label == row.real_label for row in rows if row.steering is None)
    assert all((row.real_label, decode_png(row.real_png or "").tobytes()) in known for row in rows)
    main = [row for row in rows if row.variant == "main"]
    assert [row.label for row in main[:12]] == [*"0123456789", "0", "1"]
    assert len({row.real_png for row in main}) == len(main) == 50


def test_a_longer_set_begins_with_the_shorter_one_and_the_sweep_asks_the_same_seeds_otherwise() -> None:
    short, long = (
        list(make_examples(load_recipe("tiny", "diffusion", [f"examples.num_images={n}"]))) for n in (20, 30)
    )
    assert msgspec.json.encode(short[:20]) == msgspec.json.encode(long[:20])
    swept = [row for row in long if row.variant == "euler-5-guidance-2"]
    assert [row.seed for row in swept] == [row.seed for row in long[:10]]
    assert {(row.sampler, row.num_steps, row.guidance) for row in swept} == {("euler", 5, 2.0)}


def test_the_last_ones_ask_for_no_class_where_that_is_wanted() -> None:
    settings = ["examples.num_images=20", "examples.null_share=0.25"]
    settings += ["examples.sweep.num_images=0", "examples.steering.num_images=0"]
    rows = list(make_examples(load_recipe("tiny", "diffusion", settings)))
    assert [row.label is None for row in rows] == [False] * 15 + [True] * 5
    assert all(row.real_label is not None for row in rows)


FACTORS = ["data.source=shapes", "data.num_images=800", "data.factors=[shape, place]", "examples.num_images=1"]


def test_one_factor_is_steered_to_while_the_model_is_told_the_others() -> None:
    asked = [*FACTORS, "examples.sweep.num_images=0", "examples.steering.factors=[place]"]
    rows = [row for row in make_examples(load_recipe("tiny", "diffusion", asked)) if row.steering is not None]
    assert [row.variant for row in rows[::20]] == ["steered-place-other-0", "steered-place-other-14"]
    for row in rows:
        assert row.steering is not None and row.label is not None
        (shape, place), (told_shape, told_place) = (name.split("/") for name in (row.steering.target, row.label))
        assert shape == told_shape and place != told_place
        assert {one.label for one in row.steering.references} == {row.steering.target}


def test_a_factor_that_classes_do_not_say_cannot_be_steered_to() -> None:
    asked = [*FACTORS, "examples.steering.factors=[colour]"]
    with pytest.raises(UserError, match="differs from 'disc/top left' in colour alone"):
        list(make_examples(load_recipe("tiny", "diffusion", asked)))
