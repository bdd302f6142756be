"""A real MLflow server, where the program is: 600 MB that the project itself does not need."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

OWN = ROOT / ".venv-mlflow/bin/mlflow"
PROGRAM = str(OWN) if OWN.exists() else shutil.which("mlflow")
needs_mlflow = pytest.mark.skipif(PROGRAM is None, reason="there is no mlflow: `make test-mlflow` installs it")
START_S = 120  # it takes 10 s on an idle machine


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[str]:
    """A server with its files in ``folder``, which another one may go on with; yields its address."""
    assert PROGRAM is not None
    folder.mkdir(parents=True, exist_ok=True)
    command = [PROGRAM, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/files"]
    address = f"http://127.0.0.1:{port}"
    with open(folder / "log.txt", "ab") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(address, server, folder / "log.txt")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{address}/health").status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"mlflow does not start: {log.read_text()[-2000:]}")
