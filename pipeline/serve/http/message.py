"""A request and an answer, as all routes see them, whatever the web server."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from pipeline.serve.http.openapi import JSON
from pipeline.serve.http.problems import Problem

Response = tuple[int, list[tuple[str, str]], bytes]
JSON_HEADERS = [("content-type", JSON)]


class Asked(Protocol):
    """A request, as an adapter has it. ``read`` raises Problem where the body is too large, too slow or cut."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def address(self) -> str: ...
    def header(self, name: str) -> str | None: ...
    async def read(self) -> bytes: ...


Handler = Callable[[str, Asked], Awaitable[Response]]
"""What answers at a route: the name of the client, and the request. Raises Problem."""


def json_answer(answer: Any) -> Response:
    """A Struct as an answer."""
    return HTTPStatus.OK, JSON_HEADERS, msgspec.json.encode(answer)


async def json_body(asked: Asked) -> bytes:
    """The body of a request that must be JSON. Raises Problem: 415."""
    kind = (asked.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != JSON:
        what, where = f"the body is {kind[:80] or 'of no stated type'}", "header Content-Type"
        next = f"send JSON, and the header `Content-Type: {JSON}`"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type", what, where=where, next=next)
    return await asked.read()
