"""Model files of other makers: every stage that is given one says what it is, and a way that works."""

import zipfile
from pathlib import Path

import pytest
import torch

from tests.conftest import Baton


def _zip(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")


def _write(path: Path, kind: str) -> None:
    """A small file as its maker writes it."""
    match kind:
        case "stable-baselines3":
            _zip(
                path,
                "data",
                "pytorch_variables.pth",
                "policy.pth",
                "policy.optimizer.pth",
                "_stable_baselines3_version",
            )
        case "Keras":
            _zip(path, "metadata.json", "config.json", "model.weights.h5")
        case "TorchScript":
            torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)  # type: ignore[no-untyped-call]
        case "ONNX":
            onnx = pytest.importorskip("onnx")
            graph = onnx.helper.make_graph([], "empty", [], [])
            onnx.save(onnx.helper.make_model(graph, producer_name="maker"), path)
        case "GGUF":
            path.write_bytes(b"GGUF\x03\0\0\0" + bytes(16))
        case "HDF5":
            path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(24))


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("stable-baselines3", "q_net.q_net.state_dict()"),
        ("Keras", "docs/migrating-checkpoints.md"),
        ("TorchScript", "docs/migrating-checkpoints.md"),
        ("ONNX", "--backend replay"),
        ("GGUF", "--backend server"),
        ("HDF5", "docs/migrating-checkpoints.md"),
    ],
)
def test_a_model_of_another_maker_is_said_to_be_one(
    kind: str, way: str, tmp_path: Path, tiny_runs: Path, baton: Baton
) -> None:
    path = tmp_path / "model.zip"
    _write(path, kind)
    examples = tiny_runs / "gridworld/tiny/examples/examples.jsonl"
    for arguments in (
        ("infer", "gridworld", "--model", str(path), "--input", str(examples)),
        ("export", "gridworld", "--checkpoint", str(path)),
    ):
        done = baton(*arguments, "--out", str(tmp_path / arguments[0]))
        assert done.code == 2 and kind in done.err and "not a file of Baton" in done.err, done.err
        assert way in done.err and str(path) in done.err
