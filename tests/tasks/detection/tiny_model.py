"""The own network with random weights, as an inference_v1 file."""

from pathlib import Path
from typing import Any

import torch

from pipeline.contract.model import ExportParts
from pipeline.model.file import save_model
from pipeline.tasks.detection.model.network import VisionTextBrain, brain_spec, build


def write_model(path: Path, vocabulary: Any = "fragments") -> Path:
    """A network whose random weights are large enough that its texts differ from image to image."""
    config = VisionTextBrain(
        width=32,
        num_heads=2,
        num_layers=2,
        num_blocks=1,
        image_size=32,
        labels=("circle", "square"),
        max_tokens=40,
        vocabulary=vocabulary,
    )
    spec = brain_spec(config)
    module = build(spec, torch.Generator().manual_seed(0))
    weights = {name: 2.0 * tensor.detach() for name, tensor in module.state_dict().items()}
    images = torch.arange(32 * 32 * 3, dtype=torch.int64).reshape(1, 32, 32, 3).remainder(256).to(torch.uint8)
    golden = {"images": images, "tokens": torch.tensor([[2, 5, 6]])}
    save_model(path, ExportParts(spec, weights, {"task": "detection", "step": 0}, golden))
    return path
