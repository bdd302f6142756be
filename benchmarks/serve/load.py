"""What the benchmarks of serve share: a small model, servers that answer from it, and wrk, which asks them."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from os import environ
from pathlib import Path

import httpx
import msgspec

from benchmarks.training import ROOT
from pipeline.contract.load import load_part
from pipeline.contract.parts import ExamplesPart
from pipeline.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.serve.exchange import exchange_of

PORT = 8301  # and those after it
JSON = {"content-type": "application/json"}
_START_S = 120.0
_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


def require_wrk() -> None:
    """Raises UserError where there is no load generator."""
    if not shutil.which("wrk"):
        raise UserError("wrk is not installed", remedy="apt-get install wrk")


def make_model(folder: Path, num_components: int = 4) -> Path:
    """A network of the usual size that answers with so many Gaussians; what it has learnt makes no difference to how
    long it takes."""
    common = ("localization", "--recipe", "demo", "--runs-dir", str(folder))
    few = {"num_steps": 64, "monitor_every": 64, "checkpoint_every": 64}
    steps = [word for name, value in few.items() for word in ("--set", f"train.{name}={value}")]
    size = ("--set", f"network.num_components={num_components}")
    for command in (("train", *common, *steps, *size), ("export", *common)):
        subprocess.run([sys.executable, "-m", "stages", *command], cwd=ROOT, check=True, capture_output=True)
    return folder / "localization/demo/export/model.inference_v1"


@cache
def request() -> bytes:
    """The first example of the recipe, as a client asks it."""
    example = next(iter(load_part("localization", ExamplesPart).make(load_recipe("demo", "localization"))))
    plain, fields = msgspec.to_builtins(example), exchange_of("localization").body.__struct_fields__
    return msgspec.json.encode({name: plain[name] for name in fields if name != "id"})


def make_script(folder: Path) -> Path:
    """What wrk sends: that request, again and again."""
    path = folder / "post.lua"
    body = f"wrk.method = 'POST'\nwrk.body = [==[{request().decode()}]==]\n"
    path.write_text(body + "wrk.headers['Content-Type'] = 'application/json'\n")
    return path


def ask(url: str, script: Path, connections: int, seconds: int) -> dict[str, float]:
    """What wrk says: latencies in microseconds, and requests a second. Raises UserError on an answer but 200."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"{url}/v1/predict"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text:
        raise UserError("not every request was answered", where=url, remedy=text)
    found = {name: float(number) * _US[unit] for name, number, unit in re.findall(r"(\d\d%)\s+([\d.]+)(\w+)", text)}
    return found | {"Requests/sec": float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0])}


def baton_serve(*words: str | Path) -> list[str]:
    """The command of a server of localization; its port comes behind."""
    return [sys.executable, "-m", "stages", "serve", "localization", *map(str, words), "--port"]


class Server(subprocess.Popen[bytes]):
    """A server that answers at ``url``."""

    url: str

    def worker(self) -> int:
        """The process that answers, where there is one."""
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True)
        return int(found.stdout.split()[0])


@contextmanager
def serving(command: list[str], port: int, variables: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server, as soon as it answers; ended at the end. Raises UserError where it never does."""
    quiet = subprocess.DEVNULL
    server = Server([*command, str(port)], cwd=ROOT, stdout=quiet, stderr=quiet, env=environ | dict(variables or {}))
    server.url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(server.url):
            if server.poll() is not None or time.monotonic() > deadline:
                raise UserError("this server does not answer", where=" ".join(command[:6]), remedy="run it by hand")
            time.sleep(0.2)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.post(f"{url}/v1/predict", content=request(), headers=JSON, timeout=30).status_code == 200
    except httpx.TransportError:
        return False
