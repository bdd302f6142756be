"""What is installed from a package works by itself: no checkout, an empty folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.new.write import TEMPLATES
from pipeline.run.manifest import load_manifest
from tests.conftest import ROOT, Done
from tests.support.zygote import BATON, Zygote

SHIPPED = ("recipes", "gates", "sweeps", "pretrained")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package lies that was built of a copy of the checkout, in which runs have left their outputs."""
    copy, target = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("site-packages")
    for name in ("pipeline", "stages", "schemas", *(f"runs/{folder}" for folder in SHIPPED)):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    output = copy / "runs/gridworld/demo/evaluate/manifest.json"
    output.parent.mkdir(parents=True)
    output.write_text("{}")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--no-compile",
    ]
    done = subprocess.run([*command, "--target", target, copy], capture_output=True, text=True, cwd=target)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(copy)
    return target


def baton(libraries: Zygote, installed: Path, folder: Path, *arguments: str, code: str = BATON) -> Done:
    """`baton ARGUMENTS`, or other ``code``, of the installed package, in a process that does not know the checkout."""
    paths = f"[{str(installed)!r}, *(path for path in sys.path if path not in ('', {str(ROOT)!r}))]"
    where = f"import pipeline; assert pipeline.__file__ == {str(installed / 'pipeline/__init__.py')!r}"
    return libraries.run(*arguments, folder=folder, code=f"import sys; sys.path[:] = {paths}; {where}; {code}")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_recipes_gates_sweeps_and_models_are_in_it_and_outputs_of_runs_are_not(installed: Path) -> None:
    ours = {name for name in files(ROOT / "runs") if name.split("/")[0] in SHIPPED}
    assert files(installed / "pipeline/shipped") == ours
    assert {path.name for path in installed.iterdir()} == {
        *("pipeline", "stages", "schemas", "bin", "baton_pipeline-0.1.0.dist-info")
    }


def test_what_else_it_reads_is_in_it(installed: Path) -> None:
    assert files(installed / "schemas/generated") == files(ROOT / "schemas/generated")
    ours = {name for name in files(TEMPLATES) if "__pycache__" not in name}
    assert files(installed / "pipeline/new/templates") == ours
    page = {name for name in files(ROOT / "pipeline/follow/browser") if "__pycache__" not in name}
    assert files(installed / "pipeline/follow/browser") == page
    assert all((installed / package / "py.typed").is_file() for package in ("pipeline", "stages", "schemas"))
    assert {path.name for path in (installed / "pipeline/look").iterdir()} == {
        path.name for path in (ROOT / "pipeline/look").iterdir() if path.is_file()
    }


def test_shipped_recipes_gates_and_models_are_found_by_name(installed: Path, libraries: Zygote, tmp_path: Path) -> None:
    run = ("gridworld", "--recipe", "tiny")
    done = baton(libraries, installed, tmp_path, "examples", *run)
    assert done.code == 0, done.err
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    worse = str(ROOT / "tests/gates/early_checkpoint.jsonl.zst")
    done = baton(libraries, installed, tmp_path, "gate", "gridworld", "--gate", "full", "--input", worse)
    assert (done.code, done.out[:19]) == (1, "FAIL gridworld/full"), done.err
    done = baton(libraries, installed, tmp_path, "infer", *run, "--model", "ful")
    assert done.code == 2 and "did you mean 'full'?" in done.err
    code = "from pipeline import load_model; print(load_model('full', task='gridworld').brain.task)"
    done = baton(libraries, installed, tmp_path, code=code)
    assert done.out == "gridworld\n", done.err


def test_a_wrong_value_names_a_schema_that_is_there(installed: Path, libraries: Zygote, tmp_path: Path) -> None:
    run = ("gridworld", "--recipe", "demo")
    assert baton(libraries, installed, tmp_path, "examples", *run).code == 0
    done = baton(libraries, installed, tmp_path, "train", *run, "--set", "train.num_steps=0")
    assert done.code == 2
    assert f"{installed}/schemas/generated/gridworld.recipe_v1.json lists every key" in done.err


def test_a_project_of_ones_own_works_in_an_empty_folder(installed: Path, libraries: Zygote, tmp_path: Path) -> None:
    for arguments in (("new", "."), ("examples", "gridworld", "--recipe", "demo")):
        done = baton(libraries, installed, tmp_path, *arguments)
        assert done.code == 0, done.err
    assert baton(libraries, installed, tmp_path, "new", "own", "--task", "blobs").code == 0
    own = tmp_path / "own"
    for stage in ("examples", "train", "export", "infer", "evaluate", "visualize"):
        done = baton(libraries, installed, own, stage, "blobs", "--recipe", "demo", "--set", "train.num_steps=20")
        assert done.code == 0, done.err
    assert load_manifest(own / "runs/blobs/demo/train").provenance.git_commit is None
