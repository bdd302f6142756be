"""Sweep files: what they may say, what becomes of it, and what makes two cells the same."""

import re
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.recipe.named import load_named
from pipeline.sweep.plan import Machine, OutputOf, Part, Plan, make_plan
from schemas.sweep import Sweep
from tests.conftest import ROOT

HEAD = "schema: sweep_v1\ntask: gridworld\nname: mine\n"
TINY = "recipe: tiny\n"
SWEEPS = sorted((ROOT / "runs/sweeps").glob("*/*.yaml"))


def plan(folder: Path, text: str, head: str = HEAD, machine: Machine | None = None) -> Plan:
    path = folder / "mine.yaml"
    path.write_text(head + text)
    sweep, places = load_named("sweep", path, "gridworld", Sweep)
    return make_plan(sweep, places, machine or Machine())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models, a checkpoint and examples, as far as a plan looks at them: their bytes."""
    for name in ("a.inference_v1", "b.inference_v1", "c.checkpoint_v1", "examples.jsonl"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


GIVEN = "examples: examples.jsonl\n"


def keys(of: Plan) -> list[str]:
    return [cell.key for cell in of.cells]


# what is wrong


def test_a_file_that_is_no_sweep_is_told_with_what_to_give(folder: Path) -> None:
    for path in (folder / "none.yaml", folder):
        with pytest.raises(UserError, match="cannot read the sweep") as refusal:
            load_named("sweep", path, "gridworld", Sweep)
        assert refusal.value.where == str(path) and "sweeps by name: curves, full, tiny" in str(refusal.value.remedy)
    with pytest.raises(UserError, match="take a sweep of gridworld"):
        plan(folder, TINY, head=HEAD.replace("gridworld", "detection"))


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("chekpoints: [a.inference_v1]\n", "mine.yaml:4", "there is no key 'chekpoints'.*did you mean 'checkpoints'"),
        ("checkpoints: [a.inference_v1]\ninfer: {}\ntrain: 3\n", "mine.yaml:6", "train is 3: expected"),
        (TINY + "checkpoints: [a.inference_v1]\ninfer:\n  epsilom: [0.1]\n", "mine.yaml:7", "did you mean 'epsilon'"),
        (TINY + "checkpoints: [a.inference_v1]\ninfer:\n  epsilon: [0.1, 7]\n", r"mine.yaml:7:infer.epsilon\[1\]", "1"),
        (TINY + "checkpoints: [a.inference_v1]\ninfer:\n  epsilon: []\n", "mine.yaml:6", "length >= 1"),
        (TINY + "checkpoints: [gone.inference_v1]\n", r"mine.yaml:5:checkpoints\[0\]", "no such file: gone"),
        (GIVEN.replace("ex", "mex") + "checkpoints: [a.inference_v1]\n", "mine.yaml", "did you mean 'examples'"),
        ("examples: gone.jsonl\ncheckpoints: [a.inference_v1]\n", "mine.yaml:4:examples", "no such file: gone"),
        (TINY + "train:\n  - recipe: tiney\n", r"mine.yaml:6:train\[0\]", "did you mean 'tiny'"),
        (TINY + "train:\n  - recipe: tiny\n    seeds: [-1]\n", "mine.yaml:7", ">= 0"),
        (TINY + "train:\n  - recipe: tiny\n    checkpoints: [best]\n", "mine.yaml:7", "selected"),
        (TINY, "mine.yaml", "the sweep names no model"),
        ("checkpoints: [a.inference_v1]\n", "mine.yaml", "neither a file of examples nor a recipe"),
    ],
)
def test_a_wrong_sweep_is_told_with_its_line(folder: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(folder, text)
    assert re.search(where, str(caught.value.where)), caught.value.where
    assert re.search(what, str(caught.value).replace("\n", " "))


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (HEAD.replace("sweep_v1", "sweep_v9"), "sweep version 'sweep_v9' is not known; known: sweep_v1"),
        (HEAD.replace("gridworld", "detection"), "this sweep is for task 'detection', not 'gridworld'"),
        (HEAD.replace("mine", "../up"), "regex"),
    ],
)
def test_a_sweep_of_another_kind_is_refused(folder: Path, head: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        plan(folder, TINY, head)


# the grid


def test_the_grid_is_every_model_by_every_combination_in_order(folder: Path) -> None:
    text = GIVEN + "checkpoints: [a.inference_v1, {path: b.inference_v1, label: late}]\n"
    found = plan(folder, text + "infer:\n  epsilon: [0.0, 0.1]\n  seed: [1, 2]\n")
    assert [cell.label for cell in found.cells[:5]] == [
        "a, epsilon=0.0, seed=1",
        "a, epsilon=0.0, seed=2",
        "a, epsilon=0.1, seed=1",
        "a, epsilon=0.1, seed=2",
        "late, epsilon=0.0, seed=1",
    ]
    assert found.cells[4].axes == {"model": "late", "epsilon": 0.0, "seed": 1}
    assert found.parts == found.cells, "models and examples are files: nothing else is to be made"


def test_what_cells_share_is_made_once(folder: Path) -> None:
    text = TINY + "train:\n  - recipe: tiny\n    seeds: [0, 1]\n    checkpoints: [2048, selected]\n"
    found = plan(folder, text + "infer:\n  epsilon: [0.0, 0.1]\n")
    assert len(found.cells) == 8
    assert [part.kind for part in found.parts].count("train") == 2
    assert [part.kind for part in found.parts].count("export") == 4
    assert [part.kind for part in found.parts].count("examples") == 1
    places = {part.key: number for number, part in enumerate(found.parts)}
    assert all(places[need.key] < places[part.key] for part in found.parts for need in part.needs)


def test_a_checkpoint_is_exported_and_a_model_is_not(folder: Path) -> None:
    cells = plan(folder, GIVEN + "checkpoints: [a.inference_v1, c.checkpoint_v1]\n").cells
    assert [[need.kind for need in cell.needs] for cell in cells] == [[], ["export"]]
    assert model_of(cells[0]) == "a.inference_v1"
    assert model_of(cells[1]) == OutputOf(cells[1].needs[0].key, "export/model.inference_v1")


def model_of(cell: Part) -> object:
    arguments = cell.steps[0].arguments
    return arguments[arguments.index("--model") + 1]


def test_models_in_folders_are_called_by_what_tells_them_apart(folder: Path) -> None:
    for name in ("early", "late"):
        (folder / name).mkdir()
        (folder / name / "model.inference_v1").write_text(name)
    found = plan(folder, GIVEN + "checkpoints: [early/model.inference_v1, late/model.inference_v1]\n")
    assert [cell.label for cell in found.cells] == ["early", "late"]


def test_trainings_of_one_recipe_are_told_apart_by_what_they_set(folder: Path) -> None:
    other = "  - recipe: tiny\n    set: {train.num_steps: 64}\n"
    found = plan(folder, TINY + "train:\n  - recipe: tiny\n" + other)
    assert [cell.axes["model"] for cell in found.cells] == ["tiny", "tiny train.num_steps=64"]
    assert plan(folder, TINY + "train:\n" + other).cells[0].axes["model"] == "tiny"


# keys


def test_a_cell_is_what_goes_into_it_wherever_that_lies(folder: Path) -> None:
    text = GIVEN + "checkpoints: [a.inference_v1]\n"
    before = keys(plan(folder, text))
    (folder / "a.inference_v1").rename(folder / "moved.inference_v1")
    (folder / "examples.jsonl").rename(folder / "others.jsonl")
    moved = "name: other\nexamples: others.jsonl\ncheckpoints: [{path: moved.inference_v1, label: x}]\n"
    assert keys(plan(folder, moved, HEAD.replace("name: mine\n", ""))) == before


@pytest.mark.parametrize(
    "change",
    ["set: {infer.seed: 5}\n", "set: {evaluate.num_resamples: 50}\n", "set: {seed: 9}\n", "infer: {epsilon: [0.5]}\n"],
)
def test_another_setting_is_another_cell(folder: Path, change: str) -> None:
    text = GIVEN + "checkpoints: [a.inference_v1]\n"
    assert keys(plan(folder, text)) != keys(plan(folder, text + change))


def test_other_bytes_are_another_cell_and_so_is_another_device(folder: Path) -> None:
    text = GIVEN + "checkpoints: [a.inference_v1]\n"
    before = keys(plan(folder, text))
    assert keys(plan(folder, text, machine=Machine(device="cuda"))) != before
    assert keys(plan(folder, text, machine=Machine(threads=2))) == before
    (folder / "a.inference_v1").write_text("trained further")
    assert keys(plan(folder, text)) != before


def test_the_same_model_by_two_names_is_one_cell(folder: Path) -> None:
    (folder / "copy.inference_v1").write_text("a.inference_v1")
    found = plan(folder, GIVEN + "checkpoints: [a.inference_v1, copy.inference_v1]\n")
    assert [cell.label for cell in found.cells] == ["a"]


def test_a_setting_that_says_the_default_is_no_other_cell(folder: Path) -> None:
    text = GIVEN + "checkpoints: [a.inference_v1]\n"
    assert keys(plan(folder, text + "infer: {epsilon: [0.0]}\n")) == keys(plan(folder, text))


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_the_sweeps_of_the_project_have_a_plan(path: Path) -> None:
    sweep, places = load_named("sweep", path, path.parent.name, Sweep)
    assert sweep.name == path.stem
    assert make_plan(sweep, places, Machine()).cells
