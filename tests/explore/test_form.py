"""A task's form as a page draws it, and what is entered."""

import pytest

from pipeline.errors import UserError
from pipeline.explore.form import Field, fields_of, filled
from tests.explore.toy import ToyForm


def test_fields_come_from_the_types() -> None:
    fields = {one.name: one for one in fields_of(ToyForm, "label", ("ant", "bee"))}
    assert list(fields) == ["label", "seed", "num_steps", "num_masked", "mode", "is_steered"]
    assert fields["label"] == Field(name="label", kind="choice", title="label", choices=("ant", "bee", None))
    assert fields["num_steps"] == Field(
        name="num_steps",
        kind="integer",
        title="steps",
        default=6,
        low=2,
        high=200,
        help="More steps take longer.",
    )
    assert (fields["mode"].kind, fields["mode"].choices, fields["mode"].default) == (
        "choice",
        ("null", "other"),
        "null",
    )
    assert (fields["is_steered"].kind, fields["is_steered"].default) == ("boolean", False)


def test_what_is_entered_is_checked_by_the_types() -> None:
    assert filled(ToyForm, {"label": "bee", "seed": 3}) == ToyForm(label="bee", seed=3)
    with pytest.raises(UserError, match="expected `int` >= 2") as refused:
        filled(ToyForm, {"num_steps": 1})
    assert refused.value.where == "num_steps"
    with pytest.raises(UserError, match="unknown field"):
        filled(ToyForm, {"seeds": 1})
