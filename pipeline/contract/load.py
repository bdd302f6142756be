"""Every task goes through the same stages; one folder a task, one file a part (see `interface`).

Tasks and their parts are found by name, so that a new task is one new folder and no edit elsewhere, and so that a stage
loads only what it needs: ``load_part("gridworld", "evaluate.score")`` imports no torch.
"""

import difflib
import importlib
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pipeline.tasks
from pipeline.errors import UserError
from pipeline.files import read_all


def task_names() -> list[str]:
    """Names of the installed tasks, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(pipeline.tasks.__path__) if module.ispkg)


def load_part(task: str, part: str) -> ModuleType:
    """Import one part (a file name of the task's folder, such as "score") of a task.

    Raises UserError when there is no such task, or when the task has no such part.
    """
    known = task_names()
    if task not in known:
        close = difflib.get_close_matches(task, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known tasks: {', '.join(known)}"
        raise UserError(f"there is no task {task!r}", remedy=hint)
    name = f"pipeline.tasks.{task}.{part}"
    if not _exists(name):
        raise UserError(f"task {task!r} has no part {part!r}", where=f"pipeline/tasks/{task}/{part}.py")
    return importlib.import_module(name)


def find_part(task: str, part: str) -> ModuleType | None:
    """`load_part` of a part that a task may leave out: None where it does. Raises UserError on an unknown task."""
    if task in task_names() and not _exists(f"pipeline.tasks.{task}.{part}"):
        return None
    return load_part(task, part)


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even the folder that it would be in
        return False


def read_examples(task: str, path: Path) -> list[Any]:
    """The input records: through the task's own reader where it has one. Raises UserError."""
    reader = getattr(find_part(task, "examples"), "read_examples", None)
    return list(reader(path) if reader else read_all(path, load_part(task, "rows").ROW_TYPES["example_v1"]))
