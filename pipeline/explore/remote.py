"""Generation on another machine: the request row is posted to a `baton serve` of the same task."""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
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
        pool = ThreadPoolExecutor(1, "asking")
        try:
            answer = pool.submit(self._ask, "POST", "/v1/predict", body)
            while not _is_done(answer):
                if should_cancel():
                    raise Cancelled
            prediction = msgspec.json.decode(answer.result(), type=self.prediction)
        except msgspec.DecodeError as error:
            raise UserError(f"what came back is no prediction: {error}", where=self.url) from error
        finally:
            pool.shutdown(wait=False)  # what was cancelled is let go of
        if prediction.model != self.weights_hash[:16]:
            what = f"model {prediction.model} answered, not {self.weights_hash[:16]}, of which the activations are"
            raise UserError(what, where=self.url, remedy=_REMEDY)
        return prediction

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        return ask(self.url, self.headers, method, path, body)


def _is_done(answer: "Future[bytes]") -> bool:
    try:
        answer.exception(timeout=_ASK_EVERY_S)
    except NotYet:
        return False
    return True
