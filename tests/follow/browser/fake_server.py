"""What the page talks to, as small as it can be: its files, and a WebSocket that tells what a test gives it."""

import json
import threading
import zlib
from pathlib import Path
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

import pipeline.follow.browser
from pipeline.follow.play import Play

FILES = Path(pipeline.follow.browser.__file__).parent
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
FILTERS = [{"key": "d", "name": "high"}]


def kept(play: Play) -> list[str]:
    """Names of the filters that keep an episode."""
    return ["high"] if max(play["summary"]["numbers"]) > 7 else []


class FakeServer:
    """Tells ``plays`` to whoever comes, without those that it has seen by its cursor. ``said`` is what pages said,
    ``paths`` where they connected, ``dropped`` how many it says it has dropped on the way to each."""

    def __init__(self, plays: list[Play], port: int = 0, ended: str | None = None) -> None:
        self.plays, self.ended, self.dropped = plays, ended, 0
        self.said: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._pages: list[ServerConnection] = []
        self._server = serve(self._talk, "127.0.0.1", port, process_request=self._file, compression=None)
        self.port = self._server.socket.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End, and cut all connections."""
        for page in self._pages:
            page.close_socket()
        self._server.shutdown()

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to all."""
        for page in self._pages:
            page.send(json.dumps(message))

    def add(self, play: Play) -> None:
        """An episode ends."""
        self.plays.append(play)
        for page in self._pages:
            self._send_play(page, play, f"file:{len(self.plays) - 1}:{play['id']}")
            self._send_index(page, len(self.plays) - 1)

    def _file(self, _connection: ServerConnection, request: Request) -> Response | None:
        name = request.path.split("?")[0].strip("/") or "page.html"
        if name == "live":
            return None
        file = FILES / name
        headers = Headers({"Content-Type": KINDS.get(file.suffix, "text/plain"), "Content-Security-Policy": POLICY})
        found = file.suffix in KINDS and file.parent == FILES
        return Response(200 if found else 404, "", headers, file.read_bytes() if found else b"")

    def _talk(self, page: ServerConnection) -> None:
        self.paths.append(page.request.path if page.request else "")
        page.send(
            json.dumps(
                {"type": "hello", "task": "toy", "run": "demo", "keep": 20, "ended": self.ended, "filters": FILTERS}
            )
        )
        try:
            start = json.loads(page.recv())
            self.said.append(start)
            after = int(start["after"].split(":")[1]) if start["after"] else len(self.plays) - 3
            for number in range(max(after + 1, 0), len(self.plays)):
                self._send_play(page, self.plays[number], f"file:{number}:{self.plays[number]['id']}")
            self._send_index(page, 0)
            self._pages.append(page)
            for text in page:
                self.said.append(json.loads(text))
                if self.said[-1]["type"] == "get":
                    for play in self.plays:  # it may be forgotten by now
                        if play["id"] == self.said[-1]["id"]:
                            self._send_play(page, play, None)
                            self._send_frames(page, play)
        except ConnectionClosed:
            pass

    def _send_play(self, page: ServerConnection, play: Play, cursor: str | None) -> None:
        head = {name: value for name, value in play.items() if name != "changes"}
        message = {"type": "play", "id": play["id"], "cursor": cursor, "dropped": self.dropped, "head": head}
        page.send(json.dumps(message))

    def _send_frames(self, page: ServerConnection, play: Play) -> None:
        for start in range(0, len(play["changes"]), 2):
            message = {"type": "changes", "id": play["id"], "from": start + 1, "changes": play["changes"][start:][:2]}
            page.send(zlib.compress(json.dumps(message).encode()))

    def _send_index(self, page: ServerConnection, first: int) -> None:
        rows = [
            {"id": play["id"], "line": play["line"], "summary": play["summary"], "kept": kept(play)}
            for play in self.plays[first:]
        ]
        page.send(json.dumps({"type": "index", "from": first, "rows": rows}))
