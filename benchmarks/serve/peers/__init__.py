"""Servers that a benchmark measures ours against: ``python -m benchmarks.serve.peers.NAME PORT``, the model and its
ONNX file by the environment, since some of them answer in processes of their own.

Each answers ``POST /v1/predict`` as ours does - the same body checked, the same features, the same session, the same
row - with what its own documentation shows first: pydantic models, one worker, no log and no metrics.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict

from benchmarks.serve import MODEL, ONNX
from pipeline.model.container import ModelFile
from pipeline.tasks.localization.infer.answer import answer, prepare
from pipeline.tasks.localization.model.brain import read_network
from pipeline.tasks.localization.rows import Example, Measurement
from schemas.brain import BrainSpec


class MeasurementBody(BaseModel):
    """What one receiver measured."""

    model_config = ConfigDict(extra="forbid")
    receiver: str
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    level_dbm: float | None = None
    arrival_ns: float | None = None
    sigma_ns: float | None = None


class Body(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid")
    id: str | None = None
    measurements: list[MeasurementBody]
    frequency_mhz: float | None = None
    altitude_m: float | None = None
    kind: str = "clean"
    group: str | None = None
    time: str | None = None
    recording: str | None = None


class Localizer:
    """The model as all peers call it."""

    def __init__(self) -> None:
        model, onnx = Path(os.environ[MODEL]), Path(os.environ[ONNX])
        header = ModelFile(model).header
        self._brain = read_network(msgspec.convert(dict(header.brain_spec), BrainSpec))
        self._model = header.weights_hash[:16]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, body: Body) -> dict[str, Any]:
        """A row as plain values."""
        measurements = tuple(Measurement(**one.model_dump()) for one in body.measurements)
        record = Example(**{**body.model_dump(exclude={"id"}), "measurements": measurements}, id=body.id or "none")
        inputs = prepare([record], self._brain)
        outputs = dict(zip(self._names, self._session.run(self._names, inputs.tensors), strict=True))
        (row,) = answer([record], inputs, {name: np.asarray(one) for name, one in outputs.items()}, self._model)
        plain: dict[str, Any] = msgspec.to_builtins(row)
        return plain
