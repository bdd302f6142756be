"""What the process that a sweep's stages are forked from has made ready."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.contract.parts import Part
from pipeline.sweep import preload as ready
from pipeline.sweep.forks import TASK
from stages.common import THREAD_VARIABLES
from tests.conftest import ROOT

READY = """\
import os, sys
from pathlib import Path
from pipeline.sweep.forks import warm_runner

def look(told):
    loaded = all(f"pipeline.tasks.detection.{name}" in sys.modules for name in ("evaluate.score", "train.trainer"))
    Path(told).write_text(f"{loaded} {len(os.listdir(f'/proc/{os.getppid()}/task'))}")

if __name__ == "__main__":
    fork = warm_runner("detection").__self__._context.Process(target=look, args=(sys.argv[1],))
    fork.start()
    fork.join()
"""


def test_forks_find_the_task_loaded_by_a_process_of_one_thread(tmp_path: Path) -> None:
    (tmp_path / "ready.py").write_text(READY)
    one = dict.fromkeys(THREAD_VARIABLES, "1")  # as the commands set them
    command = [sys.executable, str(tmp_path / "ready.py"), str(tmp_path / "told")]
    subprocess.run(command, cwd=ROOT, env=os.environ | one | {"PYTHONPATH": str(ROOT)}, check=True, timeout=300)
    assert (tmp_path / "told").read_text() == "True 1"


def test_a_task_that_cannot_be_made_ready_is_left_to_its_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TASK, "any")
    monkeypatch.setattr("pipeline.contract.load.load_part", broken)
    importlib.reload(ready)  # as the process that is forked imports it: what is raised would end it


def broken(task: str, kind: type[Part]) -> object:
    raise RuntimeError("a part that cannot be imported")
