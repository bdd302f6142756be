"""Templates to a project: files whose texts and paths say ``skeleton`` where the task's name belongs.

``templates/project`` is in every project; beside it ``templates/gridworld``, with the shipped recipe ``demo``, or
``templates/task``: a task of one's own. As they stand, the templates of the task are Python that is checked like ours.
"""

import keyword
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pipeline.contract.load import shipped_task_names
from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.recipe.named import SHIPPED

TEMPLATES = Path(__file__).parent / "templates"
PLACEHOLDER, VERSION = "skeleton", "@VERSION@"
USUAL_TASK = "gridworld"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def write_project(folder: Path, task: str | None) -> list[Path]:
    """Write a project into a folder that is new or empty, and return its files, sorted.

    ``task`` is the name of a task of one's own, whose skeleton becomes ``tasks/<task>``; None: a project on gridworld.
    Raises UserError on a folder that is not empty and on a name that cannot be one.
    """
    if task is not None:
        _check_name(task)
    _check_folder(folder)
    files = dict(_files(task))
    for path, text in files.items():
        write_atomically(folder / path, [text.encode()])
    return sorted(folder / path for path in files)


def _files(task: str | None) -> Iterator[tuple[Path, str]]:
    """Every file of a project: its path in the project's folder, and its text."""
    for root in (TEMPLATES / "project", TEMPLATES / ("task" if task else USUAL_TASK)):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = str(path.relative_to(root)).replace(PLACEHOLDER, task or USUAL_TASK)
                yield Path(name), _filled(path.read_text("utf-8"), task or USUAL_TASK)
    if task is None:
        recipe = Path("recipes", USUAL_TASK, "demo.yaml")
        yield Path("runs") / recipe, (SHIPPED / recipe).read_text("utf-8")


def _filled(text: str, task: str) -> str:
    """A template with the task's name, in names of classes in capitals, and the version of Baton."""
    capitals = "".join(word.capitalize() for word in task.split("_"))
    text = text.replace(PLACEHOLDER.capitalize(), capitals).replace(PLACEHOLDER, task)
    return text.replace(VERSION, version("baton-pipeline"))


def _check_name(task: str) -> None:
    where = f"--task {task}"
    if not _NAME.fullmatch(task) or keyword.iskeyword(task):
        what = f"{task!r} cannot be the name of a task: it is imported as Python"
        raise UserError(what, where=where, remedy="take small letters, digits and _, as in my_task")
    if task in shipped_task_names():
        what = f"{task!r} is a task that comes with Baton"
        raise UserError(what, where=where, remedy="take another name for a task of your own")


def _check_folder(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError("this folder is not empty", where=str(folder), remedy="name a new one: baton new DIR")
    if folder.exists() and not folder.is_dir():
        raise UserError("this is a file", where=str(folder), remedy="name a new folder: baton new DIR")
