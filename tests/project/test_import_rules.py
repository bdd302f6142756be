"""Who may import what, checked in processes, some without torch; the static side is in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.contract.load import task_names
from schemas.flow import STAGES
from tests.conftest import ROOT
from tests.support.zygote import TORCH, Zygote

HEAVY = (*TORCH, "numba", "numpy", "pandas", "matplotlib", "textual", "rich", "yaml", "gymnasium")
LIGHT_PARTS = ("rows", "recipe", "data", "score", "draw", "live", "live_predictions")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has loaded nothing yet."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a process has loaded after running code."""
    done = python(f"{code}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


# Modules of the library, besides those of tasks, that may import torch.
NEEDS_TORCH = {"brain", "checkpoints", "export", "model_compare", "model_file", "onnx_export", "training"}


def test_the_library_imports_without_torch_but_for_what_says_so(without_torch: Zygote) -> None:
    library = sorted(path for path in (ROOT / "pipeline").rglob("*.py") if "tasks" not in path.parts)
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in library]
    free = [name for name in modules if name.split(".")[1] not in NEEDS_TORCH]
    done = without_torch.run(code=f"import importlib; [importlib.import_module(name) for name in {free!r}]")
    assert done.code == 0, done.err
    needing = {name for name in NEEDS_TORCH if without_torch.run(code=f"import pipeline.{name}").code != 0}
    assert needing == NEEDS_TORCH


@pytest.mark.parametrize("name", TORCH)
def test_a_blocked_import_fails(name: str, without_torch: Zygote) -> None:
    assert f"import of {name} halted" in without_torch.run(code=f"import {name}").err


@pytest.mark.parametrize("loaded", ["without_torch", "libraries"])
def test_of_the_project_nothing_is_loaded_before(loaded: str, request: pytest.FixtureRequest) -> None:
    code = "import sys; print(*[name for name in sys.modules if name.startswith(('pipeline', 'stages', 'schemas'))])"
    assert request.getfixturevalue(loaded).run(code=code).out == "\n"


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_help_loads_nothing_heavy(stage: str) -> None:
    """rich is loaded by typer itself, to print the help; not before."""
    assert not loaded_by(f"import stages.{stage}") & {*HEAVY}


def test_the_list_of_stages_loads_not_even_typer() -> None:
    assert not loaded_by("from stages.__main__ import dispatch; dispatch(['--help'])") & {*HEAVY, "typer"}


@pytest.mark.parametrize("part", LIGHT_PARTS)
@pytest.mark.parametrize("task", task_names())
def test_parts_that_work_on_rows_import_without_torch(task: str, part: str, without_torch: Zygote) -> None:
    done = without_torch.run(code=f"import pipeline.tasks.{task}.{part}")
    assert done.code == 0, done.err


def test_inspect_runs_without_torch_on_a_whole_run(tiny_runs: Path, without_torch: Zygote) -> None:
    done = without_torch.run("inspect", tiny_runs / "gridworld/tiny")
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize(
    ("stage", "output"),
    [("examples", "examples.jsonl"), ("evaluate", "metrics.jsonl"), ("visualize", "report.html")],
)
def test_stages_that_need_no_torch_run_without_it(
    stage: str, output: str, tiny_runs: Path, tmp_path: Path, without_torch: Zygote
) -> None:
    given = ("gridworld", "--recipe", "tiny", "--runs-dir", tiny_runs, "--out", tmp_path / stage)
    done = without_torch.run(stage, *given)
    assert done.code == 0, done.err
    assert (tmp_path / stage / output).stat().st_size > 0


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES if stage.needs_torch])
def test_stages_that_need_torch_say_so_without_it(
    stage: str, tiny_runs: Path, tmp_path: Path, without_torch: Zygote
) -> None:
    given = ("gridworld", "--recipe", "tiny", "--runs-dir", tiny_runs, "--out", tmp_path / stage)
    done = without_torch.run(stage, *given)
    assert done.code == 2
    assert "needs torch, which is not installed" in done.err
    assert "pip install 'baton-pipeline[torch]'" in done.err


def test_using_a_model_loads_no_training_code(tiny_runs: Path, libraries: Zygote) -> None:
    model = tiny_runs / "gridworld/tiny/export/model.inference_v1"
    code = (
        f"from pipeline import load_model; load_model({str(model)!r}); import sys; "
        "print(*[name for name in sys.modules if name.endswith(('.learn', '.learner', '.replay'))])"
    )
    done = libraries.run(code=code)
    assert (done.code, done.out) == (0, "\n"), done.err


@pytest.mark.parametrize("task", task_names())
def test_a_task_loads_no_other_task(task: str, libraries: Zygote) -> None:
    others = {name for name in task_names() if name != task}
    code = f"from pipeline.tasks import load_part; [load_part({task!r}, part) for part in {LIGHT_PARTS!r}]"
    done = libraries.run(
        code=f"{code}; import sys; print(*[n for n in sys.modules if n.startswith('pipeline.tasks.')])"
    )
    assert done.code == 0, done.err
    found = {name.split(".")[2] for name in done.out.split()}
    assert task in found and not found & others
