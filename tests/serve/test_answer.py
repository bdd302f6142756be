"""Opening a model to answer from it: what infer answers, whatever stands beside an example, and what is refused."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.contract.load import read_examples
from pipeline.errors import UserError
from pipeline.model.file import open_model
from pipeline.serve.answer import onnx_bytes, open_answerer, open_onnx
from pipeline.serve.exchange import exchange_of
from pipeline.tasks.gridworld.rows import GridworldExample
from tests.conftest import ROOT

MODELS = {"gridworld": "minimal", "detection": "full"}


def model_of(task: str) -> Path:
    return ROOT / "runs/pretrained" / task / f"{MODELS[task]}.inference_v1"


def examples_of(task: str, num: int) -> list[Any]:
    if task == "gridworld":
        return [GridworldExample(id=f"town-{n}", level="minimal", seed=n, multiplier=1.0) for n in range(num)]
    return read_examples(task, ROOT / "runs/gates/detection/full.examples.jsonl")[:num]


def request_of(task: str, example: Any) -> bytes:
    """The body that asks what an example asks."""
    body = exchange_of(task).body
    plain = msgspec.to_builtins(example)
    asked = {name: plain[name] for name in body.__struct_fields__ if name in plain}
    if task == "detection":
        file = ROOT / "runs/examples/detection" / example.images[0]
        asked |= {"image": base64.b64encode(file.read_bytes()).decode(), "images": []}
    return msgspec.json.encode(asked)


@pytest.mark.parametrize("task", MODELS)
def test_all_at_once_or_one_by_one_the_rows_are_the_same(task: str) -> None:
    exchange, answerer = exchange_of(task), open_answerer(task, model_of(task))
    bodies = [msgspec.json.decode(request_of(task, one), type=exchange.body) for one in examples_of(task, 3)]
    examples = [exchange.to_example(body, body.id) for body in bodies]
    together = answerer.answer(examples)
    assert [row.id for row in together] == [one.id for one in examples]
    assert {row.model for row in together} == {answerer.identity.model}
    assert all(row.error is None for row in together)
    assert together == [answerer.answer([one])[0] for one in examples]


def test_a_request_has_no_truth_and_a_truth_has_nothing_else() -> None:
    exchange = exchange_of("detection")
    assert not {"objects", "gt", "coord_mode"} & {*exchange.body.__struct_fields__}
    assert exchange.truth.__struct_fields__ == ("task", "id", "schema", "objects", "coord_mode")


def test_a_truth_makes_of_an_answer_the_row_that_infer_writes() -> None:
    exchange, answerer = exchange_of("detection"), open_answerer("detection", model_of("detection"))
    (example,) = [one for one in examples_of("detection", 2) if one.objects]
    body = msgspec.json.decode(request_of("detection", example), type=exchange.body)
    (row,) = answerer.answer([exchange.to_example(body, "asked")])
    truth = exchange.truth(id="asked", objects=example.objects, coord_mode=example.coord_mode)
    joined = exchange.with_truth(row, truth)
    assert (joined.gt, joined.gt_coord_mode, joined.preds) == (example.objects, "pixel", row.preds)


def test_a_model_of_another_task_is_refused() -> None:
    with pytest.raises(UserError, match="this model is of task 'gridworld', not of 'detection'"):
        open_answerer("detection", model_of("gridworld"))


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    data = bytearray(model_of("gridworld").read_bytes())
    data[-100] ^= 1
    damaged = tmp_path / "damaged.inference_v1"
    damaged.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        open_answerer("gridworld", damaged)


def test_the_onnx_form_of_a_file_answers_as_its_network_did() -> None:
    """It is made once, by a process of its own, and kept."""
    path = model_of("gridworld")
    assert onnx_bytes(path) == onnx_bytes(path)
    golden = open_model(path)
    found = open_onnx(path)({"observations": golden.golden_inputs["observations"][0].numpy()})["q_values"]
    assert np.allclose(found, golden.golden_outputs["q_values"][0].numpy(), atol=golden.tolerance)
