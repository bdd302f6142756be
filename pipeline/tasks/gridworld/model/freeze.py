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
    metadata: dict[str, Any] = {
        "task": "gridworld",
        "step": checkpoint["step"],
        "episode": facts.pop("num_episodes", None),
        "epsilon": facts.pop("epsilon", None),
        "stage": facts.pop("stage", None),
        "facts": facts,
        "recipe": recipe,
        "recipe_hash": checkpoint.get("recipe_hash"),
        "output": _describe_output(brain, recipe),
    }
    environment = read_section(recipe, "environment")
    if not environment:
        metadata["input"] = {"name": "observations", "dtype": "float32", "shape": ["B", brain.input_size], "blocks": []}
        golden = _draw_golden_inputs(brain.input_size)
    else:
        missing = [key for key in ("level", "encoding") if not isinstance(environment.get(key), str)]
        if missing:
            raise UserError(f"the recipe's environment has no {missing[0]}", remedy=TRAINED)
        blocks = layout(environment["level"], environment["encoding"])
        _check_sizes(brain, blocks[-1].stop, environment)
        metadata["input"] = _describe_input(brain, blocks, environment)
        golden = _play_golden_inputs(environment["level"], environment["encoding"])
    return ExportParts(brain, checkpoint["average_weights"], metadata, golden)


def _check_sizes(brain: BrainSpec, size: int, environment: Mapping[str, Any]) -> None:
    if brain.input_size != size:
        raise UserError(
            f"the network takes {brain.input_size} numbers, but level {environment['level']!r} shows {size} "
            f"in encoding {environment['encoding']!r}",
            remedy="name the level and the encoding that the network was trained on",
        )


def _describe_input(brain: BrainSpec, blocks: Any, environment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "observations",
        "dtype": "float32",
        "shape": ["B", brain.input_size],
        "unit": "1",
        "level": environment["level"],
        "encoding": environment["encoding"],
        "meters": list(METERS),
        "places": list(PLACES),
        "blocks": msgspec.to_builtins(blocks),
    }


def _describe_output(brain: BrainSpec, recipe: Mapping[str, Any]) -> dict[str, Any]:
    learning = read_section(recipe, "q_learning")
    scale, gamma = learning.get("reward_scale"), learning.get("gamma")
    return {
        "name": "q_values",
        "dtype": "float32",
        "shape": ["B", brain.output_size],
        "labels": list(ACTIONS),
        "unit": "reward" if scale is None else f"reward times {scale}",
        "gamma": gamma,
    }


def _play_golden_inputs(level: str, encoding: Any) -> dict[str, torch.Tensor]:
    """A few steps of a few towns under random play: observations float32 [T, B, D] and resets bool [T, B].

    One town is marked as reset on the way, so that a memory that is not emptied is found out.
    """
    town = TownBatch(level, GOLDEN_TOWNS)
    generator = np.random.default_rng(_GOLDEN_SEED)
    town.reset(np.arange(GOLDEN_TOWNS, dtype=np.uint64))
    observations = []
    for _ in range(_GOLDEN_WARMUP + GOLDEN_STEPS):
        observations.append(encode(town.packed, level, encoding))
        actions = (generator.random(town.mask.shape) * town.mask).argmax(axis=1)
        town.step(actions.astype(np.int64))
    return {"observations": torch.from_numpy(np.stack(observations[_GOLDEN_WARMUP:])), "resets": _golden_resets()}


def _draw_golden_inputs(input_size: int) -> dict[str, torch.Tensor]:
    """The same shapes, uniform in [0, 1): for a network whose level is not known."""
    generator = np.random.default_rng(_GOLDEN_SEED)
    observations = generator.random((GOLDEN_STEPS, GOLDEN_TOWNS, input_size), dtype=np.float32)
    return {"observations": torch.from_numpy(observations), "resets": _golden_resets()}


def _golden_resets() -> torch.Tensor:
    resets = torch.zeros(GOLDEN_STEPS, GOLDEN_TOWNS, dtype=torch.bool)
    resets[GOLDEN_STEPS // 2, 0] = True
    return resets
