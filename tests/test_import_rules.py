"""Who may import what, checked in real processes; the static side are the contracts in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tasks import task_names
from schemas.flow import STAGES
from tests.conftest import ROOT

TORCH = ("torch", "safetensors", "onnx", "onnxruntime", "onnxscript")
HEAVY = (*TORCH, "numba", "numpy", "pandas", "matplotlib", "textual", "rich", "yaml", "gymnasium")
LIGHT_PARTS = ("rows", "recipe", "data", "score", "draw", "live", "live_predictions")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)


def without(modules: tuple[str, ...], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which importing any of the modules fails."""
    return python(f"import sys; sys.modules.update(dict.fromkeys({modules!r})); {code}", *arguments)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a process has loaded after running code."""
    done = python(f"{code}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


# Modules of the library, besides those of tasks, that may import torch.
NEEDS_TORCH = {"brain", "checkpoints", "export", "model_compare", "model_file", "onnx_export", "training"}


def test_the_library_imports_without_torch_but_for_what_says_so() -> None:
    library = sorted(path for path in (ROOT / "pipeline").rglob("*.py") if "tasks" not in path.parts)
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in library]
    free = [name for name in modules if name.split(".")[1] not in NEEDS_TORCH]
    done = without(TORCH, f"import importlib; [importlib.import_module(name) for name in {free!r}]")
    assert done.returncode == 0, done.stderr
    needing = {name for name in NEEDS_TORCH if without(TORCH, f"import pipeline.{name}").returncode != 0}
    assert needing == NEEDS_TORCH


def test_a_blocked_import_fails() -> None:
    assert "import of torch halted" in without(TORCH, "import torch").stderr


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_help_loads_nothing_heavy(stage: str) -> None:
    """rich is loaded by typer itself, to print the help; not before."""
    assert not loaded_by(f"import stages.{stage}") & {*HEAVY}


def test_the_list_of_stages_loads_not_even_typer() -> None:
    assert not loaded_by("from stages.__main__ import dispatch; dispatch(['--help'])") & {*HEAVY, "typer"}


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES if not stage.needs_torch])
def test_stages_that_need_no_torch_import_without_it(stage: str) -> None:
    done = without(TORCH, f"import stages.{stage}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", LIGHT_PARTS)
@pytest.mark.parametrize("task", task_names())
def test_parts_that_work_on_rows_import_without_torch(task: str, part: str) -> None:
    done = without(TORCH, f"import pipeline.tasks.{task}.{part}")
    assert done.returncode == 0, done.stderr


def test_inspect_runs_without_torch_on_a_whole_run(tiny_runs: Path) -> None:
    code = "from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"
    done = without(TORCH, code, "inspect", str(tiny_runs / "gridworld/tiny"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stage", ["examples", "evaluate", "visualize"])
def test_stages_that_need_no_torch_run_without_it(stage: str, tiny_runs: Path, tmp_path: Path) -> None:
    code = "from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"
    given = ["gridworld", "--recipe", "tiny", "--runs-dir", str(tiny_runs), "--out", str(tmp_path / stage)]
    done = without(TORCH, code, stage, *given)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES if stage.needs_torch])
def test_stages_that_need_torch_say_so_without_it(stage: str, tiny_runs: Path, tmp_path: Path) -> None:
    code = "from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"
    given = ["gridworld", "--recipe", "tiny", "--runs-dir", str(tiny_runs), "--out", str(tmp_path / stage)]
    done = without(TORCH, code, stage, *given)
    assert done.returncode == 2
    assert "needs torch, which is not installed" in done.stderr
    assert "pip install 'baton-pipeline[torch]'" in done.stderr


def test_using_a_model_loads_no_training_code(tiny_runs: Path) -> None:
    model = tiny_runs / "gridworld/tiny/export/model.inference_v1"
    done = python(
        f"from pipeline import load_model; load_model({str(model)!r}); import sys; "
        "print(*[name for name in sys.modules if name.endswith(('.learn', '.learner', '.replay'))])"
    )
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


@pytest.mark.parametrize("task", task_names())
def test_a_task_loads_no_other_task(task: str) -> None:
    others = {name for name in task_names() if name != task}
    code = f"from pipeline.tasks import load_part; [load_part({task!r}, part) for part in {LIGHT_PARTS!r}]"
    done = python(f"{code}; import sys; print(*[n for n in sys.modules if n.startswith('pipeline.tasks.')])")
    assert done.returncode == 0, done.stderr
    assert not {name.split(".")[2] for name in done.stdout.split()} & others
