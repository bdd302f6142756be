"""The server without HTTP: a request to a status, headers and bytes. `adapters` puts it behind a web server."""

import asyncio
import secrets
import sys
import time
import traceback
from http import HTTPStatus
from itertools import count
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.recipe.load import default_recipe
from pipeline.serve.answering import STICKY_HEADER, Answering, bug
from pipeline.serve.answers import Health, TruthAnswer, batch_answer_of, batch_of, encode_items
from pipeline.serve.exchange import exchange_of
from pipeline.serve.http import problems
from pipeline.serve.http.limits import Keys, Rates
from pipeline.serve.http.message import JSON_HEADERS, Asked, Response, Route, json_answer, json_body
from pipeline.serve.http.openapi import describe
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
_COUNT_EVERY_S = 0.1
_TRUTH_WAIT_S, _TRUTH_ASK_EVERY_S = 1.0, 0.05  # for an answer whose row is on its way to the log


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
        self._rates = Rates(self.limits.rate and self.limits.rate / settings.workers)
        self._decoder = msgspec.json.Decoder(self.exchange.body)
        self._batch_decoder = msgspec.json.Decoder(batch_of(msgspec.Raw, self.limits.max_items))
        self._truth_decoder = msgspec.json.Decoder(self.exchange.truth)
        v2 = OpenInference(settings.name or settings.task, self.answering, self.exchange, self.limits, self._new_id)
        rooms = (self, ModelRoutes(models, self.exchange), v2, Page(self.exchange.part.page))
        self._routes = {(route.method, route.path): route for room in rooms for route in room.routes}
        self._requests = {route.path: metrics.requests.labels(route.path) for route in self._routes.values()}
        title, has_keys = f"Baton: {settings.task}", settings.auth_file is not None
        self._openapi = describe([*self._routes.values()], title=title, has_keys=has_keys)
        self._is_counting = False
        self._ids, self._start = count(1), secrets.token_hex(5)
        self._reading: asyncio.Task[list[Reading]] | None = None
        self._readings: list[Reading] = []

    def close(self) -> None:
        """What is queued is written."""
        self.answering.close()
        self._count()

    @property
    def routes(self) -> list[Route]:
        """Those that are answered here."""
        body, prediction, truth = self.exchange.body, self.exchange.prediction, self.exchange.truth
        batch, batch_answer = batch_of(body, self.limits.max_items), batch_answer_of(prediction)
        found = [
            Route("POST", "/v1/predict", self.predict, prediction, body),
            Route("POST", "/v1/predict/batch", self.predict_batch, batch_answer, batch),
            Route("GET", "/health", self.health, Health, is_open=True),
            Route("GET", "/ready", self.ready, Health, is_open=True),
            Route("GET", "/metrics", self.exposed_metrics, METRICS_TYPE),
            Route("GET", "/openapi.json", self.openapi, dict[str, Any], is_open=True),
        ]
        if self.exchange.part.truth and self.settings.log:
            found.append(Route("POST", "/v1/truth", self.truth, TruthAnswer, truth, problems=(404, 507)))
        return found

    async def respond(self, asked: Asked) -> Response:
        """The answer to any request, also to what is none. Never raises."""
        try:
            route = self._routes.get((asked.method, asked.path)) or self._routes.get(
                (asked.method, route_of(asked.path))
            )
            if route is None:
                raise self._no_route(asked)
            self._requests[route.path].inc()
            if route.is_open:
                return await route.handler("", asked)
            client = self._keys.client_of(asked.header("authorization"), asked.header("x-api-key"))
            self._rates.take(client or asked.address)
            return await self._counted(route, client, asked)
        except Problem as error:
            problem = error
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            problem = bug()
        self.metrics.errors.labels(problem.kind).inc()
        if asked.path.startswith(PREFIX):
            return problem.body.status, [*JSON_HEADERS, *problem.headers], error_body(problem)
        return problem.body.status, [("content-type", problems.MEDIA_TYPE), *problem.headers], problem.encoded()

    async def _counted(self, route: Route, client: str, asked: Asked) -> Response:
        if self.answering.num_active >= self.limits.max_in_flight:
            what = f"{self.answering.num_active} requests are in flight"
            next, headers = "ask again in 1 s, or start the server with more --workers", {"Retry-After": "1"}
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", what, next=next, headers=headers)
        self.answering.num_active += 1
        if not self._is_counting:  # behind the answers, many together
            self._is_counting = True
            asyncio.get_running_loop().call_later(_COUNT_EVERY_S, self._count)
        try:
            return await route.handler(client, asked)
        finally:
            self.answering.num_active -= 1

    def _count(self) -> None:
        self._is_counting = False
        self.metrics.count(self.answering.num_active)

    def _no_route(self, asked: Asked) -> Problem:
        allow = ", ".join(sorted(method for method, path in self._routes if path == route_of(asked.path)))
        if not allow:
            what, next = f"there is nothing at {asked.path[:100]!r}", "GET /openapi.json lists all routes"
            return Problem(HTTPStatus.NOT_FOUND, "no_such_route", what, where="path", next=next)
        what, headers = f"{asked.path} does not take {asked.method}", {"Allow": allow}
        return Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method", what, where="method", next=allow, headers=headers)

    async def predict(self, client: str, asked: Asked) -> Response:
        """A prediction."""
        started = time.perf_counter()
        body = await json_body(asked)
        read = time.perf_counter()
        example = self._example(body)
        self.metrics.preprocessing.observe((time.perf_counter() - read) * 1000)
        (line,) = await self.answering.answer(client, asked.header(STICKY_HEADER), [example])
        if isinstance(line, Problem):
            raise line
        self.metrics.latency.observe((time.perf_counter() - started) * 1000)
        return HTTPStatus.OK, JSON_HEADERS, line

    async def predict_batch(self, client: str, asked: Asked) -> Response:
        """Predictions, in order; an item that fails fails alone."""
        started = time.perf_counter()
        items = decoded(self._batch_decoder, await json_body(asked)).items
        results: list[Any] = []
        for item in items:
            try:
                results.append(self._example(item))
            except Problem as problem:
                results.append(problem)
        places = [place for place, result in enumerate(results) if not isinstance(result, Problem)]
        examples = [results[place] for place in places]
        lines = await self.answering.answer(client, asked.header(STICKY_HEADER), examples)
        for place, line in zip(places, lines, strict=True):
            results[place] = line
        for result in results:
            if isinstance(result, Problem):
                self.metrics.errors.labels(result.kind).inc()
        self.metrics.latency.observe((time.perf_counter() - started) * 1000)
        return HTTPStatus.OK, JSON_HEADERS, encode_items(results)

    async def truth(self, client: str, asked: Asked) -> Response:
        """The ground truth of an answer."""
        assert self.truths is not None, "without a log there is no such route"
        told = decoded(self._truth_decoder, await json_body(asked))
        deadline = time.monotonic() + _TRUTH_WAIT_S
        while True:
            try:
                models = await asyncio.to_thread(self.truths.post, client, told)
                return json_answer(TruthAnswer(id=told.id, models=models))
            except UserError as error:
                status, next = HTTPStatus.INSUFFICIENT_STORAGE, "free some space on the server"
                raise Problem(status, "disk", error.what, next=next) from None
            except Problem:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_TRUTH_ASK_EVERY_S)

    async def health(self, client: str, asked: Asked) -> Response:
        """Whether the server lives."""
        return json_answer(Health(status="live"))

    async def ready(self, client: str, asked: Asked) -> Response:
        """Whether there is a model to answer."""
        self.answering.answerer()
        return json_answer(Health(status="ready"))

    async def exposed_metrics(self, client: str, asked: Asked) -> Response:
        """What Prometheus reads."""
        self._count()
        if self.truths and (self._reading is None or self._reading.done()):
            models = [one.identity.model for one in self.models.serving()]
            self._reading = asyncio.create_task(asyncio.to_thread(self.truths.readings, models))
        if self._reading:
            await asyncio.wait([self._reading], timeout=_READING_WAIT_S)
            self._readings = self._reading.result() if self._reading.done() else self._readings
        return HTTPStatus.OK, [("content-type", METRICS_TYPE)], self.metrics.exposed(self._readings)

    async def openapi(self, client: str, asked: Asked) -> Response:
        """This description."""
        return HTTPStatus.OK, JSON_HEADERS, self._openapi

    def _new_id(self) -> str:
        return f"{self._start}-{next(self._ids)}"

    def _example(self, body: bytes | msgspec.Raw) -> Any:
        """What a request asks. Raises Problem."""
        request = decoded(self._decoder, body)
        try:
            return self.exchange.to_example(request, request.id or self._new_id())
        except UserError as error:
            raise invalid(error) from None


def section_of(task: str, name: str, plain: Any) -> Any:
    """A section of a task's recipe from plain values; where there are none, as it is by default."""
    section = getattr(default_recipe(task), name, None)
    return section if plain is None else msgspec.convert(plain, type(section))
