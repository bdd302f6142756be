"""What each part of a task offers to the stages: a typed object for each verb of the pipeline.

A task is a folder of `pipeline.tasks`. Each of its verbs is a file there (``evaluate.py``), or a folder once it has
grown (``evaluate/score.py``); the module that ``HOMES`` names holds the object, as ``PART``. A stage asks for it by its
kind (`pipeline.contract.load.load_part`) and uses what the kind lists and nothing else. What is optional has a default.

What a stage hands over and gets back is in `jobs`, what evaluating says in `metrics`. Kinds that need more than these
are beside what they need: `pipeline.follow.scene`, `pipeline.model.onnx`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from msgspec import Struct

from pipeline.contract.jobs import (
    ConvertJob,
    ConvertOutcome,
    DrawJob,
    EnsembleRule,
    InferJob,
    PairDrawJob,
    Source,
    SourceRequest,
    TrainJob,
    TrainOutcome,
    WithFiles,
)
from pipeline.contract.metrics import Evaluation, Measurements, MetricDefinition, TableLayout
from pipeline.contract.model import ExportParts, Model
from pipeline.errors import UserError
from schemas.brain import BrainSpec
from schemas.recipe import Recipe
from schemas.rows import ENVELOPES, Example, Figure, Prediction, Row

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a task does for one verb. ``HOMES`` are the modules of a task's folder that may hold it, the first found."""

    HOMES: ClassVar[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class RowsPart(Part):
    """The task's rows: its Struct by schema version. No torch.

    ``truth`` are the fields of a prediction that come from its example, which must be equal where two files are
    compared; None for the fields that example and prediction share. ``files`` are glob patterns of the files that
    predictions name, which lie beside them.
    """

    HOMES = ("rows",)
    types: Mapping[str, type[Row]]
    truth: Sequence[str] | None = None
    files: Sequence[str] = ()

    @property
    def prediction(self) -> type[Any]:
        """The Struct of a prediction."""
        return self.types["prediction_v1"]

    @property
    def metric(self) -> type[Any]:
        """The Struct of a metric."""
        return self.types["metric_v1"]

    @property
    def truth_fields(self) -> tuple[str, ...]:
        """Fields of a prediction that are the same whatever the model."""
        if self.truth is not None:
            return tuple(self.truth)
        shared = {*self.types["example_v1"].__struct_fields__} - {*ENVELOPES["example_v1"].__struct_fields__}
        return tuple(name for name in self.prediction.__struct_fields__ if name in shared)


@dataclass(frozen=True, kw_only=True)
class RecipePart(Part):
    """The task's recipe. ``network`` is the type of its section of that name, by which brain specs are documented.

    ``moved`` are keys that recipes no longer have, and what they are called now: "train.learning_rate" and
    "optimizer.learning_rate". Recipes that still say them are refused, manifests that do are read by the new names.
    """

    HOMES = ("recipe",)
    recipe: type[Recipe]
    network: Any = None
    moved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExamplesPart(Part):
    """The fixed input records, seeded. No torch.

    They depend on the recipe's section ``examples`` and on ``recipe_keys`` of it, such as ("environment",), alone.
    Records that name files (images, recordings) are yielded with them (`WithFiles`): the stage writes them beside
    ``examples.jsonl``, each before its record; ``files`` are glob patterns of all such files.

    ``read`` reads files of records that other tools wrote; without it the lines are those that ``make`` makes.
    """

    HOMES = ("examples",)
    make: Callable[[Any], Iterator[Example | WithFiles]]
    recipe_keys: Sequence[str]
    files: Sequence[str] = ()
    read: Callable[[Path], Sequence[Example]] | None = None


class BuildNetwork(Protocol):
    """Brain spec to torch module, with weights drawn from ``generator`` (None: torch's global one)."""

    def __call__(self, spec: BrainSpec, generator: "torch.Generator | None" = None) -> "torch.nn.Module": ...


@dataclass(frozen=True, kw_only=True)
class ModelPart(Part):
    """The network, and what is needed to freeze and to check it. ``network`` is the type of `BrainSpec.network`.

    ``export_parts`` takes what a checkpoint_v1 holds. ``golden_outputs`` are the network's answers to named tensors.
    """

    HOMES = ("model.network", "model")
    network: Any
    build: BuildNetwork
    export_parts: Callable[[Mapping[str, Any]], ExportParts]
    golden_outputs: Callable[["torch.nn.Module", Mapping[str, "torch.Tensor"]], dict[str, "torch.Tensor"]]


@dataclass(frozen=True, kw_only=True)
class UpgradePart(Part):
    """Checkpoints of before checkpoint_v1, optional: ``upgrade(contents, environment)`` gives the contents of a
    checkpoint_v1, and a sentence for each thing that was filled in."""

    HOMES = ("model.checkpoint_v0",)
    upgrade: Callable[[Mapping[str, Any], Mapping[str, str]], tuple[Mapping[str, Any], Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class TrainPart(Part):
    """The training.

    A checkpoint_v1 is a torch file of tensors and plain values: a dict with "format": "checkpoint_v1", "task", and what
    the task's `ModelPart.export_parts` reads. When ``job.should_stop()`` says so, save and raise KeyboardInterrupt.
    """

    HOMES = ("train.trainer", "train")
    train: Callable[[TrainJob], TrainOutcome]


@dataclass(frozen=True, kw_only=True)
class SourcesPart(Part):
    """What infer can answer from, for tasks that know more than inference_v1 files; optional. No torch.

    Raises UserError when what was asked for is not there or does not fit together.
    """

    HOMES = ("infer.sources",)
    find_source: Callable[[SourceRequest], Source]


@dataclass(frozen=True, kw_only=True)
class InferPart(Part):
    """The whole-dataset run, and ``wrap(module, brain, metadata, weights_hash)``, the model behind `load_model`.

    ``remarks(predictions, recipe, metadata)``, optional: sentences that a user should read about what was predicted;
    ``metadata`` is that of the model file, empty where there is none. ``ensemble(models, rule)``, optional: several
    models as one, which ``predict`` takes as its model. ``unit(options)`` is how many records are answered together,
    from the first on: work is divided between units, and never within one.
    """

    HOMES = ("infer.predict", "infer")
    predict: Callable[[InferJob], Iterator[Prediction]]
    wrap: Callable[["torch.nn.Module", BrainSpec, Mapping[str, Any], str], Model]
    remarks: Callable[[Iterable[Any], Any, Mapping[str, Any]], Sequence[str]] = lambda rows, recipe, metadata: ()
    ensemble: Callable[[Sequence[Any], EnsembleRule], Model] | None = None
    unit: Callable[[Any], int] = lambda options: getattr(options, "batch_size", 1)


def refuse_to_measure(predictions: Sequence[Any], options: Any) -> Measurements:
    """What a task without ``measure_records`` does. Raises UserError."""
    raise UserError(
        "this task does not say what its records measured: only its metrics.jsonl can be gated",
        remedy="give its EvaluatePart measure_records(predictions, options), see pipeline.contract.parts",
    )


FIRST_METRICS = TableLayout()


@dataclass(frozen=True, kw_only=True)
class EvaluatePart(Part):
    """Predictions to scores and metrics: ``evaluate(predictions, options)``. No torch.

    ``table`` is what people see first; without one, a column for each of the first metrics. ``files(options)`` are the
    paths of files that the options name, by what they are for: they are inputs of evaluate as the predictions are.

    ``measure_records(predictions, options)`` is what compare, gate, sweep and ``evaluate --follow`` work on. It takes
    any predictions: of several models (as two files one after the other, for a permutation test), an id more than once,
    or few of them; it judges each record by itself and raises UserError only for rows that do not mean anything.
    """

    HOMES = ("evaluate.score", "evaluate")
    glossary: Sequence[MetricDefinition]
    evaluate: Callable[[Sequence[Any], Any], Evaluation]
    measure_records: Callable[[Sequence[Any], Any], Measurements] = refuse_to_measure
    table: TableLayout = FIRST_METRICS
    files: Callable[[Any], Mapping[str, str]] = lambda options: {}


@dataclass(frozen=True, kw_only=True)
class VisualizePart(Part):
    """Predictions to figures, yielded as they are written. No torch.

    ``orders``, by section, says in a few words how its figures are ordered ("worst first").
    ``hash_images(predictions, image_root)`` is one hash over all images that may be shown: with it they are inputs of
    visualize as the predictions are. ``draw_pair`` draws single records as several models answered them, side by side:
    a picture a record, with its id alone in ``record_ids``, as ``figures/pair_*``. ``files`` are glob patterns of what
    ``draw`` writes besides figures.
    """

    HOMES = ("visualize.draw", "visualize")
    draw: Callable[[DrawJob], Iterator[Figure]]
    orders: Mapping[str, str] = field(default_factory=dict)
    hash_images: Callable[[Sequence[Any], Path], str] | None = None
    draw_pair: Callable[[PairDrawJob], Iterator[Figure]] | None = None
    files: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ConvertPart(Part):
    """Rows from and to the files of other tools; optional. No torch.

    ``formats`` are the formats by name; ``files`` are glob patterns of what a conversion may write, rows included.
    ``options`` is by format a Struct of what ``--set`` may say, ``more_files`` the names of further files that
    ``--file`` may give.
    ``depends(job)`` are facts about what else the rows are made of, such as a hash of the files of a folder: they join
    the configuration, so that a change of them outdates the conversion. Raises UserError when a file is not what it
    should be, or cannot be told in the other format.
    """

    HOMES = ("convert.convert", "convert")
    formats: Sequence[str]
    files: Sequence[str]
    convert: Callable[[ConvertJob], ConvertOutcome]
    options: Mapping[str, type[Struct]] = field(default_factory=dict)
    more_files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    depends: Callable[[ConvertJob], Mapping[str, Any]] = lambda job: {}


SecondOpinion = Callable[[Any], Sequence[Any]]
"""What a model says about a whole episode, one entry a frame before its end."""


@dataclass(frozen=True, kw_only=True)
class OpinionPart(Part):
    """What an inference_v1 file says about the episodes that follow shows; optional. Needs torch."""

    HOMES = ("follow.opinion",)
    open_model: Callable[[Path], SecondOpinion]
