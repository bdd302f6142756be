"""The routes about models: which answers, which there are, another one, the one before, and a second one."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from pipeline.contract.serving import ModelIdentity
from pipeline.errors import UserError
from pipeline.registry.entry import Version
from pipeline.serve.exchange import Exchange
from pipeline.serve.http.message import Asked, Response, Route, json_answer, json_body
from pipeline.serve.http.problems import decoded, no_model, refused
from pipeline.serve.models import Models, Outcome
from pipeline.serve.reload.state import Mode, Pointer, Refused

Asking = Annotated[str, Meta(min_length=1, max_length=256)]


class ReloadRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model: a version or an alias of the registry; null for the one that the server was started with, looked up
    anew. ``roll_back``: the model before this one."""

    model: Asking | None = None
    roll_back: bool = False


class SecondRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version or an alias of the registry that is to be the second model, null for none. A canary answers ``share``
    of the keys; a shadow is asked all that the model is asked, and answers nobody."""

    model: Asking | None
    mode: Mode = "canary"
    share: Annotated[float, Meta(ge=0, le=1)] = 0.1


class SecondAnswer(Struct, frozen=True, kw_only=True):
    """The second model, if there is one."""

    version: str | None = None
    mode: Mode | None = None
    share: float | None = None


class ModelAnswer(Struct, frozen=True, kw_only=True):
    """A model: ``model`` is what its rows say; the hashes are those of its inference_v1 file.

    ``trained`` is what the file says of its training, ``input`` and ``output`` what goes into the network and out.
    """

    task: str
    version: str
    model: str
    weights_hash: str
    brain_spec_hash: str
    created_at: str
    network: Mapping[str, Any]
    trained: Mapping[str, Any]
    input: Any = None
    output: Any = None
    request: str
    answer: str


class ModelsAnswer(Struct, frozen=True, kw_only=True):
    """The models that answer, the first one to all keys that no canary takes; what else there is; what was refused."""

    models: list[ModelAnswer]
    second: SecondAnswer
    previous: str | None
    refused: list[Refused]
    versions: list[Version]


class ModelRoutes:
    """Handlers of these routes. What takes long is done in a thread, beside the requests."""

    def __init__(self, models: Models, exchange: Exchange) -> None:
        self._models, self._exchange = models, exchange
        self._reload = msgspec.json.Decoder(ReloadRequest)
        self._second = msgspec.json.Decoder(SecondRequest)
        self.routes = [
            Route("GET", "/v1/model", self.model, ModelAnswer),
            Route("GET", "/v1/models", self.all_models, ModelsAnswer),
            Route("POST", "/v1/model/reload", self.reload, Outcome, ReloadRequest, problems=(409,)),
            Route("POST", "/v1/model/second", self.second, SecondAnswer, SecondRequest, problems=(409,)),
        ]

    async def model(self, client: str, asked: Asked) -> Response:
        """The model that answers."""
        answerer = self._models.current()
        if answerer is None:
            raise no_model("GET /v1/models says what was refused")
        return json_answer(self._describe(answerer.identity))

    async def all_models(self, client: str, asked: Asked) -> Response:
        """All models that answer or could."""
        try:
            versions = list(await asyncio.to_thread(self._models.versions))
        except UserError:  # a registry that does not answer is no reason to say nothing
            versions = []
        pointer = self._models.pointer()
        return json_answer(
            ModelsAnswer(
                models=[self._describe(one.identity) for one in self._models.serving()],
                second=_second(pointer),
                previous=pointer.previous.version if pointer.previous else None,
                refused=list(pointer.refused),
                versions=versions,
            )
        )

    async def reload(self, client: str, asked: Asked) -> Response:
        """Answer from another model, if it proves to be no worse."""
        request = decoded(self._reload, await json_body(asked, b"{}"))
        if request.roll_back:
            return json_answer(await _done(self._models.roll_back))
        return json_answer(await _done(self._models.reload, request.model))

    async def second(self, client: str, asked: Asked) -> Response:
        """Let a second model answer some, or be asked in the shadow."""
        request = decoded(self._second, await json_body(asked))
        return json_answer(_second(await _done(self._models.set_second, request.model, request.mode, request.share)))

    def _describe(self, identity: ModelIdentity) -> ModelAnswer:
        about = dict(identity.metadata)
        return ModelAnswer(
            task=identity.task,
            version=identity.version,
            model=identity.model,
            weights_hash=identity.weights_hash,
            brain_spec_hash=identity.brain_spec_hash,
            created_at=identity.created_at,
            network=identity.brain_spec,
            input=about.pop("input", None),
            output=about.pop("output", None),
            trained=about,
            request=f"/openapi.json#/components/schemas/{self._exchange.body.__name__}",
            answer=f"/openapi.json#/components/schemas/{self._exchange.prediction.__name__}",
        )


async def _done(work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work gives. Raises Problem: 409, where the old model stays, with the reason."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except UserError as error:
        raise refused(error, HTTPStatus.CONFLICT, "reload_refused") from None


def _second(pointer: Pointer) -> SecondAnswer:
    second = pointer.second
    if second is None:
        return SecondAnswer()
    return SecondAnswer(version=second.target.version, mode=second.mode, share=second.share)
