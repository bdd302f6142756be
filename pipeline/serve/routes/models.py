"""The routes about models: which answers, which there are, another one, the one before, and a second one."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from pipeline.errors import UserError
from pipeline.registry.entry import Version
from pipeline.serve.answers import ModelAnswer, describe_model
from pipeline.serve.exchange import Exchange
from pipeline.serve.http.message import Asked, Response, json_answer, json_body
from pipeline.serve.http.openapi import Route
from pipeline.serve.http.problems import Problem, decoded
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


class VersionAnswer(Struct, frozen=True, kw_only=True):
    """A version of the registry."""

    version: str
    weights_hash: str | None
    created_at: str | None
    aliases: list[str]


class ModelsAnswer(Struct, frozen=True, kw_only=True):
    """The models that answer, the first one to all keys that no canary takes; what else there is; what was refused."""

    models: list[ModelAnswer]
    second: SecondAnswer
    previous: str | None
    refused: list[Refused]
    versions: list[VersionAnswer]


class ModelRoutes:
    """Handlers of these routes. What takes long is done in a thread, beside the requests."""

    def __init__(self, models: Models, exchange: Exchange) -> None:
        self._models, self._exchange = models, exchange
        self._reload = msgspec.json.Decoder(ReloadRequest)
        self._second = msgspec.json.Decoder(SecondRequest)

    @property
    def routes(self) -> list[Route]:
        """What they are."""
        return [
            Route(method="GET", path="/v1/model", handler="model", summary="The model that answers.",
                  answer=ModelAnswer),
            Route(method="GET", path="/v1/models", handler="all_models", summary="All models that answer or could.",
                  answer=ModelsAnswer),
            Route(method="POST", path="/v1/model/reload", handler="reload",
                  summary="Answer from another model, if it proves to be no worse.",
                  request=ReloadRequest, answer=Outcome, problems=(409,)),
            Route(method="POST", path="/v1/model/second", handler="second",
                  summary="Let a second model answer some, or be asked in the shadow.",
                  request=SecondRequest, answer=SecondAnswer, problems=(409,)),
        ]  # fmt: skip

    async def model(self, client: str, asked: Asked) -> Response:
        """``GET /v1/model``."""
        answerer = self._models.current()
        if answerer is None:
            status, next = HTTPStatus.SERVICE_UNAVAILABLE, "GET /v1/models says what was refused"
            raise Problem(status, "no_model", "there is no model yet", next=next, headers={"Retry-After": "1"})
        return json_answer(describe_model(answerer.identity, self._exchange))

    async def all_models(self, client: str, asked: Asked) -> Response:
        """``GET /v1/models``. A registry that does not answer is no reason to say nothing."""
        try:
            versions = await asyncio.to_thread(self._models.versions)
        except UserError:
            versions = []
        pointer = self._models.pointer()
        return json_answer(
            ModelsAnswer(
                models=[describe_model(one.identity, self._exchange) for one in self._models.serving()],
                second=_second(pointer),
                previous=pointer.previous.version if pointer.previous else None,
                refused=list(pointer.refused),
                versions=[_version(one) for one in versions],
            )
        )

    async def reload(self, client: str, asked: Asked) -> Response:
        """``POST /v1/model/reload``. An empty body asks for what the server was started with."""
        body = await asked.read() if asked.header("content-length") == "0" else await json_body(asked)
        request = decoded(self._reload, body or b"{}")
        if request.roll_back:
            return json_answer(await _done(self._models.roll_back))
        return json_answer(await _done(self._models.reload, request.model))

    async def second(self, client: str, asked: Asked) -> Response:
        """``POST /v1/model/second``."""
        request = decoded(self._second, await json_body(asked))
        return json_answer(_second(await _done(self._models.set_second, request.model, request.mode, request.share)))


async def _done(work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work gives. Raises Problem: 409, where the old model stays, with the reason."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except UserError as error:
        raise Problem(HTTPStatus.CONFLICT, "reload_refused", error.what, where=error.where, next=error.remedy) from None


def _second(pointer: Pointer) -> SecondAnswer:
    second = pointer.second
    if second is None:
        return SecondAnswer()
    return SecondAnswer(version=second.target.version, mode=second.mode, share=second.share)


def _version(one: Version) -> VersionAnswer:
    return VersionAnswer(
        version=one.version, weights_hash=one.weights_hash, created_at=one.created_at, aliases=list(one.aliases)
    )
