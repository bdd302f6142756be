"""One who watches over the network: a WebSocket client, and the server it talks to."""

import json
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.support.zygote import Command, Zygote

PATIENCE_S = 30


class Watcher:
    """Says where it goes on, reads messages, and acknowledges episodes unless it is told not to. ``_frames`` are the
    changes of those that it asked for, ``_told`` the others that were not looked at yet."""

    def __init__(self, url: str, after: str | None = None, *, acknowledges: bool = True, **how: Any) -> None:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        self._open = ExitStack()
        address = f"ws://{parts.netloc}/live{query}"
        self.socket: ClientConnection = self._open.enter_context(connect(address, max_size=None, **how))
        self.acknowledges = acknowledges
        self.cursor: str | None = None
        self.seen: list[dict[str, Any]] = []
        self._frames: dict[str, list[Any]] = {}
        self._told: list[dict[str, Any]] = []
        self.hello = self.read()
        self.say(type="start", after=after)

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def read(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message."""
        told = self.socket.recv(timeout_s)
        message: dict[str, Any] = json.loads(zlib.decompress(told) if isinstance(told, bytes) else told)
        self.seen.append(message)
        if message["type"] == "play":
            self._take_head(message)
        if message["type"] == "changes":
            frames = self._frames[message["id"]]
            assert message["from"] == len(frames) + 1
            frames += message["changes"]
        return message

    def _take_head(self, play: dict[str, Any]) -> None:
        if play["cursor"] is None:
            self._frames[play["id"]] = []
        else:
            self.cursor = play["cursor"]
            self._told.append(play)
        if self.acknowledges:
            self.say(type="ack", id=play["id"])

    def until(self, type: str, **facts: Any) -> dict[str, Any]:
        """The next message of that type in which these are so."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = self.read()
            if message["type"] == type and all(message.get(key) == value for key, value in facts.items()):
                return message
        raise AssertionError(f"no {type} with {facts}, but {[message['type'] for message in self.seen]}")

    def told(self, type: str, **facts: Any) -> dict[str, Any]:
        """The same, of those that were read already or the next."""
        for message in reversed(self.seen):
            if message["type"] == type and all(message.get(key) == value for key, value in facts.items()):
                return message
        return self.until(type, **facts)

    def plays(self, count: int) -> list[dict[str, Any]]:
        """The messages of the next episodes that are told, of each its head."""
        while len(self._told) < count:
            self.until("play")
        found, self._told = self._told[:count], self._told[count:]
        return found

    def ids(self, count: int) -> list[str]:
        """Ids of the next episodes."""
        return [play["id"] for play in self.plays(count)]

    def whole(self, id: str) -> dict[str, Any]:
        """Ask for an episode: its head, with all its changes."""
        self.say(type="get", id=id)
        play = self.until("play", id=id, cursor=None)
        while len(self._frames[id]) < play["head"]["num_frames"] - 1:
            self.until("changes", id=id)
        if self.acknowledges:
            self.say(type="ack", id=id)
        return {**play["head"], "changes": self._frames[id]}

    def rows(self, count: int) -> list[dict[str, Any]]:
        """Rows of the index as they came, until there are so many of all that were read."""
        while len(found := [row for seen in self.seen if seen["type"] == "index" for row in seen["rows"]]) < count:
            self.until("index")
        return found

    def close(self) -> None:
        """Go."""
        self._open.close()


@contextmanager
def serving(zygote: Zygote, path: Path, *more: str | Path, task: str = "gridworld") -> Iterator[tuple[str, Command]]:
    """`baton follow TASK --input PATH --web`: the address that it prints, and its process."""
    port: Sequence[str] = () if "--port" in more else ("--port", "0")
    command = zygote.start("follow", task, "--input", path, "--web", *port, *more)
    try:
        yield command.lines(1)[0].split()[1], command
    finally:
        if command.code is None:
            command.kill()
