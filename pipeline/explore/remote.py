"""Generation on another machine: the request row is posted to a `baton serve` of the same task."""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Any

import msgspec

from pipeline.contract.exploring import Cancelled, Step
from pipeline.errors import UserError
from pipeline.web.asking import ask

_ASK_EVERY_S = 0.1  # whether it is to be cancelled
_REMEDY = "start it with `baton serve`, or leave --generator out"


@dataclass(frozen=True)
class RemoteExplorer:
    """The server at ``url``, asked with ``headers``. ``truth`` are fields of an example that are no part of a request;
    ``prediction`` is the type of what it answers, with the model whose ``weights_hash`` that is."""

    url: str
    headers: Mapping[str, str]
    truth: Collection[str]
    prediction: type[Any]
    weights_hash: str

    def generate(self, request: Any, on_step: Callable[[Step], None], should_cancel: Callable[[], bool]) -> Any:
        """The prediction that comes back; its steps come with it, none before. Raises Cancelled and UserError."""
        left_out = {"schema", "task", *self.truth}
        body = {name: value for name, value in msgspec.to_builtins(request).items() if name not in left_out}
        answer: Future[bytes] = Future()

        def post() -> None:
            try:
                answer.set_result(ask(self.url, self.headers, "POST", "/v1/predict", body))
            except BaseException as error:
                answer.set_exception(error)

        Thread(target=post, daemon=True, name="asking").start()  # what was cancelled holds up nothing, the end neither
        while not wait([answer], _ASK_EVERY_S).done:
            if should_cancel():
                raise Cancelled
        try:
            prediction = msgspec.json.decode(answer.result(), type=self.prediction)
        except msgspec.DecodeError as error:
            raise UserError(f"what came back is no prediction: {error}", where=self.url) from error
        if prediction.model != self.weights_hash[:16]:
            what = f"model {prediction.model} answered, not {self.weights_hash[:16]}, of which the activations are"
            raise UserError(what, where=self.url, remedy=_REMEDY)
        return prediction
