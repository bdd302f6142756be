"""Serves the page, and tells it what happens in the file."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError
from pipeline.follow.browser.connection import Connection
from pipeline.follow.browser.live import Live
from pipeline.follow.browser.reader import Reader
from pipeline.follow.feed import Opened
from pipeline.follow.scene import told_filters
from pipeline.web.address import Address
from pipeline.web.pages import page_files, page_routes
from pipeline.web.server import Server

HERE = Path(__file__).parent
SWITCH_S = (
    0.0005  # so long each send to one who watches may wait for the thread that makes scenes; Python's own is 5 ms
)


def serve_page(opened: Opened, task: str, address: Address, opinion: SecondOpinion | None = None) -> None:
    """Until it is interrupted. Raises UserError when it cannot listen there, or the file cannot be followed."""
    live, failures = Live(opened, opinion), list[UserError]()
    hello = {
        "task": task,
        "run": run_name(opened.feed.path),
        "token_needed": address.token is not None,
        "filters": told_filters(opened.part.filters),
    }

    async def watch(websocket: WebSocket) -> None:
        try:
            await Connection(live, websocket, hello, address.token).run()
        except Exception as error:  # a bug, which must not take the view from the others
            print(f"one who watched was lost: {type(error).__name__}: {error}", file=sys.stderr, flush=True)

    @contextlib.asynccontextmanager
    async def reading(_app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def fail(error: UserError) -> None:
            failures.append(error)
            server.stop()

        reader = Reader(
            opened,
            take=lambda found: void(loop.call_soon_threadsafe(live.take, found)),
            fail=lambda error: void(loop.call_soon_threadsafe(fail, error)),
        )
        sys.setswitchinterval(SWITCH_S)
        reader.start()
        yield
        reader.stop()
        live.studio.close()

    app = Starlette(routes=[*page_routes(page_files(HERE)), WebSocketRoute("/live", watch)], lifespan=reading)
    server = Server(app, address)
    server.run()
    if failures:
        raise failures[0]


def void(_result: object) -> None:
    """Nothing."""


def run_name(path: Path) -> str:
    """What a page calls the file: the run that it is in, or its name where it lies by itself."""
    folders = path.absolute().parts[:-1]
    return folders[-2] if len(folders) > 2 and folders[-1] in ("train", "infer") else path.name
