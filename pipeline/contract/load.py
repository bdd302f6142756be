"""Tasks and their parts, found by name.

A new task is one new folder and no edit elsewhere: in `pipeline.tasks`, or ``tasks/NAME`` where one works. A stage
loads only what it needs: ``load_part("gridworld", EvaluatePart)`` imports no torch.
"""

import difflib
import importlib
import pkgutil
from pathlib import Path
from typing import Any, TypeVar

import pipeline.tasks
from pipeline.contract.parts import ExamplesPart, Part, RowsPart
from pipeline.errors import UserError
from pipeline.files import read_all

P = TypeVar("P", bound=Part)


def task_names() -> list[str]:
    """Names of the tasks that come with Baton and of those where one works, sorted."""
    return sorted({name for folder in pipeline.tasks.__path__ for name in _tasks_in(folder)})


def shipped_task_names() -> list[str]:
    """Names of the tasks that come with Baton, sorted."""
    return sorted(_tasks_in(pipeline.tasks.__path__[0]))


def check_task(task: str) -> None:
    """Raises UserError, naming the nearest, when there is no such task, or when one's own has the name of another."""
    _folder_of(task)


def load_part(task: str, kind: type[P]) -> P:
    """A part of a task. Raises UserError when there is no such task, or when the task has no such part."""
    part = find_part(task, kind)
    if part is None:
        where = _folder_of(task).joinpath(*kind.HOMES[-1].split(".")).with_suffix(".py")
        raise UserError(f"task {task!r} has no {kind.__name__}", where=str(where))
    return part


def find_part(task: str, kind: type[P]) -> P | None:
    """`load_part` of a part that a task may leave out: None where it does. Raises UserError on an unknown task."""
    folder = _folder_of(task)
    for home in kind.HOMES:
        if _is_module(folder.joinpath(*home.split("."))):
            part = importlib.import_module(f"pipeline.tasks.{task}.{home}").PART
            assert isinstance(part, kind), f"PART of {task}.{home} is no {kind.__name__}"
            return part
    return None


def _folder_of(task: str) -> Path:
    """Where a task lies. Raises UserError as `check_task` does."""
    found = [Path(folder, task) for folder in pipeline.tasks.__path__ if task in _tasks_in(folder)]
    if not found:
        known = task_names()
        close = difflib.get_close_matches(task, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known tasks: {', '.join(known)}"
        raise UserError(f"there is no task {task!r}", remedy=f"{hint} (tasks of your own lie in ./tasks/NAME)")
    if len(found) > 1:
        what = f"a task of your own has the name of one that comes with Baton: {task!r}"
        raise UserError(what, where=str(found[1]), remedy="give it another name")
    return found[0]


def _tasks_in(folder: str) -> list[str]:
    """Packages with the one part that every task has: what else is called ``tasks`` where one works is none of ours."""
    names = [module.name for module in pkgutil.iter_modules([folder]) if module.ispkg]
    return [name for name in names if _is_module(Path(folder, name, "rows"))]


def _is_module(path: Path) -> bool:
    """Asked of the folders, because Python would import what a module lies in to find out."""
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def read_examples(task: str, path: Path) -> list[Any]:
    """The input records: through the task's own reader where it has one. Raises UserError."""
    part = find_part(task, ExamplesPart)
    read = part.read if part is not None else None
    return list(read(path) if read else read_all(path, load_part(task, RowsPart).types["example_v1"]))
