"""inference_v1 to one ONNX file, checked against the torch network on the golden inputs.

Needs the extra packages of `pip install 'baton-pipeline[onnx]'`.
"""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.contract.load import find_part, task_names
from pipeline.contract.parts import Part
from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.model.file import OpenedModel, largest_difference, open_model

_NEEDED = ("onnx", "onnxscript", "onnxruntime")

Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""One call of the ONNX file: named inputs to named outputs."""


@dataclass(frozen=True)
class OnnxForm:
    """How a task's network becomes an ONNX file.

    ``step`` takes the tensors of ``example`` in their order (first dimension: the batch, of at least 2) and returns a
    tuple of tensors named ``outputs``. ``replay`` answers golden inputs through the file, like
    `ModelPart.golden_outputs`.
    """

    step: torch.nn.Module
    example: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    replay: Callable[[Run, Mapping[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class OnnxPart(Part):
    """The ONNX form of a task's networks; optional."""

    HOMES = ("model.onnx",)
    form: Callable[[torch.nn.Module], OnnxForm]


@dataclass(frozen=True)
class OnnxExported:
    """``largest_difference`` of any output on the golden inputs to the torch network's, and what was allowed."""

    path: Path
    num_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    largest_difference: float
    tolerance: float


def export_onnx(model: Path | str, out: Path | str) -> OnnxExported:
    """Write an inference_v1 file as one ONNX file: observations [B, D] (and hidden [B, H]) to q_values (and hidden).

    The file is written only if ONNX Runtime answers the golden inputs like torch, within the model's tolerance.
    Raises UserError when packages are missing, the model is not whole, or the answers differ.
    """
    _require()
    opened = open_model(model)
    form = _form(opened)
    content = _convert(opened, form)
    answers = form.replay(_runner(content), opened.golden_inputs)
    difference = max(largest_difference(answers[name], golden) for name, golden in opened.golden_outputs.items())
    if not difference <= opened.tolerance:
        raise UserError(
            f"ONNX Runtime answers {difference:.3g} away from torch; the tolerance is {opened.tolerance:.3g}",
            where=str(model),
            remedy="use the inference_v1 file",
        )
    write_atomically(Path(out), [content])
    return OnnxExported(Path(out), len(content), tuple(form.example), form.outputs, difference, opened.tolerance)


def _form(opened: OpenedModel) -> OnnxForm:
    part = find_part(opened.brain.task, OnnxPart)
    if part is None:
        able = ", ".join(task for task in task_names() if find_part(task, OnnxPart) is not None)
        raise UserError(
            f"models of task {opened.brain.task!r} have no ONNX form",
            where="--format onnx",
            remedy=f"use the inference_v1 file: load_model(path) answers with it; tasks with an ONNX form: {able}",
        )
    return part.form(opened.module)


def _require() -> None:
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            remedy = "pip install 'baton-pipeline[onnx]'"
            raise UserError(f"ONNX export needs the package {name}", where="--format onnx", remedy=remedy) from error


def _convert(opened: OpenedModel, form: OnnxForm) -> bytes:
    """The ONNX file as bytes, weights inside."""
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            form.step,
            tuple(form.example.values()),
            input_names=list(form.example),
            output_names=list(form.outputs),
            dynamic_shapes=tuple({0: batch} for _ in form.example),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # only without dynamo
    proto = program.model_proto
    for key in ("brain_spec_hash", "weights_hash"):
        proto.metadata_props.add(key=key, value=getattr(opened, key))
    content: bytes = proto.SerializeToString()
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress and warns of its own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _runner(content: bytes) -> Run:
    import onnxruntime  # optional; `_require` has told if it is missing

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]

    def run(feed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        answers = session.run(outputs, {name: tensor.numpy() for name, tensor in feed.items()})
        return {name: torch.from_numpy(answer) for name, answer in zip(outputs, answers, strict=True)}

    return run
