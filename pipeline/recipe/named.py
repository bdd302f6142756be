"""What is found by name in ``runs/``: models; and recipes, gates and sweeps, which are checked value by value."""

import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.contract.load import check_task
from pipeline.errors import UserError, nearest
from pipeline.recipe.explain import Places, explain_value, values_at

T = TypeVar("T")
_LIBRARY = Path(__file__).resolve().parents[1]
# What comes with Baton lies in the library where it was installed from a wheel, else at the top of the checkout.
SHIPPED = _LIBRARY / "shipped" if (_LIBRARY / "shipped").is_dir() else _LIBRARY.parent / "runs"
# The folder one works in comes first: a file of one's own may take the name of a shipped one.
RUNS = (Path("runs"), SHIPPED)
# Where each kind lies: ``runs/<folder>/<task>/<name><suffix>``.
_HOMES = {
    "recipe": ("recipes", ".yaml"),
    "gate": ("gates", ".yaml"),
    "sweep": ("sweeps", ".yaml"),
    "model": ("pretrained", ".inference_v1"),
}


def find_named(kind: str, path_or_name: Path | str, task: str) -> Path:
    """A file by path (it has a slash or ends in .yaml) or by name (``runs/<kind>s/<task>/<name>.yaml``).

    Raises UserError that names the nearest, or those there are.
    """
    check_task(task)  # an unknown task is told before an unknown name
    text = str(path_or_name)
    if isinstance(path_or_name, Path) or "/" in text or text.endswith((".yaml", ".yml")):
        if not Path(text).is_file():
            raise UserError(f"no such {kind}", where=text, remedy=f"{kind}s by name: {_listed(kind, task)}")
        return Path(text)
    return _by_name(kind, text, task)


def find_model(path_or_name: Path, task: str) -> Path:
    """An inference_v1 file by path or, where nothing lies there, by name (``runs/pretrained/<task>/``).

    What does not look like a name is taken for a path, of which whoever opens it tells what is wrong. Raises UserError
    that names the nearest, or those there are.
    """
    is_name = len(path_or_name.parts) == 1 and not path_or_name.suffix
    return _by_name("model", str(path_or_name), task) if is_name and not path_or_name.exists() else path_or_name


def _by_name(kind: str, name: str, task: str) -> Path:
    folder, suffix = _HOMES[kind]
    places = [runs / folder / task / f"{name}{suffix}" for runs in RUNS]
    for path in places:
        if path.is_file():
            return path
    known = names_of(kind, task) or [_listed(kind, task)]
    raise UserError(f"there is no {task} {kind} {name!r}", where=str(places[0]), remedy=nearest(name, known))


def names_of(kind: str, task: str) -> list[str]:
    """Names of the files of a task, sorted."""
    folder, suffix = _HOMES[kind]
    return sorted({path.stem for runs in RUNS for path in (runs / folder / task).glob(f"*{suffix}")})


def read_named(kind: str, path: Path, task: str) -> tuple[dict[str, Any], Places]:
    """Such a file as plain data, and where each value stands. Raises UserError."""
    from pipeline.recipe.yaml import parse  # here: yaml takes 10 ms to import, and `--help` loads no file

    try:
        raw = path.read_bytes()
    except OSError as error:
        remedy = f"check that it is a file that this user may read; {kind}s by name: {_listed(kind, task)}"
        raise UserError(f"cannot read the {kind}: {error.strerror}", where=str(path), remedy=remedy) from error
    document = parse(raw, str(path))
    if not isinstance(document.data, dict):
        what = f"a {kind} is a mapping of keys to values"
        raise UserError(what, where=f"{path}:1", remedy=f"see those in runs/{kind}s")
    return document.data, Places(str(path), document.lines)


def load_named(kind: str, path: Path, task: str, struct: type[T]) -> tuple[T, Places]:
    """The checked contents of such a file, and where each value stands. Raises UserError, naming file:line:key."""
    check_task(task)
    data, places = read_named(kind, path, task)
    version = check_head(kind, data, task, struct, places)
    return checked(data, struct, places, version), places


def check_head(kind: str, data: dict[str, Any], task: str, struct: type[Any], places: Places) -> str:
    """The version. Raises UserError where it or the task is wrong: a file of another task is wrong in every line."""
    (known,) = values_at(struct, data, ("schema",))
    found = data.get("schema")
    if found != known:
        unknown = f"{kind} version {found!r} is not known; known: {known}"
        what = unknown if found else f"the {kind} does not say its schema"
        raise UserError(what, where=places.where(("schema",)), remedy=f"write `schema: {known}`")
    if data.get("task") != task:
        found = data.get("task")
        what = f"this {kind} is for task {found!r}, not {task!r}" if found else f"the {kind} does not say its task"
        remedy = f"take a {kind} of {task}: {_listed(kind, task)}"
        raise UserError(what, where=places.where(("task",)), remedy=remedy)
    return known


def checked(data: dict[str, Any], struct: type[T], places: Places, schema: str) -> T:
    """Plain data as a Struct. Raises UserError, naming the value; the JSON Schema ``schema`` has them all."""
    try:
        return msgspec.convert(data, struct)
    except msgspec.ValidationError as error:
        listing = f"{_schema_file(schema, struct)} lists every key and its range"
        raise explain_value(error, data, struct, places, listing) from error


def _listed(kind: str, task: str) -> str:
    return ", ".join(names_of(kind, task)) or f"none in {RUNS[0] / _HOMES[kind][0] / task}"


def _schema_file(schema: str, struct: type[Any]) -> Path:
    """The generated JSON Schema, relative to where one works if it lies there; for tasks of one's own, which have none,
    the source."""
    path = _LIBRARY.parent / "schemas/generated" / f"{schema}.json"
    if not path.is_file():
        path = Path(sys.modules[struct.__module__].__file__ or "")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
