"""Recipes: a YAML file and ``--set key=value`` become the task's typed Recipe, or one error that says where.

Every value is checked (type, range, known key), whether it comes from the file or from a flag; what a recipe leaves out
takes the default of ``pipeline/tasks/<task>/recipe.py``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart
from pipeline.errors import UserError
from pipeline.recipe.explain import Places
from pipeline.recipe.moved import refuse_old_names, with_new_names
from pipeline.recipe.named import check_head, checked, find_named, read_named

T = TypeVar("T")


def load_recipe(
    path_or_name: Path | str,
    task: str,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    *,
    is_record: bool = False,
) -> Any:
    """The task's Recipe, by path (it has a slash or ends in .yaml) or by name (``runs/recipes/<task>/<name>.yaml``).

    ``overrides`` are texts such as "train.num_steps=1000", whose value is YAML; ``seed`` replaces the recipe's.
    ``is_record``: keys may have the names that they had when it was written. Raises UserError, naming file:line:key or
    the flag, on anything that is not a valid recipe of this task.
    """
    path = find_named("recipe", path_or_name, task)
    data, places = read_named("recipe", path, task)
    if is_record:
        data = with_new_names(data, load_part(task, RecipePart).moved)
    return _checked(data, task, places, overrides, seed)


def default_recipe(task: str, overrides: Sequence[str] = (), seed: int | None = None) -> Any:
    """The recipe of a task that says nothing but ``overrides`` and ``seed``. Errors as `load_recipe`."""
    data = {"schema": "recipe_v1", "task": task, "name": "defaults"}
    return _checked(data, task, Places(f"defaults of {task}", {}), overrides, seed)


def read_settings(struct: type[T], settings: Sequence[str]) -> T:
    """A Struct of texts such as "key=value", as ``--set`` gives them. Raises UserError as `load_recipe`."""
    data: dict[str, Any] = {}
    places = Places("--set", {})
    for text in settings:
        _override(data, text, places, "key=value")
    return checked(data, struct, places, "")


def _checked(data: dict[str, Any], task: str, places: Places, overrides: Sequence[str], seed: int | None) -> Any:
    """The task's Recipe of plain data, with what flags change in it."""
    part = load_part(task, RecipePart)
    recipe_type = part.recipe
    for text in overrides:
        _override(data, text, places)
    if seed is not None:
        data["seed"] = seed
        places.flags[("seed",)] = f"--seed {seed}"
    version = check_head("recipe", data, task, recipe_type, places)
    refuse_old_names(data, part.moved, places)
    return checked(data, recipe_type, places, f"{task}.{version}")


def _override(data: dict[str, Any], text: str, places: Places, example: str = "train.num_steps=1000") -> None:
    from pipeline.recipe.yaml import parse

    key, separator, value = text.partition("=")
    keys = key.split(".")
    if not separator or not all(keys):
        raise UserError(f"--set takes key=value, not {text!r}", remedy=f"for example: --set {example}")
    flag = f"--set {text}"
    _put(data, keys, parse(value.encode(), flag).data if value else "", flag)
    places.flags[tuple(keys)] = flag


def _put(data: dict[str, Any], keys: list[str], value: Any, flag: str) -> None:
    section: Any = data
    for depth, key in enumerate(keys[:-1], start=1):
        if section.get(key) is None:  # a section left out, or switched off with null
            section[key] = {}
        section = section[key]
        if not isinstance(section, dict):
            what = f"{'.'.join(keys[:depth])} is a value, not a section with keys"
            raise UserError(what, where=flag, remedy="set the whole of it, as in --set network.hidden=[64,64]")
    section[keys[-1]] = value
