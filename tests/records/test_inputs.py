"""What predictions files are called."""

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.records.inputs import label_inputs


def test_labels_come_from_the_user_or_from_what_tells_the_paths_apart() -> None:
    assert label_inputs(["a/predictions.jsonl"]) == {"predictions": Path("a/predictions.jsonl")}
    assert [*label_inputs(["runs/x/one/infer/p.jsonl", "runs/x/two/infer/p.jsonl"])] == ["one", "two"]
    assert [*label_inputs(["r/one/seed1/p.jsonl", "r/two/seed2/p.jsonl"])] == ["one-seed1", "two-seed2"]
    assert label_inputs(["best=r/one/p.jsonl", "r/two/p.jsonl"]) == {
        "best": Path("r/one/p.jsonl"),
        "two": Path("r/two/p.jsonl"),
    }
    assert [*label_inputs(["one.jsonl", "two.jsonl"])] == ["one", "two"]
    assert [*label_inputs(["p.jsonl", "deeper/p.jsonl"])] == ["p", "deeper"]


def test_two_files_of_one_label_are_both_named() -> None:
    with pytest.raises(UserError, match="two inputs are called 'p'") as refused:
        label_inputs(["p=a.jsonl", "q=c.jsonl", "p=b.jsonl"])
    assert refused.value.where == "a.jsonl, b.jsonl"
