"""What is read of a checkpoint that may have come from anywhere: the file, and the contents of a checkpoint_v1."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from pipeline.errors import UserError
from pipeline.model.foreign import refuse_foreign
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


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """The contents of a torch file: tensors and plain types. Raises UserError when there is anything else in it."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise UserError(f"cannot read the checkpoint: {error.strerror}", where=str(path), remedy=TRAINED) from error
    refuse_foreign(path)
    try:
        # Mapped, so that a replay memory of hundreds of megabytes is not read for the sake of the weights.
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip or None)
    except Exception as error:  # a damaged or hostile file can make the reader fail in any way
        contents = _read_without_objects(path)
        if contents is None:
            raise _unreadable(path, error) from error
    if not isinstance(contents, dict):
        raise UserError(
            f"the checkpoint holds a {type(contents).__name__}, not a dict", where=str(path), remedy=TRAINED
        )
    return contents


class _NotRead:
    """Stands where a file has an object, a class or a function: nothing of theirs is run."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


# What is filled after it was made has to be a list or a dict.
_STAND_INS: dict[str, Any] = {"collections.deque": lambda *_: [], "collections.defaultdict": lambda *_: {}}


def _read_without_objects(path: Path) -> dict[str, Any] | None:
    """A training of version 3, which may hold objects, without them; "not_read" lists their kinds. Else None."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_STAND_INS.get(name, _NotRead), name) for name in names]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # as above
        return None
    is_known = isinstance(contents, dict) and "population_state" in contents
    return contents | {"not_read": sorted(names)} if is_known else None


def _unreadable(path: Path, error: Exception) -> UserError:
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found:
        what = f"the checkpoint holds an object of {found[1]}, not only tensors and plain values; it is not loaded"
        return UserError(what, where=str(path), remedy="save tensors, numbers, texts, lists and dicts only")
    first_line = (str(error).splitlines() or [type(error).__name__])[0][:160]
    what = f"the checkpoint is damaged or is no torch file: {first_line}"
    return UserError(what, where=str(path), remedy=TRAINED)
