"""Models, recipes, gates and sweeps by name: one's own first, then what comes with Baton."""

from pathlib import Path

import pytest

from pipeline import UserError, load_model
from pipeline.recipe.named import SHIPPED, find_model, find_named, names_of
from tests.conftest import ROOT, Baton


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder one works in: not the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["recipe", "gate", "sweep"])
def test_what_comes_with_baton_is_found_from_any_folder(kind: str, project: Path) -> None:
    name = {"recipe": "demo", "gate": "full", "sweep": "tiny"}[kind]
    assert find_named(kind, name, "gridworld") == ROOT / f"runs/{kind}s/gridworld/{name}.yaml"


def test_a_model_is_found_by_name(project: Path) -> None:
    assert find_model(Path("full"), "gridworld") == ROOT / "runs/pretrained/gridworld/full.inference_v1"
    assert names_of("model", "detection") == ["full"]


def test_ones_own_model_comes_before_a_shipped_one_of_that_name(project: Path) -> None:
    own = project / "runs/pretrained/gridworld/full.inference_v1"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_model(Path("full"), "gridworld").absolute() == own
    assert find_model(Path("minimal"), "gridworld").is_relative_to(SHIPPED)


def test_what_lies_at_the_path_comes_before_a_name(project: Path) -> None:
    (project / "full").mkdir()
    assert find_model(Path("full"), "gridworld") == Path("full")


@pytest.mark.parametrize("path", ["full.inference_v1", "models/full", "/full"])
def test_what_does_not_look_like_a_name_is_a_path(path: str, project: Path) -> None:
    assert find_model(Path(path), "gridworld") == Path(path)


@pytest.mark.parametrize(("name", "remedy"), [("ful", "did you mean 'full'?"), ("large", "known: full, minimal, ")])
def test_a_model_that_there_is_not_is_refused_with_those_there_are(name: str, remedy: str, project: Path) -> None:
    with pytest.raises(UserError, match=f"there is no gridworld model '{name}'") as refusal:
        find_model(Path(name), "gridworld")
    assert refusal.value.remedy is not None and refusal.value.remedy.startswith(remedy)


def test_a_missing_model_is_told_with_where_one_of_ones_own_would_be(project: Path) -> None:
    with pytest.raises(UserError) as refusal:
        find_model(Path("tiny"), "detection")
    assert refusal.value.where == "runs/pretrained/detection/tiny.inference_v1"


def test_the_library_loads_a_model_by_task_and_name(project: Path) -> None:
    assert load_model("full", task="gridworld").metadata["recipe"]["name"] == "full"


def test_infer_and_sweeps_take_a_model_by_name(baton: Baton, tmp_path: Path) -> None:
    settings = ("--recipe", "full", "--set", "examples.num_scenarios=2", "--set", "evaluate.num_resamples=20")
    assert baton("examples", "gridworld", *settings).code == 0
    done = baton("infer", "gridworld", *settings, "--model", "full", "--json")
    assert done.code == 0, done.err
    sweep = tmp_path / "two.yaml"
    sweep.write_text(
        "schema: sweep_v1\ntask: gridworld\nname: two\nrecipe: full\ncheckpoints: [full, resources]\n"
        "set: {examples.num_scenarios: 2, evaluate.num_resamples: 20}\n"
    )
    done = baton("sweep", "gridworld", "--file", sweep)
    assert done.code == 0, done.err
    assert "resources" in done.out


def test_a_sweep_says_in_which_line_there_is_no_such_model(baton: Baton, tmp_path: Path) -> None:
    sweep = tmp_path / "two.yaml"
    sweep.write_text("schema: sweep_v1\ntask: gridworld\nname: two\nrecipe: full\ncheckpoints:\n  - ful\n")
    done = baton("sweep", "gridworld", "--file", sweep)
    assert done.code == 2
    assert f"{sweep}:6:checkpoints[0]" in done.err and "did you mean 'full'?" in done.err
