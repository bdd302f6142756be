"""The recipe envelope: what every ``runs/recipes/<task>/<name>.yaml`` says, whatever the task.

A task adds typed sections by inheritance (``pipeline/tasks/<task>/recipe.py``); unknown keys are refused.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

# What numbers of a recipe may be; a task's sections are written in these.
Count = Annotated[int, Meta(ge=1)]
CountOrZero = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
ShareBelowOne = Annotated[float, Meta(ge=0, lt=1)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]

# A run's folder name: nothing that could lead out of runs/<task>/.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section of a recipe: frozen, keyword only, unknown keys refused."""


class Recipe(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all recipes share. ``name`` is the run's folder name; ``seed`` seeds everything random in the run."""

    schema: Literal["recipe_v1"]
    task: str
    name: Name
    description: str = ""
    seed: Seed = 0
