"""Generation on another machine: the request row goes to a `baton serve`, and its prediction comes back."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from pipeline.contract.exploring import Cancelled
from pipeline.errors import UserError
from pipeline.explore.remote import RemoteExplorer
from pipeline.web.asking import weights_hash_of
from tests.explore.serving import elsewhere
from tests.explore.toy import ToyExample, ToyPrediction

HASH = "ab" * 32
REQUEST = ToyExample(id="made-000001", label="bee", seed=3, num_steps=4)
ANSWER = ToyPrediction(id="made-000001", model=HASH[:16], label="bee", seed=3, num_steps=4, image_png="")
PROBLEM = {"title": "Unprocessable", "detail": "there is no class 'bee'"}


@dataclass
class FakeServe:
    """Answers as `baton serve` does: POST /v1/predict takes the row without schema, task and truth."""

    status: int = 200
    said: Any = field(default_factory=lambda: msgspec.to_builtins(ANSWER))
    asked: Any = None
    gate: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """The model, or a prediction once the gate is open."""
        if path == "/v1/model":
            return 200, {"weights_hash": HASH}
        self.asked = json.loads(body), headers["X-API-Key"]
        self.gate.wait(20)
        return self.status, self.said


@pytest.fixture
def there() -> FakeServe:
    fake = FakeServe()
    fake.gate.set()
    return fake


@pytest.fixture
def remote(there: FakeServe) -> Iterator[RemoteExplorer]:
    with elsewhere(there.answer) as url:
        yield RemoteExplorer(f"{url}/", {"X-API-Key": "key"}, ("label",), ToyPrediction, HASH)
        there.gate.set()


def generate(remote: RemoteExplorer, should_cancel: bool = False) -> Any:
    return remote.generate(REQUEST, lambda step: None, lambda: should_cancel)


def test_the_row_is_posted_without_what_is_no_request_and_the_prediction_comes_back(
    there: FakeServe, remote: RemoteExplorer
) -> None:
    assert generate(remote) == ANSWER
    body = {"id": "made-000001", "seed": 3, "num_steps": 4, "references": [], "num_masked": 0}
    assert there.asked == (body, "key")
    assert weights_hash_of(remote.url, {}) == HASH


@pytest.mark.parametrize(
    ("status", "said", "what"),
    [
        (422, PROBLEM, "refuses with status 422: there is no class 'bee'"),
        (200, {"id": "made-000001"}, "what came back is no prediction"),
        (
            200,
            msgspec.to_builtins(ANSWER) | {"model": "0" * 16},
            "model 0000000000000000 answered, not abababababababab",
        ),
    ],
)
def test_what_goes_wrong_there_is_told_here(
    there: FakeServe, remote: RemoteExplorer, status: int, said: Any, what: str
) -> None:
    there.status, there.said = status, said
    with pytest.raises(UserError, match=what):
        generate(remote)


def test_who_does_not_answer_is_told() -> None:
    with pytest.raises(UserError, match="this server does not answer"):
        generate(RemoteExplorer("http://127.0.0.1:9", {}, (), ToyPrediction, HASH))


def test_it_is_cancelled_without_waiting_for_the_answer(there: FakeServe, remote: RemoteExplorer) -> None:
    there.gate.clear()
    with pytest.raises(Cancelled):
        generate(remote, should_cancel=True)
    asking = [one for one in threading.enumerate() if one.name.startswith("asking")]
    assert asking and all(one.daemon for one in asking)  # the end of the server does not wait for it either
