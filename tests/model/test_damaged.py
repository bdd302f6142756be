"""Model files that are damaged, forged or of another kind are refused, with a reason; what is in them is never run."""

import hashlib
import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from pipeline import load_model
from pipeline.errors import UserError
from pipeline.model.container import MAX_HEADER_BYTES, ModelFile, describe
from pipeline.model.file import load_model as load
from pipeline.model.file import save_model
from tests.model.model_parts import flip, parts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.inference_v1"
    save_model(path, parts())
    return path


def test_a_flipped_bit_anywhere_is_refused(path: Path) -> None:
    """One bit of every byte of the file."""
    generator = random.Random(0)
    missed = []
    for byte in range(path.stat().st_size):
        bit = 8 * byte + generator.randrange(8)
        flip(path, bit)
        try:
            describe(path)
            missed.append(byte)
        except UserError:
            pass
        flip(path, bit)
    assert missed == []
    describe(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError):
        load(path)


def test_bytes_after_the_end_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UserError, match="bytes follow the last tensor"):
        load(path)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch trapped",)


@pytest.mark.parametrize("kind", ["pickle", "torch zip", "torch legacy"])
def test_a_pickle_in_disguise_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.inference_v1"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        torch.save({"w": Trap()}, path, _use_new_zipfile_serialization=kind == "torch zip")
    with pytest.raises(UserError, match="pickle, not an inference_v1 file") as caught:
        load(path)
    assert caught.value.remedy is not None and "baton export" in caught.value.remedy
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "too few"),
        (b"\0" * 7, "too few"),
        (b"\xff" * 64, "not a safetensors file"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}", "not a safetensors file"),
        ((100).to_bytes(8, "little") + b"{}", "cut off"),
        ((2).to_bytes(8, "little") + b"[]", "not a JSON object"),
        ((2).to_bytes(8, "little") + b"{]", "not readable JSON"),
        ((2).to_bytes(8, "little") + b"\xff\xff", "not readable JSON"),
        ((2).to_bytes(8, "little") + b"{}", "not an inference_v1 file"),
        ((200_000).to_bytes(8, "little") + b"[" * 200_000, "not readable JSON"),
        ((20_006).to_bytes(8, "little") + b'{"a":' + b"9" * 20_000 + b"}", "not readable JSON"),
        ((9).to_bytes(8, "little") + b'{"a":NaN}', "not readable JSON"),
        ((13).to_bytes(8, "little") + b'{"a":1,"a":1}', "not readable JSON"),
        (b'{"schema": "prediction_v1"}\n', "not a safetensors file"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "m"
    path.write_bytes(content)
    with pytest.raises(UserError, match=what) as caught:
        load(path)
    assert caught.value.where is not None and str(path) in caught.value.where


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="this is not a file"):
        load(tmp_path / "pipe")
    with pytest.raises(UserError, match="there is no such model file"):
        load(tmp_path / "none")
    with pytest.raises(UserError):
        load(tmp_path)


def test_a_safetensors_file_of_someone_else_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.zeros(3)}, tmp_path / "m")
    with pytest.raises(UserError, match="not an inference_v1 file"):
        load(tmp_path / "m")


Change = Callable[[dict[str, Any]], None]


