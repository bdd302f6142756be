"""Requests a second and how long one takes over HTTP, beside the bare session and three public servers."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec

from benchmarks.harness import Claim, Report, Samples, at_least, at_most, quotients, take_turns
from benchmarks.training import ROOT
from pipeline.contract.load import load_part
from pipeline.contract.parts import ExamplesPart
from pipeline.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.serve.answer import onnx_bytes, open_onnx
from pipeline.serve.exchange import exchange_of
from pipeline.serve.http.limits import Limits
from pipeline.serve.settings import Settings
from pipeline.tasks.localization.infer.answer import prepare
from pipeline.tasks.localization.model.brain import read_network
from schemas.brain import BrainSpec

_PEER_PYTHON = ROOT / ".venv-bench/bin/python"
OURS, ASGI = "Baton (granian)", "Baton (uvicorn)"
MODEL, ONNX = "BATON_PEER_MODEL", "BATON_PEER_ONNX"  # variables in which the peers find the files
PEERS = {"FastAPI + pydantic": "fastapi", "LitServe": "litserve", "BentoML": "bentoml"}
_TARGETS = {"FastAPI + pydantic": 3.0, "LitServe": 15.0, "BentoML": 20.0}  # requests a second, ours over theirs
_P50_BARE, _P50_BARE_ASGI, _P99 = 10.0, 7.0, 0.15
_START_S = 120.0
_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


def run(quick: bool) -> Report:
    """All servers stay up; the load goes to one after the other."""
    if not shutil.which("wrk"):
        raise UserError("wrk is not installed", remedy="apt-get install wrk")
    if not _PEER_PYTHON.exists():
        raise UserError("the peers are not installed", where=str(_PEER_PYTHON), remedy="make bench installs them")
    seconds, rounds = (2, 1) if quick else (10, 5)
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        model = _model(folder)
        script = _script(folder)
        urls = {name: stack.enter_context(one) for name, one in _servers(folder, model)}
        shown = {name: _Shown() for name in urls}
        bare_us: list[float] = []
        for name in (OURS, ASGI):  # its model is judged to be quick, or not, by its first calls
            shown[name].ask(urls[name], script, 1, 2)
        for _ in range(rounds):
            bare_us.append(_bare_us(model, 200 if quick else 2000))
            take_turns(
                {name: lambda name=name: shown[name].measure(urls[name], script, seconds) for name in urls},  # type: ignore[misc]
                rounds=1,
                warmups=0,
            )
    return Report(
        title="a small model over HTTP",
        method=(
            "A localization network (three layers of 256) that ONNX Runtime answers with, one worker and one thread "
            "each. wrk sends the same request over 1 and over 100 connections; all check the same body and make "
            "the same row. Ours logs every row and counts for /metrics; the peers do neither. Servers take turns. Bare "
            "is session.run alone, in a turn of its own."
        ),
        samples=[
            Samples("session.run, bare", "us", tuple(bare_us)),
            *(Samples(f"{name}: 1 connection, p50", "us", tuple(one.p50_us)) for name, one in shown.items()),
            *(Samples(f"{name}: 100 connections", "requests/s", tuple(one.rates)) for name, one in shown.items()),
            *(Samples(f"{name}: 100 connections, p99", "ms", tuple(one.p99_ms)) for name, one in shown.items()),
        ],
        claims=list(_claims(shown, bare_us)),
    )


class _Shown:
    """What a server showed in each round."""

    def __init__(self) -> None:
        self.p50_us: list[float] = []
        self.rates: list[float] = []
        self.p99_ms: list[float] = []

    def measure(self, url: str, script: Path, seconds: int) -> float:
        """One round: a connection alone, then a hundred."""
        self.p50_us.append(self.ask(url, script, 1, seconds)["50%"])
        many = self.ask(url, script, 100, seconds)
        self.rates.append(many["Requests/sec"])
        self.p99_ms.append(many["99%"] / 1000)
        return many["Requests/sec"]

    def ask(self, url: str, script: Path, connections: int, seconds: int) -> dict[str, float]:
        """What wrk says: latencies in microseconds, and requests a second. Raises UserError on an answer but 200."""
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            str(script),
            f"{url}/v1/predict",
        ]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in text:
            raise UserError("not every request was answered", where=url, remedy=text)
        found = {name: float(number) * _US[unit] for name, number, unit in re.findall(r"(\d\d%)\s+([\d.]+)(\w+)", text)}
        return found | {"Requests/sec": float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0])}


def _claims(shown: Mapping[str, _Shown], bare_us: list[float]) -> Iterator[Claim]:
    ours = shown[OURS]
    yield at_most("p50 of one connection over session.run", quotients(ours.p50_us, bare_us), _P50_BARE)
    yield at_most("the same under ASGI", quotients(shown[ASGI].p50_us, bare_us), _P50_BARE_ASGI)
    for name, bound in _TARGETS.items():
        peer = shown[name]
        yield at_least(f"100 connections, requests a second over {name}", quotients(ours.rates, peer.rates), bound)
        yield at_most(f"100 connections, p99 over {name}", quotients(ours.p99_ms, peer.p99_ms), _P99)


def _model(folder: Path) -> Path:
    """A network of the usual size; what it has learnt makes no difference to how long it takes."""
    common = ("localization", "--recipe", "demo", "--runs-dir", str(folder))
    steps = ("--set", "train.num_steps=64", "--set", "train.monitor_every=64", "--set", "train.checkpoint_every=64")
    for command in (("train", *common, *steps), ("export", *common)):
        subprocess.run([sys.executable, "-m", "stages", *command], cwd=ROOT, check=True, capture_output=True)
    return folder / "localization/demo/export/model.inference_v1"


def _request() -> bytes:
    """The first example of the recipe, as a client asks it."""
    example = next(iter(load_part("localization", ExamplesPart).make(load_recipe("demo", "localization"))))
    plain, fields = msgspec.to_builtins(example), exchange_of("localization").body.__struct_fields__
    return msgspec.json.encode({name: plain[name] for name in fields if name != "id"})


def _script(folder: Path) -> Path:
    path = folder / "post.lua"
    body = f"wrk.method = 'POST'\nwrk.body = [==[{_request().decode()}]==]\n"
    path.write_text(body + "wrk.headers['Content-Type'] = 'application/json'\n")
    return path


def _bare_us(model: Path, num: int) -> float:
    """The middle time of session.run for one record."""
    from pipeline.model.container import ModelFile

    brain = read_network(msgspec.convert(dict(ModelFile(model).header.brain_spec), BrainSpec))
    example = exchange_of("localization").to_example(
        msgspec.json.decode(_request(), type=exchange_of("localization").body), "bare"
    )
    session, tensors = open_onnx(model), prepare([example], brain).tensors
    times = []
    for _ in range(num):
        start = time.perf_counter()
        session(tensors)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _servers(folder: Path, model: Path) -> Iterator[tuple[str, AbstractContextManager[str]]]:
    onnx = folder / "model.onnx"
    onnx.write_bytes(onnx_bytes(model))
    words = ["-m", "stages", "serve", "localization", "--model", str(model), "--log", str(folder / "log"), "--port"]
    yield OURS, _serving([sys.executable, *words], 8301)
    settings = Settings(task="localization", model=model, log=folder / "log-asgi", limits=Limits())
    settings.write(folder)  # leaves its place in the environment, for the process that is started next
    asgi = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "pipeline.serve.worker:asgi",
        "--log-level",
        "critical",
        "--port",
    ]
    yield ASGI, _serving(asgi, 8302)
    os.environ[MODEL], os.environ[ONNX] = str(model), str(onnx)
    for port, (name, peer) in enumerate(PEERS.items(), start=8303):
        yield name, _serving([str(_PEER_PYTHON), "-m", f"benchmarks.serve.peers.{peer}"], port)


@contextmanager
def _serving(command: list[str], port: int) -> Iterator[str]:
    """A server, as soon as it answers; ended at the end. Raises UserError where it never does."""
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([*command, str(port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError("this server does not answer", where=" ".join(command[:6]), remedy="run it by hand")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(url: str) -> bool:
    try:
        headers = {"content-type": "application/json"}
        return httpx.post(f"{url}/v1/predict", content=_request(), headers=headers, timeout=30).status_code == 200
    except httpx.TransportError:
        return False
