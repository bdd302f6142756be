"""Generation on another machine: the request row goes to a `baton serve`, and its prediction comes back."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from pipeline.contract.exploring import Cancelled
from pipeline.errors import UserError
from pipeline.explore.remote import RemoteExplorer
from pipeline.web.asking import weights_hash_of
from tests.explore.toy import ToyExample, ToyPrediction

HASH = "ab" * 32
REQUEST = ToyExample(id="made-000001", label="bee", seed=3, num_steps=4)


class FakeServe(BaseHTTPRequestHandler):
    """Answers as `baton serve` does: POST /v1/predict takes the row without schema, task and truth."""

    answer: dict[str, Any] | None = None
    asked: tuple[dict[str, Any], str | None] | None = None
    gate = threading.Event()

    def do_GET(self) -> None:
        """The model."""
        self._say(200, {"weights_hash": HASH})

    def do_POST(self) -> None:
        """A prediction, or a problem."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        FakeServe.asked = (body, self.headers["X-API-Key"])
        self.gate.wait(20)
        problem = {"title": "Unprocessable", "detail": "there is no class 'bee'"}
        self._say(200 if self.answer else 422, self.answer or problem)

    def _say(self, status: int, said: Any) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def remote() -> Iterator[RemoteExplorer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeServe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    FakeServe.gate.set()
    FakeServe.answer = msgspec.to_builtins(
        ToyPrediction(id="made-000001", model=HASH[:16], label="bee", seed=3, num_steps=4)
    )
    url = f"http://127.0.0.1:{server.server_port}/"
    yield RemoteExplorer(url, {"X-API-Key": "key"}, ("label",), ToyPrediction, HASH)
    FakeServe.gate.set()
    server.shutdown()
    server.server_close()


def generate(remote: RemoteExplorer, should_cancel: bool = False) -> Any:
    return remote.generate(REQUEST, lambda step: None, lambda: should_cancel)


def test_the_row_is_posted_without_what_is_no_request_and_the_prediction_comes_back(remote: RemoteExplorer) -> None:
    assert generate(remote) == ToyPrediction(id="made-000001", model=HASH[:16], label="bee", seed=3, num_steps=4)
    body = {"id": "made-000001", "seed": 3, "num_steps": 4, "references": [], "num_masked": 0}
    assert FakeServe.asked == (body, "key")
    assert weights_hash_of(remote.url, {}) == HASH


def test_what_goes_wrong_there_is_told_here(remote: RemoteExplorer) -> None:
    FakeServe.answer = None
    with pytest.raises(UserError, match="refuses with status 422: there is no class 'bee'"):
        generate(remote)
    FakeServe.answer = {"id": "made-000001"}
    with pytest.raises(UserError, match="what came back is no prediction"):
        generate(remote)
    other = RemoteExplorer("http://127.0.0.1:9", {}, (), ToyPrediction, HASH)
    with pytest.raises(UserError, match="the generator does not answer"):
        generate(other)


def test_another_model_there_is_refused(remote: RemoteExplorer) -> None:
    assert FakeServe.answer is not None
    FakeServe.answer["model"] = "0" * 16
    with pytest.raises(UserError, match="model 0000000000000000 answered, not abababababababab"):
        generate(remote)


def test_it_is_cancelled_without_waiting_for_the_answer(remote: RemoteExplorer) -> None:
    FakeServe.gate.clear()
    with pytest.raises(Cancelled):
        generate(remote, should_cancel=True)
