"""A chat completions server of the standard library, on a thread of its own, which misbehaves as it is told.

A plan says for each record what happens at each attempt; behind the end of it, and without one, the answer is right. A
record is known by the red channel of its image. Everything that was asked is kept.
"""

import base64
import contextlib
import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

Plan = Mapping[int, Sequence[str]]


class ChatServer(ThreadingHTTPServer):
    """Listens on the loopback interface. ``requests`` are all requests so far, in the order in which they came."""

    block_on_close = False  # a request that waits is left alone

    def __init__(self, plan: Plan, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url, self.plan = f"http://127.0.0.1:{self.server_port}/v1", plan
        self.requests: list[dict[str, Any]] = []
        self.num_active = self.most_active = 0
        self.lock, self.is_gone = threading.Lock(), threading.Event()
        self.connections: list[socket.socket] = []

    def asked(self) -> Counter[int]:
        """How often each record was asked about."""
        return Counter(request["record"] for request in list(self.requests))

    def die(self) -> None:
        """Break all connections, and take no more."""
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.is_gone.set()


@contextlib.contextmanager
def chat_server(plan: Plan | None = None, port: int = 0) -> Iterator[ChatServer]:
    """A server, gone at the end."""
    server = ChatServer(plan or {}, port)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.die()


class Handler(BaseHTTPRequestHandler):
    """Answers POST /v1/chat/completions as the plan says."""

    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        """One request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record, server = record_of(body), self.server
        with server.lock:
            attempt = server.asked()[record]
            server.num_active += 1
            server.most_active = max(server.most_active, server.num_active)
            server.connections.append(self.connection)
            server.requests.append({"record": record, "path": self.path, "headers": dict(self.headers), "body": body})
        todo = server.plan.get(record, ())
        try:
            with contextlib.suppress(OSError):
                self.act(todo[attempt] if attempt < len(todo) else "right", record)
        finally:
            with server.lock:
                server.num_active -= 1

    def act(self, what: str, record: int) -> None:
        """Do what the plan says, such as "500", "429 1" (with Retry-After), "wait 0.2", "meet 3" (that many requests at
        once), "break", "half", "drip"."""
        name, _, value = what.partition(" ")
        if name.isdigit():
            error = {"error": {"message": f"said to fail; you sent {self.headers.get('Authorization')}"}}
            self.reply(json.dumps(error).encode(), int(name), {"Retry-After": value} if value else {})
        elif name == "wait":
            self.server.is_gone.wait(float(value))
            self.act("right", record)
        elif name == "meet":
            while self.server.most_active < int(value):
                time.sleep(0.01)
            self.act("right", record)
        elif name == "break":
            self.close()
        elif name == "half":
            self.begin(200, {"Content-Length": "10000"})
            self.wfile.write(b'{"choices": [{"mess')
            self.close()
        elif name == "drip":  # a byte now and then: no single wait is long
            self.begin(200, {"Content-Length": "10000"})
            while not self.server.is_gone.wait(0.05):
                self.wfile.write(b" ")
        elif name == "body":
            self.reply(value.encode())
        else:
            self.reply(json.dumps(reply_of(text_of(record))).encode())

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, data: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole HTTP response."""
        self.begin(status, {"Content-Length": str(len(data)), "Content-Type": "application/json", **(headers or {})})
        self.wfile.write(data)

    def close(self) -> None:
        """Break the connection."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


def text_of(record: int) -> str:
    """What the server's model writes about a record."""
    return json.dumps([{"bbox_2d": [record, 2, 300, 400], "desc": "cat"}])


def reply_of(text: str, finish: str = "stop") -> dict[str, Any]:
    """The body of a reply, with a log probability for each character, and for the end token."""
    letters = [{"token": letter, "logprob": -0.5, "bytes": list(letter.encode())} for letter in text]
    end = {"token": "<|im_end|>", "logprob": -0.1, "bytes": list(b"<|im_end|>")}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
        "logprobs": {"content": [*letters, end]},
    }
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": {"total_tokens": 3}}


def record_of(body: Mapping[str, Any]) -> int:
    """The red channel of the image."""
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    pixel = Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))).convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(pixel[0])
