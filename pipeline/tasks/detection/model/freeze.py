"""What goes into a detection model file besides the network: golden inputs, and what goes in and comes out."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch

from pipeline.contract.model import ExportParts
from pipeline.errors import UserError
from pipeline.tasks.detection.model.tokens import PROMPTS, VOCABULARIES
from schemas.brain import BrainSpec

GOLDEN_IMAGES, GOLDEN_TOKENS = 2, 8
_GOLDEN_SEED = 0
_TRAINED = "take a checkpoint that `baton train` wrote"


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """Brain, averaged weights, metadata and golden inputs of a checkpoint_v1.

    Raises UserError when the checkpoint lacks something.
    """
    brain = _brain(checkpoint)
    network = {**brain.network, "stored_as": "float16"}  # half the bytes; AP moved by .0012 at most
    brain = msgspec.structs.replace(brain, network=network)
    weights = {name: tensor.to(torch.float16) for name, tensor in checkpoint["average_weights"].items()}
    metadata = {
        "task": "detection",
        "step": checkpoint["step"],
        "facts": _section(checkpoint, "facts"),
        "recipe": _section(checkpoint, "recipe"),
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


def _section(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A dict of a checkpoint, empty if it is not there."""
    section = holder.get(name)
    if section is not None and not isinstance(section, Mapping):
        raise UserError(f"{name} is a {type(section).__name__}, not a dict", remedy=_TRAINED)
    return dict(section or {})


def _brain(checkpoint: Mapping[str, Any]) -> BrainSpec:
    missing = [key for key in ("brain", "average_weights", "step") if key not in checkpoint]
    if missing:
        raise UserError(f"the checkpoint has no {missing[0]!r}", remedy=_TRAINED)
    weights = checkpoint["average_weights"]
    if not isinstance(weights, Mapping) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
        raise UserError("average_weights is not a dict of tensors", remedy=_TRAINED)
    try:
        return msgspec.convert(checkpoint["brain"], BrainSpec)
    except msgspec.ValidationError as error:
        raise UserError(f"the checkpoint's brain spec is not valid: {error}") from error


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
