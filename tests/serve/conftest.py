"""Real servers: the command and its workers, in processes of their own."""

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.zygote import Command, Zygote

SCENARIO = {"level": "minimal", "seed": 1, "multiplier": 1.0}
START_S = 120  # on a busy machine; a server starts in two seconds


@dataclass
class Server:
    """A server that listens. ``log`` is the folder of its request log."""

    command: Command
    url: str
    log: Path

    @property
    def errors(self) -> str:
        """What it has written on standard error."""
        return self.command.output.with_suffix(".err").read_text()

    def client(self, **headers: str) -> httpx.Client:
        """Keeps its connections, as a client that asks often does."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def workers(self) -> list[int]:
        """Processes that answer."""
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.command.pid)], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.command.signal(signal.SIGTERM)
        return self.command.finish().code

    def metrics(self) -> dict[str, float]:
        """What /metrics says now, by name and labels."""
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def metric(self, name: str, value: float) -> float:
        """A metric, as soon as it has reached a value: rows are written behind the answers."""
        return self.metrics_when(lambda told: told.get(name, 0.0) >= value).get(name, 0.0)

    def metrics_when(self, is_so: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """What /metrics says, as soon as something is so."""
        deadline = time.monotonic() + 30
        while not is_so(found := self.metrics()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found


Start = Callable[..., Server]


@contextlib.contextmanager
def running(
    zygote: Zygote, log: Path, *arguments: str | Path, max_file_bytes: int | None = None, **environment: str
) -> Iterator[Server]:
    """``baton serve ARGUMENTS`` on a free port, as soon as it has a model; ended at the end.

    With ``max_file_bytes`` no file may grow larger, as on a disk that is full.
    """
    given = ("serve", *arguments, "--port", "0", "--log", log)
    command = zygote.start(*given, max_file_bytes=max_file_bytes, environment=environment)
    found = re.search(r"http://\S+", command.lines(1)[0])
    assert found
    server = Server(command, found[0], log)
    try:
        _wait(server)
        yield server
    finally:
        server.command.signal(signal.SIGTERM)
        if server.command.wait(timeout_s=60) is None:
            server.command.kill()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert server.command.wait(timeout_s=0.05) is None, server.command.finish()
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/ready").status_code == 200:
                return
    raise AssertionError(server.errors)


@pytest.fixture
def start(zygote: Zygote, tmp_path: Path) -> Iterator[Start]:
    """``start("gridworld", "--model", "minimal")`` is a server of the test's own."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str | Path, log: Path = tmp_path / "log", **how: Any) -> Server:
            return stack.enter_context(running(zygote, log, *arguments, **how))

        yield begin


@pytest.fixture(scope="session")
def server(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of gridworld's smallest model, for all tests that leave it as it is."""
    log = tmp_path_factory.mktemp("log")
    with running(zygote, log, "gridworld", "--model", "minimal", "--timeout", "60") as server:
        yield server


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem, which is told as RFC 9457 has it."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code and body["detail"] and body["title"]
    assert "Traceback" not in response.text
    return response.status_code, body["type"].removeprefix("urn:baton:problem:")
