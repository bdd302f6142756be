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
LIGHT_PARTS = (
    "contract.parts.RowsPart",
    "contract.parts.RecipePart",
    "contract.parts.ExamplesPart",
    "contract.parts.SourcesPart",
    "contract.parts.EvaluatePart",
    "contract.parts.VisualizePart",
    "contract.parts.ConvertPart",
    "follow.scene.FollowPart",
    "follow.scene.FollowPredictionsPart",
)
LOAD = """
from pkgutil import resolve_name
from pipeline.contract.load import find_part
for kind in {kinds}:
    find_part({task!r}, resolve_name("pipeline." + kind))
"""
# Prints the modules that can be imported all the same.
TRY = """
import importlib
def loads(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
print(*filter(loads, {names}))
"""


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a process, which has loaded nothing before, has loaded after running code."""
    code = f"{code}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


# Rooms of the library, besides those of tasks, that may import torch; in `model` the bytes of a file need none.
NEEDS_TORCH = ("pipeline.export", "pipeline.model.", "pipeline.train.")
NEEDS_NONE = ("pipeline.model.container", "pipeline.model.foreign", "pipeline.train.steps", "pipeline.train.tail")


def test_the_library_imports_without_torch_but_for_what_says_so(without_torch: Zygote) -> None:
    library = sorted(path for path in (ROOT / "pipeline").rglob("*.py") if "tasks" not in path.parts)
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in library]
    free = [name for name in modules if not name.startswith(NEEDS_TORCH) or name.startswith(NEEDS_NONE)]
    done = without_torch.run(code=f"import importlib; [importlib.import_module(name) for name in {free!r}]")
    assert done.code == 0, done.err
    needing = [name for name in modules if name not in free and not name.endswith("__init__")]
    done = without_torch.run(code=TRY.format(names=needing))
    assert (done.code, done.out) == (0, "\n"), done.err


def test_a_blocked_import_fails(without_torch: Zygote) -> None:
    assert f"import of {TORCH[0]} halted" in without_torch.run(code=f"import {TORCH[0]}").err


@pytest.mark.parametrize("loaded", ["without_torch", "libraries"])
def test_of_the_project_nothing_is_loaded_before(loaded: str, request: pytest.FixtureRequest) -> None:
    code = "import sys; print(*[name for name in sys.modules if name.startswith(('pipeline', 'stages', 'schemas'))])"
    assert request.getfixturevalue(loaded).run(code=code).out == "\n"


def test_help_loads_nothing_heavy() -> None:
    """rich is loaded by typer itself, to print the help; not before."""
    assert not loaded_by(f"import {', '.join(f'stages.{stage.name}' for stage in STAGES)}") & {*HEAVY}


def test_the_list_of_stages_loads_not_even_typer() -> None:
    assert not loaded_by("from stages.__main__ import dispatch; dispatch(['--help'])") & {*HEAVY, "typer"}


@pytest.mark.parametrize("task", task_names())
def test_parts_that_work_on_rows_import_without_torch(task: str, without_torch: Zygote) -> None:
    done = without_torch.run(code=LOAD.format(task=task, kinds=LIGHT_PARTS))
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
    task = "diffusion" if stage == "explore" else "gridworld"  # not all tasks are explored
    given = (task, "--recipe", "tiny", "--runs-dir", tiny_runs, "--out", tmp_path / stage)
    done = without_torch.run(stage, *given)
    assert done.code == 2
    assert "needs torch, which is not installed" in done.err
    assert "pip install 'baton-pipeline[torch]'" in done.err


def test_using_a_model_loads_no_training_code(tiny_runs: Path, libraries: Zygote) -> None:
    model = tiny_runs / "gridworld/tiny/export/model.inference_v1"
    code = (
        f"from pipeline import load_model; load_model({str(model)!r}); import sys; "
        "print(*[name for name in sys.modules if '.train.' in name and 'tasks' in name])"
    )
    done = libraries.run(code=code)
    assert (done.code, done.out) == (0, "\n"), done.err


@pytest.mark.parametrize("task", task_names())
def test_a_task_loads_no_other_task(task: str, libraries: Zygote) -> None:
    others = {name for name in task_names() if name != task}
    code = LOAD.format(task=task, kinds=LIGHT_PARTS)
    code += "import sys; print(*[n for n in sys.modules if n.startswith('pipeline.tasks.')])"
    done = libraries.run(code=code)
    assert done.code == 0, done.err
    found = {name.split(".")[2] for name in done.out.split()}
    assert task in found and not found & others
