"""Brain spec to network, and what an inference_v1 file holds besides its weights."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.contract.model import ExportParts
from pipeline.contract.parts import ModelPart
from pipeline.model.checkpoint import read_section, read_trained_brain
from pipeline.model.layers import Linear
from pipeline.tasks.localization.model.brain import MlpBrain, NetworkBrain, input_shapes, num_components, read_network
from pipeline.tasks.localization.model.head import OUTPUTS, Mixture, Outputs, log_mhz, mixture, ring
from pipeline.tasks.localization.model.weighing import WeighingNetwork
from schemas.brain import BrainSpec

_NUM_GOLDEN = 4


class MlpNetwork(nn.Module):
    """level_dbm and heard float32 [B, R], frequency_mhz [B, 1] -> a mixture."""

    def __init__(self, brain: MlpBrain) -> None:
        super().__init__()
        self.brain = brain
        sizes = [2 * brain.num_receivers + 1, *brain.hidden]
        layers = [part for size, width in pairwise(sizes) for part in (Linear(size, width), nn.SiLU())]
        self.layers = nn.Sequential(*layers, Linear(sizes[-1], 6 * brain.num_components))
        self.begin = nn.Parameter(ring(brain.num_components))

    def forward(self, level_dbm: Tensor, heard: Tensor, frequency_mhz: Tensor) -> Outputs:
        """What `Mixture.outputs` says: the tensors of an ONNX file."""
        return self.say(level_dbm, heard, frequency_mhz).outputs()

    def say(self, *inputs: Tensor) -> Mixture:
        """The mixture that is learnt by, from the inputs in their order."""
        (level_dbm, heard, frequency_mhz), scales = inputs, self.brain.scales
        levels = (level_dbm - scales.level_dbm) / scales.level_db * heard
        said = self.layers(torch.cat((levels, heard, log_mhz(frequency_mhz)), 1))
        return mixture(said.unflatten(1, (self.brain.num_components, 6)), self.begin, scales.distance_km)


Network = MlpNetwork | WeighingNetwork


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> Network:
    """The network of a spec, its weights drawn from ``generator`` (None: from torch's global one)."""
    brain = read_network(spec)
    network = MlpNetwork(brain) if isinstance(brain, MlpBrain) else WeighingNetwork(brain)
    for module in network.modules():
        if isinstance(module, Linear):
            nn.init.trunc_normal_(module.weight, std=module.gain * module.in_features**-0.5, generator=generator)
            nn.init.zeros_(module.bias)
    return network


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """What export makes of a checkpoint. The golden inputs are asked whenever the file is opened."""
    brain = read_trained_brain(checkpoint)
    network = read_network(brain)
    num = num_components(network)
    outputs = {"weights": (num,), "means_km": (num, 2), "factors": (num, 3), "fix_km": (2,)}
    metadata = {
        "task": "localization",
        "step": checkpoint["step"],
        "recipe": read_section(checkpoint, "recipe"),
        "recipe_hash": checkpoint.get("recipe_hash"),
        "receivers": [receiver.name for receiver in network.receivers_known],
        "frame": "km east and north of the centre; the precision of a component is F'F, F = [[a, 0], [b, c]]",
        "input": _described(input_shapes(network)),
        "output": _described(outputs),
    }
    return ExportParts(brain, checkpoint["average_weights"], metadata, golden_inputs(network))


def _described(shapes: Mapping[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": "float32", "shape": ["B", *shape]} for name, shape in shapes.items()]


def golden_inputs(network: NetworkBrain) -> dict[str, Tensor]:
    """Inputs of about the size of those that the network was made for."""
    generator = torch.Generator().manual_seed(0)
    drawn = {
        name: torch.randn((_NUM_GOLDEN, *shape), generator=generator) for name, shape in input_shapes(network).items()
    }
    heard = (drawn["heard"] > -0.5).float()
    drawn |= {"heard": heard, "frequency_mhz": 145.0 + drawn["frequency_mhz"]}
    if isinstance(network, MlpBrain):
        return drawn | {"level_dbm": (network.scales.level_dbm + network.scales.level_db * drawn["level_dbm"]) * heard}
    factors = torch.tensor([1.0, 0.0, 1.0]) + drawn["factors_km"].clamp(-0.5, 0.5)
    return drawn | {"valid": (drawn["valid"] > 0.0).float(), "factors_km": factors}


@torch.inference_mode()
def golden_outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network says to named inputs."""
    return dict(zip(OUTPUTS, module(**inputs), strict=True))


PART = ModelPart(network=NetworkBrain, build=build, export_parts=export_parts, golden_outputs=golden_outputs)
