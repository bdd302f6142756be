"""Every example on the pages for users of models runs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.export import export_model
from tests.model.checkpoint_parts import ONNX_KINDS, checkpoint_v1, save

ROOT = Path(__file__).resolve().parents[2]


def run_page(page: str, folder: Path) -> None:
    """Run every code block of a page in order, in ``folder``: bash in a shell, Python in one namespace."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks and {language for language, _ in blocks} <= {"python", "bash"}
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    namespace: dict[str, Any] = {}
    run: dict[str, Callable[[str], object]] = {
        "python": lambda code: exec(compile(code, page, "exec"), namespace),
        "bash": lambda code: subprocess.run(["bash", "-ec", code], cwd=folder, env=environment, check=True),
    }
    for language, code in blocks:
        run[language](code)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_on_using_a_model_works(folder: Path) -> None:
    first = checkpoint_v1(ONNX_KINDS["lstm"])
    export_model(save(folder / "c", first), folder / "model.inference_v1", task="gridworld")
    other = first | {"average_weights": first["weights"]}
    export_model(save(folder / "c", other), folder / "other.inference_v1", task="gridworld")
    run_page("using-a-model.md", folder)


def test_the_page_on_old_checkpoints_works(folder: Path) -> None:
    run_page("migrating-checkpoints.md", folder)
