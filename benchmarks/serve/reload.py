"""How long another model takes to answer: by a route, by a signal, by an alias that moves; beside its own loading."""

import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import httpx

from benchmarks.harness import Report, Samples, take_turns, timed
from benchmarks.serve.load import JSON, PORT, Server, baton_serve, make_model, request, serving
from pipeline.contract.model import ExportParts
from pipeline.model.file import open_model, save_model
from pipeline.registry.folder import FolderRegistry
from pipeline.serve.answer import open_answerer

_INTERVAL_S = 0.05
_NUM_LOGGED = 100  # rows that a new model must answer


def run(quick: bool) -> Report:
    """Versions 1 and 2, to and fro. Two servers: one that follows the alias, and one that waits to be asked."""
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        model = make_model(folder)
        registry = _registry(model, folder)
        words = ("--registry", registry.folder, "--name", "beacon", "--log")
        asked = stack.enter_context(serving(baton_serve(*words, folder / "log"), PORT))
        follow = ("--reload-interval", str(_INTERVAL_S))
        following = stack.enter_context(serving(baton_serve(*words, folder / "log-2", *follow), PORT + 1))
        for server in (asked, following):
            for _ in range(_NUM_LOGGED):
                httpx.post(f"{server.url}/v1/predict", content=request(), headers=JSON).raise_for_status()
        versions = {server.pid: cycle("21") for server in (asked, following)}

        def route() -> float:
            version, start = next(versions[asked.pid]), time.perf_counter()
            httpx.post(f"{asked.url}/v1/model/reload", json={"model": version}, timeout=60).raise_for_status()
            return time.perf_counter() - start

        def by_alias(server: Server, tell: Callable[[], None]) -> float:
            version = next(versions[server.pid])
            registry.set_alias("beacon", "production", version)
            start = time.perf_counter()
            tell()
            while httpx.get(f"{server.url}/v1/model").json()["version"] != f"beacon/{version}":
                time.sleep(0.001)
            return time.perf_counter() - start

        shown = take_turns(
            {
                "load": timed(lambda: open_answerer("localization", model)),
                "route": route,
                "signal": lambda: by_alias(asked, lambda: asked.send_signal(signal.SIGHUP)),
                "alias": lambda: by_alias(following, lambda: None),
            },
            2 if quick else 20,
        )
    return Report(
        title="another model comes to answer",
        method=(
            f"A small localization model in a registry, one worker, {_NUM_LOGGED} rows in its log. A reload loads the "
            "new version, checks it, asks it all rows of the log, and swaps. Measured until the answer of the route, "
            "or until GET /v1/model says the new version."
        ),
        samples=[
            Samples("loading the model alone", "s", tuple(shown["load"])),
            Samples("by POST /v1/model/reload", "s", tuple(shown["route"])),
            Samples("by SIGHUP", "s", tuple(shown["signal"])),
            Samples(f"by its alias, looked at every {_INTERVAL_S} s", "s", tuple(shown["alias"])),
        ],
        claims=[],
    )


def _registry(model: Path, folder: Path) -> FolderRegistry:
    """Two versions that answer almost the same."""
    registry, opened, other = FolderRegistry(folder / "registry"), open_model(model), folder / "other.inference_v1"
    weights = {name: tensor * (1.0 + 1e-6) for name, tensor in opened.module.state_dict().items()}
    save_model(other, ExportParts(opened.brain, weights, opened.metadata, opened.golden_inputs))
    for path in (model, other):
        registry.add("beacon", path)
    registry.set_alias("beacon", "production", "1")
    return registry
