"""Files of ``runs/`` that are found by name and checked value by value: gates and sweeps."""

from pathlib import Path
from typing import TypeVar

import msgspec

from pipeline.contract.load import check_task
from pipeline.errors import UserError, nearest
from pipeline.recipe.explain import Places, explain_value, values_at

T = TypeVar("T")
# The folder one works in, and the checkout this code lies in: a file of one's own may take the name of a shipped one.
RUNS = (Path("runs"), Path(__file__).resolve().parents[2] / "runs")


def find_named(kind: str, text: str, task: str) -> Path:
    """A file by path (it has a slash or ends in .yaml) or by name (``runs/<kind>s/<task>/<name>.yaml``).

    Raises UserError that names the nearest, or those there are.
    """
    check_task(task)  # an unknown task is told before an unknown name
    if "/" in text or text.endswith((".yaml", ".yml")):
        if not Path(text).is_file():
            raise UserError(f"no such {kind}", where=text, remedy=f"{kind}s by name: {_names(kind, task)}")
        return Path(text)
    places = [runs / f"{kind}s" / task / f"{text}.yaml" for runs in RUNS]
    for path in places:
        if path.is_file():
            return path
    remedy = nearest(text, _names(kind, task).split(", "))
    raise UserError(f"there is no {task} {kind} {text!r}", where=str(places[0]), remedy=remedy)


def load_named(kind: str, path: Path, task: str, struct: type[T]) -> tuple[T, Places]:
    """The contents of such a file, and where each value stands. Raises UserError, naming file:line:key."""
    from pipeline.recipe.yaml import parse  # here: yaml takes 10 ms to import

    check_task(task)
    try:
        raw = path.read_bytes()
    except OSError as error:
        remedy = f"check that it is a file that this user may read; {kind}s by name: {_names(kind, task)}"
        raise UserError(f"cannot read the {kind}: {error.strerror}", where=str(path), remedy=remedy) from error
    document = parse(raw, str(path))
    places, data = Places(str(path), document.lines), document.data
    if not isinstance(data, dict):
        raise UserError(f"a {kind} is a mapping of keys to values", where=f"{path}:1", remedy=f"see docs/{kind}.md")
    (version,) = values_at(struct, data, ("schema",))
    if data.get("schema") != version:
        what = f"{kind} version {data.get('schema')!r} is not known; known: {version}"
        raise UserError(what, where=places.where(("schema",)), remedy=f"write `schema: {version}`")
    if data.get("task") != task:
        what = f"this {kind} is for task {data.get('task')!r}, not {task!r}"
        remedy = f"name the task that it is for, or write `task: {task}`"
        raise UserError(what, where=places.where(("task",)), remedy=remedy)
    try:
        return msgspec.convert(data, struct), places
    except msgspec.ValidationError as error:
        listing = f"schemas/generated/{version}.json lists every key and its range"
        raise explain_value(error, data, struct, places, listing) from error


def _names(kind: str, task: str) -> str:
    names = {path.stem for runs in RUNS for path in (runs / f"{kind}s" / task).glob("*.yaml")}
    return ", ".join(sorted(names)) or f"none in {RUNS[0] / f'{kind}s' / task}"
