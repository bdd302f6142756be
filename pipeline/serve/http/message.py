"""A request, an answer and a route, whatever the web server."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from pipeline.serve.http.problems import Problem

JSON = "application/json"
JSON_HEADERS = [("content-type", JSON)]
Response = tuple[int, list[tuple[str, str]], bytes]


@dataclass(slots=True)
class Asked:
    """A request, as an adapter has it. ``read`` raises Problem where the body is too large, too slow or cut."""

    method: str
    path: str
    address: str
    header: Callable[[str], str | None]
    read: Callable[[], Awaitable[bytes]]


Handler = Callable[[str, Asked], Awaitable[Response]]
"""What answers at a route: the name of the client, and the request. Raises Problem. Its docstring says what it does."""


@dataclass(frozen=True)
class Route:
    """What it gives and takes, as Structs (or a media type), and which problems of its own may come of it.

    ``is_open``: to those without a key, too; ``is_hidden``: described elsewhere.
    """

    method: str
    path: str
    handler: Handler
    answer: Any = JSON
    request: Any = None
    problems: Sequence[int] = ()
    is_open: bool = False
    is_hidden: bool = False


def json_answer(answer: Any) -> Response:
    """A Struct as an answer."""
    return HTTPStatus.OK, JSON_HEADERS, msgspec.json.encode(answer)


async def json_body(asked: Asked, default: bytes = b"") -> bytes:
    """The body of a request that must be JSON, or ``default`` where it has none. Raises Problem: 415."""
    kind = (asked.header("content-type") or "").partition(";")[0].strip().lower()
    if kind == JSON:
        return await asked.read() or default
    if not default or await asked.read():
        what, where = f"the body is {kind[:80] or 'of no stated type'}", "header Content-Type"
        next = f"send JSON, and the header `Content-Type: {JSON}`"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type", what, where=where, next=next)
    return default
