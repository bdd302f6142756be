"""The gate's own file, flags, and both against the glossary: what exactly is checked."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.metrics import MetricDefinition
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.errors import UserError
from pipeline.recipe.explain import Places, explain_value
from schemas.gate import Check, GateSpec

# The folder one works in, and the checkout this code lies in, as for recipes.
FOLDERS = (Path("runs/gates"), Path(__file__).resolve().parents[2] / "runs/gates")
LISTING = "schemas/generated/gate_v1.json lists every key and its range"
NUM_SHOWN = 12

_NUMBER = re.compile(r"[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class LoadedGate:
    """A validated gate and the file it came from (None: flags alone)."""

    spec: GateSpec
    path: Path | None

    @property
    def baseline(self) -> Path | None:
        """Where its baseline is; None for a gate without a file."""
        if self.path is None:
            return None
        return self.path.parent / (self.spec.baseline or f"{self.spec.name}.baseline.json")


def load_gate(path_or_name: str | None, task: str) -> LoadedGate:
    """A gate by path (it has a slash or ends in .yaml) or by name (``runs/gates/<task>/<name>.yaml``).

    None is the gate that says nothing: every default. Raises UserError, naming file:line:key, on what is no gate of
    this task.
    """
    load_part(task, RowsPart)  # an unknown task is told before anything else
    if path_or_name is None:
        return LoadedGate(GateSpec(schema="gate_v1", task=task, name="gate"), None)
    from pipeline.recipe.yaml import parse  # here: yaml takes 10 ms to import

    path = _find(path_or_name, task)
    document = parse(_read(path), str(path))
    places = Places(str(path), document.lines)
    if not isinstance(document.data, dict):
        raise UserError("a gate is a mapping of keys to values", where=f"{path}:1", remedy="see docs/gate.md")
    try:
        spec = msgspec.convert(document.data, GateSpec)
    except msgspec.ValidationError as error:
        raise explain_value(error, document.data, GateSpec, places, LISTING) from error
    if spec.task != task:
        what = f"this gate is for task {spec.task!r}, not {task!r}"
        raise UserError(what, where=places.where(("task",)), remedy=f"baton gate {spec.task} ...")
    return LoadedGate(spec, path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "check that it is a file that this user may read"
        raise UserError(f"cannot read the gate: {error.strerror}", where=str(path), remedy=remedy) from error


def _find(text: str, task: str) -> Path:
    if "/" in text or text.endswith((".yaml", ".yml")):
        if not Path(text).is_file():
            raise UserError("no such gate", where=text, remedy=f"gates by name: {_names(task)}")
        return Path(text)
    for folder in FOLDERS:
        if (path := folder / task / f"{text}.yaml").is_file():
            return path
    hint = nearest(text, _names(task).split(", "))
    raise UserError(f"there is no {task} gate {text!r}", where=str(FOLDERS[0] / task / f"{text}.yaml"), remedy=hint)


def _names(task: str) -> str:
    names = {path.stem for folder in FOLDERS for path in (folder / task).glob("*.yaml")}
    return ", ".join(sorted(names)) or f"none in {FOLDERS[0] / task}"


def with_flags(spec: GateSpec, tolerances: Sequence[str], min_effects: Sequence[str]) -> GateSpec:
    """The gate with what ``--tolerance metric=limit`` and ``--min-effect metric=limit`` say, over all its slices.

    A metric that no check names gets one: whoever gives a metric without a direction a tolerance asks for it to be
    watched both ways. Raises UserError.
    """
    for field, flag, texts in (("tolerance", "--tolerance", tolerances), ("min_effect", "--min-effect", min_effects)):
        for text in texts:
            spec = _with_flag(spec, field, flag, text)
    return spec


def _with_flag(spec: GateSpec, field: str, flag: str, text: str) -> GateSpec:
    name, separator, value = text.rpartition("=")
    if not separator or not name:
        raise UserError(f"{flag} takes metric=limit, not {text!r}", remedy=f"for example: {flag} wellbeing=2%")
    limit: float | str = float(value) if _NUMBER.fullmatch(value.strip()) else value
    where = f"{flag} {text}"
    definition = find_metric(spec.task, name, where)
    asked = Check(metric=name, watch="both" if definition.better == "neither" else "worse")
    checks = spec.checks if any(check.metric == name for check in spec.checks) else (*spec.checks, asked)
    changed = []
    for check in checks:
        data = msgspec.to_builtins(check) | ({field: limit} if check.metric == name else {})
        try:
            changed.append(msgspec.convert(data, Check))
        except msgspec.ValidationError as error:
            what = f"a limit is a number of at least 0, or a share such as 2%, not {value!r}"
            raise UserError(what, where=where) from error
    return msgspec.structs.replace(spec, checks=tuple(changed))


def find_metric(task: str, name: str, where: str) -> MetricDefinition:
    """The definition of a metric. Raises UserError with the nearest name."""
    glossary: Mapping[str, Any] = {one.name: one for one in load_part(task, EvaluatePart).glossary}
    if name not in glossary:
        raise UserError(f"{task} has no metric {name!r}", where=where, remedy=nearest(name, list(glossary)))
    definition: MetricDefinition = glossary[name]
    return definition


def nearest(text: str, known: Sequence[str]) -> str:
    """What to offer instead of an unknown name."""
    close = difflib.get_close_matches(text, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known[:NUM_SHOWN])}"


def limit_of(limit: float | str, baseline: float | None) -> float:
    """A tolerance in the metric's unit; a share is one of the baseline's value."""
    if isinstance(limit, str):
        return abs(baseline or 0.0) * float(limit.strip().removesuffix("%")) / 100.0
    return float(limit)


def gate_options(gate: LoadedGate, settings: Sequence[str]) -> list[str]:
    """``--set`` texts: the gate's section ``evaluate`` first, flags after it."""
    given = [f"evaluate.{key}={msgspec.json.encode(value).decode()}" for key, value in gate.spec.evaluate.items()]
    return [*given, *settings]


__all__ = ["LoadedGate", "find_metric", "gate_options", "limit_of", "load_gate", "nearest", "with_flags"]
