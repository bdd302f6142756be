"""Tasks and their parts, found by name.

A new task is one new folder and no edit elsewhere, and a stage loads only what it needs:
``load_part("gridworld", EvaluatePart)`` imports no torch.
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
    """Names of the installed tasks, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(pipeline.tasks.__path__) if module.ispkg)


def check_task(task: str) -> None:
    """Raises UserError, naming the nearest, when there is no such task."""
    known = task_names()
    if task not in known:
        close = difflib.get_close_matches(task, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known tasks: {', '.join(known)}"
        raise UserError(f"there is no task {task!r}", remedy=hint)


def load_part(task: str, kind: type[P]) -> P:
    """A part of a task. Raises UserError when there is no such task, or when the task has no such part."""
    part = find_part(task, kind)
    if part is None:
        where = f"pipeline/tasks/{task}/{kind.HOMES[-1].replace('.', '/')}.py"
        raise UserError(f"task {task!r} has no {kind.__name__}", where=where)
    return part


def find_part(task: str, kind: type[P]) -> P | None:
    """`load_part` of a part that a task may leave out: None where it does. Raises UserError on an unknown task."""
    check_task(task)
    for home in kind.HOMES:
        if _exists(task, home):
            part = importlib.import_module(f"pipeline.tasks.{task}.{home}").PART
            assert isinstance(part, kind), f"PART of {task}.{home} is no {kind.__name__}"
            return part
    return None


def _exists(task: str, module: str) -> bool:
    """Asked of the folders, because Python would import what the module lies in to find out."""
    paths = [Path(folder, task, *module.split(".")) for folder in pipeline.tasks.__path__]
    return any(path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() for path in paths)


def read_examples(task: str, path: Path) -> list[Any]:
    """The input records: through the task's own reader where it has one. Raises UserError."""
    part = find_part(task, ExamplesPart)
    read = part.read if part is not None else None
    return list(read(path) if read else read_all(path, load_part(task, RowsPart).types["example_v1"]))
