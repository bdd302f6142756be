"""Training checkpoint to inference_v1: what `baton export` does.

Checkpoints are read with ``weights_only=True``: no code in them is run. Two kinds are known: checkpoint_v1, which
`baton train` writes, and the older checkpoint_v0, also as part of a whole training of version 3, which has no brain
spec (`docs/migrating-checkpoints.md`).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.contract.load import check_task, load_part
from pipeline.contract.parts import ModelPart, UpgradePart
from pipeline.errors import UserError
from pipeline.files.hashes import sha256_file
from pipeline.model.checkpoint import TRAINED, read_checkpoint, read_section
from pipeline.model.file import open_model, replay_golden, save_model

_V0_KEYS = ("state_dict", "network_type")


@dataclass(frozen=True)
class Exported:
    """What an export made. ``filled_in`` are sentences: what an old checkpoint did not say, and what was taken for it.

    ``golden_difference`` is how far the reopened file was from its golden outputs.
    """

    path: Path
    task: str
    source_format: str
    filled_in: tuple[str, ...]
    brain_spec_hash: str
    weights_hash: str
    num_parameters: int
    num_bytes: int
    checkpoint_bytes: int
    golden_difference: float


def export_model(
    checkpoint: Path | str,
    out: Path | str,
    *,
    task: str,
    environment: Mapping[str, str] | None = None,
    sections: Mapping[str, Any] | None = None,
) -> Exported:
    """Write the averaged policy of a checkpoint as an inference_v1 file, and open that file to check it.

    ``environment`` tells what a checkpoint_v0 was trained in, such as {"level": "full", "encoding": "grid"}; a
    checkpoint_v1 says it itself. ``sections`` of a recipe are taken instead of those of the training.

    Raises UserError when the checkpoint is damaged, of an unknown kind or incomplete.
    """
    path = Path(checkpoint)
    contents, source_format, filled_in = _load(path, task, environment or {})
    if sections:
        contents = {**contents, "recipe": {**read_section(contents, "recipe"), **sections}}
    origin = {
        "parent": {"format": source_format, "sha256": sha256_file(path)},
        "filled_in": list(filled_in),
        "versions": {"torch": str(torch.__version__)},
    }
    with _naming(path):
        parts = load_part(task, ModelPart).export_parts(contents)
        save_model(out, replace(parts, metadata={**parts.metadata, **origin}))
    opened = open_model(out, verify=True)
    return Exported(
        path=Path(out),
        task=task,
        source_format=source_format,
        filled_in=filled_in,
        brain_spec_hash=opened.brain_spec_hash,
        weights_hash=opened.weights_hash,
        num_parameters=sum(parameter.numel() for parameter in opened.module.parameters()),
        num_bytes=Path(out).stat().st_size,
        checkpoint_bytes=path.stat().st_size,
        golden_difference=replay_golden(opened, str(out)),
    )


def _load(path: Path, task: str, environment: Mapping[str, str]) -> tuple[Mapping[str, Any], str, tuple[str, ...]]:
    """Contents as a checkpoint_v1, the kind they had, and what was filled in."""
    contents = read_checkpoint(path)
    check_task(task)
    whole = "population_state" in contents
    if "format" not in contents and (whole or all(key in contents for key in _V0_KEYS)):
        with _naming(path):
            upgraded, filled_in = load_part(task, UpgradePart).upgrade(contents, environment)
        return upgraded, "version 3" if whole else "checkpoint_v0", tuple(filled_in)
    found = contents.get("format")
    if found != "checkpoint_v1":
        what = f"the checkpoint says format {str(found)[:40]!r}; known are checkpoint_v1, and checkpoint_v0 without one"
        raise UserError(what, where=str(path), remedy=f"{TRAINED}, or see docs/migrating-checkpoints.md")
    if contents.get("task") != task:
        what = f"the checkpoint is of task {str(contents.get('task'))[:40]!r}, not {task!r}"
        raise UserError(what, where=str(path), remedy="name the task it was trained for")
    if environment:
        what = "a checkpoint_v1 says itself what it was trained in"
        raise UserError(what, where=str(path), remedy="leave the level and the encoding out")
    return contents, "checkpoint_v1", ()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors from within name the checkpoint, but for those of writing, which name what is written."""
    try:
        yield
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        where = f"{path}: {error.where}" if error.where else str(path)
        raise UserError(error.what, where=where, remedy=error.remedy) from error
