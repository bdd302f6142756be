"""Brain spec to network, and what an inference_v1 file holds besides its weights."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.contract.model import ExportParts
from pipeline.contract.parts import ModelPart
from pipeline.model.checkpoint import read_section, read_trained_brain
from pipeline.model.layers import Linear
from pipeline.tasks.localization.model.brain import MlpBrain, NetworkBrain, read_network
from pipeline.tasks.localization.model.head import OUTPUTS, Mixture, Outputs, mixture
from schemas.brain import BrainSpec

_NUM_GOLDEN = 4
_MEAN_LOG_MHZ = 2.4  # between the bands of 145 and 435 MHz


class MlpNetwork(nn.Module):
    """level_dbm and heard float32 [B, R], frequency_mhz [B, 1] -> a mixture."""

    def __init__(self, brain: MlpBrain) -> None:
        super().__init__()
        self.brain = brain
        sizes = [2 * len(brain.receivers) + 1, *brain.hidden]
        layers = [part for size, width in pairwise(sizes) for part in (Linear(size, width), nn.SiLU())]
        self.layers = nn.Sequential(*layers, Linear(sizes[-1], 6 * brain.num_components))
        # Components that begin in one place stay there: they begin on a ring.
        angles = torch.arange(brain.num_components) * (2.0 * math.pi / brain.num_components)
        self.begin = nn.Parameter(0.5 * torch.stack((angles.sin(), angles.cos()), 1))

    def forward(self, level_dbm: Tensor, heard: Tensor, frequency_mhz: Tensor) -> Outputs:
        """What `Mixture.outputs` says: the tensors of an ONNX file."""
        return self.say(level_dbm, heard, frequency_mhz).outputs()

    def say(self, level_dbm: Tensor, heard: Tensor, frequency_mhz: Tensor) -> Mixture:
        """The mixture that is learnt by."""
        scales = self.brain.scales
        levels = (level_dbm - scales.level_dbm) / scales.level_db * heard
        frequency = frequency_mhz.clamp(min=1.0).log10() - _MEAN_LOG_MHZ
        said = self.layers(torch.cat((levels, heard, frequency), 1))
        raw = said.reshape(-1, self.brain.num_components, 6)
        places = torch.cat((raw[..., :1], raw[..., 1:3] + self.begin, raw[..., 3:]), -1)
        return mixture(places, scales.distance_km)


Network = MlpNetwork


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> Network:
    """The network of a spec, its weights drawn from ``generator`` (None: from torch's global one)."""
    network = MlpNetwork(read_network(spec))
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5, generator=generator)
            nn.init.zeros_(module.bias)
    return network


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """What export makes of a checkpoint. The golden inputs are asked whenever the file is opened."""
    brain = read_trained_brain(checkpoint)
    network = read_network(brain)
    num = len(network.receivers)
    metadata = {
        "task": "localization",
        "step": checkpoint["step"],
        "recipe": read_section(checkpoint, "recipe"),
        "recipe_hash": checkpoint.get("recipe_hash"),
        "input": {
            "level_dbm": {
                "dtype": "float32",
                "shape": ["B", num],
                "unit": "dBm",
                "order": [r.name for r in network.receivers],
            },
            "heard": {"dtype": "float32", "shape": ["B", num], "range": [0, 1]},
            "frequency_mhz": {"dtype": "float32", "shape": ["B", 1], "unit": "MHz"},
        },
        "output": {
            "weights": {"dtype": "float32", "shape": ["B", "K"]},
            "means_km": {"dtype": "float32", "shape": ["B", "K", 2], "unit": "km east and north of the centre"},
            "factors": {
                "dtype": "float32",
                "shape": ["B", "K", 3],
                "unit": "1/km",
                "form": "precision = F'F, F = [[a, 0], [b, c]]",
            },
            "fix_km": {"dtype": "float32", "shape": ["B", 2], "unit": "km east and north of the centre"},
        },
    }
    return ExportParts(brain, checkpoint["average_weights"], metadata, golden_inputs(network))


def golden_inputs(network: NetworkBrain) -> dict[str, Tensor]:
    """A few inputs of the kind that the network was made for."""
    generator = torch.Generator().manual_seed(0)
    shape = (_NUM_GOLDEN, len(network.receivers))
    heard = (torch.rand(shape, generator=generator) < 0.7).float()
    level = network.scales.level_dbm + network.scales.level_db * torch.randn(shape, generator=generator)
    return {"level_dbm": level * heard, "heard": heard, "frequency_mhz": torch.full((_NUM_GOLDEN, 1), 145.0)}


@torch.inference_mode()
def golden_outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network says to named inputs."""
    return dict(zip(OUTPUTS, module(**inputs), strict=True))


PART = ModelPart(network=NetworkBrain, build=build, export_parts=export_parts, golden_outputs=golden_outputs)
