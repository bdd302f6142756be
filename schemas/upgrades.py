"""Old row versions to new ones: one function a step, chained, so that a file of any known version reads as the newest.

A task registers its steps where its rows are (``pipeline/tasks/<task>/rows.py``)::

    upgrades.register("gridworld", "score_v1", "score_v2", lambda row: row | {"num_places": 0})
"""

from collections.abc import Callable
from typing import Any

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

_STEPS: dict[tuple[str, str], tuple[str, Upgrade]] = {}


def register(task: str, old: str, new: str, function: Upgrade) -> None:
    """``function`` turns a decoded row of version ``old`` into one of ``new``; it need not set ``schema`` itself."""
    if (task, old) in _STEPS:
        raise ValueError(f"{task} already has an upgrade of {old}")
    _STEPS[task, old] = (new, function)


def unregister(task: str, old: str) -> None:
    """Take one step out again."""
    del _STEPS[task, old]


def chain(task: str, old: str, new: str) -> list[tuple[str, Upgrade]] | None:
    """The steps from ``old`` to ``new``, each with the version it leads to, or None when there is no way."""
    steps: list[tuple[str, Upgrade]] = []
    version = old
    while version != new:
        step = _STEPS.get((task, version))
        if step is None or len(steps) > len(_STEPS):
            return None
        steps.append(step)
        version = step[0]
    return steps


def upgrade(row: dict[str, Any], new: str) -> dict[str, Any] | None:
    """``row`` as version ``new``, or None when no chain of steps leads from its version to that."""
    steps = chain(str(row.get("task")), str(row.get("schema")), new)
    if steps is None:
        return None
    for version, function in steps:
        row = function(row) | {"schema": version}
    return row


def known_versions(task: str, new: str) -> list[str]:
    """All versions that can be read as ``new``, oldest name first."""
    return sorted({new} | {old for of, old in _STEPS if of == task and chain(task, old, new) is not None})
