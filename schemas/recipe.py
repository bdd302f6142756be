"""The recipe envelope: what every ``runs/recipes/<task>/<name>.yaml`` says, whatever the task.

A task adds typed sections by inheritance (``pipeline/tasks/<task>/recipe.py``); unknown keys are refused.
"""

from typing import Literal

from msgspec import Struct


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section of a recipe: frozen, keyword only, unknown keys refused."""


class Recipe(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all recipes share. ``name`` is the run's folder name; ``seed`` seeds everything random in the run."""

    schema: Literal["recipe_v1"]
    task: str
    name: str
    description: str = ""
    seed: int = 0
