"""The application behind web servers: RSGI (granian, the default) and ASGI (uvicorn, tests, mounting)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from pipeline.serve.application import Application
from pipeline.serve.http.limits import Limits
from pipeline.serve.http.message import Asked
from pipeline.serve.http.problems import Problem

Message = MutableMapping[str, Any]
_NUM_DIGITS = 15  # of a Content-Length: more is more than any limit


async def read_body(
    length: str | None,
    whole: Callable[[], Awaitable[bytes]],
    chunks: Callable[[], AsyncIterator[bytes]],
    limits: Limits,
) -> bytes:
    """A body of a stated ``length`` by ``whole``, any other by its ``chunks``.

    Raises Problem: 413 where it is too large, before anything is read or as soon as that shows; 408 where it is too
    slow, 400 where it was cut or its length is none.
    """
    if length is not None and not (length.isascii() and length.isdigit() and len(length) <= _NUM_DIGITS):
        raise Problem(HTTPStatus.BAD_REQUEST, "cut", "this is no length", where="header Content-Length")
    if length is not None and int(length) > limits.max_body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            data = await (_gathered(chunks(), limits) if length is None else whole())
    except TimeoutError:
        what, next = f"the body did not come within {limits.body_timeout_s:g} s", "send it faster"
        headers = {"Connection": "close"}
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "slow", what, next=next, headers=headers) from None
    if length is not None and len(data) != int(length):
        raise Problem(HTTPStatus.BAD_REQUEST, "cut", f"{len(data)} of {length} bytes came", where="the body")
    return data


async def _gathered(chunks: AsyncIterator[bytes], limits: Limits) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > limits.max_body_bytes:
            raise _too_large(limits)
    return bytes(data)


def _too_large(limits: Limits) -> Problem:
    what, next = f"the body has more than {limits.max_body_bytes:,} bytes", "send less at a time"
    status, headers = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Connection": "close"}
    return Problem(status, "too_large", what, where="the body", next=next, headers=headers)


def _ended() -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "cut", "the connection ended", where="the body")


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

        async def read() -> bytes:
            try:
                length = scope.headers.get("content-length")
                return await read_body(length, protocol, lambda: protocol, self.application.limits)
            except RuntimeError as error:  # granian's, of a connection that ended
                raise _ended() from error

        asked = Asked(scope.method, scope.path, scope.client.rpartition(":")[0], scope.headers.get, read)
        status, headers, body = await self.application.respond(asked)
        protocol.response_bytes(int(status), headers, body)


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
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return

        def header(name: str) -> str | None:
            wanted = name.encode()
            return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), None)

        async def chunks() -> AsyncIterator[bytes]:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise _ended()
                yield message.get("body", b"")
                more = message.get("more_body", False)

        async def read() -> bytes:
            limits = self.application.limits
            return await read_body(header("content-length"), lambda: _gathered(chunks(), limits), chunks, limits)

        address = (scope.get("client") or ("",))[0]
        asked = Asked(scope["method"], scope["path"], address, header, read)
        status, headers, body = await self.application.respond(asked)
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": int(status), "headers": raw})
        await send({"type": "http.response.body", "body": body})

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
