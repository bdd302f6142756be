"""The Makefile: what would run, in which order, and that nothing runs twice."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from schemas.flow import STAGES
from tests.conftest import ROOT

OVER_RUNS = ("compare", "sweep")  # what works on several runs is no part of one
STAGES_OF_A_RUN = [stage.name for stage in STAGES if stage.writes and stage.name not in OVER_RUNS]


@pytest.fixture(autouse=True)
def _no_make_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` runs these tests: what it tells the makes below it must not reach those that are tested."""
    for variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with our Makefile, an installed baton that only writes what `schemas.flow` says, and one recipe."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    recipe = tmp_path / "runs/recipes/gridworld/demo.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("schema: recipe_v1\n")
    baton = tmp_path / ".venv/bin/baton"
    baton.parent.mkdir(parents=True)
    files = {stage.name: " ".join(name for name in stage.writes if "*" not in name) for stage in STAGES}
    writes = "\n".join(f"  {stage}) files='{names}' ;;" for stage, names in files.items())
    baton.write_text(f"""#!/bin/sh
echo "$1 $2 $4" >> log
case $1 in
{writes}
esac
for file in $files; do mkdir -p "$6/$2/$4/$1"; echo "$1" > "$6/$2/$4/$file"; done
echo '"status": "'${{STATUS:-ok}}'"' > "$6/$2/$4/$1/manifest.json"
exit ${{CODE:-0}}
""")
    baton.chmod(0o755)
    (tmp_path / ".venv/.installed").touch()
    return tmp_path


