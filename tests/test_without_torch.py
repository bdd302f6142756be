"""What needs no torch runs where importing torch fails: a process in which it, and what comes with it, is blocked."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.jsonl import write_all
from tests.gridworld.fake_predictions import Fake, fake_predictions

BLOCKED = ("torch", "safetensors", "onnx", "onnxruntime", "onnxscript")
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r}))"
RUN_STAGE = f"{BLOCK}; from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"


def run_without_torch(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("infer") / "predictions.jsonl"
    write_all(path, fake_predictions(Fake(num_records=3, num_traces=1)))
    return path


def test_the_block_blocks() -> None:
    finished = run_without_torch(f"{BLOCK}; import torch")
    assert finished.returncode != 0
    assert "import of torch halted" in finished.stderr


@pytest.mark.parametrize(("stage", "output"), [("evaluate", "metrics.jsonl"), ("visualize", "report.html")])
def test_stage_runs_without_torch(stage: str, output: str, predictions: Path, tmp_path: Path) -> None:
    finished = run_without_torch(RUN_STAGE, stage, "gridworld", "--input", str(predictions), "--out", str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / output).stat().st_size > 0
