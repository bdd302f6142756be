"""What is answered to anybody: who are you, and the ways in and out."""

import asyncio
import hmac
import secrets

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from pipeline.explore.counter import Shop, read_body, session_view
from pipeline.explore.door import LOGIN_S, anonymous
from pipeline.web.guard import has_token

WRONG_PASSWORD_S = 0.5
LOGIN_WITHIN_S = 600.0  # elsewhere


class Login(msgspec.Struct, frozen=True):
    """Somebody says who it is."""

    name: str
    password: str


class Entrance:
    """The door, over HTTP."""

    def __init__(self, shop: Shop) -> None:
        self._shop, self._door = shop, shop.door

    async def session(self, request: Request) -> Response:
        """Who asks, and what there is for them; an anonymous one gets its cookie here."""
        user, token = self._door.user(request), ""
        if user is None and self._door.is_locked:
            ways = {"password": self._door.passwords, "provider": self._door.provider}
            open_ways = [name for name, way in ways.items() if way]
            return JSONResponse({"user": None, "ways_in": open_ways, "task": self._shop.task})
        if user is None and not has_token(request.scope, self._shop.token):
            return PlainTextResponse("open the whole address that the command shows: it has a token", 403)
        if user is None:
            token = secrets.token_urlsafe(32)
            user = anonymous(token)
        answer = Response(msgspec.json.encode(session_view(self._shop, user)), media_type="application/json")
        if token:
            self._door.set_cookie(answer, token)
        return answer

    async def login(self, request: Request) -> Response:
        """With a password. The time it takes does not tell how much of it is right."""
        given = await read_body(request, Login)
        right = self._door.passwords.get(given.name)
        if not hmac.compare_digest((right or "").encode(), given.password.encode()) or right is None:
            await asyncio.sleep(WRONG_PASSWORD_S)
            return PlainTextResponse("this is not the password of that user", 403)
        return self._let_in(Response(status_code=204), f"user:{given.name}")

    async def logout(self, request: Request) -> Response:
        """And forget the cookie."""
        answer = Response(status_code=204)
        self._shop.store.log_out(self._door.cookie(request))
        self._door.set_cookie(answer, "", seconds=0)
        return answer

    async def elsewhere(self, _request: Request) -> Response:
        """Off to the provider, with a word that only this browser and who sends it back know (RFC 6749, 10.12)."""
        if self._door.provider is None:
            return PlainTextResponse("there is no login elsewhere", 404)
        state = secrets.token_urlsafe(16)
        answer = RedirectResponse(self._door.provider.page(state), 303)
        self._door.set_cookie(answer, state, "-login", LOGIN_WITHIN_S)
        return answer

    async def back(self, request: Request) -> Response:
        """Back from the provider."""
        state, own = request.query_params.get("state", ""), self._door.cookie(request, "-login")
        if self._door.provider is None or not own or not hmac.compare_digest(own.encode(), state.encode()):
            return PlainTextResponse("this login was not begun here: go back and try again", 403)
        name = await self._door.provider.user(request.query_params.get("code", ""))
        if name is None:
            return PlainTextResponse("the provider does not say who you are: go back and try again", 403)
        return self._let_in(RedirectResponse("/", 303), f"hf:{name}")

    def _let_in(self, answer: Response, user: str) -> Response:
        self._door.set_cookie(answer, self._shop.store.log_in(user, LOGIN_S))
        self._shop.store.note(user, "logged in")
        return answer
