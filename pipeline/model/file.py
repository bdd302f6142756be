"""inference_v1 as torch sees it: save, load and verify one self-contained model file.

`load_model` runs no code from the file. It checks every hash, rebuilds the network from the brain spec, and replays the
golden inputs: a file whose network does not answer as it did when it was exported is refused. What the bytes are is in
`pipeline.model.container`.
"""

import datetime
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from pipeline.contract.load import load_part
from pipeline.contract.model import ExportParts, Model
from pipeline.contract.parts import InferPart, ModelPart
from pipeline.errors import UserError
from pipeline.files.hashes import canonical_json
from pipeline.model.container import ALIGNMENT_BYTES, Entry, ModelFile, TensorBytes, write_model_file
from pipeline.recipe.named import find_model
from schemas.brain import BrainSpec

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_GOLDEN_INPUT, _GOLDEN_OUTPUT = "golden.input.", "golden.output."

_EXPORT = "export the checkpoint again: baton export"

RELATIVE_TOLERANCE = 1e-4
"""How far a golden output may be off, as a share of the largest one (or of 1, if that is more)."""


@dataclass(frozen=True)
class OpenedModel:
    """A checked model file without the task's `predict` around it."""

    module: torch.nn.Module
    brain: BrainSpec
    metadata: Mapping[str, Any]
    brain_spec_hash: str
    weights_hash: str
    golden_inputs: Mapping[str, Tensor]
    golden_outputs: Mapping[str, Tensor]
    tolerance: float


def load_model(path: Path | str, *, task: str | None = None, device: str = "cpu", verify: bool = True) -> Model:
    """Open an inference_v1 file, check it, and return its model, ready for ``model.predict(...)``.

    With ``verify=False`` the weights are neither hashed nor tried on the golden inputs: only the header is checked.
    Raises UserError when the file is not whole, is not what it says, or does not answer as it did when exported, and
    when it is of another ``task``. With ``task``, the path may be a name (`find_model`): `load_model("full",
    task="gridworld")`.
    """
    path = Path(path) if task is None else find_model(Path(path), task)
    opened = open_model(path, task=task, device=device, verify=verify)
    part = load_part(opened.brain.task, InferPart)
    return part.wrap(opened.module, opened.brain, opened.metadata, opened.weights_hash)


def open_model(path: Path | str, *, task: str | None = None, device: str = "cpu", verify: bool = True) -> OpenedModel:
    """`load_model` without the task's wrapper: module, brain, metadata and golden tensors."""
    file = ModelFile(path)
    if verify:
        file.verify()
    brain = _brain(file)
    if task not in (None, brain.task):
        what, remedy = f"this model is of task {brain.task!r}, not of {task!r}", f"name {brain.task} as the task"
        raise UserError(what, where=str(path), remedy=f"{remedy}, or give a model of task {task}")
    tensors = {name: _tensor(file, entry) for name, entry in file.header.entries.items()}
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("golden.")}
    module = _rebuild(brain, weights, str(path))
    if device != "cpu":
        module = module.to(_device(device))
    opened = OpenedModel(
        module=module,
        brain=brain,
        metadata=file.header.metadata,
        brain_spec_hash=file.header.brain_spec_hash,
        weights_hash=file.header.weights_hash,
        golden_inputs=_named(tensors, _GOLDEN_INPUT),
        golden_outputs=_named(tensors, _GOLDEN_OUTPUT),
        tolerance=_tolerance(file),
    )
    if verify:
        replay_golden(opened, str(path))
    return opened


def replay_golden(opened: OpenedModel, where: str) -> float:
    """Largest absolute difference between the golden outputs and what the network answers now.

    Raises UserError when there are none, or when one differs by more than the tolerance.
    """
    if not opened.golden_inputs or not opened.golden_outputs:
        raise UserError("the file has no golden inputs to try the network on", where=where, remedy=_EXPORT)
    try:
        answers = task_outputs(opened, opened.golden_inputs)
    except (KeyError, RuntimeError, IndexError) as error:
        raise UserError(f"the golden inputs do not fit the network: {error}", where=where, remedy=_EXPORT) from error
    if set(answers) != set(opened.golden_outputs):
        raise UserError("the golden outputs are not those of this network", where=where, remedy=_EXPORT)
    worst = 0.0
    for name, golden in opened.golden_outputs.items():
        difference = largest_difference(answers[name], golden)
        if not difference <= opened.tolerance:  # NaN is not within it
            raise UserError(
                f"the network does not answer as it did when it was exported: {name} differs by {difference:.3g}, "
                f"the tolerance is {opened.tolerance:.3g}",
                where=f"{where}:{_GOLDEN_OUTPUT}{name}",
                remedy=_EXPORT,
            )
        worst = max(worst, difference)
    return worst


