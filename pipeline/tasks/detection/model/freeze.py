"""What goes into a detection model file besides the network: golden inputs, and what goes in and comes out."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch

from pipeline.contract.model import ExportParts
from pipeline.model.checkpoint import read_section, read_trained_brain
from pipeline.tasks.detection.model.tokens import PROMPTS, VOCABULARIES

GOLDEN_IMAGES, GOLDEN_TOKENS = 2, 8
_GOLDEN_SEED = 0


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """Brain, averaged weights, metadata and golden inputs of a checkpoint_v1.

    Raises UserError when the checkpoint lacks something.
    """
    brain = read_trained_brain(checkpoint)
    network = {**brain.network, "stored_as": "float16"}  # half the bytes; AP moved by .0012 at most
    brain = msgspec.structs.replace(brain, network=network)
    weights = {name: tensor.to(torch.float16) for name, tensor in checkpoint["average_weights"].items()}
    metadata = {
        "task": "detection",
        "step": checkpoint["step"],
        "facts": read_section(checkpoint, "facts"),
        "recipe": read_section(checkpoint, "recipe"),
        "recipe_hash": checkpoint.get("recipe_hash"),
        "input": {
            "name": "images",
            "dtype": "uint8",
            "shape": ["B", network["image_size"], network["image_size"], 3],
            "range": [0, 255],
            "channels": "RGB",
            "unit": "1",
            "prompts": {prompt: geometry for prompt, geometry in PROMPTS.items() if prompt},
        },
        "output": {
            "name": "texts",
            "labels": list(network["labels"]),
            "vocabulary": network["vocabulary"],
            "max_tokens": network["max_tokens"],
            "coordinates": "norm1000: x_px = k * width / 999",
        },
    }
    return ExportParts(brain, weights, metadata, _golden_inputs(network))


def _golden_inputs(network: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Images of smooth noise, uint8 [B, S, S, 3], and any tokens, int64 [B, T], every kind of them among them."""
    side, generator = network["image_size"], np.random.default_rng(_GOLDEN_SEED)
    noise = generator.random((GOLDEN_IMAGES, side // 8 + 1, side // 8 + 1, 3)).repeat(8, 1).repeat(8, 2)
    images = (noise[:, 4 : 4 + side, 4 : 4 + side] * 255).astype(np.uint8)
    vocabulary = VOCABULARIES[network["vocabulary"]](labels=tuple(network["labels"]))
    length = min(GOLDEN_TOKENS, network["max_tokens"])
    tokens = generator.integers(0, vocabulary.size, (GOLDEN_IMAGES, length))
    tokens[:, ::2] = generator.integers(0, vocabulary.first_coordinate, tokens[:, ::2].shape)
    return {"images": torch.from_numpy(images.copy()), "tokens": torch.from_numpy(tokens)}
