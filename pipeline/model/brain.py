"""Brain specs: a dict or a YAML file becomes a checked `BrainSpec`, its hash, and a torch module."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from pipeline.contract.load import load_part
from pipeline.contract.parts import ModelPart
from pipeline.errors import UserError
from pipeline.recipe.explain import Places, explain_value
from pipeline.recipe.yaml import parse
from schemas.brain import BrainSpec

_LISTING = "schemas/brain.py and `Network` in the task's recipe.py list every key"


def compile_brain(
    spec: BrainSpec | Mapping[str, Any] | Path | str, generator: torch.Generator | None = None
) -> torch.nn.Module:
    """The network that a brain spec describes: a BrainSpec, the same as a dict, or the path of a YAML file.

    Weights are drawn from ``generator`` (None: from torch's global one). The same spec and seed give the same bits.
    Raises UserError, with file:line:key for files, on anything the spec cannot mean.
    """
    brain = read_brain(spec)
    return load_part(brain.task, ModelPart).build(brain, generator)


def read_brain(spec: BrainSpec | Mapping[str, Any] | Path | str) -> BrainSpec:
    """The checked spec, every default of its network spelled out, so that equal networks have equal specs."""
    if isinstance(spec, BrainSpec):
        data, origins = msgspec.to_builtins(spec), _of_dict("brain spec")
    elif isinstance(spec, Mapping):
        data, origins = dict(spec), _of_dict("brain spec")
    else:
        data, origins = _read_yaml(Path(spec))
    brain: BrainSpec = _convert(data, BrainSpec, origins, _LISTING)
    network = _convert_network(brain.network, load_part(brain.task, ModelPart).network, origins, _LISTING)
    return msgspec.structs.replace(brain, network=msgspec.to_builtins(network))


def parse_network(data: Mapping[str, Any], struct: Any, task: str) -> Any:
    """The network section of a brain spec as ``struct`` of a task, every default filled in.

    Raises UserError that names the wrong key or value, and the nearest known one.
    """
    origins = Places("network", {}, {("network",): "brain spec"})
    return _convert_network(data, struct, origins, f"see `Network` in recipe.py of {task}")


def _convert_network(data: Mapping[str, Any], struct: Any, origins: Places, listing: str) -> Any:
    holder = msgspec.defstruct("Brain", [("network", struct)])
    return _convert({"network": dict(data)}, holder, origins, listing).network


def _convert(data: Mapping[str, Any], struct: Any, origins: Places, listing: str) -> Any:
    try:
        return msgspec.convert(data, struct)
    except msgspec.ValidationError as error:
        raise explain_value(error, data, struct, origins, listing) from error


def _read_yaml(path: Path) -> tuple[dict[str, Any], Places]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the brain spec: {error.strerror}", where=str(path)) from error
    document = parse(raw, str(path))
    if not isinstance(document.data, dict):
        raise UserError("a brain spec is a mapping of keys to values", where=f"{path}:1", remedy=_LISTING)
    return document.data, Places(str(path), document.lines)


def _of_dict(name: str) -> Places:
    """Origins of a spec that came from no file: every key is named by where it was passed in."""
    keys = ("schema", "task", "input_size", "output_size", "network")
    return Places(name, {}, {(key,): f"{name}: {key}" for key in keys})
