"""What goes into a gridworld model file besides the network: golden inputs from real play, and what goes in and out."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch

from pipeline.contract.model import ExportParts
from pipeline.errors import UserError
from pipeline.model.checkpoint import TRAINED, read_section, read_trained_brain
from pipeline.tasks.gridworld.town.observe import encode, layout
from pipeline.tasks.gridworld.town.rules import ACTIONS, METERS, PLACES
from pipeline.tasks.gridworld.town.step import TownBatch
from schemas.brain import BrainSpec

GOLDEN_STEPS, GOLDEN_TOWNS = 3, 2
_GOLDEN_WARMUP = 60  # steps of random play before the first golden input, so that meters differ and places were seen
_GOLDEN_SEED = 0


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """Brain, averaged weights, metadata and golden inputs of a checkpoint_v1.

    Raises UserError when the checkpoint lacks something, or when the network cannot see the level it was trained on.
    """
    brain = read_trained_brain(checkpoint)
    recipe, facts = read_section(checkpoint, "recipe"), read_section(checkpoint, "facts")
    learning, environment = read_section(recipe, "q_learning"), read_section(recipe, "environment")
    scale = learning.get("reward_scale")
    about, observations = _inputs(brain, environment)
    metadata: dict[str, Any] = {
        "task": "gridworld",
        "step": checkpoint["step"],
        "episode": facts.pop("num_episodes", None),
        "epsilon": facts.pop("epsilon", None),
        "stage": facts.pop("stage", None),
        "facts": facts,
        "recipe": recipe,
        "recipe_hash": checkpoint.get("recipe_hash"),
        "input": {"name": "observations", "dtype": "float32", "shape": ["B", brain.input_size], **about},
        "output": {
            "name": "q_values",
            "dtype": "float32",
            "shape": ["B", brain.output_size],
            "labels": list(ACTIONS),
            "unit": "reward" if scale is None else f"reward times {scale}",
            "gamma": learning.get("gamma"),
        },
    }
    resets = torch.zeros(GOLDEN_STEPS, GOLDEN_TOWNS, dtype=torch.bool)
    resets[GOLDEN_STEPS // 2, 0] = True  # so that a memory that is not emptied is found out
    golden = {"observations": torch.from_numpy(observations), "resets": resets}
    return ExportParts(brain, checkpoint["average_weights"], metadata, golden)


def _inputs(brain: BrainSpec, environment: Mapping[str, Any]) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """What the network sees, and golden observations float32 [T, B, D]: noise where its level is unknown."""
    if not environment:
        shape = (GOLDEN_STEPS, GOLDEN_TOWNS, brain.input_size)
        return {"blocks": []}, np.random.default_rng(_GOLDEN_SEED).random(shape, dtype=np.float32)
    missing = [key for key in ("level", "encoding") if not isinstance(environment.get(key), str)]
    if missing:
        raise UserError(f"the recipe's environment has no {missing[0]}", remedy=TRAINED)
    level, encoding = environment["level"], environment["encoding"]
    blocks = layout(level, encoding)
    if brain.input_size != blocks[-1].stop:
        raise UserError(
            f"the network takes {brain.input_size} numbers, but level {level!r} shows {blocks[-1].stop} "
            f"in encoding {encoding!r}",
            remedy="name the level and the encoding that the network was trained on",
        )
    about = {
        "unit": "1",
        "level": level,
        "encoding": encoding,
        "meters": list(METERS),
        "places": list(PLACES),
        "blocks": msgspec.to_builtins(blocks),
    }
    return about, _played(level, encoding)


def _played(level: str, encoding: Any) -> np.ndarray[Any, Any]:
    """A few steps of a few towns under random play: observations float32 [T, B, D]."""
    town = TownBatch(level, GOLDEN_TOWNS)
    generator = np.random.default_rng(_GOLDEN_SEED)
    town.reset(np.arange(GOLDEN_TOWNS, dtype=np.uint64))
    observations = []
    for _ in range(_GOLDEN_WARMUP + GOLDEN_STEPS):
        observations.append(encode(town.packed, level, encoding))
        town.step((generator.random(town.mask.shape) * town.mask).argmax(axis=1))
    return np.stack(observations[_GOLDEN_WARMUP:])
