"""Truths of earlier answers: live metrics are those of evaluate, and nobody sees another's rows."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from pipeline.files import encode
from pipeline.files.shared import append_lines
from pipeline.serve.application import section_of
from pipeline.serve.exchange import exchange_of
from pipeline.serve.log import FILE
from pipeline.serve.truths import Grown, Joined
from pipeline.tasks.localization.ellipse import ellipses
from pipeline.tasks.localization.rows import Prediction
from tests.conftest import Baton
from tests.serve.conftest import Server, Start, problem
from tests.serve.test_answer import examples_of, model_of, request_of

JSON = {"content-type": "application/json"}
NUM = 12


def truth_of(example: Any) -> dict[str, Any]:
    plain = msgspec.to_builtins(example)
    return {name: plain[name] for name in ("id", "objects", "coord_mode")}


def ask_and_tell(server: Server, num: int) -> str:
    """Ask ``num`` examples and tell their truths, over connections that either worker may have; returns the model."""
    models: set[str] = set()
    for example in examples_of("detection", num):
        with server.client() as client:
            assert client.post("/v1/predict", content=request_of("detection", example), headers=JSON).status_code == 200
        with server.client() as client:
            told = client.post("/v1/truth", json=truth_of(example)).json()
        models.update(told["models"])
    (model,) = models
    return model


def evaluated(baton: Baton, folder: Path, out: Path) -> dict[str, float]:
    """What evaluate says of a request log and its truths."""
    files = ("--input", folder / "predictions.jsonl", "--truths", folder / "truths.jsonl")
    done = baton("evaluate", "detection", *files, "--out", out, "--set", "evaluate.num_resamples=20", "--json")
    assert done.code == 0, done.err
    rows = map(msgspec.json.decode, (out / "metrics.jsonl").read_bytes().splitlines())
    return {row["name"]: row["value"] for row in rows if (row["slice_by"], row["subject"]) == ("all", "model")}


def test_evaluate_of_the_log_and_its_truths_is_what_metrics_say(baton: Baton, start: Start, tmp_path: Path) -> None:
    """Two workers, a log that is begun anew, answers without a truth, and a truth that is corrected."""
    server = start("detection", "--model", model_of("detection"), "--workers", "2")
    model = ask_and_tell(server, NUM)
    with server.client() as client:
        untold = examples_of("detection", NUM + 1)[-1]
        assert client.post("/v1/predict", content=request_of("detection", untold), headers=JSON).status_code == 200
        corrected = truth_of(examples_of("detection", 2)[1])
        corrected["objects"] = corrected["objects"] * 2
        assert client.post("/v1/truth", json=corrected).status_code == 200
    assert server.metric("log_rows_total", NUM + 1) == NUM + 1
    judged = evaluated(baton, server.log / model, tmp_path / "judged")
    live = server.metrics()
    f1, average_precision = judged["f1_50"], judged["average_precision"]
    assert 0 < f1 < 1
    assert server.metric(f'model_f1{{model="{model}"}}', f1) == pytest.approx(f1, abs=1e-12)
    live = server.metrics()
    assert live[f'model_average_precision{{model="{model}"}}'] == pytest.approx(average_precision, abs=1e-12)


def test_a_truth_of_no_answer_is_refused(start: Start) -> None:
    server = start("detection", "--model", model_of("detection"))
    with server.client() as client:
        response = client.post("/v1/truth", json={"id": "nobody", "objects": [], "coord_mode": "pixel"})
    assert problem(response) == (404, "no_such_answer")


def test_answers_in_files_that_were_renamed_before_and_meanwhile_are_found(tmp_path: Path) -> None:
    exchange = exchange_of("localization")
    truths = [exchange.truth(id=f"a{number}", latitude=45.0, longitude=7.0) for number in range(8)]
    joined = None
    for number, truth in enumerate(truths):
        append_lines(tmp_path / FILE, encode(Prediction(id=truth.id, model="m", measurements=())), rotate_at=1)
        if number == 3:
            joined = Joined(tmp_path, exchange, "localization", None)
            assert joined.add(truths[0])
    assert joined is not None
    assert all(joined.add(truth) for truth in truths)


def test_a_truth_that_is_no_place_leaves_the_median_of_the_others(tmp_path: Path) -> None:
    exchange, options = exchange_of("localization"), section_of("localization", "evaluate", None)
    covariance, joined = (100.0, 0.0, 100.0), Joined(tmp_path, exchange, "localization", options)
    for id, latitude in (("a", 45.0), ("b", 91.0)):
        said = {
            "fix_latitude": 45.0,
            "fix_longitude": 7.0,
            "covariance_m2": covariance,
            "ellipses": ellipses(covariance),
        }
        append_lines(tmp_path / FILE, encode(Prediction(id=id, model="m", measurements=(), **said)))
        assert joined.add(exchange.truth(id=id, latitude=latitude, longitude=7.0))
    assert joined.readings()["model_accuracy_meters"] == 0


def test_only_as_many_renamed_files_are_read_as_may_be_needed(tmp_path: Path) -> None:
    for number in range(6):
        append_lines(tmp_path / "rows.jsonl", b"%d\n" % number, rotate_at=1)
    assert [line for _, _, line in Grown(tmp_path / "rows.jsonl", num_lines=2).lines()] == [b"3\n", b"4\n", b"5\n"]


def test_a_damaged_line_of_the_log_costs_no_other(start: Start) -> None:
    server = start("detection", "--model", model_of("detection"))
    model = ask_and_tell(server, 1)
    for name in ("predictions.jsonl", "judged.jsonl"):
        append_lines(server.log / model / name, b'{"id":\n\0\xff\n{"id":"old"}\n')
    assert ask_and_tell(server, 2) == model
    assert f'model_f1{{model="{model}"}}' in server.metrics()
    with server.client() as client:
        response = client.post("/v1/truth", json={"id": "old", "objects": [], "coord_mode": "pixel"})
    assert problem(response) == (404, "no_such_answer")


def test_two_clients_with_keys_never_see_each_others_rows(start: Start, tmp_path: Path) -> None:
    keys = {"ann": "key-of-ann-0123456789", "bob": "key-of-bob-0123456789"}
    lines = [f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in keys.items()]
    (tmp_path / "keys").write_text("# who may ask\n" + "".join(lines))
    server = start("detection", "--model", model_of("detection"), "--auth-file", tmp_path / "keys")
    example = examples_of("detection", 1)[0]

    def ask(route: str, key: str | None, **body: Any) -> httpx.Response:
        headers = JSON if key is None else JSON | {"authorization": f"Bearer {key}"}
        with server.client(**headers) as client:
            return client.post(route, **body)

    for key in (None, "key-of-eve-0123456789"):
        assert problem(ask("/v1/predict", key, content=request_of("detection", example))) == (401, "no_key")
    assert ask("/v1/predict", keys["ann"], content=request_of("detection", example)).status_code == 200
    assert problem(ask("/v1/truth", keys["bob"], json=truth_of(example))) == (404, "no_such_answer")
    assert ask("/v1/truth", keys["ann"], json=truth_of(example)).status_code == 200
    assert ask("/v1/predict", keys["bob"], content=request_of("detection", examples_of("detection", 2)[1])).is_success
    with server.client() as client:
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        assert problem(client.get("/metrics")) == problem(client.get("/v1/model")) == (401, "no_key")
    server.stop()
    assert sorted(path.name for path in server.log.iterdir()) == ["ann", "bob"]
    for name, count in (("ann", 1), ("bob", 1)):
        (log,) = (server.log / name).glob("*/predictions.jsonl")
        assert len(log.read_bytes().splitlines()) == count
