"""Small models for the tests of model files."""

from pathlib import Path
from typing import Any

import torch

from pipeline import compile_brain
from pipeline.contract.model import ExportParts
from schemas.brain import BrainSpec

BRAIN = BrainSpec(task="gridworld", input_size=6, output_size=8, network={"type": "feedforward", "hidden": [4]})
RECURRENT = {"type": "recurrent", "encoder": [4], "hidden_size": 3, "head": []}
METADATA = {"task": "gridworld", "step": 12, "recipe": {"name": "tiny", "seed": 3}, "recipe_hash": "ab" * 32}


def parts(seed: int = 0, network: dict[str, Any] | None = None) -> ExportParts:
    generator = torch.Generator().manual_seed(seed)
    brain = BrainSpec(task="gridworld", input_size=6, output_size=8, network=network or BRAIN.network)
    module = compile_brain(brain, generator)
    golden = {
        "observations": torch.rand(2, 2, 6, generator=torch.Generator().manual_seed(9)),
        "resets": torch.zeros(2, 2, dtype=torch.bool),
    }
    return ExportParts(brain, module.state_dict(), METADATA, golden)


def flip(path: Path, bit: int) -> None:
    """Flip one bit in place."""
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
