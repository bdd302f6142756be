"""Examples to rows: by the model that is theirs, or from the cache; into the log, and to the shadow."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.files import encode
from pipeline.serve.batching import Batching
from pipeline.serve.cache import KeyMaker, open_cache
from pipeline.serve.http.problems import Problem, invalid, no_model
from pipeline.serve.log import RequestLog
from pipeline.serve.metrics import Metrics
from pipeline.serve.models import Models
from pipeline.serve.reload.second import Shadow
from pipeline.serve.settings import Settings

STICKY_HEADER = "x-sticky-key"  # what a canary's share is taken of, where the client's name is not it
_NO_ID = b'"id":""'


class Answering:
    """What all routes that predict share. One for each worker, on its event loop."""

    def __init__(self, settings: Settings, models: Models, metrics: Metrics) -> None:
        self.models, self._limits = models, settings.limits
        self.num_active = 0  # requests in flight
        self._batching = Batching(metrics, settings.limits.max_items, lambda: self.num_active == 1)
        self.log = RequestLog(settings.log, metrics, settings.rotate_mb) if settings.log else None
        self._shadow = Shadow(models.shadow, self.log, lambda outcome: metrics.shadow.labels(outcome).inc())
        self._cache = metrics.cache = open_cache(metrics.cache_event, wanted=settings.cache)
        self._decoding, self._keys = settings.decoding, dict[Answerer, KeyMaker]()
        metrics.loaded.set(models.current() is not None)

    def close(self) -> None:
        """What is queued is written."""
        self.models.close()
        self._batching.close()
        self._shadow.close()
        if self.log:
            self.log.close()

    def answerer(self, key: str = "") -> Answerer:
        """The model that answers to a key. Raises Problem: 503 where there is none."""
        answerer = self.models.choose(key)
        if answerer is None:
            raise no_model("ask again when GET /ready says that there is one")
        return answerer

    async def answer(
        self, client: str, key: str | None, examples: Sequence[Any], answerer: Answerer | None = None
    ) -> list[bytes | Problem]:
        """The row of each example, as the log gets it, or the problem that it alone has. All are of one model.

        ``key`` is what the model is chosen by, else the client, else the first id, where no ``answerer`` is named.
        Raises Problem where there is no model, or no time.
        """
        if not examples:
            return []
        answerer = answerer or self.answerer(key or client or examples[0].id)
        if self._cache is not None:
            lines = await self._by_cache(answerer, examples)
        else:
            lines = await self._by_model(answerer, examples)
        for example, line in zip(examples, lines, strict=True):
            if isinstance(line, Problem):
                continue
            if self.log:
                self.log.offer(client, answerer.identity.model, line)
            self._shadow.offer(client, example, line)
        return lines

    async def _by_model(self, answerer: Answerer, examples: Sequence[Any]) -> list[bytes | Problem]:
        timeout_s = self._limits.timeout_s
        try:
            return [_line(outcome) for outcome in await self._batching.answer(answerer, examples, timeout_s)]
        except TimeoutError:
            what, next = f"there was no answer within {timeout_s:g} s", "ask for less at a time, or later"
            raise Problem(HTTPStatus.GATEWAY_TIMEOUT, "timeout", what, next=next) from None

    async def _by_cache(self, answerer: Answerer, examples: Sequence[Any]) -> list[bytes | Problem]:
        """A row is kept without its id."""
        assert self._cache is not None
        keys = [self._key_maker(answerer).key(example) for example in examples]
        lines: list[bytes | Problem | None] = []
        for key, example in zip(keys, examples, strict=True):
            kept = self._cache.get(key)
            lines.append(None if kept is None else kept.replace(_NO_ID, _id(example), 1))
        missing = [n for n, line in enumerate(lines) if line is None]
        if missing:
            for n, line in zip(missing, await self._by_model(answerer, [examples[n] for n in missing]), strict=True):
                lines[n] = line
                if not isinstance(line, Problem):
                    self._cache.put(keys[n], line.replace(_id(examples[n]), _NO_ID, 1))
        return [line for line in lines if line is not None]

    def _key_maker(self, answerer: Answerer) -> KeyMaker:
        if answerer not in self._keys:
            self._keys = {one: maker for one, maker in self._keys.items() if one in self.models.serving()}
            self._keys[answerer] = KeyMaker(answerer.identity, self._decoding, release())
        return self._keys[answerer]


def release() -> str:
    """The version of Baton: another one may read requests in another way."""
    from importlib.metadata import version  # here: only who keeps answers needs it

    return version("baton-pipeline")


def _id(example: Any) -> bytes:
    return b'"id":' + msgspec.json.encode(example.id)


def _line(outcome: Any) -> bytes | Problem:
    """The row of an answer, or the problem that it has."""
    if isinstance(outcome, UserError):
        return invalid(outcome)
    if isinstance(outcome, Exception):
        return bug()
    try:
        return encode(outcome)
    except UserError as error:
        return invalid(UserError(f"the answer to this is no number: {error.what}", where=error.where))
    except OverflowError:
        return invalid(UserError("a number is too large", remedy="whole numbers have up to 64 bits"))


def bug() -> Problem:
    """What who asks is told of a bug: nothing of its inside."""
    status, next = HTTPStatus.INTERNAL_SERVER_ERROR, "tell who runs this server: its standard error says more"
    return Problem(status, "bug", "the server failed on this request", next=next)
