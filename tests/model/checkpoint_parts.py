"""Small training checkpoints for the tests of export."""

from pathlib import Path
from typing import Any

import msgspec
import torch

from pipeline.model.brain import compile_brain, read_brain

SIZE, A = 158, 8
TOWN = {"level": "full", "encoding": "places"}


def checkpoint_v1(network: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    network = network or {"type": "dueling", "hidden": [8], "stream": [4]}
    brain = read_brain({"task": "gridworld", "input_size": SIZE, "output_size": A, "network": network})
    average = compile_brain(brain, torch.Generator().manual_seed(1)).state_dict()
    return {
        "format": "checkpoint_v1",
        "task": "gridworld",
        "step": 4096,
        "brain": msgspec.to_builtins(brain),
        "weights": compile_brain(brain, torch.Generator().manual_seed(2)).state_dict(),
        "average_weights": average,
        "recipe": {"name": "small", "environment": TOWN, "q_learning": {"gamma": 0.9, "reward_scale": 0.1}},
        "recipe_hash": "cd" * 32,
        "facts": {"num_episodes": 17, "epsilon": 0.1, "stage": 2, "multiplier": 0.8},
        "replay": {"states": torch.zeros(1000, 28)},
        **changes,
    }


def save(path: Path, contents: Any) -> Path:
    torch.save(contents, path)
    return path


def observations(num_rows: int = 5) -> torch.Tensor:
    return torch.rand(num_rows, SIZE, generator=torch.Generator().manual_seed(3))


ONNX_KINDS: dict[str, dict[str, Any]] = {
    "dueling": {"type": "dueling", "hidden": [8], "stream": [4], "activation": "gelu"},
    "lstm": {"type": "recurrent", "encoder": [8], "cell": "lstm", "hidden_size": 5, "head": [6]},
    "spatial": {"type": "recurrent_spatial", "channels": [3, 5], "vision_size": 7, "part_size": 4, "hidden_size": 5},
    "places with memory": {"type": "places", "place": [8], "mixed_size": 8, "trunk": [8], "memory": {"hidden_size": 3}},
}
