"""What is answered to anybody: who are you, and the ways in and out."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from pipeline.errors import UserError
from pipeline.explore.counter import Shop, read_body, session_view
from pipeline.web.guard import has_token

WRONG_PASSWORD_S = 0.5


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
        user = self._door.user(request)
        if user is None and self._door.is_locked:
            return JSONResponse({"user": None, "ways_in": self._door.ways_in, "task": self._shop.task})
        if user is None and not has_token(request.scope, self._shop.token):
            return PlainTextResponse("open the whole address that the command shows: it has a token", 403)
        answer = Response(media_type="application/json")
        view = session_view(self._shop, user or self._door.welcome(answer))
        answer.body = msgspec.json.encode(view)
        answer.headers["content-length"] = str(len(answer.body))
        return answer

    async def login(self, request: Request) -> Response:
        """With a password."""
        try:
            given = await read_body(request, Login)
        except UserError as error:
            return PlainTextResponse(error.what, 400)
        if not self._door.has_password(given.name, given.password):
            await asyncio.sleep(WRONG_PASSWORD_S)
            return PlainTextResponse("this is not the password of that user", 403)
        return self._let_in(Response(status_code=204), f"user:{given.name}")

    async def logout(self, request: Request) -> Response:
        """And forget the cookie."""
        answer = Response(status_code=204)
        self._door.let_out(request, answer)
        return answer

    async def elsewhere(self, _request: Request) -> Response:
        """Off to the provider."""
        if self._door.provider is None:
            return PlainTextResponse("there is no login elsewhere", 404)
        answer = Response(status_code=303)
        answer.headers["location"] = self._door.provider.page(self._door.begin(answer))
        return answer

    async def back(self, request: Request) -> Response:
        """Back from the provider."""
        state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        if self._door.provider is None or not self._door.has_begun(request, state):
            return PlainTextResponse("this login was not begun here: go back and try again", 403)
        name = await self._door.provider.user(code)
        if name is None:
            return PlainTextResponse("the provider does not say who you are: go back and try again", 403)
        return self._let_in(RedirectResponse("/", 303), f"hf:{name}")

    def _let_in(self, answer: Response, user: str) -> Response:
        self._door.let_in(answer, user)
        self._shop.store.note(user, "logged in")
        return answer
