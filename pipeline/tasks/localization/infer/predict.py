"""The model behind `load_model`, and records through it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from pipeline.tasks.localization.infer.answer import Arrays, Run, answer, answer_measured, one_by_one, prepare
from pipeline.tasks.localization.measured import Record
from pipeline.tasks.localization.model.brain import NetworkBrain, read_network
from pipeline.tasks.localization.model.network import golden_outputs
from pipeline.tasks.localization.recipe import Infer
from pipeline.tasks.localization.rows import Prediction
from schemas.brain import BrainSpec

_CHUNK = 256  # records whose inputs are made at once


@dataclass(frozen=True)
class LocalizationModel:
    """``predict`` is pure: the same record gives the same answer, whatever else is asked with it."""

    module: torch.nn.Module
    brain: BrainSpec
    metadata: Mapping[str, Any]
    weights_hash: str

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        """One row a record: examples, or predictions that are made anew."""
        return self.through(self.run, records)

    def through(self, run: Run, records: Sequence[Record]) -> list[Prediction]:
        """The same by another way of running the network."""
        if not records:
            return []
        inputs = prepare(records, self.network)
        return answer(records, inputs, one_by_one(run, inputs), self.weights_hash[:16])

    @property
    def network(self) -> NetworkBrain:
        """The network's part of the spec."""
        return read_network(self.brain)

    @torch.inference_mode()
    def run(self, arrays: Arrays) -> Arrays:
        """The network by torch."""
        outputs = golden_outputs(self.module, {name: torch.from_numpy(array) for name, array in arrays.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def predict(job: InferJob) -> Iterator[Prediction]:
    """One row for each of ``job.examples[job.first_index:]``."""
    model, options = cast(LocalizationModel, job.model), cast(Infer, job.options)
    run = model.run if options.runtime == "torch" else _onnx_session(job.source.model_file)
    for start in range(job.first_index, len(job.examples), _CHUNK):
        records = job.examples[start : start + _CHUNK]
        root = job.source.image_root or Path()
        yield from answer_measured(records, root, model.weights_hash[:16], partial(model.through, run))
        job.report(start + len(records), len(job.examples), {})


def _onnx_session(path: Path | None) -> Run:
    """The ONNX form of a model file. Raises UserError where packages are missing, or where it answers otherwise."""
    from pipeline.model.onnx import export_onnx  # here: of the extra "onnx"

    assert path is not None, "localization answers from model files"
    with TemporaryDirectory() as folder:
        exported = export_onnx(path, Path(folder, "model.onnx"))
        content = exported.path.read_bytes()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(arrays: Arrays) -> Arrays:
        return dict(zip(exported.outputs, session.run(exported.outputs, dict(arrays)), strict=True))

    return run


PART = InferPart(predict=predict, wrap=LocalizationModel)
