"""The application behind web servers: RSGI (granian, the default) and ASGI (uvicorn, tests, mounting)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from pipeline.serve.application import Application
from pipeline.serve.http.limits import Limits
from pipeline.serve.http.problems import Problem

Message = MutableMapping[str, Any]
_NUM_DIGITS = 15  # of a Content-Length: more is more than any limit


def check_length(header: str | None, limits: Limits) -> int | None:
    """The stated length of a body, None where there is none. Raises Problem: 400, or 413 before anything is read."""
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= _NUM_DIGITS):
        raise Problem(HTTPStatus.BAD_REQUEST, "cut", "this is no length", where="header Content-Length")
    if int(header) > limits.max_body_bytes:
        raise _too_large(limits)
    return int(header)


async def gathered(chunks: AsyncIterator[bytes], limits: Limits) -> bytes:
    """A body of unknown length. Raises Problem: 413 as soon as it is too large."""
    parts, num_bytes = [], 0
    async for chunk in chunks:
        num_bytes += len(chunk)
        if num_bytes > limits.max_body_bytes:
            raise _too_large(limits)
        parts.append(chunk)
    return b"".join(parts)


async def in_time(body: Awaitable[bytes], length: int | None, limits: Limits) -> bytes:
    """The body, whole. Raises Problem: 408 where it is too slow, 400 where it was cut."""
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            data = await body
    except TimeoutError:
        what, next = f"the body did not come within {limits.body_timeout_s:g} s", "send it faster"
        headers = {"Connection": "close"}
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "slow", what, next=next, headers=headers) from None
    if length is not None and len(data) != length:
        raise Problem(HTTPStatus.BAD_REQUEST, "cut", f"{len(data)} of {length} bytes came", where="the body")
    return data


def _too_large(limits: Limits) -> Problem:
    what, next = f"the body has more than {limits.max_body_bytes:,} bytes", "send less at a time"
    status, headers = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Connection": "close"}
    return Problem(status, "too_large", what, where="the body", next=next, headers=headers)


class _RsgiAsked:
    __slots__ = ("_limits", "_protocol", "_scope", "header", "method", "path")

    def __init__(self, scope: Any, protocol: Any, limits: Limits) -> None:
        self.method, self.path, self.header = scope.method, scope.path, scope.headers.get
        self._scope, self._protocol, self._limits = scope, protocol, limits

    @property
    def address(self) -> str:
        return str(self._scope.client).rpartition(":")[0]

    async def read(self) -> bytes:
        length = check_length(self.header("content-length"), self._limits)
        body = gathered(self._protocol, self._limits) if length is None else self._protocol()
        try:
            return await in_time(body, length, self._limits)
        except RuntimeError as error:  # granian's, of a connection that ended
            raise Problem(HTTPStatus.BAD_REQUEST, "cut", "the connection ended", where="the body") from error


class Rsgi:
    """https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md"""

    def __init__(self, application: Application) -> None:
        self.application = application

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """The worker ends, and has answered all that it had."""
        self.application.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request."""
        if scope.proto != "http":
            protocol.close(403)
            return
        asked = _RsgiAsked(scope, protocol, self.application.limits)
        status, headers, body = await self.application.respond(asked)
        protocol.response_bytes(int(status), headers, body)


class _AsgiAsked:
    def __init__(self, scope: Message, receive: Callable[[], Awaitable[Message]], limits: Limits) -> None:
        self.method, self.path, self.address = scope["method"], scope["path"], (scope.get("client") or ("",))[0]
        self._headers, self._receive, self._limits = scope["headers"], receive, limits

    def header(self, name: str) -> str | None:
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self._headers if key == wanted), None)

    async def read(self) -> bytes:
        length = check_length(self.header("content-length"), self._limits)
        return await in_time(gathered(self._chunks(), self._limits), length, self._limits)

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Problem(HTTPStatus.BAD_REQUEST, "cut", "the connection ended", where="the body")
            yield message.get("body", b"")
            more = message.get("more_body", False)


class Asgi:
    """https://asgi.readthedocs.io/en/latest/specs/www.html"""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """One request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            asked = _AsgiAsked(scope, receive, self.application.limits)
            status, headers, body = await self.application.respond(asked)
            raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
            raw.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": int(status), "headers": raw})
            await send({"type": "http.response.body", "body": body})
        else:
            await send({"type": "websocket.close"})

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self.application.close)
                await send({"type": "lifespan.shutdown.complete"})
                return
