"""A task of one's own passes every stage as `baton new` writes it: one new folder, and no edit elsewhere."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.train.trainer import RESUME
from tests.conftest import ROOT, Done
from tests.support.browser import find_browser, needs_browser, open_browser
from tests.support.terminal import PtyTerminal, wait_for
from tests.support.zygote import BATON, Zygote

CHAIN = ("examples", "train", "export", "infer", "evaluate", "visualize")
RUN = Path("runs/blobs/demo")
PREDICTIONS = RUN / "infer/predictions.jsonl"
GATE = ("gate", "blobs", "--recipe", "demo", "--gate", "demo")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, libraries: Zygote) -> Path:
    """A project with a task of its own, which went through the chain of stages in it."""
    folder = tmp_path_factory.mktemp("project")
    for arguments in (("new", ".", "--task", "blobs"), *((stage, "blobs", "--recipe", "demo") for stage in CHAIN)):
        run(libraries, folder, *arguments)
    return folder


def run(libraries: Zygote, project: Path, *arguments: str | Path) -> Done:
    """`baton ARGUMENTS` in the project, of which all but the libraries is loaded anew; it has to succeed."""
    done = libraries.run(*arguments, folder=project, environment={"PYTHONPATH": str(ROOT)})  # for processes it starts
    assert done.code == 0, done.out + done.err
    return done


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_learned_what_it_was_to_learn(project: Path) -> None:
    (metric,) = rows(project / RUN / "evaluate/metrics.jsonl")
    assert (metric["name"], metric["task"], metric["num_records"]) == ("absolute_error", "blobs", 100)
    assert metric["low"] < metric["value"] < metric["high"] < 0.02


def test_every_record_has_one_prediction_in_order(project: Path) -> None:
    examples, predictions = rows(project / RUN / "examples/examples.jsonl"), rows(project / PREDICTIONS)
    assert [row["id"] for row in predictions] == [f"point-{index:04d}" for index in range(100)]
    assert [(row["x"], row["y"]) for row in predictions] == [(row["x"], row["y"]) for row in examples]


def test_its_picture_is_in_the_report(project: Path) -> None:
    assert "What the model says, beside the truth" in (project / RUN / "visualize/report.html").read_text()


def test_its_run_is_whole(project: Path, libraries: Zygote) -> None:
    assert run(libraries, project, "inspect", RUN, "--json").json["whole"] is True


def test_its_training_goes_on_after_a_kill_and_ends_in_the_same_bytes(project: Path, libraries: Zygote) -> None:
    train = ("train", "blobs", "--recipe", "demo", "--set", "train.num_steps=3000", "--out")
    run(libraries, project, *train, "whole")
    command = libraries.start(*train, "killed", folder=project)
    while not (project / "killed" / RESUME).exists():
        assert command.wait(timeout_s=0.01) is None
    assert command.kill() == -signal.SIGKILL
    run(libraries, project, *train, "killed")
    for name in ("progress.jsonl", "monitor.jsonl", "selected.checkpoint_v1"):
        assert (project / "killed" / name).read_bytes() == (project / "whole" / name).read_bytes()


def test_workers_of_its_inference_find_it_too(project: Path, libraries: Zygote) -> None:
    run(libraries, project, "infer", "blobs", "--recipe", "demo", "--num-workers", "2", "--out", "sharded")
    assert (project / "sharded/predictions.jsonl").read_bytes() == (project / PREDICTIONS).read_bytes()


def test_its_gate_passes_once_it_has_a_baseline_and_fails_when_it_is_worse(project: Path, libraries: Zygote) -> None:
    run(libraries, project, *GATE, "--update", "--yes")
    assert "PASS blobs/demo: all 2 checks hold" in run(libraries, project, *GATE).out
    worse = [row | {"predicted": row["predicted"] + 0.03} for row in rows(project / PREDICTIONS)]
    (project / "worse.jsonl").write_text("".join(json.dumps(row) + "\n" for row in worse))
    assert libraries.run(*GATE, "--input", "worse.jsonl", folder=project).code == 1


def test_its_models_are_compared_and_swept(project: Path, libraries: Zygote) -> None:
    short = ("--set", "train.num_steps=40", "--out")
    run(libraries, project, "train", "blobs", "--recipe", "demo", *short, "short/train")
    run(libraries, project, "export", "blobs", "--checkpoint", "short/train/selected.checkpoint_v1", "--out", "short")
    given = ("--model", "short/model.inference_v1", "--recipe", "demo")
    run(libraries, project, "infer", "blobs", *given, "--out", "short/infer")
    done = run(
        libraries, project, "compare", "blobs", PREDICTIONS, "short/infer/predictions.jsonl", "--num-resamples", "200"
    )
    assert "worse" in done.out and "by side: absolute error" in done.out
    done = run(libraries, project, "sweep", "blobs", "--name", "seeds")
    assert "2 of 2 cells finished" in done.out


def test_its_training_is_followed(project: Path, libraries: Zygote) -> None:
    done = run(libraries, project, "follow", "blobs", "--recipe", "demo", "--plain", "--idle-exit", "0")
    lines = done.out.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "step-00001000  step 1000"


def test_its_training_is_drawn_in_the_terminal(project: Path, libraries: Zygote) -> None:
    terminal = PtyTerminal(libraries, ("follow", "blobs", "--recipe", "demo"), size=(80, 24), folder=project)
    try:
        text = wait_for(terminal, "step 1,000")
    finally:
        terminal.close()
    assert "THE CURVE" in text and "loss" in text


def test_its_training_is_saved_as_a_page(project: Path, libraries: Zygote) -> None:
    run(libraries, project, "follow", "blobs", "--recipe", "demo", "--save", "last.html")
    last = rows(project / RUN / "train/episodes.jsonl")[-1]
    page = (project / "last.html").read_text()
    shown = re.search(r'"name":"loss","value":([^,}]+)', page)
    assert shown is not None and float(shown[1]) == last["loss"]
    assert '"kind":"point"' in page


@needs_browser
def test_its_training_is_drawn_in_the_browser(project: Path, libraries: Zygote) -> None:
    run(libraries, project, "follow", "blobs", "--recipe", "demo", "--id", "step-00000500", "--save", "one.html")
    with open_browser(find_browser() or "") as page:
        page.open(project / "one.html")
        page.wait("document.querySelector('tr[data-name=loss]') !== null")
        shown = page.run("document.querySelector('tr[data-name=loss] .value').textContent")
        picture = page.run("document.querySelector('#picture canvas').ariaLabel")
    (row,) = (row for row in rows(project / RUN / "train/episodes.jsonl") if row["id"] == "step-00000500")
    assert shown == f"{row['loss']:.4f}"
    assert picture == f"a map, {2 * len(row['xs'])} shapes"


def test_it_has_an_onnx_form(project: Path, zygote: Zygote) -> None:
    """The exporter takes seconds to load: in a process that has it, and found the tasks of another folder."""
    code = f"import pipeline.tasks; pipeline.tasks.__path__.append({str(project / 'tasks')!r}); {BATON}"
    given = ("export", "blobs", "--recipe", "demo", "--format", "onnx", "--json")
    done = zygote.run(*given, folder=project, code=code)
    assert done.code == 0, done.err
    assert (done.json["inputs"], done.json["outputs"]) == (["x"], ["y"])
    assert (project / RUN / "export-onnx/model.onnx").is_file()


def test_its_rows_work_without_torch(project: Path, without_torch: Zygote) -> None:
    for stage in ("examples", "evaluate", "visualize"):
        given = ("blobs", "--recipe", "demo", "--out", f"light/{stage}")
        done = without_torch.run(stage, *given, folder=project)
        assert done.code == 0, done.err


def test_it_is_typed(project: Path, tmp_path: Path) -> None:
    """mypy --strict; what it found out of libraries is kept between runs of the tests. Ours are as if installed."""
    shutil.copytree(project / "tasks", tmp_path / "tasks")
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nmypy_path = {ROOT}\n[mypy-pipeline.*,schemas.*]\nfollow_imports = silent\n"
    )
    cache = Path(tempfile.gettempdir()) / f"baton-tests-{os.getuid()}-mypy"
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "tasks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_can_become_one_of_the_tasks_that_come_with_baton(project: Path, libraries: Zygote, tmp_path: Path) -> None:
    for name in ("schemas", "pipeline", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(project / "tasks/blobs", tmp_path / "pipeline/tasks/blobs")
    code = "import sys; from pipeline.docs import main; sys.exit(main([]))"
    done = libraries.run(folder=tmp_path, code=code)
    assert done.code == 0, done.err
    assert (tmp_path / "schemas/generated/blobs.prediction_v1.json").is_file()
    assert "`absolute_error`" in (tmp_path / "docs/metrics.md").read_text()


# What else may lie in ./tasks


def test_a_task_with_the_name_of_a_shipped_one_is_refused(project: Path, libraries: Zygote, tmp_path: Path) -> None:
    shutil.copytree(project / "tasks/blobs", tmp_path / "tasks/gridworld")
    done = libraries.run("examples", "gridworld", "--recipe", "tiny", folder=tmp_path)
    assert done.code == 2
    assert "a task of your own has the name of one that comes with Baton: 'gridworld'" in done.err
    assert str(tmp_path / "tasks/gridworld") in done.err


def test_a_package_that_is_no_task_is_none(libraries: Zygote, tmp_path: Path) -> None:
    package = tmp_path / "tasks/celery/__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("raise RuntimeError('not to be imported')\n")
    done = libraries.run("examples", "celery", "--recipe", "tiny", folder=tmp_path)
    assert done.code == 2
    assert "there is no task 'celery'" in done.err
    assert (
        "known tasks: detection, diffusion, gridworld, localization (tasks of your own lie in ./tasks/NAME)" in done.err
    )


def test_a_wrong_value_of_its_recipe_is_explained_by_its_source(project: Path, libraries: Zygote) -> None:
    done = libraries.run("train", "blobs", "--recipe", "demo", "--set", "train.num_steps=0", folder=project)
    assert done.code == 2
    assert "next:  tasks/blobs/recipe.py lists every key and its range" in done.err
