"""Servers that a benchmark measures ours against: ``python -m benchmarks.serve.peer NAME PORT MODEL ONNX``.

Each answers ``POST /v1/predict`` as ours does - the same body checked, the same features, the same session, the same
row - with what its own documentation shows first: pydantic models, one worker, no log and no metrics.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict

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

    def __init__(self, model: Path, onnx: Path) -> None:
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


def fastapi(port: int, model: Path, onnx: Path) -> None:
    """https://fastapi.tiangolo.com/tutorial/body/"""
    import uvicorn
    from fastapi import FastAPI

    app, localizer = FastAPI(), Localizer(model, onnx)

    @app.post("/v1/predict")  # type: ignore[untyped-decorator]  # untyped where it is not installed
    async def predict(body: Body) -> dict[str, Any]:
        return localizer(body)

    uvicorn.run(app, port=port, log_level="critical")


def litserve(port: int, model: Path, onnx: Path) -> None:
    """https://lightning.ai/docs/litserve/home/get-started"""
    import litserve

    class Api(litserve.LitAPI):  # type: ignore[misc]  # untyped where it is not installed
        def setup(self, device: str) -> None:
            self.localizer = Localizer(model, onnx)

        def decode_request(self, request: Body) -> Body:
            return request

        def predict(self, body: Body) -> dict[str, Any]:
            return self.localizer(body)

        def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
            return output

    server = litserve.LitServer(Api(api_path="/v1/predict"), accelerator="cpu")
    server.run(port=port, generate_client_file=False, log_level="critical")


def bentoml(port: int, model: Path, onnx: Path) -> None:
    """https://docs.bentoml.com/en/latest/get-started/hello-world.html"""
    import bentoml as library

    @library.service(workers=1)
    class Localization:
        def __init__(self) -> None:
            self.localizer = Localizer(model, onnx)

        @library.api(route="/v1/predict", input_spec=Body)  # type: ignore[untyped-decorator]
        def predict(self, **fields: Any) -> dict[str, Any]:
            return self.localizer(Body(**fields))

    service: Any = Localization
    service.serve_http(port=port)


if __name__ == "__main__":
    name, number, *paths = sys.argv[1:]
    {"fastapi": fastapi, "litserve": litserve, "bentoml": bentoml}[name](int(number), *map(Path, paths))
