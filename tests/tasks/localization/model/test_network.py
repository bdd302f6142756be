"""Networks: every field of a spec builds something else, and an exported file answers as the trained network did."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.model.file import load_model, open_model, task_outputs
from pipeline.model.onnx import export_onnx
from pipeline.tasks.localization.model.brain import brain_spec
from pipeline.tasks.localization.model.inputs import network_inputs
from pipeline.tasks.localization.model.network import build
from pipeline.tasks.localization.train.batches import Simulated
from pipeline.tasks.localization.train.trainer import make_brain
from tests.tasks.localization.small import RECIPES, export_small, recipe


def network(data: dict[str, Any], **options: Any) -> torch.nn.Module:
    wanted = recipe(data | {"network": data["network"] | options})
    return build(brain_spec(make_brain(wanted, Simulated(wanted))), torch.Generator().manual_seed(0))


def shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(weights.shape) for weights in module.parameters()]


@pytest.mark.parametrize(
    ("tier", "option"),
    [
        ("levels", {"hidden": [8]}),
        ("levels", {"num_components": 3}),
        ("times", {"width": 8}),
        ("times", {"pair_width": 4}),
        ("times", {"num_scales": 1}),
        ("times", {"num_free": 3}),
        ("times", {"receivers": "any"}),
    ],
)
def test_every_field_of_a_network_changes_what_is_built(tier: str, option: dict[str, Any]) -> None:
    assert shapes(network(RECIPES[tier])) != shapes(network(RECIPES[tier], **option))


@pytest.mark.parametrize("tier", RECIPES)
def test_what_was_not_heard_changes_nothing(tier: str) -> None:
    wanted = recipe(RECIPES[tier])
    source = Simulated(wanted)
    brain, measured = make_brain(wanted, source), source.batch(0)
    module = build(brain_spec(brain), torch.Generator().manual_seed(0))
    level = np.where(measured.heard, measured.level_dbm, -50.0)
    changed = dataclasses.replace(measured, level_dbm=level)
    for one, other in zip(ask(module, brain, measured), ask(module, brain, changed), strict=True):
        torch.testing.assert_close(one, other)


def ask(module: torch.nn.Module, brain: Any, measured: Any) -> list[torch.Tensor]:
    tensors = network_inputs(brain, measured).tensors
    with torch.inference_mode():
        said: list[torch.Tensor] = list(module(**{name: torch.from_numpy(one) for name, one in tensors.items()}))
    return said


@pytest.mark.parametrize("tier", ["levels", "times"])
def test_an_exported_model_and_its_onnx_form_answer_alike(tier: str, tmp_path: Path) -> None:
    path = export_small(tmp_path, recipe(RECIPES[tier]))
    opened = open_model(path)
    again = task_outputs(opened, opened.golden_inputs)
    assert all(torch.equal(again[name], golden) for name, golden in opened.golden_outputs.items())
    exported = export_onnx(path, tmp_path / "model.onnx")
    assert exported.largest_difference <= exported.tolerance
    assert load_model(path, task="localization").predict([]) == []
