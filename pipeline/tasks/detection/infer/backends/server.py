"""An OpenAI-compatible HTTP server: several requests at once, answers in order, and patience with what goes wrong.

What is wrong with one record (the server refuses it, or fails on it each time) costs that record. What is wrong with
the server (it cannot be reached, does not know the key or the model) stops the run, and the same command goes on.
"""

import asyncio
import datetime
import email.utils
import hashlib
import os
import random
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NoReturn, cast

import httpx

from pipeline.contract.jobs import InferJob
from pipeline.errors import UserError
from pipeline.tasks.detection.answers import DETAIL_LENGTH, Answer, Failure, Outcome, Request
from pipeline.tasks.detection.infer.backends.chat import payload, read_reply
from pipeline.tasks.detection.recipe import Infer, Server

_MAX_REPLY_BYTES = 64_000_000
_STOPS_THE_RUN = {
    401: "the server does not accept the key, or wants one",
    403: "the server does not allow this",
    404: "the server does not know this path, or this model",
    405: "the server does not take requests at this path",
}
_TRY_AGAIN = (408, 409, 425, 429)  # and all from 500 on


def wait_s(server: Server, attempt: int, stream: random.Random, retry_after: str | None) -> float:
    """Seconds before repetition number ``attempt``, from 1: they double, each shortened by up to a half at random.

    The jitter ("equal jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) keeps
    requests that failed together from coming back together. The header ``retry_after`` is waited for at least, up to
    ``max_wait_s``.
    """
    doubled_s = min(server.backoff_s * 2.0 ** min(attempt - 1, 60), server.max_wait_s)
    return max(doubled_s * (1.0 - 0.5 * stream.random()), min(parse_retry_after(retry_after), server.max_wait_s))


def parse_retry_after(text: str | None, now: datetime.datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, 10.2.3); 0 where it says neither."""
    if text is None:
        return 0.0
    if text.strip().isascii() and text.strip().isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, (moment - (now or datetime.datetime.now(datetime.UTC))).total_seconds())


class _FailedTry(Exception):
    """One attempt that may go better the next time: a code of `answers.FAILURES`, or "unreachable"."""

    def __init__(self, code: str, detail: str, retry_after: str | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.retry_after = code, detail, retry_after


class ServerBackend:
    """Requests to one server. ``key`` is sent with each and never written anywhere; "" is none."""

    needs_images, batch_size = True, 1

    def __init__(self, options: Infer, key: str) -> None:
        self._options, self._server, self._key = options, options.server, key
        self._url = f"{self._server.url.rstrip('/')}/chat/completions"
        self._model_id = hashlib.sha256(f"{self._server.url}\n{self._server.model}".encode()).hexdigest()[:16]

    def model_of(self, record_id: str) -> str:
        """A hash of the server's URL and the model's name: nothing else is known of it."""
        return self._model_id

    def answers(self, requests: Iterable[Request | Failure]) -> Iterator[Outcome]:
        """One outcome a request, in order. Twice as many requests wait as are asked at once: one slow answer would
        otherwise hold up the rest. Raises UserError when the server cannot be used at all."""
        waiting: deque[asyncio.Task[Outcome] | Failure] = deque()
        places = iter(requests)
        with asyncio.Runner() as runner:
            client, turn = self._client(), asyncio.Semaphore(self._server.num_parallel)
            try:
                while True:
                    for place in islice(places, 2 * self._server.num_parallel - len(waiting)):
                        if isinstance(place, Failure):
                            waiting.append(place)
                        else:
                            asked = self._ask(client, turn, payload(place, self._options), place.seed)
                            waiting.append(runner.get_loop().create_task(asked))
                    if not waiting:
                        break
                    first = waiting.popleft()
                    yield first if isinstance(first, Failure) else runner.run(_result(first))
            finally:
                runner.run(_close(client, waiting))

    def _client(self) -> httpx.AsyncClient:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        timeout = httpx.Timeout(self._server.timeout_s, connect=self._server.connect_timeout_s, pool=None)
        # No redirects: the key is for this server.
        return httpx.AsyncClient(headers=headers, timeout=timeout, follow_redirects=False)

    async def _ask(self, client: httpx.AsyncClient, turn: asyncio.Semaphore, body: bytes, seed: int) -> Outcome:
        """One record: as many attempts as allowed, and the waits between them."""
        stream = random.Random(seed)
        failed = _FailedTry("unreachable", "")
        async with turn:
            for attempt in range(1, self._server.num_tries + 1):
                if attempt > 1:
                    await asyncio.sleep(wait_s(self._server, attempt - 1, stream, failed.retry_after))
                try:
                    return await self._try(client, body)
                except _FailedTry as problem:
                    failed = problem
        if failed.code == "unreachable":
            self._stop(f"the server cannot be reached: {failed.detail}")
        return Failure(failed.code, self._clean(f"{failed.detail} (tried {self._server.num_tries} times)"))

    async def _try(self, client: httpx.AsyncClient, body: bytes) -> Outcome:
        try:
            async with asyncio.timeout(self._server.timeout_s):
                async with client.stream("POST", self._url, content=body) as response:
                    data = await _body(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise _FailedTry("unreachable", str(error) or type(error).__name__) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            raise _FailedTry("server_timeout", f"no answer within {self._server.timeout_s:g} s") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            self._stop(f"the URL cannot be used: {error}")
        except httpx.HTTPError as error:
            raise _FailedTry("server_broke_off", f"the connection broke: {type(error).__name__}") from error
        return self._read(response, data)

    def _read(self, response: httpx.Response, data: bytes) -> Answer | Failure:
        status = response.status_code
        if status == 200:
            try:
                return read_reply(data)
            except ValueError as error:
                raise _FailedTry("server_malformed", str(error)) from error
        said = f"status {status}: {' '.join(data[:1000].decode(errors='replace').split())}"
        if status in _STOPS_THE_RUN or status < 400:
            self._stop(f"{_STOPS_THE_RUN.get(status, 'the server does not answer at this URL')} ({self._clean(said)})")
        if status >= 500 or status in _TRY_AGAIN:
            raise _FailedTry("server_failed", said, response.headers.get("Retry-After"))
        return Failure("server_refused", self._clean(said))

    def _clean(self, text: str) -> str:
        """Short, and without the key, which some servers repeat in their complaints."""
        return (text.replace(self._key, "[key]") if self._key else text)[:DETAIL_LENGTH]

    def _stop(self, what: str) -> NoReturn:
        remedy = "check infer.server and the server; the same command goes on from where this run stopped"
        raise UserError(what, where=self._url, remedy=remedy)


async def _body(response: httpx.Response) -> bytes:
    data = bytearray()
    async for part in response.aiter_bytes():
        data += part
        if len(data) > _MAX_REPLY_BYTES:
            raise _FailedTry("server_malformed", f"the answer is longer than {_MAX_REPLY_BYTES:,} bytes")
    return bytes(data)


async def _result(task: asyncio.Task[Outcome]) -> Outcome:
    return await task


async def _close(client: httpx.AsyncClient, waiting: Iterable[asyncio.Task[Outcome] | Failure]) -> None:
    tasks = [task for task in waiting if not isinstance(task, Failure)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


def open_backend(job: InferJob) -> ServerBackend:
    """The server that the recipe names. Nothing is asked yet."""
    options = cast(Infer, job.options)
    backend = ServerBackend(options, os.environ.get(options.server.api_key_variable, "").strip())
    job.note("model", backend.model_of(""))
    return backend
