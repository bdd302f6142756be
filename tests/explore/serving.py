"""A server of the toy in this process, whose generator a test holds and lets go."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from pipeline.explore.app import make_app
from pipeline.explore.bundle import Bundle
from pipeline.explore.counter import Shop
from pipeline.explore.door import Door, Provider
from pipeline.explore.store import Store
from pipeline.web.address import Address
from pipeline.web.guard import Guard
from tests.explore.toy import TOY, ToyExplorer


@dataclass(frozen=True)
class Served:
    """A running server: where it is, and the toys that generate, in the order of the bundles."""

    url: str
    toys: Sequence[ToyExplorer]
    bundles: Sequence[Bundle]
    store: Store


@contextlib.contextmanager
def serving(
    folder: Path,
    *bundles: Bundle,
    passwords: Mapping[str, str] | None = None,
    provider: Provider | None = None,
    token: str | None = None,
    has_models: bool = True,
) -> Iterator[Served]:
    """Serve these; what is made is kept in ``folder``."""
    toys = [ToyExplorer(bundle) for bundle in bundles]
    explorers = {bundle.key: toy for bundle, toy in zip(bundles, toys, strict=True)} if has_models else {}
    store, address = Store(folder), Address(port=0, names=("toy.hf.space",))
    door = Door(store, passwords or {}, provider)
    app = make_app(Shop("toy", TOY, {one.key: one for one in bundles}, explorers, store, door, token))
    listener = address.listen()
    config = uvicorn.Config(Guard(app, address), log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.01)
        yield Served(url, toys, bundles, store)
    finally:
        for toy in toys:
            toy.gate.set()
        server.should_exit = True
        thread.join()
        listener.close()


@contextlib.contextmanager
def visitor(served: Served, **how: object) -> Iterator[httpx.Client]:
    """Somebody with cookies of their own, who has said hello."""
    with httpx.Client(base_url=served.url, timeout=60) as client:
        client.get("/api/session").raise_for_status()
        yield client


@contextlib.contextmanager
def elsewhere(answer: Callable[[str, Mapping[str, str], bytes], tuple[int, Any]]) -> Iterator[str]:
    """The address of another server: ``answer(path, headers, body)`` is a status and what is sent as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, said = answer(
                self.path, dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"] or 0))
            )
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