def forge(path: Path, change: Change, *, rehash: bool = True) -> None:
    """Rewrite the header; with ``rehash`` every hash of it is made to match again, as only a forger would do."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    change(table)
    strings = table["__metadata__"]
    if rehash:
        for name in ("brain_spec", "metadata"):
            strings[f"{name}_hash"] = hashlib.sha256(strings[name].encode()).hexdigest()
        entries = sorted((about["data_offsets"], name, about) for name, about in table.items() if name[0] != "_")
        listing = [[name, about["dtype"], about["shape"]] for _, name, about in entries]
        text = json.dumps(listing, separators=(",", ":")) + "\n" + strings["weights_chunks"]
        strings["weights_hash"] = hashlib.sha256(text.encode()).hexdigest()
        covered = ("format_version", "brain_spec_hash", "metadata_hash", "weights_hash", "created_at")
        strings["header_hash"] = hashlib.sha256("\n".join(strings[key] for key in covered).encode()).hexdigest()
    header = json.dumps(table).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])


def put(name: str, value: Any) -> Change:
    return lambda table: table["__metadata__"].__setitem__(name, value)


def edit_json(name: str, **changes: Any) -> Change:
    def change(table: dict[str, Any]) -> None:
        strings = table["__metadata__"]
        strings[name] = json.dumps({**json.loads(strings[name]), **changes})

    return change


def edit_tensor(name: str, **changes: Any) -> Change:
    return lambda table: table[name].update(changes)


def rename(old: str, new: str) -> Change:
    return lambda table: table.__setitem__(new, table.pop(old))


def test_a_forged_header_with_right_hashes_loads(path: Path) -> None:
    """The hashes tell damage, not malice; and so the tests below fail for the reason they name."""
    forge(path, put("created_at", "2031-01-31T00:00:00Z"))
    load(path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (put("brain_spec_hash", "0" * 64), "brain_spec does not match brain_spec_hash"),
        (put("metadata_hash", "0" * 64), "metadata does not match metadata_hash"),
        (put("weights_hash", "0" * 64), "header_hash"),
        (put("weights_chunks", "0" * 64), "weights_hash"),
        (put("header_hash", "0" * 64), "header_hash"),
        (put("created_at", "2031-01-31T00:00:00Z"), "header_hash"),
        (edit_json("brain_spec", input_size=7), "brain_spec does not match brain_spec_hash"),
        (edit_json("metadata", step=13), "metadata does not match metadata_hash"),
        (rename("head.linear.bias", "head.linear.bia"), "weights_hash"),
    ],
)
def test_a_wrong_hash_is_an_error(path: Path, change: Change, what: str) -> None:
    forge(path, change, rehash=False)
    with pytest.raises(UserError, match=what):
        load(path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (put("format_version", "inference_v2"), "this installation reads inference_v1"),
        (put("format_version", 1), "this installation reads inference_v1"),
        (put("note", "hello"), "unknown entry 'note'"),
        (put("created_at", "yesterday"), "created_at is not a time"),
        (put("weights_chunks", ""), "weights_chunks does not fit"),
        (put("brain_spec", "[]"), "brain_spec is not a readable JSON object"),
        (put("metadata", '{"a":' * 100_000), "metadata is not a readable JSON object"),
        (put("metadata", '{"a": "\\ud800"}'), "metadata is not a readable JSON object"),
        (edit_json("brain_spec", task="gridwold"), "there is no task 'gridwold'"),
        (edit_json("brain_spec", task="../../etc"), "there is no task"),
        (edit_json("brain_spec", extra=1), "the brain spec is not valid"),
        (edit_json("brain_spec", network={"type": "feedforward", "hidden": [10**12]}), "each from 1 to"),
        (edit_json("brain_spec", network={"type": "feedforward", "hidden": [65536] * 9}), "is missing|asks for"),
        (edit_json("brain_spec", network={"type": "feedforward", "hidden": [5]}), "asks for"),
        (edit_json("brain_spec", network={"type": "feedforward", "hidden": [4], "color": 1}), "has no key 'color'"),
        (edit_json("brain_spec", network={"type": "feedforward", "hidden": [4, 4]}), "is missing|asks for"),
        (edit_json("brain_spec", network={"type": "feedforward", "hidden": []}), "no such tensor|asks for"),
        (edit_json("metadata", golden={}), "does not say how far golden outputs may differ"),
        (edit_json("metadata", golden={"tolerance": -1}), "does not say how far"),
        (edit_json("metadata", golden={"tolerance": True}), "does not say how far"),
        (rename("head.linear.bias", "head.linear.offset"), "is missing"),
        (rename("golden.output.q_values", "golden.output.z_values"), "not those of this network"),
        (rename("golden.output.q_values", "golden.q_values"), "no golden inputs"),
        (rename("golden.input.resets", "golden.input.reset"), "golden inputs do not fit"),
        (edit_tensor("head.linear.bias", dtype="I32"), r"the tensor is torch.int32 \[8\]"),
        (edit_tensor("head.linear.bias", dtype="F4"), "unknown tensor type"),
        (edit_tensor("head.linear.bias", shape=[2, 4]), "asks for"),
        (edit_tensor("head.linear.bias", shape=[9]), "shape does not fit"),
        (edit_tensor("head.linear.bias", shape=[True] * 3), "not described"),
        (edit_tensor("head.linear.bias", shape=[1] * 99), "not described"),
        (edit_tensor("head.linear.bias", shape=[10**30]), "not described"),
        (edit_tensor("head.linear.bias", data_offsets=[0, 32]), "overlap or leave a gap"),
        (edit_tensor("head.linear.bias", data_offsets=[32]), "not described"),
        (edit_tensor("head.linear.bias", data_offsets="ab"), "not described"),
        (edit_tensor("head.linear.bias", shape="8"), "not described"),
        (edit_tensor("head.linear.bias", shape=[8.0]), "not described"),
        (edit_tensor("head.linear.bias", data_offsets=[-32, 0]), "not described"),
        (edit_tensor("head.linear.bias", data_offsets=[10**15, 10**15 + 32]), "overlap or leave a gap"),
        (edit_tensor("head.linear.bias", note=1), "not described"),
        (lambda table: table.__setitem__("golden.x", 3), "not described"),
    ],
)
def test_a_forged_file_is_refused(path: Path, change: Change, what: str) -> None:
    content = path.read_bytes()
    try:
        forge(path, change)
    except (TypeError, KeyError):  # nothing to hash: the header itself is wrong
        path.write_bytes(content)
        forge(path, change, rehash=False)
    with pytest.raises(UserError, match=what):
        load(path)


def test_a_wrong_golden_output_is_refused(path: Path) -> None:
    """All hashes match, but the network does not answer as it did: say, another version of torch or of this code."""
    content = bytearray(path.read_bytes())
    file = ModelFile(path)
    entry = file.header.entries["golden.output.q_values"]
    wrong = np.frombuffer(content[entry.start : entry.stop], np.float32) + np.float32(0.01)
    content[entry.start : entry.stop] = wrong.tobytes()
    path.write_bytes(content)
    forge(path, put("weights_chunks", hashlib.sha256(content[file.header.data_start :]).hexdigest()))
    describe(path)
    with pytest.raises(UserError, match=r"does not answer as it did when it was exported: q_values differs by 0\.01"):
        load(path)
    load(path, verify=False)


def test_a_golden_output_that_is_nan_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    file = ModelFile(path)
    entry = file.header.entries["golden.output.q_values"]
    content[entry.start : entry.start + 4] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    forge(path, put("weights_chunks", hashlib.sha256(content[file.header.data_start :]).hexdigest()))
    with pytest.raises(UserError, match="differs by nan"):
        load(path)


def test_an_unknown_device_is_said(path: Path) -> None:
    for device in ("gpu", "cuda:99", "meta2"):
        with pytest.raises(UserError, match="there is no device"):
            load(path, device=device)


def test_a_model_stays_usable_when_its_file_is_replaced(path: Path) -> None:
    observations = np.ones((2, 6), np.float32)
    model = load_model(path)
    expected = model.predict(observations).q_values.tobytes()
    save_model(path, parts(seed=1))
    assert model.predict(observations).q_values.tobytes() == expected
    assert load_model(path).predict(observations).q_values.tobytes() != expected