def task_outputs(opened: OpenedModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network answers to golden inputs, its own or another's, on the CPU."""
    device = next(opened.module.parameters()).device
    moved = {name: tensor.to(device) for name, tensor in inputs.items()}
    answers = _network(opened.brain.task).golden_outputs(opened.module, moved)
    return {name: tensor.cpu() for name, tensor in answers.items()}


def largest_difference(a: Tensor, b: Tensor) -> float:
    """max |a - b|; infinite when the shapes differ, NaN when a value is NaN."""
    if a.shape != b.shape:
        return float("inf")
    return float(torch.dist(a, b, p=float("inf"))) if a.numel() else 0.0


def save_model(path: Path | str, parts: ExportParts) -> str:
    """Write an inference_v1 file; returns its weights_hash.

    The golden outputs are what the network of ``parts`` answers now. ``created_at`` is the time in SOURCE_DATE_EPOCH
    (https://reproducible-builds.org/specs/source-date-epoch/) if set: then the same parts give the same bytes.
    Raises UserError when weights do not fit the brain spec, or when a number is NaN or infinite.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in parts.weights.items()}
    reserved = sorted(name for name in weights if name.startswith("golden."))
    if reserved:
        raise UserError("weights cannot have names that begin with 'golden.'", where=reserved[0])
    module = _rebuild(parts.brain, weights, "brain spec")
    outputs = _network(parts.brain.task).golden_outputs(module, parts.golden_inputs)
    tensors = weights | {_GOLDEN_INPUT + name: tensor for name, tensor in parts.golden_inputs.items()}
    tensors |= {_GOLDEN_OUTPUT + name: tensor for name, tensor in outputs.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError("NaN or infinity never reaches a model file", where=name, remedy="take another checkpoint")
    largest = max(float(output.abs().max()) for output in outputs.values())
    golden = {"tolerance": RELATIVE_TOLERANCE * max(1.0, largest)}
    return write_model_file(
        Path(path),
        {name: _bytes(tensor) for name, tensor in tensors.items()},
        brain_spec=canonical_json(parts.brain),
        metadata=canonical_json({**parts.metadata, "golden": golden}),
        created_at=_created_at(),
    )


def _created_at() -> str:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.datetime.fromtimestamp(int(text) if text else time.time(), datetime.UTC)
    except (ValueError, OverflowError, OSError) as error:
        what = f"SOURCE_DATE_EPOCH is {text!r}, which is no number of seconds since 1970"
        raise UserError(what, where="environment", remedy="unset it, or set it to a whole number") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _bytes(tensor: Tensor) -> TensorBytes:
    if tensor.dtype not in _NAMES:
        raise UserError(f"tensors of type {tensor.dtype} cannot be stored")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data = memoryview(flat.view(torch.uint8).numpy().data) if flat.numel() else memoryview(b"")
    return TensorBytes(_NAMES[tensor.dtype], tuple(tensor.shape), data)


def _tensor(file: ModelFile, entry: Entry) -> Tensor:
    """A tensor over the mapped file; copied where it does not begin on a cache line, like all memory of torch does."""
    data = file.read(entry.name)
    if not len(data):
        return torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
    tensor = torch.frombuffer(data, dtype=DTYPES[entry.dtype]).reshape(entry.shape)
    return tensor if entry.start % ALIGNMENT_BYTES == 0 else tensor.clone()


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@cache  # finding a part looks into the folders of all tasks
def _network(task: str) -> ModelPart:
    return load_part(task, ModelPart)


def _brain(file: ModelFile) -> BrainSpec:
    try:
        return msgspec.convert(dict(file.header.brain_spec), BrainSpec)
    except msgspec.ValidationError as error:
        raise UserError(f"the brain spec is not valid: {error}", where=f"{file.path}:brain_spec") from error


def _tolerance(file: ModelFile) -> float:
    golden = file.header.metadata.get("golden")
    tolerance = golden.get("tolerance") if isinstance(golden, dict) else None
    if not isinstance(tolerance, int | float) or isinstance(tolerance, bool) or not 0 < tolerance < float("inf"):
        what = "the metadata does not say how far golden outputs may differ"
        raise UserError(what, where=f"{file.path}:metadata.golden.tolerance", remedy=_EXPORT)
    return float(tolerance)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).splitlines()[0]
        raise UserError(f"there is no device {name!r}: {reason}", where="--device", remedy="use cpu") from error
    return device


def _rebuild(brain: BrainSpec, weights: Mapping[str, Tensor], where: str) -> torch.nn.Module:
    """The network with exactly these weights. Raises UserError when one is missing, too many or of another shape."""
    with torch.device("meta"):  # shapes only: a spec that asks for terabytes costs nothing
        module = _network(brain.task).build(brain)
    # Like load_state_dict(assign=True), in a fraction of its time: one walk, and the slots are filled directly.
    slots: dict[str, tuple[dict[str, Any], str, bool]] = {}
    expected: dict[str, Tensor] = {}
    for prefix, owner in module.named_modules():
        owner.training = False
        for holder, is_parameter in ((owner._parameters, True), (owner._buffers, False)):
            for leaf, tensor in holder.items():
                if tensor is not None:  # a linear layer without bias has a slot for it
                    name = f"{prefix}.{leaf}" if prefix else leaf
                    slots[name], expected[name] = (holder, leaf, is_parameter), tensor
    _check_tensors(weights, expected, where)
    for name, (holder, leaf, is_parameter) in slots.items():
        holder[leaf] = torch.nn.Parameter(weights[name], False) if is_parameter else weights[name]
    return module


def _check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    for name in found if found.keys() == wanted.keys() else sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise UserError("a tensor that the brain spec asks for is missing", where=f"{where}:{name}", remedy=_EXPORT)
        if name not in wanted:
            raise UserError("the brain spec has no such tensor", where=f"{where}:{name[:80]}", remedy=_EXPORT)
        here, asked = found[name], wanted[name]
        if here.shape != asked.shape or here.dtype != asked.dtype:
            raise UserError(
                f"the tensor is {here.dtype} {list(here.shape)}, the brain spec asks for "
                f"{asked.dtype} {list(asked.shape)}",
                where=f"{where}:{name}",
                remedy=_EXPORT,
            )
