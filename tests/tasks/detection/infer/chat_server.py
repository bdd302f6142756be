"""A chat completions server of the standard library, a process of its own, which misbehaves as it is told.

A plan says for each record what happens at each attempt; behind the end of it, and without one, the answer is right. A
record is known by the red channel of its image. Everything that was asked is kept in a log.
"""

import base64
import contextlib
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

ROOT = Path(__file__).resolve().parents[4]
Plan = Mapping[int, Sequence[str]]


@dataclass
class ChatServer:
    """A server process and its log."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """All requests so far, in the order in which they came."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def asked(self) -> Counter[int]:
        """How often each record was asked about."""
        return Counter(request["record"] for request in self.requests)


@contextlib.contextmanager
def chat_server(folder: Path, plan: Plan | None = None, port: int = 0) -> Iterator[ChatServer]:
    """A server process on the loopback interface, gone at the end."""
    log = folder / "requests.jsonl"
    command = [
        sys.executable,
        "-m",
        "tests.tasks.detection.infer.chat_server",
        json.dumps(plan or {}),
        str(log),
        str(port),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield ChatServer(f"http://127.0.0.1:{process.stdout.readline().strip()}/v1", log, process)
    finally:
        process.kill()
        process.communicate()


def text_of(record: int) -> str:
    """What the server's model writes about a record."""
    return json.dumps([{"bbox_2d": [record, 2, 300, 400], "desc": "cat"}])


# What runs in the process itself


class Handler(BaseHTTPRequestHandler):
    """Answers POST /v1/chat/completions as the plan says."""

    protocol_version = "HTTP/1.1"
    plan: ClassVar[Plan] = {}
    log_path: ClassVar[str] = ""
    attempts: ClassVar[Counter[int]] = Counter()
    active: ClassVar[Counter[str]] = Counter()
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_POST(self) -> None:
        """One request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record = record_of(body)
        with self.lock:
            attempt = self.attempts[record]
            self.attempts[record] += 1
            self.active["now"] += 1
            self.active["most"] = max(self.active["most"], self.active["now"])
            line = {
                "record": record,
                "path": self.path,
                "headers": dict(self.headers),
                "num_active": self.active["now"],
            }
            with open(self.log_path, "a") as log:
                log.write(json.dumps(line | {"body": body}) + "\n")
        todo = self.plan.get(record, ())
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.act(todo[attempt] if attempt < len(todo) else "right", record)
        finally:
            with self.lock:
                self.active["now"] -= 1

    def act(self, what: str, record: int) -> None:
        """Do what the plan says, such as "500", "429 1" (with Retry-After), "wait 0.2", "meet 3" (that many requests at
        once), "break", "half", "drip"."""
        name, _, value = what.partition(" ")
        if name.isdigit():
            error = {"error": {"message": f"said to fail; you sent {self.headers.get('Authorization')}"}}
            self.reply(json.dumps(error).encode(), int(name), {"Retry-After": value} if value else {})
        elif name == "wait":
            time.sleep(float(value))
            self.act("right", record)
        elif name == "meet":
            while self.active["most"] < int(value):
                time.sleep(0.01)
            self.act("right", record)
        elif name == "break":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif name == "half":
            self.send_response(200)
            self.send_header("Content-Length", "10000")
            self.end_headers()
            self.wfile.write(b'{"choices": [{"mess')
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif name == "drip":  # a byte now and then: no single wait is long
            self.send_response(200)
            self.send_header("Content-Length", "10000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        elif name == "body":
            self.reply(value.encode())
        else:
            self.reply(json.dumps(reply_of(text_of(record))).encode())

    def reply(self, data: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole HTTP response."""
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(data)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


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


def serve(plan: str, log: str, port: str) -> None:
    """Print the port, and answer for ever."""
    Handler.plan = {int(record): todo for record, todo in json.loads(plan).items()}
    Handler.log_path = log
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:4])
