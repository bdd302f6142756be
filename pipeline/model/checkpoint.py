"""What an export reads from the contents of a checkpoint_v1, which may have come from anywhere."""

from collections.abc import Mapping
from typing import Any

import msgspec
import torch

from pipeline.errors import UserError
from schemas.brain import BrainSpec

TRAINED = "take a checkpoint that `baton train` wrote"


def read_section(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A dict of a checkpoint, empty if it is not there. Raises UserError when it is something else."""
    section = holder.get(name)
    if section is not None and not isinstance(section, Mapping):
        raise UserError(f"{name} is a {type(section).__name__}, not a dict", remedy=TRAINED)
    return dict(section or {})


def read_trained_brain(checkpoint: Mapping[str, Any]) -> BrainSpec:
    """The brain spec. Raises UserError when that, the averaged weights or the step are missing or no such thing."""
    missing = [key for key in ("brain", "average_weights", "step") if key not in checkpoint]
    if missing:
        raise UserError(f"the checkpoint has no {missing[0]!r}", remedy=TRAINED)
    weights = checkpoint["average_weights"]
    if not isinstance(weights, Mapping) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
        raise UserError("average_weights is not a dict of tensors", remedy=TRAINED)
    try:
        return msgspec.convert(checkpoint["brain"], BrainSpec)
    except msgspec.ValidationError as error:
        raise UserError(f"the checkpoint's brain spec is not valid: {error}") from error
