"""A sweep file to a plan: the cells of its grid, and what they share, each with its key and the stages that make it.

A part (`Part`) is done by one worker at one time: a cell (infer, evaluate), or what cells share (a training, an export,
the examples). Its steps are command lines of stages, in which `OutputOf` stands for a file that another step writes.
Its key is a hash of the content of all that goes into it, so that equal parts are one, wherever their files lie.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from pipeline.contract.jobs import SourceRequest
from pipeline.contract.load import load_part
from pipeline.contract.parts import ExamplesPart
from pipeline.errors import UserError
from pipeline.files.hashes import hash_config, sha256_file
from pipeline.infer.run import find_source
from pipeline.recipe.explain import Places
from pipeline.recipe.load import default_recipe, load_recipe
from pipeline.recipe.named import find_model
from pipeline.records.inputs import distinguishing, named_files
from schemas.flow import BY_NAME
from schemas.sweep import Axis, Checkpoint, Kind, Sweep, Training

SEED = "train seed"  # the axis on which trainings of one recipe lie
SHORT = 16  # hexadecimal digits of a key in names of folders: 64 bits
MODEL_SUFFIX = ".inference_v1"
SELECTED = "train/selected.checkpoint_v1"
MODEL = "export/model.inference_v1"
EXAMPLES = "examples/examples.jsonl"
PREDICTIONS = "infer/predictions.jsonl"
METRICS = "evaluate/metrics.jsonl"


@dataclass(frozen=True)
class OutputOf:
    """A file that a part writes, relative to the part's folder. ``key`` None: the part itself.

    ``step`` names a training's checkpoint by its step instead.
    """

    key: str | None
    path: str = ""
    step: int | None = None


Argument = str | OutputOf


@dataclass(frozen=True)
class Step:
    """One stage of a part: ``baton <stage> <task> <arguments> --out <part's folder>/<stage>``."""

    stage: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Part:
    """What one worker does at a time. ``axes`` are a cell's place in the grid."""

    kind: Kind
    task: str
    key: str
    label: str
    steps: tuple[Step, ...]
    needs: tuple["Part", ...] = ()
    axes: Mapping[str, Axis] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The part's name in folders."""
        return self.key[:SHORT]

    @property
    def folder(self) -> PurePosixPath:
        """Where the part works, relative to the sweep's folder."""
        return PurePosixPath("cells" if self.kind == "cell" else "shared", self.short)


@dataclass(frozen=True)
class Plan:
    """All of a sweep. ``options`` is the resolved section ``evaluate`` of its recipe; ``parts`` come before what needs
    them."""

    sweep: Sweep
    cells: tuple[Part, ...]
    parts: tuple[Part, ...]
    options: Any


@dataclass(frozen=True)
class Machine:
    """What stages run on."""

    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class _Model:
    """A row of the grid: what answers, how `baton infer` is told so, and its place in the grid."""

    label: str
    argument: Argument
    content: str
    needs: tuple[Part, ...]
    axes: Mapping[str, Axis]


def make_plan(sweep: Sweep, places: Places, machine: Machine) -> Plan:
    """The plan of a sweep. Raises UserError, naming the line, on what cannot be run."""
    if not sweep.checkpoints and not sweep.train:
        what = "the sweep names no model: neither checkpoints nor train"
        raise UserError(what, where=places.source, remedy="list checkpoints, or a training with its seeds")
    grid = _Grid(sweep, places, machine)
    models = [*grid.given(), *grid.trained()]
    cells: dict[str, Part] = {}
    for model, settings in itertools.product(models, grid.combinations()):
        cell = grid.cell(model, settings)
        cells.setdefault(cell.key, cell)  # the same model twice, by two names, is one cell
    parts: dict[str, Part] = {}
    for cell in cells.values():
        _collect(cell, parts)
    return Plan(sweep, tuple(cells.values()), tuple(parts.values()), grid.options)


def _collect(part: Part, found: dict[str, Part]) -> None:
    for need in part.needs:
        _collect(need, found)
    found.setdefault(part.key, part)


