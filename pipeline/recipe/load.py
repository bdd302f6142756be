"""Recipes: a YAML file and ``--set key=value`` become the task's typed Recipe, or one error that says where.

Every value is checked (type, range, known key), whether it comes from the file or from a flag; what a recipe leaves out
takes the default of ``pipeline/tasks/<task>/recipe.py``.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart
from pipeline.errors import UserError
from pipeline.files.hashes import hash_config
from pipeline.recipe.explain import Places, explain_value, values_at

# The folder one works in, and the checkout this code lies in: a recipe of one's own may take the name of a shipped one.
FOLDERS = (Path("runs/recipes"), Path(__file__).resolve().parents[2] / "runs/recipes")


@dataclass(frozen=True)
class LoadedRecipe:
    """A validated recipe.

    ``recipe`` is the task's Recipe struct; ``config`` the same as plain JSON types, every default spelled out;
    ``hash`` the sha256 of its canonical JSON; ``text`` the file as it was read; ``overrides`` the flags applied.
    """

    recipe: Any
    path: Path
    hash: str
    text: str
    overrides: tuple[str, ...]

    @property
    def config(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self.recipe)
        return plain


def load_recipe(
    path_or_name: Path | str, task: str, overrides: Sequence[str] = (), seed: int | None = None
) -> LoadedRecipe:
    """Load a recipe by path (it has a slash or ends in .yaml) or by name (``runs/recipes/<task>/<name>.yaml``).

    ``overrides`` are texts such as "train.num_steps=1000", whose value is YAML; ``seed`` replaces the recipe's. Raises
    UserError, naming file:line:key or the flag, on anything that is not a valid recipe of this task.
    """
    from pipeline.recipe.yaml import parse  # here: yaml takes 10 ms to import, and `--help` loads no recipe

    load_part(task, RecipePart)  # an unknown task is told before an unknown recipe
    path = find_recipe(path_or_name, task)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the recipe: {error.strerror}", where=str(path)) from error
    document = parse(raw, str(path))
    if not isinstance(document.data, dict):
        raise UserError("a recipe is a mapping of keys to values", where=f"{path}:1", remedy="see runs/recipes/")
    recipe = _checked(document.data, task, Places(str(path), document.lines), overrides, seed)
    return LoadedRecipe(recipe, path, hash_config(recipe), raw.decode("utf-8-sig"), tuple(overrides))


def default_recipe(task: str, overrides: Sequence[str] = (), seed: int | None = None) -> Any:
    """The recipe of a task that says nothing but ``overrides`` and ``seed``. Errors as `load_recipe`."""
    data = {"schema": "recipe_v1", "task": task, "name": "defaults"}
    return _checked(data, task, Places(f"defaults of {task}", {}), overrides, seed)


def _checked(data: dict[str, Any], task: str, places: Places, overrides: Sequence[str], seed: int | None) -> Any:
    """The task's Recipe of plain data, with what flags change in it."""
    recipe_type = load_part(task, RecipePart).recipe
    for text in overrides:
        _override(data, text, places)
    if seed is not None:
        data["seed"] = seed
        places.flags[("seed",)] = f"--seed {seed}"
    _check_head(data, task, recipe_type, places)
    try:
        return msgspec.convert(data, recipe_type)
    except msgspec.ValidationError as error:
        listing = f"schemas/generated/{task}.recipe_v1.json lists every key and its range"
        raise explain_value(error, data, recipe_type, places, listing) from error


def _override(data: dict[str, Any], text: str, places: Places) -> None:
    from pipeline.recipe.yaml import parse

    key, separator, value = text.partition("=")
    keys = key.split(".")
    if not separator or not all(keys):
        raise UserError(f"--set takes key=value, not {text!r}", remedy="for example: --set train.num_steps=1000")
    flag = f"--set {text}"
    _put(data, keys, parse(value.encode(), flag).data if value else "", flag)
    places.flags[tuple(keys)] = flag


def find_recipe(path_or_name: Path | str, task: str) -> Path:
    """The file of a recipe. Raises UserError that lists the recipes there are."""
    text = str(path_or_name)
    if isinstance(path_or_name, Path) or "/" in text or text.endswith((".yaml", ".yml")):
        path = Path(path_or_name)
        if not path.is_file():
            raise UserError("no such recipe", where=text, remedy=f"recipes by name: {_names(task)}")
        return path
    for folder in FOLDERS:
        path = folder / task / f"{text}.yaml"
        if path.is_file():
            return path
    close = difflib.get_close_matches(text, recipe_names(task), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {_names(task)}"
    raise UserError(f"there is no {task} recipe {text!r}", where=str(FOLDERS[0] / task / f"{text}.yaml"), remedy=hint)


def recipe_names(task: str) -> list[str]:
    """Names of the recipes of a task, sorted."""
    return sorted({path.stem for folder in FOLDERS for path in (folder / task).glob("*.yaml")})


def _names(task: str) -> str:
    return ", ".join(recipe_names(task)) or f"none in {FOLDERS[0] / task}"


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


def _check_head(data: dict[str, Any], task: str, recipe_type: Any, places: Places) -> None:
    """Version and task first: a recipe of another task is wrong in every line."""
    known = ", ".join(values_at(recipe_type, data, ("schema",)))
    found = data.get("schema")
    if found != known:
        unknown = f"recipe version {found!r} is not known; known: {known}"
        what = unknown if found else "the recipe does not say its schema"
        raise UserError(what, where=places.where(("schema",)), remedy=f"write `schema: {known}`")
    if data.get("task") != task:
        found = data.get("task")
        what = f"this recipe is for task {found!r}, not {task!r}" if found else "the recipe does not say its task"
        raise UserError(what, where=places.where(("task",)), remedy=f"take a recipe of {task}: {_names(task)}")
