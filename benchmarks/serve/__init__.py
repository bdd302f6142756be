"""Requests a second and how long one takes over HTTP, beside the bare session and three public servers."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import msgspec

from benchmarks.harness import Claim, Report, Samples, at_least, at_most, quotients, take_turns
from benchmarks.serve.load import PORT, Server, ask, baton_serve, make_model, make_script, request, require_wrk, serving
from benchmarks.training import ROOT
from pipeline.errors import UserError
from pipeline.model.container import ModelFile
from pipeline.serve.answer import onnx_bytes, open_onnx
from pipeline.serve.exchange import exchange_of
from pipeline.serve.settings import Settings
from pipeline.tasks.localization.infer.answer import prepare
from pipeline.tasks.localization.model.brain import read_network
from schemas.brain import BrainSpec

_PEER_PYTHON = ROOT / ".venv-bench/bin/python"
OURS, ASGI = "Baton (granian)", "Baton (uvicorn)"
MODEL, ONNX = "BATON_PEER_MODEL", "BATON_PEER_ONNX"  # variables in which the peers find the files
PEERS = {"FastAPI + pydantic": "fastapi", "LitServe": "litserve", "BentoML": "bentoml"}
_TARGETS = {"FastAPI + pydantic": 3.0, "LitServe": 15.0, "BentoML": 20.0}  # requests a second, ours over theirs
_NETWORKS = {"one Gaussian": 1, "a mixture of 4": 4}
_P50_BARE, _P50_BARE_ASGI, _P99 = 10.0, 7.0, 0.15


def run(quick: bool) -> Report:
    """For each network, all servers stay up; the load goes to one after the other."""
    require_wrk()
    if not _PEER_PYTHON.exists():
        raise UserError("the peers are not installed", where=str(_PEER_PYTHON), remedy="make bench installs them")
    seconds, rounds = (2, 1) if quick else (5, 5)
    samples, claims = list[Samples](), list[Claim]()
    for name, num_components in _NETWORKS.items():
        shown, bare_us = _measure(num_components, seconds, rounds)
        samples += _samples(name, shown, bare_us)
        claims += _claims(name, shown, bare_us)
    return Report(
        title="a small model over HTTP",
        method=(
            "A localization network (three layers of 256) that ONNX Runtime answers with, one worker and one thread "
            "each: once with one Gaussian, whose ellipse is a formula, and once with the mixture of 4 of the recipes, "
            "whose median and ellipses are found by iteration, in every server by the same code. "
            "wrk sends the same request over 1 and over 100 connections; all check the same body and make "
            "the same row. Ours logs every row and counts for /metrics; the peers do neither. Servers take turns. Bare "
            "is session.run alone, in a turn of its own."
        ),
        samples=samples,
        claims=claims,
    )


def _measure(num_components: int, seconds: int, rounds: int) -> tuple[dict[str, "_Shown"], list[float]]:
    """What each server showed with a network, and the microseconds of the bare session in each round."""
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        model, script = make_model(folder, num_components), make_script(folder)
        urls = {name: stack.enter_context(one).url for name, one in _servers(folder, model)}
        shown = {name: _Shown() for name in urls}
        bare_us: list[float] = []
        for name in (OURS, ASGI):  # its model is judged to be quick, or not, by its first calls
            ask(urls[name], script, 1, 2)
        for _ in range(rounds):
            bare_us.append(bare(model, 400 * seconds))
            take_turns(
                {name: lambda name=name: shown[name].measure(urls[name], script, seconds) for name in urls},  # type: ignore[misc]
                rounds=1,
                warmups=0,
            )
    return shown, bare_us


class _Shown:
    """What a server showed in each round."""

    def __init__(self) -> None:
        self.p50_us: list[float] = []
        self.rates: list[float] = []
        self.p99_ms: list[float] = []

    def measure(self, url: str, script: Path, seconds: int) -> float:
        """One round: a connection alone, then a hundred."""
        self.p50_us.append(ask(url, script, 1, seconds)["50%"])
        many = ask(url, script, 100, seconds)
        self.rates.append(many["Requests/sec"])
        self.p99_ms.append(many["99%"] / 1000)
        return many["Requests/sec"]


def _samples(network: str, shown: Mapping[str, _Shown], bare_us: list[float]) -> Iterator[Samples]:
    yield Samples(f"{network}: session.run, bare", "us", tuple(bare_us))
    for name, one in shown.items():
        yield Samples(f"{network}: {name}: 1 connection, p50", "us", tuple(one.p50_us))
        yield Samples(f"{network}: {name}: 100 connections", "requests/s", tuple(one.rates))
        yield Samples(f"{network}: {name}: 100 connections, p99", "ms", tuple(one.p99_ms))


def _claims(network: str, shown: Mapping[str, _Shown], bare_us: list[float]) -> Iterator[Claim]:
    ours, many = shown[OURS], f"{network}: 100 connections"
    yield at_most(f"{network}: p50 of one connection over session.run", quotients(ours.p50_us, bare_us), _P50_BARE)
    yield at_most(f"{network}: the same under ASGI", quotients(shown[ASGI].p50_us, bare_us), _P50_BARE_ASGI)
    for name, bound in _TARGETS.items():
        peer = shown[name]
        yield at_least(f"{many}, requests a second over {name}", quotients(ours.rates, peer.rates), bound)
        yield at_most(f"{many}, p99 over {name}", quotients(ours.p99_ms, peer.p99_ms), _P99)


def bare(model: Path, num: int) -> float:
    """The middle time of session.run for one record, in microseconds."""
    brain = read_network(msgspec.convert(dict(ModelFile(model).header.brain_spec), BrainSpec))
    exchange = exchange_of("localization")
    example = exchange.to_example(msgspec.json.decode(request(), type=exchange.body), "bare")
    session, tensors = open_onnx(model), prepare([example], brain).tensors
    times = []
    for _ in range(num):
        start = time.perf_counter()
        session(tensors)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _servers(folder: Path, model: Path) -> Iterator[tuple[str, AbstractContextManager[Server]]]:
    onnx = folder / "model.onnx"
    onnx.write_bytes(onnx_bytes(model))
    yield OURS, serving(baton_serve("--model", model, "--log", folder / "log"), PORT)
    # Its place is left in the environment, for the process that is started next.
    Settings(task="localization", model=model, log=folder / "log-asgi").write(folder)
    asgi = ["-m", "uvicorn", "--factory", "pipeline.serve.worker:asgi", "--log-level", "critical", "--port"]
    yield ASGI, serving([sys.executable, *asgi], PORT + 1)
    os.environ[MODEL], os.environ[ONNX] = str(model), str(onnx)
    for port, (name, peer) in enumerate(PEERS.items(), start=PORT + 2):
        yield name, serving([str(_PEER_PYTHON), "-m", f"benchmarks.serve.peers.{peer}"], port)
