"""`baton explore` as a command: what it opens, what it refuses, and the Space that it writes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.model.container import ModelFile, TensorBytes, write_model_file
from tests.conftest import ROOT
from tests.explore.toy import write_toy_bundle
from tests.support.zygote import Zygote

ROWS = """\
from pipeline.contract.parts import RowsPart
from tests.explore.toy import ToyExample, ToyPrediction
PART = RowsPart(types={"example_v1": ToyExample, "prediction_v1": ToyPrediction})
"""
EXPLORE = "from tests.explore.toy import TOY as PART\n"


@dataclass(frozen=True)
class Project:
    """A folder with the toy as a task of one's own, a model and what was recorded of it."""

    folder: Path
    model: Path
    activations: Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    task, model = folder / "tasks/toy", folder / "toy.inference_v1"
    task.mkdir(parents=True)
    for name, text in {"__init__": '"""A toy."""\n', "rows": ROWS, "explore": EXPLORE}.items():
        (task / f"{name}.py").write_text(text)
    weights = {"w": TensorBytes("F32", (1,), memoryview(b"\0\0\0\0"))}
    hash = write_model_file(model, weights, brain_spec=b"{}", metadata=b"{}", created_at="2026-01-01T00:00:00Z")
    write_toy_bundle(folder / "toy", 8, weights_hash=hash)
    return Project(folder, model, folder / "toy")


def refused(libraries: Zygote, project: Project, *more: str | Path) -> str:
    done = libraries.run("explore", "toy", *more, folder=project.folder)
    assert done.code == 2
    return done.err


def test_it_serves_until_it_is_interrupted(libraries: Zygote, project: Project, tmp_path: Path) -> None:
    more = ("--activations", project.activations, "--model", project.model, "--port", "0", "--out", tmp_path)
    command = libraries.start("explore", "toy", *more, folder=project.folder)
    with httpx.Client(base_url=command.lines(1)[0].split()[1], timeout=60) as client:
        page = client.get("/")
        assert "baton explore" in page.text and "script-src 'self'" in page.headers["content-security-policy"]
        (bundle,) = client.get("/api/session").json()["bundles"]
        assert (bundle["title"], len(bundle["form"])) == ("toy", 6)
    command.signal(signal.SIGINT)
    assert command.finish().code == 130
    assert (tmp_path / "explore.sqlite").is_file()


def test_what_infer_recorded_is_made_into_a_bundle_once(libraries: Zygote, project: Project, tmp_path: Path) -> None:
    run = tmp_path / "infer"
    run.mkdir()
    row = {
        "schema": "prediction_v1",
        "task": "toy",
        "id": "r0",
        "model": ModelFile(project.model).header.weights_hash[:16],
    }
    (run / "predictions.jsonl").write_text(json.dumps(row) + "\n")
    more = ("--activations", run, "--port", "0", "--out", tmp_path)
    assert "for a map of these predictions their model is needed" in refused(libraries, project, *more)
    for told in (["explore: making the map of", "open http"], ["open http"]):
        command = libraries.start("explore", "toy", *more, "--model", project.model, folder=project.folder)
        lines = command.lines(len(told))
        assert all(line.startswith(start) for line, start in zip(lines, told, strict=True)), lines
        session = httpx.get(lines[-1].split()[1] + "api/session", timeout=60).json()
        assert [(one["title"], one["num_records"]) for one in session["bundles"]] == [("infer", 12)]
        command.kill()


def test_what_does_not_fit_together_is_refused_with_what_to_type(
    libraries: Zygote, project: Project, tmp_path: Path
) -> None:
    assert "neither a recipe nor a path says which activations" in refused(libraries, project)
    assert "this folder is no bundle" in refused(libraries, project, "--activations", tmp_path)
    other = write_toy_bundle(tmp_path / "other", 4)
    error = refused(libraries, project, "--activations", other.folder, "--model", project.model)
    assert "none of these activations were recorded of this model" in error
    space = ("--activations", project.activations, "--space", project.model)
    assert "a Space is written into a new folder" in refused(libraries, project, *space)
    both = ("--activations", project.activations, "--model", project.model, "--generator", "http://127.0.0.1:9")
    assert "both say what generates" in refused(libraries, project, *both)
    far = ("--activations", project.activations, "--generator", "http://127.0.0.1:9")
    assert "does not answer" in refused(libraries, project, *far)
    assert "--token" in refused(libraries, project, "--activations", project.activations, "--host", "0.0.0.0")


def test_a_second_server_of_the_same_folder_is_refused(libraries: Zygote, project: Project, tmp_path: Path) -> None:
    more = ("--activations", project.activations, "--port", "0", "--out", tmp_path)
    command = libraries.start("explore", "toy", *more, folder=project.folder)
    command.lines(1)
    assert "another server is at work here" in refused(libraries, project, *more)
    command.kill()


@contextmanager
def running(command: str, folder: Path, **environment: str) -> Iterator[str]:
    """A command of a shell in a folder, with `baton` on its path; the first line that it prints."""
    (folder / "bin").mkdir()
    baton = folder / "bin/baton"
    baton.write_text(f'#!/bin/sh\nexec {sys.executable} -m stages "$@"\n')
    baton.chmod(0o755)
    own = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=folder, env=os.environ | own | environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_space_runs_by_what_its_dockerfile_says(libraries: Zygote, project: Project, tmp_path: Path) -> None:
    space = tmp_path / "space"
    more = ("--activations", project.activations, "--model", project.model, "--space", space)
    done = libraries.run("explore", "toy", *more, folder=project.folder)
    assert done.code == 0, done.err
    assert sorted(path.name for path in space.iterdir()) == [
        "Dockerfile",
        "README.md",
        "activations",
        "baton",
        "models",
        "tasks",
    ]
    assert "sdk: docker\napp_port: 7860\nhf_oauth: true\n" in (space / "README.md").read_text()
    lines = (space / "Dockerfile").read_text().splitlines()
    for line in (line.split() for line in lines if line.startswith("COPY")):
        assert (space / line[-2]).is_dir()
    assert (space / "baton/pyproject.toml").is_file() and (space / "baton/pipeline/explore/page.html").is_file()
    (command,) = (line.removeprefix("CMD ") for line in lines if line.startswith("CMD "))
    login = {
        "OPENID_PROVIDER_URL": "https://huggingface.co",
        "OAUTH_CLIENT_ID": "client",
        "OAUTH_CLIENT_SECRET": "secret",
        "SPACE_HOST": "toy.hf.space",
    }
    with running(command, space, PORT="0", **login) as told:
        port = told.split()[1].rstrip("/").rpartition(":")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": "toy.hf.space"}, timeout=60) as client:
            page = client.get("/")
            assert "frame-ancestors https://huggingface.co" in page.headers["content-security-policy"]
            assert client.get("/api/session").json() == {"user": None, "ways_in": ["provider"], "task": "toy"}
            assert client.get("/login").headers["location"].startswith("https://huggingface.co/oauth/authorize?")
    assert (space / "made/explore.sqlite").is_file()
    again = libraries.run("explore", "toy", *more, folder=project.folder)
    assert again.code == 2 and "a Space is written into a new folder" in again.err
