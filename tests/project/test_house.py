"""The tree: a verb is in three columns, no room is too full, and nothing is imported in circles."""

from pathlib import Path

import grimp
import pytest

from pipeline.contract import parts
from pipeline.contract.exploring import ExplorePart
from pipeline.contract.load import load_part, task_names
from pipeline.contract.parts import Part
from pipeline.follow.scene import FollowPart
from schemas.flow import STAGES
from tests.conftest import ROOT

MAX_FILES = 16
# What a task does for each verb; the verbs that are not here work on files alone.
VERBS: dict[str, type[Part]] = {
    "examples": parts.ExamplesPart,
    "train": parts.TrainPart,
    "export": parts.ModelPart,
    "infer": parts.InferPart,
    "evaluate": parts.EvaluatePart,
    "visualize": parts.VisualizePart,
    "follow": FollowPart,
    "convert": parts.ConvertPart,
    "explore": ExplorePart,
}
OPTIONAL = {"convert", "explore"}
COMMAND_ALONE = {"examples", "convert"}  # the task does all of the work
NOUNS = {"export": "model"}  # what a task has for exporting is its model


@pytest.mark.parametrize("verb", [stage.name for stage in STAGES])
def test_a_verb_has_a_command_and_a_room(verb: str) -> None:
    assert (ROOT / "stages" / f"{verb}.py").is_file()
    room = ROOT / "pipeline" / verb
    assert verb in COMMAND_ALONE or room.is_dir() or room.with_suffix(".py").is_file()


@pytest.mark.parametrize("task", task_names())
@pytest.mark.parametrize("verb", VERBS)
def test_a_task_has_its_part_of_a_verb_in_a_place_of_that_name(task: str, verb: str) -> None:
    folder, name = ROOT / "pipeline/tasks" / task, NOUNS.get(verb, verb)
    if verb in OPTIONAL and not (folder / name).exists():
        return  # optional
    assert isinstance(load_part(task, VERBS[verb]), VERBS[verb])
    assert all(home.split(".")[0] == name for home in VERBS[verb].HOMES)


def test_tests_lie_in_the_folders_of_what_they_test() -> None:
    ours = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    own = {Path("project")}  # of the project as a whole
    rooms = {path.parent for path in ours} - own
    missing = [
        room for room in rooms if not any((ROOT / "pipeline" / room).with_suffix(s).exists() for s in ("", ".py"))
    ]
    assert missing == []


@pytest.mark.parametrize("top", ["pipeline", "schemas", "tests", "benchmarks"])
def test_no_folder_is_too_full_to_be_read(top: str) -> None:
    folders = [ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())]
    counts = {path.relative_to(ROOT).as_posix(): len(list(path.glob("*.py"))) for path in folders}
    assert {path: count for path, count in counts.items() if count > MAX_FILES} == {}


def test_no_room_is_in_a_circle_of_imports_not_even_for_types() -> None:
    """The contracts of pyproject.toml do not see what is imported for type checkers alone."""
    graph = grimp.build_graph("schemas", "pipeline", "stages", exclude_type_checking_imports=False)
    below: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if room_of(module) != room_of(imported):
                below.setdefault(room_of(module), set()).add(room_of(imported))
    standing = {*below, *(room for rooms in below.values() for room in rooms)}
    while free := {room for room in standing if not below.get(room, set()) & standing}:
        standing -= free
    assert standing == set()


def room_of(module: str) -> str:
    """The folder, or the file beside folders, that a module is in: a verb or noun of the library or of a task."""
    parts = module.split(".")
    return ".".join(parts[: 4 if parts[:2] == ["pipeline", "tasks"] else 2])
