"""The application as ASGI: what another one mounts, and what uvicorn runs."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pipeline.serve.settings import VARIABLE, Settings
from pipeline.serve.worker import asgi
from tests.serve.conftest import SCENARIO, problem
from tests.serve.test_answer import model_of


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setitem(os.environ, VARIABLE, "")  # restored at the end
    Settings(task="gridworld", model=model_of("gridworld"), log=tmp_path / "log").write(tmp_path)
    application = asgi()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://here") as client:
        yield client
    application.application.close()


async def test_it_answers_as_the_command_does_from_the_defaults_of_the_task(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    row = (await client.post("/v1/predict", json=SCENARIO)).json()
    assert row["error"] is None and row["trace"] is None and row["seed"] == SCENARIO["seed"]
    assert (await client.get("/v1/model")).json()["model"] == row["model"]
    assert "model_loaded 1.0" in (await client.get("/metrics")).text


async def test_it_refuses_as_the_command_does(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/nothing")) == (404, "no_such_route")
    assert problem(await client.put("/v1/predict")) == (405, "method")
    long = {"content-length": str(10**12), "content-type": "application/json"}
    assert problem(await client.post("/v1/predict", content=b"{}", headers=long)) == (413, "too_large")

    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (1 << 20)

    chunked = await client.post("/v1/predict", content=body(), headers={"content-type": "application/json"})
    assert problem(chunked) == (413, "too_large")


async def test_a_reload_needs_no_body(client: httpx.AsyncClient) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    assert (await client.post("/v1/model/reload", content=nothing())).json()["status"] == "unchanged"
    assert problem(await client.post("/v1/model/reload", content=b'{"model": "9"}')) == (415, "content_type")
