"""The weights of a model that a training may start from."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pipeline.errors import UserError
from pipeline.model.checkpoint import read_checkpoint, read_trained_brain
from pipeline.model.file import open_model


def read_weights(path: Path, task: str) -> Mapping[str, Tensor]:
    """By name: those of an inference_v1 file, or the averaged ones of a checkpoint_v1.

    Raises UserError when it is damaged, something else, or of another task.
    """
    with open(path, "rb") as file:
        is_checkpoint = file.read(4) == b"PK\x03\x04"
    weights: Mapping[str, Tensor]
    if is_checkpoint:
        contents = read_checkpoint(path)
        if contents.get("format") != "checkpoint_v1":
            what = f"a training starts from a checkpoint_v1 or an inference_v1, not from {contents.get('format')!r}"
            raise UserError(what, where=str(path), remedy="make an inference_v1 of it: baton export")
        brain, weights = read_trained_brain(contents), contents["average_weights"]
    else:
        opened = open_model(path, verify=True)
        brain, weights = opened.brain, opened.module.state_dict()
    if brain.task != task:
        remedy = f"take one that was trained for {task}"
        raise UserError(f"the model to start from is of task {brain.task!r}", where=str(path), remedy=remedy)
    return weights
