"""Models to offer to a server: another one, a worse one, a damaged one, one that does not answer as it did."""

from pathlib import Path

import msgspec
import numpy as np

from pipeline.contract.model import ExportParts
from pipeline.files.hashes import canonical_json
from pipeline.model.container import ModelFile, TensorBytes, write_model_file
from pipeline.model.file import open_model, save_model
from tests.conftest import ROOT
from tests.model.model_parts import flip

MINIMAL = ROOT / "runs/pretrained/gridworld/minimal.inference_v1"


def other(path: Path, *, worse: bool = False) -> Path:
    """The smallest pretrained model under another hash: the same but for a breath, or with its judgement turned."""
    opened = open_model(MINIMAL)
    weights = {name: tensor.clone() for name, tensor in opened.module.state_dict().items()}
    last = next(reversed(weights))
    weights[last] += 1e-6
    if worse:
        weights = {name: -tensor for name, tensor in weights.items()}
    save_model(path, ExportParts(opened.brain, weights, opened.metadata, opened.golden_inputs))
    return path


def damaged(path: Path) -> Path:
    """A bit of its weights is another."""
    path.write_bytes(MINIMAL.read_bytes())
    flip(path, path.stat().st_size * 8 - 800)
    return path


def other_golden(path: Path) -> Path:
    """Whole, but its network does not answer as the file says that it did."""
    file = ModelFile(MINIMAL)
    tensors = {
        name: TensorBytes(entry.dtype, entry.shape, file.read(name)) for name, entry in file.header.entries.items()
    }
    for name, tensor in tensors.items():
        if name.startswith("golden.output."):
            values = np.frombuffer(tensor.data, np.float32) + np.float32(1)
            tensors[name] = TensorBytes(tensor.dtype, tensor.shape, memoryview(values).cast("B"))
    write_model_file(
        path,
        tensors,
        brain_spec=canonical_json(msgspec.to_builtins(dict(file.header.brain_spec))),
        metadata=canonical_json(msgspec.to_builtins(dict(file.header.metadata))),
        created_at=file.header.created_at,
    )
    return path
