"""The own network with random weights, as an inference_v1 file."""

from pathlib import Path
from typing import Any

import torch

from pipeline.contract.model import ExportParts
from pipeline.model.file import save_model
from pipeline.tasks.detection.model.network import VisionTextBrain, VisionTextNetwork, brain_spec, build


def make_network(vocabulary: Any = "fragments", max_tokens: int = 40) -> VisionTextNetwork:
    """A network whose random weights are large enough that its texts differ from image to image."""
    config = VisionTextBrain(
        width=32,
        num_heads=2,
        num_layers=2,
        num_blocks=1,
        image_size=32,
        labels=("circle", "square"),
        max_tokens=max_tokens,
        vocabulary=vocabulary,
    )
    module = build(brain_spec(config), torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(2.0)
    return module


def write_model(path: Path, vocabulary: Any = "fragments") -> Path:
    """The network as a file."""
    module = make_network(vocabulary)
    images = torch.arange(32 * 32 * 3, dtype=torch.int64).reshape(1, 32, 32, 3).remainder(256).to(torch.uint8)
    golden = {"images": images, "tokens": torch.tensor([[2, 5, 6]])}
    metadata = {"task": "detection", "step": 0}
    save_model(path, ExportParts(brain_spec(module.config), module.state_dict(), metadata, golden))
    return path
