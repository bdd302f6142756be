"""The routes of the Open Inference Protocol. A task without tensors of its own takes and gives its JSON as texts."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.serving import Answerer, TensorDescription, TensorForm
from pipeline.errors import UserError
from pipeline.serve.answering import STICKY_HEADER, Answering, release
from pipeline.serve.exchange import Exchange
from pipeline.serve.http.limits import Limits
from pipeline.serve.http.message import JSON_HEADERS, Asked, Response, Route, json_answer
from pipeline.serve.http.problems import Problem, refused
from pipeline.serve.open_inference.codec import LENGTH_HEADER, check, compress, decode, decompress, encode

PREFIX = "/v2"


class OpenInference:
    """Handlers of these routes. ``name`` is what clients call the model, ``new_id`` makes ids of records."""

    def __init__(
        self, name: str, answering: Answering, exchange: Exchange, limits: Limits, new_id: Callable[[], str]
    ) -> None:
        self._name, self._answering, self._limits, self._new_id = name, answering, limits, new_id
        self._form = exchange.part.tensors or json_form(exchange)
        self._rows = msgspec.json.Decoder(exchange.prediction)

    @property
    def routes(self) -> list[Route]:
        """What they are. The protocol describes them; they are not in the server's own description."""
        found = [
            Route("GET", PREFIX, self.server, is_hidden=True),
            Route("GET", f"{PREFIX}/health/live", self.live, is_open=True, is_hidden=True),
            Route("GET", f"{PREFIX}/health/ready", self.ready, is_open=True, is_hidden=True),
        ]
        model = f"{PREFIX}/models/{self._name}"
        for path in (model, f"{model}/versions/*"):
            found.append(Route("GET", path, self.metadata, is_hidden=True))
            found.append(Route("GET", f"{path}/ready", self.model_ready, is_open=True, is_hidden=True))
            found.append(Route("POST", f"{path}/infer", self.infer, is_hidden=True))
        return found

    async def server(self, client: str, asked: Asked) -> Response:
        """``GET /v2``."""
        return json_answer({"name": "baton", "version": release(), "extensions": ["binary_tensor_data"]})

    async def live(self, client: str, asked: Asked) -> Response:
        """``GET /v2/health/live``."""
        return json_answer({"live": True})

    async def ready(self, client: str, asked: Asked) -> Response:
        """``GET /v2/health/ready``."""
        self._answering.answerer()
        return json_answer({"ready": True})

    async def model_ready(self, client: str, asked: Asked) -> Response:
        """``GET /v2/models/NAME/ready``."""
        self._answerer(asked.path)
        return json_answer({"name": self._name, "ready": True})

    async def metadata(self, client: str, asked: Asked) -> Response:
        """``GET /v2/models/NAME``."""
        self._answerer(asked.path)
        return json_answer(
            {
                "name": self._name,
                "versions": [_version(one) for one in self._answering.models.serving()],
                "platform": "baton_inference_v1",
                "inputs": self._form.inputs,
                "outputs": self._form.outputs,
            }
        )

    async def infer(self, client: str, asked: Asked) -> Response:
        """``POST /v2/models/NAME/infer``."""
        answerer, body = self._answerer(asked.path), await asked.read()
        key = asked.header(STICKY_HEADER)
        try:
            whole = decompress(body, asked.header("content-encoding"), self._limits.max_body_bytes)
            request, arrays = decode(whole, asked.header(LENGTH_HEADER))
            size = check(arrays, self._form.inputs, request)
            if size > self._limits.max_items:
                raise UserError(f"a batch has up to {self._limits.max_items} items, not {size}", where="inputs")
            examples = self._form.to_examples(arrays, [self._new_id() for _ in range(size)])
            answerer = answerer or self._answering.answerer(key or client or self._new_id())
            rows = self._rows_of(await self._answering.answer(client, key, examples, answerer))
            answers, version = self._form.from_predictions(rows), _version(answerer)
            text, json_length = encode(request, answers, self._form.outputs, self._name, version)
        except UserError as error:
            raise refused(error, HTTPStatus.BAD_REQUEST, "invalid") from None
        data, encoding = compress(text, asked.header("accept-encoding"))
        headers = list(JSON_HEADERS)
        if json_length is not None:
            headers = [("content-type", "application/octet-stream"), (LENGTH_HEADER, str(json_length))]
        return HTTPStatus.OK, headers + ([("content-encoding", encoding)] if encoding else []), data

    def _rows_of(self, lines: Sequence[bytes | Problem]) -> list[Any]:
        """Rows, all of them answers: the protocol has no place for an item that fails. Raises Problem, UserError."""
        if problem := next((line for line in lines if isinstance(line, Problem)), None):
            raise problem
        rows = [self._rows.decode(line) for line in lines if isinstance(line, bytes)]
        failed = [row.error for row in rows if row.error]
        if failed:
            raise UserError(f"{len(failed)} of {len(rows)} items have no answer: {failed[0]}")
        return rows

    def _answerer(self, path: str) -> Answerer | None:
        """The model of the version that a path names, None where it names none. Raises Problem: 404, 503."""
        _, separator, rest = path.partition("/versions/")
        if not separator:
            self._answering.answerer()
            return None
        asked = rest.partition("/")[0]
        for one in self._answering.models.serving():
            if _version(one) == asked:
                return one
        what = f"version {asked[:40]!r} of {self._name} does not answer"
        raise Problem(HTTPStatus.NOT_FOUND, "no_such_version", what, where="path", next=f"GET {PREFIX}/models")


def route_of(path: str) -> str:
    """A path as routes are found by: the version that one names is none of its own."""
    before, separator, rest = path.partition("/versions/")
    _, slash, action = rest.partition("/")
    return f"{before}/versions/*{slash}{action}" if separator else path


def error_body(problem: Problem) -> bytes:
    """A problem as the protocol has it."""
    where = f" ({problem.body.where})" if problem.body.where else ""
    return msgspec.json.encode({"error": f"{problem.body.detail}{where}"})


def json_form(exchange: Exchange) -> TensorForm:
    """Requests and answers as texts: one of JSON for each item."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(exchange.body)

    def to_examples(arrays: Mapping[str, NDArray[Any]], ids: Sequence[str]) -> list[Any]:
        try:
            bodies = [decoder.decode(text) for text in arrays["request"]]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(str(error), where="request", remedy="GET /openapi.json") from None
        return [exchange.to_example(body, body.id or id) for body, id in zip(bodies, ids, strict=True)]

    def from_predictions(rows: Sequence[Any]) -> dict[str, NDArray[Any]]:
        return {"answer": np.array([msgspec.json.encode(row) for row in rows], object)}

    return TensorForm(
        inputs=[TensorDescription("request", "BYTES", (-1,))],
        outputs=[TensorDescription("answer", "BYTES", (-1,))],
        to_examples=to_examples,
        from_predictions=from_predictions,
    )


def _version(answerer: Answerer) -> str:
    """What a registry numbers it, without its name."""
    return answerer.identity.version.rpartition("/")[2]
