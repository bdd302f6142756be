"""The application: which address is answered by what, and the connection on which a page is told what happens."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
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

Answer = Callable[[Request, str], Awaitable[Response]]


class Listeners:
    """The pages that are open, by user: each has a queue of what it is to be told."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[dict[str, Any]]]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None

    def tell(self, user: str, message: dict[str, Any]) -> None:
        """From any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._put, user, message)

    def _put(self, user: str, message: dict[str, Any]) -> None:
        for waiting in self._queues.get(user, ()):
            if waiting.full():
                while not waiting.empty():
                    waiting.get_nowait()
                message = {"type": "behind"}
            waiting.put_nowait(message)

    @contextlib.contextmanager
    def queue(self, user: str) -> Iterator["asyncio.Queue[dict[str, Any]]"]:
        """A queue for as long as a page is open."""
        own: asyncio.Queue[dict[str, Any]] = asyncio.Queue(NUM_QUEUED)
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

    known = [
        Route("/api/made", _known(shop, counter.made)),
        Route("/api/made/{number:int}", _known(shop, counter.one)),
        Route("/api/neighbours", _known(shop, counter.neighbours)),
        Route("/api/rows/{kind}.jsonl", _known(shop, counter.rows)),
        Route("/api/log", _known(shop, counter.log)),
        Route("/api/generate", _known(shop, counter.generate), methods=["POST"]),
        Route("/api/made/{number:int}/cancel", _known(shop, counter.cancel), methods=["POST"]),
        Route("/api/made/{number:int}/remove", _known(shop, counter.remove), methods=["POST"]),
        Route("/api/workspaces", _known(shop, counter.add_workspace), methods=["POST"]),
        Route("/bundles/{key}/records.json", _known(shop, counter.records)),
        Route("/bundles/{key}/sheet-{number:int}.png", _known(shop, counter.sheet)),
        Route("/bundles/{key}/coordinates", _known(shop, counter.coordinates)),
    ]
    anybody = [
        Route("/api/session", entrance.session),
        Route("/api/login", entrance.login, methods=["POST"]),
        Route("/api/logout", entrance.logout, methods=["POST"]),
        Route("/login", entrance.elsewhere),
        Route("/login/callback", entrance.back),
    ]
    pages = page_routes(page_files(HERE))
    return Starlette(routes=[*pages, *anybody, *known, WebSocketRoute("/live", watch)], lifespan=open_shop)


async def _talk(websocket: WebSocket, own: "asyncio.Queue[dict[str, Any]]") -> None:
    """Tell what is in the queue until the page goes; it says nothing itself."""

    async def send() -> None:
        while True:
            await websocket.send_json(await own.get())

    async def wait() -> None:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass

    tasks = [asyncio.create_task(send()), asyncio.create_task(wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | RuntimeError):
            raise result


def _known(shop: Shop, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """An answer for those whom the door knows; what is wrong is told as text with status 400."""

    async def guarded(request: Request) -> Response:
        user = shop.door.user(request)
        if user is None:
            return PlainTextResponse("log in first", 401)
        try:
            return await answer(request, user)
        except UserError as error:
            status = 503 if "full" in error.what else 400
            return JSONResponse({"what": error.what, "where": error.where, "remedy": error.remedy}, status)

    return guarded