class _Grid:
    """The parts of one sweep."""

    def __init__(self, sweep: Sweep, places: Places, machine: Machine) -> None:
        self.sweep, self.places, self.machine, self.task = sweep, places, machine, sweep.task
        self.base = _settings(sweep.set)
        self.recipe = self._recipe(())
        self.options = getattr(self.recipe, "evaluate", None)
        named = named_files(self.task, self.options)
        self.evaluate_files = {f"evaluate {name}": content_hash(path, "the recipe") for name, path in named.items()}
        self.examples = self._examples()

    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the decoding settings, the last key fastest. Raises UserError on a wrong value."""
        for key, values in self.sweep.infer.items():
            for number, value in enumerate(values):
                try:
                    self._recipe((f"infer.{key}={json.dumps(value)}",))
                except UserError as error:
                    raise error.at(self.places.where(("infer", key, number))) from error
        product = itertools.product(*self.sweep.infer.values())
        return [dict(zip(self.sweep.infer, values, strict=True)) for values in product]

    def given(self) -> list[_Model]:
        """The models and checkpoints that are files."""
        wanted = [Checkpoint(path=c) if isinstance(c, str) else c for c in self.sweep.checkpoints]
        paths = [self._find_model(Path(one.path), number) for number, one in enumerate(wanted)]
        models = []
        for number, (one, path, short) in enumerate(zip(wanted, paths, distinguishing(paths), strict=True)):
            label = one.label or short
            content = content_hash(path, self.places.where(("checkpoints", number)))
            model = _Model(label, str(path), content, (), {"model": label})
            models.append(model if path.is_dir() or path.suffix == MODEL_SUFFIX else self._exported(model))
        return models

    def _find_model(self, path: Path, number: int) -> Path:
        try:
            return find_model(path, self.task)
        except UserError as error:
            raise error.at(self.places.where(("checkpoints", number))) from error

    def trained(self) -> list[_Model]:
        """The checkpoints of the trainings, training by training."""
        models = []
        for number, training in enumerate(self.sweep.train):
            for seed in training.seeds:
                part, name = self._training(training, number, seed)
                for checkpoint in training.checkpoints:
                    step = None if checkpoint == "selected" else int(checkpoint)
                    label = f"{name} seed {seed} " + ("selected" if step is None else f"step {step}")
                    output = OutputOf(part.key, SELECTED, step)
                    content = f"{part.key}/{checkpoint}"
                    axes: dict[str, Axis] = {"model": name, SEED: seed, "checkpoint": checkpoint}
                    models.append(self._exported(_Model(label, output, content, (part,), axes)))
        return models

    def cell(self, model: _Model, settings: Mapping[str, Any]) -> Part:
        """The cell of a model and decoding settings."""
        flags = tuple(f"infer.{key}={json.dumps(value)}" for key, value in settings.items())
        recipe = self._recipe(flags)
        section, source = getattr(recipe, "infer", None), {}
        if isinstance(model.argument, str) or isinstance(self.examples[0], str):
            source = self._source(model, section)
        config = {
            "infer": msgspec.to_builtins(section),
            "evaluate": msgspec.to_builtins(self.options),
            "source": source,
            "device": self.machine.device,
            "seed": recipe.seed,
        }
        inputs = {"model": model.content, "examples": self.examples[1], **self.evaluate_files}
        told = ", ".join(f"{key}={value}" for key, value in settings.items())
        base = self._base_flags()
        infer = (*base, *_flags(flags), "--model", model.argument, "--input", self.examples[0], *self._device())
        axes = {**model.axes, **{key: _axis(value) for key, value in settings.items()}}
        return Part(
            kind="cell",
            task=self.task,
            key=part_key("cell", self.task, inputs, config),
            label=f"{model.label}, {told}" if told else model.label,
            steps=(
                Step("infer", infer),
                Step("evaluate", (*base, "--input", OutputOf(None, PREDICTIONS), *self._threads())),
            ),
            needs=(*model.needs, *self.examples[2]),
            axes=axes,
        )

    def _exported(self, checkpoint: _Model) -> _Model:
        """What answers for a checkpoint: the model that is exported from it."""
        key = part_key("export", self.task, {"checkpoint": checkpoint.content}, {})
        step = Step("export", ("--checkpoint", checkpoint.argument, *self._threads()))
        export = Part("export", self.task, key, f"export of {checkpoint.label}", (step,), checkpoint.needs)
        return replace(checkpoint, argument=OutputOf(key, MODEL), content=key, needs=(export,))

    def _training(self, training: Training, number: int, seed: int) -> tuple[Part, str]:
        settings = _settings(training.set)
        try:
            recipe = load_recipe(training.recipe, self.task, settings, seed)
        except UserError as error:
            raise error.at(f"{self.places.where(('train', number))} ({error.where})") from error
        alike = [one for one in self.sweep.train if one.recipe == training.recipe and one.label is None]
        told = "".join(f" {text}" for text in settings) if len(alike) > 1 else ""
        name = training.label or f"{recipe.name}{told}"
        config = _training_config(recipe) | {"device": self.machine.device}
        arguments = ("--recipe", training.recipe, *_flags(settings), "--seed", str(seed), *self._device())
        part = Part(
            kind="train",
            task=self.task,
            key=part_key("train", self.task, {}, config),
            label=f"training of {name} seed {seed}",
            steps=(Step("train", arguments),),
        )
        return part, name

    def _examples(self) -> tuple[Argument, str, tuple[Part, ...]]:
        """The examples as an argument, their content, and the part that makes them, unless they are a file."""
        if self.sweep.examples is not None:
            path = Path(self.sweep.examples)
            return str(path), content_hash(path, self.places.where(("examples",))), ()
        if self.sweep.recipe is None:
            what = "the sweep names neither a file of examples nor a recipe that makes them"
            raise UserError(what, where=self.places.source, remedy="add `examples: FILE` or `recipe: NAME`")
        plain = msgspec.to_builtins(self.recipe)
        keys = [*load_part(self.task, ExamplesPart).recipe_keys, "examples"]
        config = {key: plain[key] for key in keys if key in plain} | {"seed": self.recipe.seed}
        key = part_key("examples", self.task, {}, config)
        part = Part("examples", self.task, key, "examples", (Step("examples", self._base_flags()),))
        return OutputOf(key, EXAMPLES), key, (part,)

    def _source(self, model: _Model, section: Any) -> dict[str, Any]:
        """What the answers depend on besides the model, as infer itself finds it: its images, for example."""
        path = Path(model.argument) if isinstance(model.argument, str) else Path(MODEL)
        examples = Path(self.examples[0]) if isinstance(self.examples[0], str) else Path(EXAMPLES)
        request = SourceRequest(
            task=self.task,
            recipe=self.recipe,
            options=section,
            examples=examples,
            model=path,
            replay=None,
            image_root=None,
            find_model=lambda: path,
        )
        return dict(find_source(request).config)

    def _recipe(self, settings: Sequence[str]) -> Any:
        if self.sweep.recipe is None:
            return default_recipe(self.task, (*self.base, *settings))
        return load_recipe(self.sweep.recipe, self.task, (*self.base, *settings))

    def _base_flags(self) -> tuple[str, ...]:
        recipe = ("--recipe", self.sweep.recipe) if self.sweep.recipe is not None else ()
        return (*recipe, *_flags(self.base))

    def _threads(self) -> tuple[str, ...]:
        return ("--threads", str(self.machine.threads))

    def _device(self) -> tuple[str, ...]:
        return ("--device", self.machine.device, *self._threads())


def part_key(kind: str, task: str, inputs: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """sha256 (64 hexadecimal digits) over the canonical JSON of a part.

    ``inputs`` are hashes of files, or keys of the parts that make them, by name; ``config`` is the resolved
    configuration. Neither paths nor names nor the version of the code go into it.
    """
    return hash_config({"kind": kind, "task": task, "inputs": dict(inputs), "config": dict(config)})


def content_hash(path: Path, where: str) -> str:
    """sha256 of a file; of a folder, over the names and hashes of its files but hidden ones.

    Raises UserError where there is none: ``where`` is what names it.
    """
    if not path.exists():
        raise UserError(f"there is no such file: {path}", where=where, remedy="check the path in the sweep file")
    if path.is_file():
        return sha256_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    names = {p: p.relative_to(path) for p in files}
    shown = {p: name for p, name in names.items() if not any(part.startswith(".") for part in name.parts)}
    return hash_config({name.as_posix(): sha256_file(p) for p, name in shown.items()})


def _training_config(recipe: Any) -> dict[str, Any]:
    """What a training and its export depend on: all of its recipe but its name and the sections of later stages."""
    plain: dict[str, Any] = msgspec.to_builtins(recipe)
    later = {stage for stage in BY_NAME if stage not in ("train", "export")}
    left_out = later | {key for key, stage in recipe.belongs_to.items() if stage in later} | {"name", "description"}
    return {key: value for key, value in plain.items() if key not in left_out}


def _settings(values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key}={json.dumps(value)}" for key, value in values.items())


def _flags(settings: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for setting in settings for text in ("--set", setting))


def _axis(value: Any) -> Axis:
    return value if isinstance(value, Axis) else json.dumps(value)
