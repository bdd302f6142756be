"""What every request passes first: does it name this server, and does it come from a page of this server?"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.web.address import Address, is_origin
from pipeline.web.headers import HEADERS


class Guard:
    """Refuses with 403 who asks by another name, and pages of other origins; adds ``headers`` to all answers."""

    def __init__(self, app: ASGIApp, address: Address, headers: Mapping[str, str] = HEADERS) -> None:
        self._app, self._address, self._headers = app, address, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        wrong = self._wrong(scope)
        if wrong and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})  # before it was accepted: answered with 403
        elif wrong:
            await PlainTextResponse(wrong, 403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _wrong(self, scope: Scope) -> str:
        """Why it is refused; empty where it is not. What is no browser sends no Origin."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == "host"]
        if len(hosts) != 1 or not self._address.knows(hosts[0]):
            return "this server is not known by that name"
        if not all(is_origin(value, hosts[0]) for name, value in headers if name == "origin"):
            return "pages of other origins may not connect"
        return ""


def has_token(scope: Scope, token: str | None) -> bool:
    """Whether the query has the token, if one is needed. The time it takes does not tell how much of it is right."""
    given = parse_qs(scope["query_string"].decode("latin-1"), errors="replace").get("token", [""])[0]
    return token is None or hmac.compare_digest(given.encode(), token.encode())
