"""The server without HTTP: a request to a status, headers and bytes. `adapters` puts it behind a web server."""

import asyncio
import secrets
import sys
import time
import traceback
from http import HTTPStatus
from itertools import count
from typing import Any, Protocol

import msgspec

from pipeline.errors import UserError
from pipeline.recipe.load import default_recipe
from pipeline.serve import answers
from pipeline.serve.answering import STICKY_HEADER, Answering, bug
from pipeline.serve.exchange import exchange_of
from pipeline.serve.http import problems
from pipeline.serve.http.limits import Keys, Rates
from pipeline.serve.http.message import JSON_HEADERS, Asked, Handler, Response, json_answer, json_body
from pipeline.serve.http.openapi import Route, describe
from pipeline.serve.http.problems import Problem, decoded, invalid
from pipeline.serve.metrics import MEDIA_TYPE as METRICS_TYPE
from pipeline.serve.metrics import Metrics, Reading
from pipeline.serve.models import Models
from pipeline.serve.routes.models import ModelRoutes
from pipeline.serve.routes.open_inference import PREFIX, OpenInference, error_body, route_of
from pipeline.serve.routes.page import Page
from pipeline.serve.settings import Settings
from pipeline.serve.truths import Truths

_READING_WAIT_S = 1.0  # for live metrics; what takes longer is told the next time
_TRUTH_WAIT_S, _TRUTH_ASK_EVERY_S = 1.0, 0.05  # for an answer whose row is on its way to the log


class Room(Protocol):
    """What answers at some routes: each has a method of the name of its handler."""

    @property
    def routes(self) -> list[Route]: ...


