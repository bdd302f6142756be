"""Reloads under full load: no request fails, no answer is of another model than its row names, bad ones are refused.

As a program it is the long run of docs/serve.md, of a localization model::

    python -m tests.serve.reload.under_load MODEL --seconds 60
"""

import itertools
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch

from pipeline.contract.model import ExportParts
from pipeline.files import read
from pipeline.files.hashes import canonical_json
from pipeline.model.container import ModelFile, TensorBytes, write_model_file
from pipeline.model.file import open_model, save_model
from pipeline.registry.folder import FolderRegistry
from pipeline.serve.answer import open_answerer
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from tests.model.model_parts import flip
from tests.serve.conftest import Server, running
from tests.support.zygote import WARM, Zygote

MEASURED = tuple(Measurement(receiver=name, level_dbm=-70.0) for name in ("Torino", "Montanaro", "Coazze"))
BODY: dict[str, Any] = {"measurements": msgspec.to_builtins(MEASURED), "frequency_mhz": 145.0}
LUA = 'wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json"; wrk.body = [==[%s]==]'
NUM_JUDGED = 30
REFUSED = {"3": "damaged", "4": "does not answer as it did", "5": "it is worse on"}


def registry_of(model: Path, folder: Path) -> FolderRegistry:
    """Versions 1 and 2, which answer almost the same; 3 is damaged, 4 has another golden output, 5 is worse."""
    registry = FolderRegistry(folder / "registry")
    registry.add("beacon", model)
    opened = open_model(model)
    for version, factor in (("2", 1.0 + 1e-6), ("5", 2.0)):
        weights = {name: tensor * factor for name, tensor in opened.module.state_dict().items()}
        parts = ExportParts(opened.brain, weights, opened.metadata, opened.golden_inputs)
        save_model(folder / "registry/beacon" / f"{version}.inference_v1", parts)
    damaged = shutil.copy(model, folder / "registry/beacon/3.inference_v1")
    flip(damaged, damaged.stat().st_size * 8 - 800)
    inputs = {name: tensor + (tensor > 0) for name, tensor in opened.golden_inputs.items()}
    with_other_inputs(model, folder / "registry/beacon/4.inference_v1", inputs)
    registry.set_alias("beacon", "production", "1")
    return registry


def with_other_inputs(model: Path, path: Path, inputs: dict[str, torch.Tensor]) -> None:
    """A whole file whose golden outputs are those of other inputs."""
    file = ModelFile(model)
    tensors = {
        name: TensorBytes(entry.dtype, entry.shape, file.read(name)) for name, entry in file.header.entries.items()
    }
    for name, tensor in inputs.items():
        data = memoryview(tensor.numpy().astype("float32").tobytes())
        tensors[f"golden.input.{name}"] = TensorBytes("F32", tuple(tensor.shape), data)
    write_model_file(
        path,
        tensors,
        brain_spec=canonical_json(dict(file.header.brain_spec)),
        metadata=canonical_json(dict(file.header.metadata)),
        created_at=file.header.created_at,
    )


@dataclass
class Load:
    """What a load generator saw."""

    num_requests: int
    num_failed: int
    p99_ms: float


@contextmanager
def load(server: Server, folder: Path, seconds: float, connections: int = 16) -> Iterator[list[Load]]:
    """wrk for so long, beside what is done meanwhile; what it saw is in the list afterwards."""
    script = folder / "post.lua"
    script.write_text(LUA % json.dumps(BODY))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "30s"]
    process = subprocess.Popen(
        [*command, "-s", str(script), f"{server.url}/v1/predict"], stdout=subprocess.PIPE, text=True
    )
    seen: list[Load] = []
    try:
        yield seen
        out = process.communicate()[0]
        failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", out)))
        failed += sum(map(int, re.findall(r"\d+", "".join(re.findall(r"Socket errors: (.*)", out)))))
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
        requests = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
        seen.append(Load(requests, failed, float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]))
    finally:
        process.kill()


@dataclass
class Checker:
    """Asks the same again and again on a connection of its own, and compares with what the named model says."""

    server: Server
    expected: dict[str, Prediction]
    num_asked: Counter[str] = field(default_factory=Counter)
    wrong: list[Any] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        with self.server.client() as client:
            while not over.is_set():
                answer = client.post("/v1/predict", json={**BODY, "id": "same"})
                if answer.status_code != 200:
                    self.wrong.append(answer.text)
                    continue
                row = msgspec.json.decode(answer.content, type=Prediction)
                self.num_asked[row.model] += 1
                if row != self.expected.get(row.model):
                    self.wrong.append(row)


