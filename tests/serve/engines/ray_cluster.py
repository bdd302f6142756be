"""A server on a real Ray cluster of two nodes, one of which is killed: needs the extra `ray`, so `make test-ray` runs
it."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import ray
from ray import serve as ray_serve

from pipeline.files import read_all
from pipeline.tasks.localization.rows import Prediction
from tests.infer.ray_cluster import two_nodes
from tests.registry.mlflow_server import free_port
from tests.serve.reload.under_load import BODY, registry_of

MODEL = Path("runs/pretrained/localization/levels.inference_v1")
NUM_CLIENTS, START_S = 8, 240.0


@contextmanager
def serving(*words: str | Path, log: Path, port: int | None = None) -> Iterator[str]:
    """The address of a server of two replicas, as soon as it answers; Ctrl-C ends it."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "stages", "serve", "localization", "--engine", "ray", "--workers", "2"]
    process = subprocess.Popen([*command, *map(str, words), "--log", str(log), "--port", str(port)])
    try:
        deadline = time.monotonic() + START_S
        while not is_ready(address):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)
        yield address
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    finally:
        process.kill()


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def load(address: str) -> Iterator[list[tuple[float, str]]]:
    """Clients that ask without a pause: when each began to ask, and what came of it."""
    seen: list[tuple[float, str]] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not over.is_set():
                began = time.monotonic()
                try:
                    seen.append((began, str(client.post(f"{address}/v1/predict", json=BODY).status_code)))
                except httpx.TransportError as error:
                    seen.append((began, type(error).__name__))

    clients = [threading.Thread(target=ask) for _ in range(NUM_CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        over.set()
        for client in clients:
            client.join()


def test_a_node_that_is_killed_costs_what_was_in_flight_there(tmp_path: Path) -> None:
    with two_nodes() as cluster, serving("--model", MODEL, log=tmp_path) as address, load(address) as seen:
        time.sleep(3)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        killed = time.monotonic()
        time.sleep(10)
        late = [outcome for began, outcome in seen if began > killed + 5]
    outcomes = Counter(outcome for _, outcome in seen)
    assert outcomes["200"] > 100
    assert sum(outcomes.values()) - outcomes["200"] <= 2 * NUM_CLIENTS, outcomes
    assert set(late) == {"200"}
    (log,) = tmp_path.glob("*/predictions.jsonl")
    assert len(read_all(log, Prediction)) <= outcomes["200"]


def test_a_reload_is_one_of_all_replicas(tmp_path: Path) -> None:
    registry = registry_of(MODEL, tmp_path)
    place = ("--registry", tmp_path / "registry", "--name", "beacon")
    with two_nodes(), serving(*place, log=tmp_path / "log") as address:
        registry.set_alias("beacon", "production", "2")
        told = httpx.post(f"{address}/v1/model/reload", json={}, timeout=60)
        assert (told.status_code, told.json()["status"]) == (200, "swapped")
        time.sleep(2)
        models = {httpx.post(f"{address}/v1/predict", json=BODY, timeout=60).json()["model"] for _ in range(40)}
        assert models == {told.json()["model"]}


def test_a_server_that_cannot_begin_says_why(tmp_path: Path) -> None:
    place = ("--registry", tmp_path / "none", "--name", "beacon", "--port", str(free_port()), "--log", tmp_path / "log")
    command = [sys.executable, "-m", "stages", "serve", "localization", "--engine", "ray", *map(str, place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    assert done.returncode == 2
    assert "beacon" in done.stderr
    assert "Traceback" not in done.stderr


def hello(path: str) -> None:
    """An application of somebody else, on the cluster that RAY_ADDRESS names."""
    ray_serve.run(ray_serve.deployment(lambda request: "hello").bind(), name="other", route_prefix=path)


def test_what_else_the_cluster_serves_stays(tmp_path: Path) -> None:
    with two_nodes():
        ray.init(log_to_driver=False)
        ray_serve.start(http_options={"port": (port := free_port()), "location": "EveryNode"})
        hello("/")
        command = [sys.executable, "-m", "stages", "serve", "localization", "--engine", "ray", "--log", str(tmp_path)]
        refused = subprocess.run([*command, "--model", MODEL], capture_output=True, text=True, timeout=START_S)
        assert (refused.returncode, "is being used by application" in refused.stderr) == (2, True), refused.stderr
        hello("/hello")
        with serving("--model", MODEL, log=tmp_path, port=port) as address:
            assert httpx.post(f"{address}/v1/predict", json=BODY, timeout=60).status_code == 200
            again = subprocess.run([*command, "--model", MODEL], capture_output=True, text=True, timeout=START_S)
            assert (again.returncode, "another `baton serve`" in again.stderr) == (2, True), again.stderr
        assert httpx.get(f"{address}/hello", timeout=60).text == "hello"
        assert set(ray_serve.status().applications) == {"other"}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