class Application:
    """Answers requests from the model that ``models`` has at that moment. One for each worker, on its event loop."""

    def __init__(self, settings: Settings, models: Models, metrics: Metrics) -> None:
        self.settings, self.models, self.metrics = settings, models, metrics
        self.limits = settings.limits
        self.exchange = exchange_of(settings.task)
        self.answering = Answering(settings, models, metrics)
        options = section_of(settings.task, "evaluate", settings.evaluate)
        self.truths = Truths(settings.log, self.exchange, settings.task, options) if settings.log else None
        self._keys = Keys(settings.auth_file)
        rate = self.limits.rate
        self._rates = Rates(None if rate is None else rate / settings.workers)
        self._decoder = msgspec.json.Decoder(self.exchange.body)
        self._batch_decoder = msgspec.json.Decoder(answers.batch_of(msgspec.Raw, self.limits.max_items))
        self._truth_decoder = msgspec.json.Decoder(self.exchange.truth)
        rooms: tuple[Room, ...] = (
            self,
            ModelRoutes(models, self.exchange),
            OpenInference(settings.name or settings.task, self.answering, self.exchange, self.limits, self._new_id),
            Page(self.exchange.part.page),
        )
        self._handlers: dict[tuple[str, str], tuple[Route, Handler]] = {
            (route.method, route.path): (route, getattr(room, route.handler)) for room in rooms for route in room.routes
        }
        all_routes = [route for route, _ in self._handlers.values()]
        self._requests = {route.path: metrics.requests.labels(route.path) for route in all_routes}
        self._openapi = describe(all_routes, title=f"Baton: {settings.task}", has_keys=settings.auth_file is not None)
        self._num_active, self._ids, self._start = 0, count(1), secrets.token_hex(5)
        self._reading: asyncio.Task[list[Reading]] | None = None
        self._readings: list[Reading] = []

    def close(self) -> None:
        """What is queued is written."""
        self.answering.close()

    @property
    def routes(self) -> list[Route]:
        """Those that are answered here."""
        exchange, num = self.exchange, self.limits.max_items
        batch, item = answers.batch_of(exchange.body, num), answers.item_of(exchange.prediction)
        found = [
            Route(method="POST", path="/v1/predict", handler="predict", summary="A prediction.",
                  request=exchange.body, answer=exchange.prediction),
            Route(method="POST", path="/v1/predict/batch", handler="predict_batch",
                  summary="Predictions, in order; an item that fails fails alone.", request=batch, answer=item),
            Route(method="GET", path="/health", handler="health", summary="Whether the server lives.",
                  answer=answers.Health, is_open=True),
            Route(method="GET", path="/ready", handler="ready", summary="Whether there is a model to answer.",
                  answer=answers.Health, is_open=True),
            Route(method="GET", path="/metrics", handler="exposed_metrics", summary="What Prometheus reads.",
                  answer=METRICS_TYPE),
            Route(method="GET", path="/openapi.json", handler="openapi", summary="This description.",
                  answer=dict[str, Any], is_open=True),
        ]  # fmt: skip
        if exchange.part.truth and self.settings.log:
            found.append(
                Route(method="POST", path="/v1/truth", handler="truth", summary="The ground truth of an answer.",
                      request=exchange.truth, answer=answers.TruthAnswer, problems=(404, 507))
            )  # fmt: skip
        return found

    async def respond(self, asked: Asked) -> Response:
        """The answer to any request, also to what is none. Never raises."""
        try:
            found = self._handlers.get((asked.method, asked.path)) or self._by_version(asked)
            if found is None:
                raise self._no_route(asked)
            route, handler = found
            self._requests[route.path].inc()
            if route.is_open:
                return await handler("", asked)
            client = self._keys.client_of(asked.header("authorization"), asked.header("x-api-key"))
            self._rates.take(client or asked.address)
            return await self._counted(handler, client, asked)
        except Problem as problem:
            self.metrics.errors.labels(problem.kind).inc()
            return _problem_response(problem, asked.path)
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            self.metrics.errors.labels("bug").inc()
            return _problem_response(bug(), asked.path)

    async def _counted(self, handler: Handler, client: str, asked: Asked) -> Response:
        if self._num_active >= self.limits.max_in_flight:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                f"{self._num_active} requests are in flight",
                next="ask again in 1 s, or start the server with more --workers",
                headers={"Retry-After": "1"},
            )
        self._num_active += 1
        self.metrics.active.inc()
        try:
            return await handler(client, asked)
        finally:
            self._num_active -= 1
            self.metrics.active.dec()

    def _by_version(self, asked: Asked) -> tuple[Route, Handler] | None:
        return self._handlers.get((asked.method, route_of(asked.path))) if asked.path.startswith(PREFIX) else None

    def _no_route(self, asked: Asked) -> Problem:
        allowed = [method for method, path in self._handlers if path == route_of(asked.path)]
        if not allowed:
            what, next = f"there is nothing at {asked.path[:100]!r}", "GET /openapi.json lists all routes"
            return Problem(HTTPStatus.NOT_FOUND, "no_such_route", what, where="path", next=next)
        allow = ", ".join(sorted(allowed))
        what = f"{asked.path} does not take {asked.method}"
        headers = {"Allow": allow}
        return Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method", what, where="method", next=allow, headers=headers)

    async def predict(self, client: str, asked: Asked) -> Response:
        """``POST /v1/predict``."""
        started = time.perf_counter()
        body = await json_body(asked)
        read = time.perf_counter()
        example = self._example(decoded(self._decoder, body))
        self.metrics.preprocessing.observe((time.perf_counter() - read) * 1000)
        (line,) = await self.answering.answer(client, asked.header(STICKY_HEADER), [example])
        if isinstance(line, Problem):
            raise line
        self.metrics.latency.observe((time.perf_counter() - started) * 1000)
        return HTTPStatus.OK, JSON_HEADERS, line

    async def predict_batch(self, client: str, asked: Asked) -> Response:
        """``POST /v1/predict/batch``."""
        started = time.perf_counter()
        items = decoded(self._batch_decoder, await json_body(asked)).items
        results: list[Any] = [self._read_item(item) for item in items]
        places = [place for place, result in enumerate(results) if not isinstance(result, Problem)]
        examples = [results[place] for place in places]
        lines = await self.answering.answer(client, asked.header(STICKY_HEADER), examples)
        for place, line in zip(places, lines, strict=True):
            results[place] = line
        for result in results:
            if isinstance(result, Problem):
                self.metrics.errors.labels(result.kind).inc()
        self.metrics.latency.observe((time.perf_counter() - started) * 1000)
        return HTTPStatus.OK, JSON_HEADERS, answers.encode_items(results)

    async def truth(self, client: str, asked: Asked) -> Response:
        """``POST /v1/truth``."""
        assert self.truths is not None, "without a log there is no such route"
        told = decoded(self._truth_decoder, await json_body(asked))
        deadline = time.monotonic() + _TRUTH_WAIT_S
        while True:
            try:
                models = await asyncio.to_thread(self.truths.post, client, told)
                return json_answer(answers.TruthAnswer(id=told.id, models=models))
            except UserError as error:
                status = HTTPStatus.INSUFFICIENT_STORAGE
                raise Problem(status, "disk", error.what, next="free some space on the server") from None
            except Problem:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_TRUTH_ASK_EVERY_S)

    async def health(self, client: str, asked: Asked) -> Response:
        """``GET /health``."""
        return json_answer(answers.Health(status="live"))

    async def ready(self, client: str, asked: Asked) -> Response:
        """``GET /ready``."""
        self.answering.answerer()
        return json_answer(answers.Health(status="ready"))

    async def exposed_metrics(self, client: str, asked: Asked) -> Response:
        """``GET /metrics``."""
        if self.truths and (self._reading is None or self._reading.done()):
            models = [one.identity.model for one in self.models.serving()]
            self._reading = asyncio.create_task(asyncio.to_thread(self.truths.readings, models))
        if self._reading:
            await asyncio.wait([self._reading], timeout=_READING_WAIT_S)
            self._readings = self._reading.result() if self._reading.done() else self._readings
        return HTTPStatus.OK, [("content-type", METRICS_TYPE)], self.metrics.exposed(self._readings)

    async def openapi(self, client: str, asked: Asked) -> Response:
        """``GET /openapi.json``."""
        return HTTPStatus.OK, JSON_HEADERS, self._openapi

    def _read_item(self, item: msgspec.Raw) -> Any:
        """The example of one item of a batch, or the Problem that it has."""
        try:
            return self._example(decoded(self._decoder, item))
        except Problem as problem:
            return problem

    def _new_id(self) -> str:
        return f"{self._start}-{next(self._ids)}"

    def _example(self, request: Any) -> Any:
        try:
            return self.exchange.to_example(request, request.id or self._new_id())
        except UserError as error:
            raise invalid(error) from None


def section_of(task: str, name: str, plain: Any) -> Any:
    """A section of a task's recipe from plain values; where there are none, as it is by default."""
    section = getattr(default_recipe(task), name, None)
    return section if plain is None else msgspec.convert(plain, type(section))


def _problem_response(problem: Problem, path: str) -> Response:
    if path.startswith(PREFIX):
        return problem.body.status, [*JSON_HEADERS, *problem.headers], error_body(problem)
    return problem.body.status, [("content-type", problems.MEDIA_TYPE), *problem.headers], problem.encoded()
