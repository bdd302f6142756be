"""A fifth task is one new folder and no edit elsewhere: a trivial one goes through all stages in a copy of ours."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Done
from tests.support.terminal import PtyTerminal, wait_for
from tests.support.zygote import Zygote

RECIPE = "schema: recipe_v1\ntask: fifth\nname: line\n"
OURS = ("schemas", "pipeline", "stages")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, libraries: Zygote) -> Path:
    """A copy of the project with the folder of a fifth task, and a recipe."""
    copy = tmp_path_factory.mktemp("project")
    for name in OURS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = hashes(copy)
    shutil.copytree(
        ROOT / "tests/contract/fifth_task", copy / "pipeline/tasks/fifth", ignore=shutil.ignore_patterns("__pycache__")
    )
    recipe = copy / "runs/recipes/fifth/line.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(RECIPE)
    for stage in ("examples", "train", "export", "infer", "evaluate", "visualize"):
        done = run(libraries, copy, stage, "fifth", "--recipe", "line")
        assert done.code == 0, f"{stage}: {done.err}"
    after = hashes(copy)
    assert {path: after[path] for path in before} == before, "a file of the project was changed"
    assert {path.split("/")[2] for path in after.keys() - before.keys() if path.startswith("pipeline")} == {"fifth"}
    return copy


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every source file by its path."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = [path for path in files if path.relative_to(folder).parts[0] in OURS]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(libraries: Zygote, project: Path, *arguments: str, **how: str) -> Done:
    """`baton ARGUMENTS`, of which all but the libraries is loaded from the copy; or other Python ``code``."""
    return libraries.run(*arguments, folder=project, environment={"BATON_RUNS": str(project / "runs")}, **how)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_learned_what_it_was_to_learn(project: Path) -> None:
    (metric,) = rows(project / "runs/fifth/line/evaluate/metrics.jsonl")
    assert metric["name"] == "absolute_error"
    assert isinstance(metric["value"], float)
    assert metric["value"] < 1e-3


def test_every_record_has_one_prediction_in_order(project: Path) -> None:
    examples = rows(project / "runs/fifth/line/examples/examples.jsonl")
    predictions = rows(project / "runs/fifth/line/infer/predictions.jsonl")
    assert [row["id"] for row in predictions] == [f"point-{index:04d}" for index in range(8)]
    assert [row["x"] for row in predictions] == [row["x"] for row in examples]


def test_its_picture_is_in_the_report(project: Path) -> None:
    report = (project / "runs/fifth/line/visualize/report.html").read_text()
    assert "Predictions beside the truth" in report


def test_its_training_is_drawn_in_the_terminal(project: Path, libraries: Zygote) -> None:
    (last,) = rows(project / "runs/fifth/line/train/episodes.jsonl")
    runs = {"BATON_RUNS": str(project / "runs")}
    terminal = PtyTerminal(libraries, ("follow", "fifth", "--recipe", "line"), size=(80, 24), folder=project, **runs)
    try:
        text = wait_for(terminal, f"step {last['step']}")
    finally:
        terminal.close()
    assert "THE LINE" in text and "error" in text and "0.00" in text
    assert "x" in "".join(line[:40] for line in text.splitlines()[1:18]), "the point is where the model sees it"


def test_its_run_is_whole(project: Path, libraries: Zygote) -> None:
    done = run(libraries, project, "inspect", "runs/fifth/line", "--json")
    assert done.code == 0, done.out
    assert done.json["whole"] is True


def test_its_rows_have_json_schemas(project: Path, libraries: Zygote) -> None:
    done = run(libraries, project, code="import sys; from pipeline.docs import main; sys.exit(main([]))")
    assert done.code == 0, done.err
    assert (project / "schemas/generated").exists()
    assert any("fifth" in path.name for path in (project / "schemas/generated").rglob("*.json"))
