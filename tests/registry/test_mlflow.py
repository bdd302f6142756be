"""An MLflow server as a registry: a real one, and what is said when it is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.files.hashes import sha256_file
from pipeline.registry.mlflow import ARTIFACTS, MlflowRegistry
from tests.conftest import Baton
from tests.registry.mlflow_server import free_port, mlflow_server, needs_mlflow
from tests.registry.model_files import make_model


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), free_port()) as address:
        yield address


@pytest.fixture
def registry(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowRegistry:
    monkeypatch.setenv("BATON_CACHE", str(tmp_path / "cache"))
    return MlflowRegistry(address)


@needs_mlflow
def test_what_is_added_comes_back_by_its_alias(registry: MlflowRegistry, tmp_path: Path) -> None:
    first, second = (make_model(tmp_path / f"{seed}.inference_v1", seed) for seed in (1, 2))
    assert [registry.add("town", first), registry.add("town", second), registry.add("town", first)] == ["1", "2", "1"]
    assert registry.set_alias("town", "production", "1") is None
    assert registry.set_alias("town", "production", "2") == "1"
    assert registry.resolve("town", "production") == "2"
    fetched = registry.fetch("town", "2")
    assert fetched.read_bytes() == second.read_bytes()
    assert fetched == tmp_path / f"cache/models/{sha256_file(second)}.inference_v1"
    assert [(one.version, one.task, [*one.aliases]) for one in registry.versions("town")] == [
        ("1", "gridworld", []),
        ("2", "gridworld", ["production"]),
    ]


@needs_mlflow
def test_a_version_that_others_logged_is_found_by_its_run(registry: MlflowRegistry, tmp_path: Path) -> None:
    """As MLflow's own client registers it: source ``runs:/RUN/folder``, no hash known beforehand."""
    model = make_model(tmp_path / "a.inference_v1", 3)
    run = registry._call("POST", "runs/create", experiment_id="0")["run"]["info"]
    path = registry._artifact_path(run["artifact_uri"])
    registry._send("PUT", f"{ARTIFACTS}/{path}/model/theirs.inference_v1", content=model.read_bytes())
    registry._call("POST", "registered-models/create", name="theirs")
    asked = {"name": "theirs", "run_id": run["run_id"]}
    registry._call("POST", "model-versions/create", **asked, source=f"runs:/{run['run_id']}/model")
    assert registry.fetch("theirs", "1").read_bytes() == model.read_bytes()
    registry._call("POST", "model-versions/create", **asked, source=f"runs:/{run['run_id']}/nothing")
    with pytest.raises(UserError, match="there are 0 inference_v1 files"):
        registry.fetch("theirs", "2")


@needs_mlflow
def test_a_file_that_was_exchanged_on_the_server_is_refused(registry: MlflowRegistry, tmp_path: Path) -> None:
    registry.add("exchanged", make_model(tmp_path / "a.inference_v1", 4))
    other = make_model(tmp_path / "b.inference_v1", 5)
    source = registry._call("GET", "model-versions/get-download-uri", name="exchanged", version="1")["artifact_uri"]
    path = registry._artifact_path(source)
    registry._send("PUT", f"{ARTIFACTS}/{path}/exchanged.inference_v1", content=other.read_bytes())
    with pytest.raises(UserError, match="does not match the hash that it was added with"):
        registry.fetch("exchanged", "1")
    assert not (tmp_path / "cache/models").exists()


@needs_mlflow
def test_what_is_not_there_is_said_with_what_is(registry: MlflowRegistry, tmp_path: Path) -> None:
    registry.add("known", make_model(tmp_path / "a.inference_v1", 6))
    registry.set_alias("known", "production", "1")
    with pytest.raises(UserError, match="known has no alias 'prodution'") as caught:
        registry.resolve("known", "prodution")
    assert caught.value.remedy == "did you mean 'production'?"
    with pytest.raises(UserError, match="Registered Model with name=unknown not found"):
        registry.versions("unknown")


@needs_mlflow
def test_the_command_works_on_the_server_that_is_named(address: str, baton: Baton, tmp_path: Path) -> None:
    model = make_model(tmp_path / "a.inference_v1", 7)
    there = {"MLFLOW_URI": address}
    assert baton("registry", "add", "typed", model, "--alias", "production", **there).code == 0
    listed = baton("registry", "list", "typed", "--json", "--registry", address.replace("http", "mlflow")).json
    assert [(one["version"], one["aliases"]) for one in listed["versions"]] == [("1", ["production"])]


@needs_mlflow
def test_a_server_that_is_gone_is_told_and_may_come_back(tmp_path: Path) -> None:
    port = free_port()
    registry = MlflowRegistry(f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match="the MLflow server does not answer"):
        registry.names()
    with mlflow_server(tmp_path / "server", port):
        assert registry.names() == []


def test_what_is_no_mlflow_server_is_said(httpserver_of: str) -> None:
    with pytest.raises(UserError, match="what answers there is no MLflow server"):
        MlflowRegistry(httpserver_of).names()


@pytest.fixture
def httpserver_of(tmp_path: Path) -> Iterator[str]:
    """A server that answers all with a page."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>hello</h1>")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
