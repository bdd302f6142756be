"""Sweep files: strict YAML, checked like recipes, to a `Sweep` and the places that its errors name."""

from pathlib import Path

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart
from pipeline.errors import UserError
from pipeline.recipe.explain import Places, explain_value
from schemas.sweep import Sweep

FOLDERS = (Path("runs/sweeps"), Path(__file__).resolve().parents[2] / "runs/sweeps")
VERSION = "sweep_v1"
LISTING = "schemas/generated/sweep_v1.json lists every key and its range"


def find_sweep(task: str, name: str) -> Path:
    """``runs/sweeps/<task>/<name>.yaml``. Raises UserError that lists the sweeps there are."""
    load_part(task, RecipePart)  # an unknown task is told before an unknown sweep
    for folder in FOLDERS:
        path = folder / task / f"{name}.yaml"
        if path.is_file():
            return path
    names = sorted({path.stem for folder in FOLDERS for path in (folder / task).glob("*.yaml")})
    remedy = f"there are: {', '.join(names) or 'none'}"
    raise UserError(f"there is no {task} sweep {name!r}", where=str(FOLDERS[0] / task / f"{name}.yaml"), remedy=remedy)


def load_sweep(path: Path, task: str) -> tuple[Sweep, Places]:
    """A sweep, and where each of its values stands. Raises UserError, naming file:line:key, on anything else."""
    from pipeline.recipe.yaml import parse  # here: yaml takes 10 ms to import

    load_part(task, RecipePart)
    try:
        raw = path.read_bytes()
    except OSError as error:
        remedy = "give --file a sweep file (docs/sweep.md shows one), or --name one of runs/sweeps"
        raise UserError(f"cannot read the sweep: {error.strerror}", where=str(path), remedy=remedy) from error
    document = parse(raw, str(path))
    places = Places(str(path), document.lines)
    data = document.data
    if not isinstance(data, dict):
        raise UserError("a sweep is a mapping of keys to values", where=f"{path}:1", remedy="see docs/sweep.md")
    if data.get("schema") != VERSION:
        what = f"sweep version {data.get('schema')!r} is not known; known: {VERSION}"
        raise UserError(what, where=places.where(("schema",)), remedy=f"write `schema: {VERSION}`")
    if data.get("task") != task:
        what = f"this sweep is for task {data.get('task')!r}, not {task!r}"
        remedy = f"name the task that it is for, or write `task: {task}`"
        raise UserError(what, where=places.where(("task",)), remedy=remedy)
    try:
        return msgspec.convert(data, Sweep), places
    except msgspec.ValidationError as error:
        raise explain_value(error, data, Sweep, places, LISTING) from error
