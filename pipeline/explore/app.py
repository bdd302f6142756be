"""The application: which address is answered by what, and the connection on which a page is told what happens."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.errors import UserError
from pipeline.explore.counter import Counter, Shop
from pipeline.explore.desk import Desk
from pipeline.explore.entrance import Entrance
from pipeline.web.pages import page_files, page_routes

HERE = Path(__file__).parent
NUM_QUEUED = 256  # messages to one page; one that does not keep up asks for everything anew

Queue = asyncio.Queue[dict[str, Any]]


class _Number(IntegerConvertor):
    """A number in an address, no larger than those of SQLite."""

    regex = "[0-9]{1,18}"


register_url_convertor("number", _Number())


class Listeners:
    """The pages that are open, by user: each has a queue of what it is to be told."""

    def __init__(self) -> None:
        self._queues: dict[str, set[Queue]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None

    def tell(self, user: str, message: dict[str, Any]) -> None:
        """From any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._put, user, message)

    def _put(self, user: str, message: dict[str, Any]) -> None:
        for waiting in self._queues.get(user, ()):
            is_behind = waiting.full()
            while is_behind and not waiting.empty():
                waiting.get_nowait()
            waiting.put_nowait({"type": "behind"} if is_behind else message)

    @contextlib.contextmanager
    def queue(self, user: str) -> Iterator[Queue]:
        """A queue for as long as a page is open."""
        own = Queue(NUM_QUEUED)
        self._queues.setdefault(user, set()).add(own)
        try:
            yield own
        finally:
            self._queues[user].discard(own)
            if not self._queues[user]:
                del self._queues[user]


def make_app(shop: Shop) -> Starlette:
    """The application."""
    listeners = Listeners()
    desk = Desk(shop.store, shop.part, shop.explorers, listeners.tell)
    counter, entrance = Counter(shop, desk), Entrance(shop)

    @contextlib.asynccontextmanager
    async def open_shop(_app: Starlette) -> AsyncIterator[None]:
        listeners.loop = asyncio.get_running_loop()
        yield
        listeners.loop = None
        await asyncio.to_thread(desk.close)
        shop.store.close()

    async def watch(websocket: WebSocket) -> None:
        await websocket.accept()
        user = shop.door.user(websocket)
        if user is None:
            await websocket.close(1008)
            return
        with listeners.queue(user) as own:
            await _talk(websocket, own)

    def known(address: str, answer: Callable[[Request, str], Awaitable[Response]], method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            user = shop.door.user(request)
            return PlainTextResponse("log in first", 401) if user is None else await answer(request, user)

        return Route(address, guarded, methods=[method])

    routes = [
        *page_routes(page_files(HERE)),
        Route("/api/session", entrance.session),
        Route("/api/login", entrance.login, methods=["POST"]),
        Route("/api/logout", entrance.logout, methods=["POST"]),
        Route("/login", entrance.elsewhere),
        Route("/login/callback", entrance.back),
        known("/api/made", counter.made),
        known("/api/made/{number:number}", counter.one),
        known("/api/neighbours", counter.neighbours),
        known("/api/rows/{kind}.jsonl", counter.rows),
        known("/api/log", counter.log),
        known("/api/generate", counter.generate, "POST"),
        known("/api/made/{number:number}/cancel", counter.cancel, "POST"),
        known("/api/made/{number:number}/remove", counter.remove, "POST"),
        known("/api/workspaces", counter.add_workspace, "POST"),
        known("/bundles/{key}/records.json", counter.records),
        known("/bundles/{key}/sheet-{number:number}.png", counter.sheet),
        known("/bundles/{key}/coordinates", counter.coordinates),
        WebSocketRoute("/live", watch),
    ]
    return Starlette(routes=routes, lifespan=open_shop, exception_handlers={UserError: _refused})


async def _talk(websocket: WebSocket, own: Queue) -> None:
    """Tell what is in the queue until the page goes; it says nothing itself."""

    async def send() -> None:
        while True:
            await websocket.send_json(await own.get())

    telling = asyncio.create_task(send())
    try:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):  # it went meanwhile
            await telling


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    status = 503 if "full" in error.what else 400
    return JSONResponse({"what": error.what, "where": error.where, "remedy": error.remedy}, status)
