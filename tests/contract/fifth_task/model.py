"""One linear unit."""

from collections.abc import Mapping
from typing import Any

import msgspec
import torch

from pipeline.contract.model import ExportParts
from pipeline.contract.parts import ModelPart
from schemas.brain import BrainSpec

SPEC = BrainSpec(task="fifth", input_size=1, output_size=1, network={"type": "linear"})


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> torch.nn.Module:
    return torch.nn.Linear(spec.input_size, spec.output_size)


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    metadata = {"task": "fifth", "step": checkpoint["step"]}
    golden = {"x": torch.tensor([[-1.0], [0.5]])}
    return ExportParts(msgspec.convert(checkpoint["brain"], BrainSpec), checkpoint["weights"], metadata, golden)


def golden_outputs(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {"y": module(inputs["x"])}


PART = ModelPart(network=dict[str, Any], build=build, export_parts=export_parts, golden_outputs=golden_outputs)