def make(project: Path, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Run make; returns its exit code and the stages it ran, one ``stage task recipe`` each, since the last call."""
    (project / "log").unlink(missing_ok=True)
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "BATON"))}
    done = subprocess.run(["make", *arguments], cwd=project, env=settings | environment, capture_output=True, text=True)
    log = project / "log"
    return done.returncode, log.read_text().splitlines() if log.exists() else []


def test_a_report_takes_every_stage_in_the_order_of_the_flow(project: Path) -> None:
    code, ran = make(project, "evaluate", "visualize")
    assert code == 0
    assert sorted(ran) == sorted(f"{stage} gridworld demo" for stage in STAGES_OF_A_RUN)
    order = [line.split()[0] for line in ran]
    assert order.index("train") < order.index("export") < order.index("infer")
    assert order.index("examples") < order.index("infer")
    assert {*order[-2:]} == {"evaluate", "visualize"}


def test_a_second_make_does_nothing(project: Path) -> None:
    make(project, "evaluate", "visualize")
    assert make(project, "evaluate", "visualize") == (0, [])


def test_evaluate_and_visualize_depend_on_nothing_of_each_other(project: Path) -> None:
    make(project, "infer")
    assert make(project, "visualize") == (0, ["visualize gridworld demo"])
    assert make(project, "evaluate") == (0, ["evaluate gridworld demo"])


def test_evaluate_and_visualize_run_at_the_same_moment(project: Path) -> None:
    """Each waits for the other to have started: in turn, neither would end."""
    make(project, "infer")
    baton = project / ".venv/bin/baton"
    wait = "touch started-$1; while ! [ -e started-evaluate -a -e started-visualize ]; do sleep 0.05; done"
    baton.write_text(baton.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{wait}\n"))
    code, ran = make(project, "-j2", "evaluate", "visualize")
    assert code == 0
    assert sorted(ran) == ["evaluate gridworld demo", "visualize gridworld demo"]


def test_a_newer_recipe_runs_all_that_follows_from_it(project: Path) -> None:
    make(project, "evaluate")
    recipe = project / "runs/recipes/gridworld/demo.yaml"
    later = (project / "runs/gridworld/demo/evaluate/metrics.jsonl").stat().st_mtime + 10
    os.utime(recipe, (later, later))
    assert sorted(dry_run(project, "evaluate")) == ["evaluate", "examples", "export", "infer", "train"]


def dry_run(project: Path, *arguments: str) -> list[str]:
    """The stages that ``make -n`` shows."""
    done = subprocess.run(["make", "-n", *arguments], cwd=project, capture_output=True, text=True, check=True)
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith(".venv/bin/baton")]


def test_variables_choose_task_recipe_and_folder(project: Path) -> None:
    (project / "runs/recipes/gridworld/full.yaml").touch()
    assert make(project, "examples", "RECIPE=full", "RUNS=elsewhere") == (0, ["examples gridworld full"])
    assert (project / "elsewhere/gridworld/full/examples/examples.jsonl").exists()
    done = subprocess.run(
        ["make", "-n", "train", "RECIPE=full", "TASK=gridworld"], cwd=project, capture_output=True, text=True
    )
    assert ".venv/bin/baton train gridworld --recipe full --runs-dir runs" in done.stdout


@pytest.mark.parametrize("status", ["started", "cancelled", "error"])
def test_a_stage_that_did_not_finish_runs_again_and_its_output_is_kept(project: Path, status: str) -> None:
    make(project, "examples", "export")
    code, ran = make(project, "infer", STATUS=status, CODE="130")
    assert (code, ran) == (2, ["infer gridworld demo"])
    assert (project / "runs/gridworld/demo/infer/predictions.jsonl").exists()
    assert make(project, "infer") == (0, ["infer gridworld demo"])
    assert make(project, "infer") == (0, [])


def test_demo_goes_from_the_recipe_to_the_report_and_says_where_it_is(project: Path) -> None:
    done = subprocess.run(["make", "demo", "RECIPE=ignored"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "report:  runs/gridworld/demo/visualize/report.html",
        "metrics: runs/gridworld/demo/evaluate/metrics.jsonl",
    ]
    assert (project / "runs/gridworld/demo/visualize/report.html").exists()


def test_installing_depends_on_what_is_installed_and_takes_exact_versions(project: Path) -> None:
    later = (project / ".venv/.installed").stat().st_mtime + 10
    os.utime(project / "constraints.txt", (later, later))
    done = subprocess.run(["make", "-n", "test"], cwd=project, capture_output=True, text=True)
    assert "-c constraints.txt -e '.[torch,onnx,web,serve,dev]'" in done.stdout
    assert "pytest -n 2 --dist loadfile" in done.stdout


@pytest.mark.parametrize("target", ["gate", "test"])
def test_tests_end_with_the_gates_of_the_pretrained_models(target: str, project: Path) -> None:
    for gate in ("gridworld/full", "detection/full"):
        path = project / f"runs/gates/{gate}.yaml"
        path.parent.mkdir(parents=True)
        path.touch()
    (project / "runs/examples/detection").mkdir(parents=True)
    done = subprocess.run(["make", "-n", target], cwd=project, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.replace("\\\n", " ").splitlines() if line.startswith(".venv/bin/baton")]
    assert [line.split()[1:3] for line in lines] == [
        [stage, task] for task in ("detection", "gridworld") for stage in ("infer", "gate")
    ]
    assert "--model runs/pretrained/detection/full.inference_v1" in lines[0]
    assert "--image-root runs/examples/detection" in lines[0] and "--image-root" not in lines[2]
    assert "--gate runs/gates/gridworld/full.yaml --input runs/gridworld/full/gate/predictions.jsonl" in lines[3]


def test_a_failing_gate_fails_make_and_the_others_are_judged_all_the_same(project: Path) -> None:
    for gate in ("a", "b"):
        path = project / f"runs/gates/gridworld/{gate}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    baton = project / ".venv/bin/baton"
    baton.write_text('#!/bin/sh\necho "$1 $4" >> log\n[ "$1 $4" != "gate runs/gates/gridworld/a.yaml" ]\n')
    code, ran = make(project, "gate")
    assert code == 2
    assert [line for line in ran if line.startswith("gate")] == [
        f"gate runs/gates/gridworld/{name}.yaml" for name in "ab"
    ]


def test_check_runs_every_check(project: Path) -> None:
    done = subprocess.run(["make", "-n", "check"], cwd=project, capture_output=True, text=True)
    for part in ("ruff format --check", "ruff check", "mypy", "lint-imports", "pipeline.docs --check"):
        assert part in done.stdout


def test_every_stage_that_writes_has_a_target(project: Path) -> None:
    for stage in STAGES_OF_A_RUN:
        assert dry_run(project, stage)[-1] == stage


def test_an_old_python_is_refused_before_anything_is_installed(project: Path) -> None:
    old = project / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (project / ".venv/.installed").unlink()
    done = subprocess.run(["make", "install", f"PYTHON={old}"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
