"""What a real server answers: predictions, problems, and what it says of itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.load import load_part
from pipeline.contract.parts import RowsPart
from pipeline.files import read_all, write_all
from tests.conftest import ROOT, Baton
from tests.serve.conftest import SCENARIO, Server, Start, problem
from tests.serve.test_answer import examples_of, model_of, request_of

JSON = {"content-type": "application/json"}


def test_an_answer_is_the_row_that_infer_writes(baton: Baton, start: Start, tmp_path: Path) -> None:
    """Row for row and byte for byte, one by one and in a batch, and so is the log."""
    examples = examples_of("gridworld", 4)
    write_all(tmp_path / "examples.jsonl", examples)
    files = ("--model", model_of("gridworld"), "--input", tmp_path / "examples.jsonl", "--out", tmp_path / "infer")
    done = baton("infer", "gridworld", *files, "--set", "infer.num_traces=0")
    assert done.code == 0, done.err
    wanted = (tmp_path / "infer/predictions.jsonl").read_bytes()
    server = start("gridworld", "--model", model_of("gridworld"))
    bodies = [request_of("gridworld", example) for example in examples]
    with server.client(**JSON) as client:
        one_by_one = [client.post("/v1/predict", content=body).content for body in bodies]
        batch = client.post("/v1/predict/batch", content=b'{"items":[%b]}' % b",".join(bodies)).json()
    assert b"".join(one_by_one) == wanted
    assert [item["prediction"] for item in batch["items"]] == [json.loads(line) for line in wanted.splitlines()]
    assert server.stop() == 130
    (log,) = server.log.glob("*/predictions.jsonl")
    assert log.read_bytes() == wanted + wanted


def test_detection_answers_from_an_image_in_the_request_and_from_one_below_the_root(start: Start) -> None:
    root = ROOT / "runs/examples/detection"
    server = start("detection", "--model", model_of("detection"), "--image-root", root)
    example = examples_of("detection", 1)[0]
    named = {"id": "named", "images": example.images, "width": example.width, "height": example.height}
    with server.client(**JSON) as client:
        sent = client.post("/v1/predict", content=request_of("detection", example)).json()
        below = client.post("/v1/predict", json=named).json()
        outside = client.post("/v1/predict", json=named | {"images": ["../../../pyproject.toml"]}).json()
        neither = client.post("/v1/predict", json={"id": "neither"})
    assert sent["preds"] == below["preds"] and sent["error"] is None and below["error"] is None
    assert sent["images"][0].startswith("sha256:") and below["images"] == example.images
    assert outside["error"] == "image_outside_root" and outside["preds"] == []
    assert problem(neither) == (422, "invalid")


BODIES: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"{", 400, "not_json"),
    "nothing": (b"", 400, "not_json"),
    "no UTF-8": (b'{"level":"\xff"}', 400, "not_json"),
    "NaN": (b'{"level":"minimal","seed":1,"multiplier":NaN}', 400, "not_json"),
    "half a pair": (b'{"level":"minimal","seed":1,"id":"\\ud800"}', 400, "not_json"),
    "a number beyond all": (b'{"level":"minimal","seed":1,"multiplier":1e999}', 422, "invalid"),
    "a number beyond float32": (b'{"level":"minimal","seed":1,"multiplier":1e300}', 422, "invalid"),
    "a seed of 65 bits": (b'{"level":"minimal","seed":18446744073709551616}', 422, "invalid"),
    "a deep document": (b"[" * 100_000, 422, "invalid"),
    "a list": (b"[]", 422, "invalid"),
    "an unknown field": (b'{"level":"minimal","seed":1,"colour":"red"}', 422, "invalid"),
    "a field of another type": (b'{"level":"minimal","seed":"1"}', 422, "invalid"),
    "an unknown level": (b'{"level":"minimax","seed":1}', 422, "invalid"),
    "an empty id": (b'{"level":"minimal","seed":1,"id":""}', 422, "invalid"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_says_nothing_that_can_be_is_refused_and_says_why(name: str, server: Server) -> None:
    body, status, kind = BODIES[name]
    with server.client(**JSON) as client:
        assert problem(client.post("/v1/predict", content=body)) == (status, kind)


def test_a_wrong_field_is_named(server: Server) -> None:
    with server.client() as client:
        told = client.post("/v1/predict", json=SCENARIO | {"seed": "one"}).json()
    assert told["where"] == "seed" and "str" in told["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonl", ""])
def test_a_body_of_another_type_is_refused(kind: str, server: Server) -> None:
    with server.client() as client:
        response = client.post("/v1/predict", content=json.dumps(SCENARIO), headers={"content-type": kind})
    assert problem(response) == (415, "content_type")


def test_what_is_not_there_and_what_a_route_does_not_take(server: Server) -> None:
    with server.client() as client:
        assert problem(client.get("/v1/nothing")) == (404, "no_such_route")
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "GET"):
            response = client.request(method, "/v1/predict")
            assert problem(response) == (405, "method") and response.headers["allow"] == "POST"


def test_an_item_of_a_batch_fails_alone(server: Server) -> None:
    items: list[Any] = [SCENARIO, SCENARIO | {"seed": "x"}, SCENARIO | {"level": "none"}, SCENARIO | {"seed": 2}]
    with server.client() as client:
        answers = client.post("/v1/predict/batch", json={"items": items}).json()["items"]
    assert [list(answer) for answer in answers] == [["prediction"], ["problem"], ["problem"], ["prediction"]]
    assert answers[1]["problem"]["status"] == 422 and answers[2]["problem"]["status"] == 422
    assert answers[3]["prediction"]["seed"] == 2


@pytest.mark.parametrize("num", [0, 101])
def test_a_batch_has_from_one_to_a_hundred_items(num: int, server: Server) -> None:
    with server.client() as client:
        assert problem(client.post("/v1/predict/batch", json={"items": [SCENARIO] * num})) == (422, "invalid")


def test_answers_without_an_id_have_ids_of_their_own(server: Server) -> None:
    with server.client() as client:
        ids = {client.post("/v1/predict", json=SCENARIO).json()["id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_server_says_what_its_model_is(server: Server) -> None:
    with server.client() as client:
        told = client.get("/v1/model").json()
        (only,) = client.get("/v1/models").json()["models"]
        row = client.post("/v1/predict", json=SCENARIO).json()
    assert told == only and told["task"] == "gridworld" and told["version"] == "minimal"
    assert told["model"] == row["model"] == told["weights_hash"][:16]
    assert told["trained"]["recipe_hash"] and told["input"] and told["output"]


def test_the_description_names_every_route_and_its_rows(server: Server) -> None:
    with server.client() as client:
        told = client.get("/openapi.json").json()
    assert {"/v1/predict", "/v1/predict/batch", "/v1/model", "/v1/models", "/v1/model/reload", "/health"} <= {
        *told["paths"]
    }
    schemas = told["components"]["schemas"]
    fields = load_part("gridworld", RowsPart).prediction.__struct_fields__
    assert {*schemas["GridworldPrediction"]["properties"]} == {*fields}
    assert schemas["GridworldRequest"]["additionalProperties"] is False


def test_metrics_count_over_all_workers(start: Start) -> None:
    server = start("gridworld", "--model", "minimal", "--workers", "2")
    for _ in range(10):  # each on a connection of its own, which either worker may take
        with server.client() as client:
            assert client.post("/v1/predict", json=SCENARIO).status_code == 200
    assert server.metric("log_rows_total", 10) == 10
    told = server.metrics_when(lambda told: told.get("inference_latency_ms_count") == 10)
    assert told['inference_requests_total{endpoint="/v1/predict"}'] == 10
    assert told["model_inference_count_total"] == told["inference_latency_ms_count"] == 10
    assert told["model_loaded"] == 1
    rows = read_all(next(server.log.glob("*/predictions.jsonl")), load_part("gridworld", RowsPart).prediction)
    assert len({row.id for row in rows}) == 10


def test_a_server_that_cannot_begin_says_why(baton: Baton, tmp_path: Path) -> None:
    good = model_of("gridworld").read_bytes()
    (tmp_path / "damaged.inference_v1").write_bytes(good[:-100] + bytes(100))
    done = baton("serve", "gridworld", "--model", tmp_path / "damaged.inference_v1", "--no-log")
    assert done.code == 2 and "damaged" in done.err
    done = baton("serve", "gridworld", "--model", "minimal", "--host", "0.0.0.0")
    assert done.code == 2 and "add --auth-file FILE" in done.err
