"""ONNX: one file that answers like the model, or none."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import load_model
from pipeline.errors import UserError
from pipeline.export import export_model
from pipeline.model import onnx as onnx_export
from pipeline.model.onnx import export_onnx
from tests.model.checkpoint_parts import ONNX_KINDS, checkpoint_v1, observations, save


@pytest.mark.parametrize("kind", sorted(ONNX_KINDS.keys() - {"lstm"}))  # the page on using a model has that one
def test_one_onnx_file_answers_like_the_model_at_any_batch_size(tmp_path: Path, kind: str) -> None:
    import onnxruntime

    export_model(save(tmp_path / "c", checkpoint_v1(ONNX_KINDS[kind])), tmp_path / "m", task="gridworld")
    made = export_onnx(tmp_path / "m", tmp_path / "onnx" / "model.onnx")
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]
    assert made.largest_difference <= made.tolerance
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    model: Any = load_model(tmp_path / "m")
    assert [one.name for one in session.get_inputs()] == list(made.inputs)
    assert session.get_modelmeta().custom_metadata_map["weights_hash"] == model.weights_hash
    for num_rows in (1, 3):
        rows = observations(num_rows).numpy()
        feed = {"observations": rows}
        hidden = None
        if model.hidden_size:
            hidden = np.full((num_rows, model.hidden_size), 0.3, np.float32)
            feed["hidden"] = hidden
        answers = session.run(list(made.outputs), feed)
        expected = model.predict(rows, hidden=hidden)
        np.testing.assert_allclose(answers[0], expected.q_values, atol=made.tolerance)
        if model.hidden_size:
            np.testing.assert_allclose(answers[1], expected.hidden, atol=made.tolerance)


def test_an_onnx_file_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld")
    runner = onnx_export._runner

    def wrong(content: bytes) -> onnx_export.Run:
        run = runner(content)
        return lambda feed: {name: answer + 0.01 for name, answer in run(feed).items()}

    monkeypatch.setattr(onnx_export, "_runner", wrong)
    with pytest.raises(UserError, match=r"ONNX Runtime answers 0\.01 away from torch"):
        export_onnx(tmp_path / "m", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as caught:
        export_onnx(tmp_path / "m", tmp_path / "model.onnx")
    assert caught.value.remedy == "pip install 'baton-pipeline[onnx]'"