@dataclass
class Report:
    """What a run found. ``outcomes`` counts what reloads ended in."""

    steady: Load
    reloading: Load
    outcomes: Counter[str]
    checked: Counter[str]
    wrong: list[Any]
    num_rows: int
    num_rows_wrong: int
    num_refused: float


def run(zygote: Zygote, model: Path, folder: Path, seconds: float, every_s: float = 1.0) -> Report:
    """Load without reloads, then with one ``every_s``, between two models; each bad one is offered in between."""
    registry_of(model, folder)
    expected = {}
    for version in ("1", "2"):
        answerer = open_answerer("localization", folder / f"registry/beacon/{version}.inference_v1")
        (row,) = answerer.answer([Example(id="same", measurements=MEASURED, frequency_mhz=145.0)])
        expected[answerer.identity.model] = row
    arguments = ("localization", "--registry", folder / "registry", "--name", "beacon", "--workers", "2")
    with running(zygote, folder / "log", *arguments) as server:
        _tell_truths(server)
        checker, over = Checker(server, expected), threading.Event()
        thread = threading.Thread(target=checker.run, args=(over,))
        thread.start()
        with load(server, folder, seconds) as steady:
            pass
        with load(server, folder, seconds) as reloading:
            outcomes = _reload(server, seconds, every_s)
        over.set()
        thread.join()
        refused = server.metrics().get("model_reloads_refused_total", 0.0)
        server.stop()
    return Report(
        steady[0], reloading[0], outcomes, checker.num_asked, checker.wrong, *_logged(server.log, expected), refused
    )


def _tell_truths(server: Server) -> None:
    """Truths of a few rows, somewhere about the fixes: nobody is right, and neither good model is better."""
    generator = random.Random(1)
    with server.client() as client:
        for number in range(NUM_JUDGED):
            levels = [one | {"level_dbm": one["level_dbm"] - number} for one in BODY["measurements"]]
            said = client.post("/v1/predict", json={**BODY, "measurements": levels, "id": f"judged-{number}"}).json()
            latitude, longitude = (said[f"fix_{name}"] + generator.gauss(0, 0.2) for name in ("latitude", "longitude"))
            truth = {"id": said["id"], "latitude": latitude, "longitude": longitude}
            client.post("/v1/truth", json=truth).raise_for_status()


def _reload(server: Server, seconds: float, every_s: float) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    begin, good, bad = time.monotonic(), itertools.cycle("21"), itertools.cycle(REFUSED)
    with server.client() as client:
        for number in range(max(2, int((seconds - 1) / every_s))):
            time.sleep(max(0.0, begin + number * every_s - time.monotonic()))
            offered = next(bad if number % 4 == 3 else good)
            answer = client.post("/v1/model/reload", json={"model": offered})
            body = answer.json()
            is_right = REFUSED.get(offered, "\0") in body.get("detail", "")
            outcomes[body.get("status") if answer.status_code == 200 else "refused" if is_right else str(body)] += 1
    return outcomes


def _logged(log: Path, expected: dict[str, Prediction]) -> tuple[int, int]:
    """Rows of the log, and those that are not what the model that they name says."""
    num, wrong = 0, 0
    for path in log.glob("*/predictions*.jsonl"):
        for row in read(path, Prediction):
            if row.id.startswith("judged-"):
                continue
            num += 1
            wrong += msgspec.structs.replace(row, id="same") != expected.get(path.parent.name)
    return num, wrong


def main(arguments: list[str]) -> None:
    """The long run."""
    seconds = float(arguments[2]) if arguments[1:2] == ["--seconds"] else 60.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("shared", "zygote"):
            (folder / part).mkdir()
        with Zygote(WARM, folder / "shared", folder / "zygote") as zygote:
            report = run(zygote, Path(arguments[0]), folder, seconds)
    print(report)
    print(f"p99 {report.reloading.p99_ms / report.steady.p99_ms:.2f} x steady")


if __name__ == "__main__":
    main(sys.argv[1:])
