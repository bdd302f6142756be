"""A registry behind a real server: canary, shadow, kept answers, roll back and SIGHUP, as a client sees them."""

import signal
import time
from pathlib import Path

import pytest

from pipeline.contract.load import load_part
from pipeline.contract.parts import RowsPart
from pipeline.files import read_all
from pipeline.registry.folder import FolderRegistry
from pipeline.registry.mlflow import MlflowRegistry
from tests.registry.mlflow_server import free_port, mlflow_server, needs_mlflow
from tests.serve.conftest import SCENARIO, Server, Start, problem
from tests.serve.model_files import MINIMAL, other

SLOW = ("--timeout", "60")  # on a busy machine the first answer of a worker takes seconds


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    registry = FolderRegistry(tmp_path / "registry")
    registry.add("town", MINIMAL)
    registry.add("town", other(tmp_path / "other.inference_v1"))
    registry.set_alias("town", "production", "1")
    return registry


def rows(server: Server) -> dict[str, int]:
    """How many rows the log has of each model."""
    kind = load_part("gridworld", RowsPart).prediction
    return {path.parent.name: len(read_all(path, kind)) for path in server.log.glob("*/predictions.jsonl")}


def test_a_canary_answers_its_keys_and_each_model_has_its_own_rows(start: Start, registry: FolderRegistry) -> None:
    server = start("--registry", registry.folder, "--name", "town", "--canary", "2", "--share", "0.5", "--cache", *SLOW)
    with server.client() as client:
        first = [
            client.post("/v1/predict", json=SCENARIO, headers={"x-sticky-key": str(key)}).json() for key in range(12)
        ]
        again = [
            client.post("/v1/predict", json={**SCENARIO, "id": "b"}, headers={"x-sticky-key": str(key)}).json()
            for key in range(12)
        ]
        models = [row["model"] for row in first]
        assert models == [row["model"] for row in again] and len({*models}) == 2
        assert [{**row, "id": "b"} for row in first] == again
        assert server.metric("log_rows_total", 24) == 24
        assert server.metrics()["cache_misses_total"] == 2 and server.metrics()["cache_hits_total"] == 22
        assert rows(server) == {model: 2 * models.count(model) for model in {*models}}
        listed = client.get("/v1/models").json()
        assert listed["second"] == {"version": "town/2", "mode": "canary", "share": 0.5}
        assert [one["version"] for one in listed["versions"]] == ["1", "2"]
        assert client.post("/v1/model/second", json={"model": None}).json()["version"] is None
        keys = [client.post("/v1/predict", json=SCENARIO, headers={"x-sticky-key": str(key)}) for key in range(12)]
        assert {answer.json()["model"] for answer in keys} == {client.get("/v1/model").json()["model"]}


def test_a_shadow_is_asked_everything_and_answers_nobody(start: Start, registry: FolderRegistry) -> None:
    server = start("--registry", registry.folder, "--name", "town", "--shadow", "2", *SLOW)
    with server.client() as client:
        answered = {client.post("/v1/predict", json={**SCENARIO, "seed": seed}).json()["model"] for seed in range(5)}
        assert server.metric('shadow_answers_total{outcome="same"}', 5) == 5
        assert server.metric("log_rows_total", 10) == 10
        assert len(answered) == 1 and sorted(rows(server).values()) == [5, 5]


def test_models_change_by_signal_and_by_call_and_back(start: Start, registry: FolderRegistry) -> None:
    server = start("--registry", registry.folder, "--name", "town", "--workers", "2", *SLOW)
    with server.client() as client:
        registry.set_alias("town", "production", "2")
        server.command.signal(signal.SIGHUP)
        assert server.metric("model_reloads_total", 1) == 1
        back = client.post("/v1/model/reload", json={"roll_back": True}).json()
        assert (back["status"], back["version"], back["previous"]) == ("rolled_back", "town/1", "town/2")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # on a connection of its own, which either worker may take
            with server.client() as one:
                versions = {one.get("/v1/model").json()["version"] for _ in range(4)}
            if versions == {"town/1"}:
                break
        assert versions == {"town/1"}
        assert problem(client.post("/v1/model/reload", json={"model": "9"})) == (409, "reload_refused")


@needs_mlflow
def test_an_mlflow_server_that_is_gone_leaves_the_model_and_is_asked_again(start: Start, tmp_path: Path) -> None:
    place, port = tmp_path / "mlflow", free_port()
    with mlflow_server(place, port) as address:
        MlflowRegistry(address).add("town", MINIMAL)
        MlflowRegistry(address).set_alias("town", "production", "1")
        server = start("--registry", address, "--name", "town", *SLOW, BATON_CACHE=str(tmp_path / "cache"))
    with server.client() as client:
        refused = client.post("/v1/model/reload")
        assert problem(refused) == (409, "reload_refused") and "does not answer" in refused.json()["detail"]
        assert client.get("/v1/models").json()["versions"] == []
        assert client.post("/v1/predict", json=SCENARIO).status_code == 200
        with mlflow_server(place, port) as address:
            MlflowRegistry(address).add("town", other(tmp_path / "other.inference_v1"))
            assert client.post("/v1/model/reload", json={"model": "2"}).json()["version"] == "town/2"
