"""The Open Inference Protocol: its public client, and bodies that do not hold together."""

import gzip
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from pipeline.contract.serving import TensorDescription
from pipeline.errors import UserError
from pipeline.serve.open_inference.codec import check, compress, decode, decompress, encode
from tests.serve.conftest import SCENARIO, Server

WANTED = [TensorDescription("levels", "FP32", (-1, 3)), TensorDescription("count", "INT64", (-1,))]


def body(*tensors: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": tensors, **more}).encode()


LEVELS = {"name": "levels", "shape": [2, 3], "datatype": "FP32", "data": [[1, 2, 3], [4, 5, 6.5]]}
COUNT = {"name": "count", "shape": [2], "datatype": "INT64", "data": [7, -8]}


def test_numbers_are_read_nested_or_flat_or_as_bytes_behind_the_json() -> None:
    levels = np.array([[1, 2, 3], [4, 5, 6.5]], np.float32)
    for tensor in (LEVELS, {**LEVELS, "data": levels.ravel().tolist()}):
        request, arrays = decode(body(tensor, COUNT), None)
        assert check(arrays, WANTED, request) == 2
        np.testing.assert_array_equal(arrays["levels"], levels)
        np.testing.assert_array_equal(arrays["count"], [7, -8])
    sizes = [{"parameters": {"binary_data_size": 24}}, {"parameters": {"binary_data_size": 16}}]
    plain = [{key: value for key, value in one.items() if key != "data"} for one in (LEVELS, COUNT)]
    text = body(plain[0] | sizes[0], plain[1] | sizes[1])
    request, arrays = decode(text + levels.tobytes() + np.array([7, -8]).tobytes(), str(len(text)))
    assert check(arrays, WANTED, request) == 2
    np.testing.assert_array_equal(arrays["levels"], levels)


def test_texts_are_read_and_written_with_their_lengths() -> None:
    raw = b"".join(struct.pack("<I", len(text)) + text for text in (b"a", b"", "ü".encode()))
    tensor = {"name": "t", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    text = body(tensor, parameters={"binary_data_output": True})
    request, arrays = decode(text + raw, str(len(text)))
    assert list(arrays["t"]) == [b"a", b"", "ü".encode()]
    answer, length = encode(request, arrays, [TensorDescription("t", "BYTES", (-1,))], "m", "1")
    assert length is not None and answer[length:] == raw


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ([{**LEVELS, "shape": [2, 2]}], r"6 values do not fit into \[2, 2\]"),
        ([{**LEVELS, "datatype": "FP31"}], "'FP31' is no datatype"),
        ([{**LEVELS, "data": [[1, 2], [3]]}], "these are no numbers of FP32"),
        ([{**LEVELS, "data": ["a"] * 6}], "these are no numbers of FP32"),
        ([{**LEVELS, "data": [1e300] * 6}], "a number is too large for FP32"),
        ([{**COUNT, "data": [1.5, 2]}], "these are no numbers of INT64"),
        ([{**COUNT, "datatype": "INT8", "data": [1000, 2]}], "one is too large"),
        ([{**COUNT, "data": [2**70, 2]}], "these are no numbers of INT64"),
        ([{**LEVELS, "shape": [-2, 3]}], "is no shape of a batch"),
        ([{**LEVELS, "parameters": {"binary_data_size": 24}}], "more than there is in the body"),
        ([{**LEVELS, "data": None}], "either data or binary_data_size"),
        ([LEVELS, LEVELS], "an input is given twice"),
        ([LEVELS], "the inputs are levels, count, not levels"),
        ([{**LEVELS, "shape": [3, 2]}, COUNT], r"FP32 \[3, 2\], and FP32 \[-1, 3\] is wanted"),
        ([LEVELS, {**COUNT, "shape": [1], "data": [1]}], "the inputs have batches of 1, 2"),
        ([{"name": "levels"}], "the request is not valid"),
    ],
)
def test_what_does_not_hold_together_is_refused(tensors: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(UserError, match=why):
        request, arrays = decode(body(*tensors), None)
        check(arrays, WANTED, request)


def test_bytes_that_belong_to_no_tensor_are_refused() -> None:
    with pytest.raises(UserError, match="3 bytes behind the last tensor"):
        decode(body(LEVELS) + b"abc", str(len(body(LEVELS))))
    with pytest.raises(UserError, match="cannot have 10000"):
        decode(body(LEVELS), "10000")


def test_bodies_are_packed_and_unpacked_up_to_a_limit() -> None:
    for name in ("gzip", "deflate"):
        packed, encoding = compress(b"a" * 1000, f"br, {name};q=0.5")
        assert encoding == name and len(packed) < 100
        assert decompress(packed, name, 1000) == b"a" * 1000
        with pytest.raises(UserError, match="more than 999 bytes"):
            decompress(packed, name, 999)
        with pytest.raises(UserError, match="it was cut"):
            decompress(packed[:-3], name, 1000)
    assert compress(b"a", "identity") == (b"a", None)
    with pytest.raises(UserError, match="'br' is not known"):
        decompress(b"a", "br", 10)


@pytest.fixture
def client(server: Server) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(server.url.removeprefix("http://"), connection_timeout=120, network_timeout=120)


def asking(binary: bool, num: int = 2) -> list[triton.InferInput]:
    """Scenarios as texts: gridworld has no tensors of its own."""
    tensor = triton.InferInput("request", [num], "BYTES")
    texts = [json.dumps({**SCENARIO, "seed": seed, "id": f"s{seed}"}).encode() for seed in range(num)]
    tensor.set_data_from_numpy(np.array(texts, object), binary_data=binary)
    return [tensor]


def test_a_public_client_reads_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("gridworld")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("gridworld")
    assert metadata["versions"] == ["minimal"]
    assert metadata["inputs"] == [{"name": "request", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [{"name": "answer", "datatype": "BYTES", "shape": [-1]}]
    assert client.is_model_ready("gridworld", "minimal") and not client.is_model_ready("gridworld", "other")


@pytest.mark.parametrize(("binary", "packing"), [(True, None), (False, "gzip"), (True, "deflate"), (False, None)])
def test_a_public_client_infers(
    binary: bool, packing: str | None, client: triton.InferenceServerClient, server: Server
) -> None:
    result = client.infer(
        "gridworld",
        asking(binary),
        outputs=[triton.InferRequestedOutput("answer", binary_data=binary)],
        request_id="mine",
        request_compression_algorithm=packing,
        response_compression_algorithm=packing,
    )
    rows = [json.loads(text) for text in result.as_numpy("answer")]
    with server.client() as plain:
        bodies = [{**SCENARIO, "seed": seed, "id": f"s{seed}"} for seed in range(2)]
        assert rows == [plain.post("/v1/predict", json=one).json() for one in bodies]
    assert result.get_response()["id"] == "mine"
    assert result.get_response()["model_version"] == "minimal"


def test_what_a_public_client_does_wrong_is_told_in_its_own_words(client: triton.InferenceServerClient) -> None:
    wrong = triton.InferInput("levels", [1], "BYTES")
    wrong.set_data_from_numpy(np.array([b"{}"], object))
    with pytest.raises(InferenceServerException, match="the inputs are request, not levels"):
        client.infer("gridworld", [wrong])
    with pytest.raises(InferenceServerException, match="there is nothing at"):
        client.get_model_metadata("other")
    with pytest.raises(InferenceServerException, match="up to 100 items, not 101"):
        client.infer("gridworld", asking(True, 101))
    with pytest.raises(InferenceServerException, match="there is no such output"):
        client.infer("gridworld", asking(True), outputs=[triton.InferRequestedOutput("other")])


def test_a_damaged_body_is_no_bug(server: Server) -> None:
    with server.client() as plain:
        for data, headers in (
            (b"\xff", {}),
            (gzip.compress(b"{}")[:-4], {"content-encoding": "gzip"}),
            (b"{}", {"inference-header-content-length": "-1"}),
            (b"{}", {"inference-header-content-length": "9" * 30}),
        ):
            answer: httpx.Response = plain.post("/v2/models/gridworld/infer", content=data, headers=headers)
            assert answer.status_code == 400 and answer.json()["error"]
