"""Brain spec to network, and what an inference_v1 file holds besides its weights."""

from collections.abc import Mapping
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from pipeline.contract.model import ExportParts
from pipeline.contract.parts import ModelPart
from pipeline.model.checkpoint import read_section, read_trained_brain
from schemas.brain import BrainSpec

from ..recipe import Mlp


class Network(nn.Sequential):
    """x float32 [B, 1] -> y [B, 1]."""

    def __init__(self, options: Mlp) -> None:
        super().__init__(nn.Linear(1, options.hidden), nn.Tanh(), nn.Linear(options.hidden, 1))


def brain_spec(options: Mlp) -> BrainSpec:
    """All that is needed to build the network again."""
    return BrainSpec(task="skeleton", input_size=1, output_size=1, network=msgspec.to_builtins(options))


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> Network:
    """The network of a spec, its weights drawn from ``generator`` (None: from torch's global one)."""
    network = Network(msgspec.convert(spec.network, Mlp))
    for weights in network.parameters():
        nn.init.normal_(weights, generator=generator)
    return network


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """What export makes of a checkpoint. The golden inputs are asked whenever the file is opened."""
    brain = read_trained_brain(checkpoint)
    metadata = {
        "task": "skeleton",
        "step": checkpoint["step"],
        "recipe": read_section(checkpoint, "recipe"),
        "recipe_hash": checkpoint.get("recipe_hash"),
        "input": {"name": "x", "dtype": "float32", "shape": ["B", 1], "range": [-1, 1], "unit": "1"},
        "output": {"name": "y", "dtype": "float32", "shape": ["B", 1], "unit": "1"},
    }
    golden = {"x": torch.tensor([[-1.0], [0.0], [0.5]])}
    return ExportParts(brain, checkpoint["average_weights"], metadata, golden)


@torch.inference_mode()
def golden_outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network says to named inputs."""
    return {"y": module(inputs["x"])}


PART = ModelPart(network=Mlp, build=build, export_parts=export_parts, golden_outputs=golden_outputs)
