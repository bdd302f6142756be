"""Real servers: the command as a user starts it, in processes of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import PLAIN, ROOT

SCENARIO = {"level": "minimal", "seed": 1, "multiplier": 1.0}
START_S = 120  # on a busy machine; a server starts in two seconds


@dataclass
class Server:
    """A server that listens. ``log`` is the folder of its request log."""

    process: "subprocess.Popen[str]"
    url: str
    log: Path
    errors: Path

    def client(self, **headers: str) -> httpx.Client:
        """Keeps its connections, as a client that asks often does."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def workers(self) -> list[int]:
        """Processes that answer."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return [int(pid) for pid in found.stdout.split()]

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def metrics(self) -> dict[str, float]:
        """What /metrics says now, by name and labels."""
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def metric(self, name: str, value: float) -> float:
        """A metric, as soon as it has reached a value: rows are written behind the answers."""
        deadline = time.monotonic() + 30
        while (found := self.metrics().get(name, 0.0)) < value and time.monotonic() < deadline:
            time.sleep(0.02)
        return found


Start = Callable[..., Server]


@contextlib.contextmanager
def running(folder: Path, *arguments: str | Path, **environment: str) -> Iterator[Server]:
    """``baton serve ARGUMENTS`` on a free port, as soon as it has a model; ended at the end."""
    command = [
        sys.executable,
        "-m",
        "stages",
        "serve",
        *map(str, arguments),
        "--port",
        "0",
        "--log",
        str(folder / "log"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    errors = folder / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | PLAIN | environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, errors.read_text()
        server = Server(process, found[0], folder / "log", errors)
        _wait(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.errors.read_text()
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/ready").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(server.errors.read_text())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start("gridworld", "--model", "minimal")`` is a server of the test's own."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str | Path, **environment: str) -> Server:
            return stack.enter_context(running(tmp_path / "server", *arguments, **environment))

        yield begin


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of gridworld's smallest model, for the tests of a file that leave it as it is."""
    with running(tmp_path_factory.mktemp("server"), "gridworld", "--model", "minimal") as server:
        yield server


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem, which is told as RFC 9457 has it."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code and body["detail"] and body["title"]
    assert "Traceback" not in response.text
    return response.status_code, body["type"].removeprefix("urn:baton:problem:")
