"""What `baton new` writes, and where it refuses to."""

import subprocess
from pathlib import Path

import pytest

from pipeline import UserError
from pipeline.contract.load import shipped_task_names
from pipeline.gate.spec import load_gate
from pipeline.new.write import TEMPLATES, write_project
from pipeline.recipe.load import load_recipe
from pipeline.recipe.yaml import parse
from tests.conftest import Baton

COMMON = {".github/workflows/gate.yml", ".gitignore", "Makefile", "README.md", "requirements.txt"}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def make(folder: Path, *arguments: str) -> list[str]:
    """The commands of `baton` that ``make -n`` shows."""
    done = subprocess.run(["make", "-n", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return [line.removeprefix("baton ") for line in done.stdout.splitlines() if line.startswith("baton ")]


def test_a_project_on_gridworld_has_a_recipe_a_gate_and_a_sweep(tmp_path: Path) -> None:
    files = write_project(tmp_path / "deep/down", None)
    own = {f"runs/{path}" for path in ("recipes/gridworld/demo.yaml", "gates/gridworld/demo.yaml")}
    assert names(tmp_path / "deep/down") == COMMON | own | {"runs/sweeps/gridworld/seeds.yaml"}
    assert files == sorted(path for path in (tmp_path / "deep/down").rglob("*") if path.is_file())
    assert load_gate(str(tmp_path / "deep/down/runs/gates/gridworld/demo.yaml"), "gridworld")[0].checks


def test_its_recipe_is_the_one_that_comes_with_baton(tmp_path: Path) -> None:
    write_project(tmp_path, None)
    assert load_recipe(tmp_path / "runs/recipes/gridworld/demo.yaml", "gridworld") == load_recipe("demo", "gridworld")


def test_a_task_of_ones_own_is_named_everywhere(tmp_path: Path) -> None:
    write_project(tmp_path, "two_words")
    assert names(tmp_path) >= COMMON | {"tasks/two_words/rows.py", "runs/recipes/two_words/demo.yaml"}
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in texts if "skeleton" in text.lower() or "@VERSION@" in text]
    assert "class TwoWordsRecipe(" in (tmp_path / "tasks/two_words/recipe.py").read_text()
    assert "gridworld" not in "".join(texts)


def test_requirements_name_the_version_that_wrote_them(tmp_path: Path) -> None:
    write_project(tmp_path, None)
    assert (tmp_path / "requirements.txt").read_text() == "baton-pipeline[torch]==0.1.0\n"


def test_the_ci_file_is_yaml_and_ends_in_the_gate(tmp_path: Path) -> None:
    write_project(tmp_path, "blobs")
    text = (tmp_path / ".github/workflows/gate.yml").read_bytes()
    steps = [step.get("run") for step in parse(text, "gate.yml").data["jobs"]["gate"]["steps"]]
    assert [step for step in steps if step and step.startswith("make")] == ["make demo", "make gate"]
    assert "test -f runs/gates/blobs/demo.baseline.json" in steps


def test_make_demo_takes_every_stage_once_in_order(tmp_path: Path) -> None:
    write_project(tmp_path, None)
    stages = [line.split()[0] for line in make(tmp_path, "demo")]
    assert sorted(stages) == sorted(["examples", "train", "export", "infer", "evaluate", "visualize"])
    assert stages.index("train") < stages.index("export") < stages.index("infer")
    assert stages.index("examples") < stages.index("infer")
    assert {*stages[-2:]} == {"evaluate", "visualize"}


def test_make_gate_makes_a_baseline_where_there_is_none(tmp_path: Path) -> None:
    write_project(tmp_path, None)
    gate = "gate gridworld --recipe demo --gate demo"
    assert make(tmp_path, "gate")[-2:] == [f"{gate} --update --yes", f"{gate} --junit runs/gridworld/demo/gate.xml"]
    (tmp_path / "runs/gates/gridworld/demo.baseline.json").touch()
    assert [line for line in make(tmp_path, "gate") if "gate" in line.split()] == [
        f"{gate} --junit runs/gridworld/demo/gate.xml"
    ]
    assert f"{gate} --update --yes" in make(tmp_path, "baseline")


def test_what_runs_produce_is_not_tracked_and_what_they_read_is(tmp_path: Path) -> None:
    write_project(tmp_path, "blobs")
    (tmp_path / "runs/blobs/demo/train").mkdir(parents=True)
    (tmp_path / "runs/blobs/demo/train/progress.jsonl").touch()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    tracked = {line.removeprefix("?? ") for line in done.stdout.splitlines()}
    assert tracked == {name for name in names(tmp_path) if not name.startswith((".git/", "runs/blobs"))}


@pytest.mark.parametrize("name", ["my-task", "Task", "2d", "class", "", "a b", "../up", "x" * 41])
def test_a_name_that_python_cannot_import_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be the name of a task"):
        write_project(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", shipped_task_names())
def test_a_task_of_ones_own_takes_no_shipped_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"'{name}' is a task that comes with Baton"):
        write_project(tmp_path, name)


def test_a_folder_that_is_not_empty_stays_as_it_is(baton: Baton, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = baton("new", tmp_path)
    assert done.code == 2
    assert done.err == f"error: this folder is not empty\n  where: {tmp_path}\n  next:  name a new one: baton new DIR\n"
    assert names(tmp_path) == {"mine"}
    assert baton("new", tmp_path / "mine").code == 2
    assert baton("new", tmp_path / "mine/deeper").code == 2


def test_the_command_says_what_to_do_next(baton: Baton, tmp_path: Path) -> None:
    done = baton("new", tmp_path / "x")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"new: 8 files in {tmp_path / 'x'}, for task gridworld",
        f"  next: cd {tmp_path / 'x'} && make demo",
    ]


def test_the_readme_is_a_screen() -> None:
    assert len((TEMPLATES / "project/README.md").read_text().splitlines()) <= 30
