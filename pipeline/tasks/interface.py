"""What each part of a task offers to the stages: one Protocol per file of a task's folder.

A part is a module; a stage loads it by name (`pipeline.tasks.load_part`) and uses what its Protocol lists and nothing
else. ``rows``, ``recipe``, ``data``, ``score``, ``draw`` and ``live`` never import torch.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from schemas.brain import Block, BrainSpec
from schemas.manifest import FileRecord
from schemas.recipe import Recipe
from schemas.rows import Better, Example, Figure, Metric, Prediction, Progress, Row, Score

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from rich.text import Text

    from pipeline.live.scene import Filter, Lines, Mark, Panel, Scene, Size
    from pipeline.model_file import Model

Report = Callable[[int, int, Mapping[str, float | str]], None]
"""Called as ``report(done, total, facts)``: the stage shows it as a progress bar or as periodic lines."""


@dataclass(frozen=True)
class TrainJob:
    """What train hands to a task: where to write, and whether to go on from ``resume.checkpoint_v1`` in ``folder``."""

    recipe: Recipe
    folder: Path
    resume: bool
    device: str
    report: Report
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class TrainOutcome:
    """What a finished training left in ``folder``: files by name, counts and notes for the manifest."""

    outputs: Mapping[str, Path]
    counts: Mapping[str, int]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportParts:
    """What export writes into an inference_v1 file.

    ``golden_inputs`` are named arrays the task's model can replay (`Network.golden_outputs`); ``blocks`` describe the
    input vector.
    """

    brain: BrainSpec
    weights: Mapping[str, "torch.Tensor"]
    metadata: Mapping[str, Any]
    golden_inputs: Mapping[str, "torch.Tensor"]


@dataclass(frozen=True)
class WithFiles:
    """An example, and the files that it names: their content by path, relative to the folder of ``examples.jsonl``."""

    example: Example
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class ConvertJob:
    """What convert hands to a task: ``files`` by the name of their option, to or from ``format``, into ``folder``.

    ``direction`` is "from" (that format to our rows) or "to" (our rows to that format). ``files`` may hold "input"
    (rows), "annotations" (the truth in the other format) and "results" (predictions in it).
    """

    direction: Literal["from", "to"]
    format: str
    files: Mapping[str, Path]
    folder: Path


@dataclass(frozen=True)
class ConvertOutcome:
    """What a conversion wrote: files by name, and counts for the manifest."""

    outputs: Mapping[str, Path]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class SourceRequest:
    """What the user asks infer to answer from, for `SourcesPart.find_source`.

    ``options`` is the section ``infer`` of the recipe. ``model``, ``replay`` and ``image_root`` are paths where they
    were given; ``run_model()`` is the model file of the run, or raises UserError where there is no run.
    """

    task: str
    options: Any
    examples: Path
    model: Path | None
    replay: Path | None
    image_root: Path | None
    run_model: Callable[[], Path]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the answers of an inference come from.

    ``model_file`` is the inference_v1 file that the stage opens, if there is one. ``files`` are all others that the
    answers depend on, by name: the manifest records their hashes. ``config`` is what else they depend on; it joins the
    configuration in the manifest, so that a change of it outdates the run. ``facts`` are worth noting there and outdate
    nothing. ``image_root`` is where the images that records name are looked up.
    """

    model_file: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    image_root: Path | None = None


@dataclass(frozen=True)
class InferJob:
    """What infer hands to a task. Predictions are yielded in input order, for ``examples[first_index:]``.

    ``options`` is the resolved decoding section (``infer`` of the recipe). ``model`` is None where ``source`` has no
    model file. ``inputs`` are the files of ``source`` as the manifest records them, by name. ``note(name, value)``
    leaves a fact in the manifest.
    """

    model: "Model | None"
    examples: Sequence[Any]
    first_index: int
    options: Any
    device: str
    report: Report
    source: Source = Source()
    inputs: Mapping[str, FileRecord] = field(default_factory=dict)
    note: Callable[[str, Any], None] = lambda name, value: None


@dataclass(frozen=True)
class MetricDefinition:
    """One entry of the glossary, from which docs/metrics.md is generated."""

    name: str
    unit: str
    better: Better
    definition: str


@dataclass(frozen=True)
class Evaluation:
    """Scores (one per record and subject) and the metrics over them."""

    scores: Sequence[Score]
    metrics: Sequence[Metric]


@dataclass(frozen=True)
class RecordMetric:
    """A metric that can be taken of any weighting of records: its name in the glossary and how records are aggregated.

    ``statistic`` is "mean", "rate", "median" or "iqm" of the metric's values by record, or "pooled" for what is taken
    over the parts of all records together, as average precision is.
    """

    name: str
    statistic: str


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What N predictions are compared, gated and followed by, each in the order in which they were given.

    ``values[name]`` is float64 [N], finite where ``scored``. ``scored`` is bool [N]: records that are not (errors, if
    the task leaves them out) count in no metric. ``metrics`` are all that can be asked for, the main one first.
    ``slices[key][n]`` is the value of ``key`` for record n, None where it has none. ``strata`` int64 [N], where records
    are to be resampled by stratum. ``pooled(weights)`` takes int32 [B, N], how often each record counts in each of B
    cases, and returns float64 [B] for the name of each pooled metric, NaN where it is undefined. ``bounds[name]`` are
    the least and the largest value that a record can have, where there are such.
    """

    values: Mapping[str, "NDArray[np.float64]"]
    scored: "NDArray[np.bool_]"
    metrics: Sequence[RecordMetric]
    slices: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    strata: "NDArray[np.int64] | None" = None
    pooled: "Callable[[NDArray[np.int32]], Mapping[str, NDArray[np.float64]]] | None" = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """One column of the table that evaluate shows: a metric, one of its statistics, and what stands above it."""

    metric: str
    statistic: str
    heading: str


@dataclass(frozen=True, kw_only=True)
class TableNote:
    """A sentence below the table, shown where the count ``metric`` over all records is not 0.

    ``{value}`` and ``{num_records}`` in it stand for the count and the number of records.
    """

    metric: str
    text: str


ERRORS_LEFT_OUT = TableNote(
    metric="num_errors",
    text="WARNING: {value} of {num_records} records have an error and are left out of every other metric.",
)


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """The table that evaluate shows: its columns, the subject that is the bar to pass, and notes. ``TABLE`` of
    ``score.py``; a task without one gets a column for each of its first metrics."""

    columns: Sequence[TableColumn] = ()
    bar: str | None = None
    notes: Sequence[TableNote] = (ERRORS_LEFT_OUT,)


@dataclass(frozen=True)
class DrawJob:
    """What visualize hands to a task.

    Predictions by label (one per predictions file; the last is the one looked at closely), where to write, and, where
    given, the folder of the training (progress.jsonl, monitor.jsonl) for training curves. The task calls ``note`` with
    a sentence for each part that cannot be drawn, and why; the report prints it.

    ``options`` and ``score_options`` are the sections ``visualize`` and ``evaluate`` of the recipe, where it has them.
    ``image_root`` is the folder of the images that records name.
    """

    predictions: Mapping[str, Sequence[Any]]
    folder: Path
    train_folder: Path | None = None
    note: Callable[[str], None] = lambda text: None
    options: Any = None
    score_options: Any = None
    image_root: Path | None = None


@dataclass(frozen=True, kw_only=True)
class PairDrawJob:
    """What compare hands to a task: single records as several models answered them, to be drawn side by side.

    ``records`` are predictions by label, one mapping a record, those that moved the metric most first. ``folder``,
    ``note``, ``score_options`` and ``image_root`` are as in `DrawJob`.
    """

    records: Sequence[Mapping[str, Any]]
    folder: Path
    note: Callable[[str], None] = lambda text: None
    score_options: Any = None
    image_root: Path | None = None


class RowsPart(Protocol):
    """``rows.py``: ``ROW_TYPES`` maps a schema version to this task's Struct for it.

    Optional: ``TRUTH``, the fields of a prediction that come from its example, which must be equal where two files are
    compared. Without it these are the fields that example and prediction share.
    """

    ROW_TYPES: Mapping[str, type[Row]]


class RecipePart(Protocol):
    """``recipe.py``: ``RECIPE`` is the task's Recipe subclass."""

    RECIPE: type[Recipe]


class DataPart(Protocol):
    """``data.py``: the fixed input records, seeded.

    They depend on the recipe's section ``examples`` and on ``RECIPE_KEYS`` of it, such as ("environment",), alone.

    Records that name files (images, recordings) are yielded with them (`WithFiles`): the stage writes them beside
    ``examples.jsonl``, each before its record. ``FILES``, optional, are glob patterns of all such files.

    A part may also have ``read_examples(path) -> list[Example]``, for files of records that other tools wrote: infer
    reads its input with it. Without one, the lines are those that ``make_examples`` makes.
    """

    RECIPE_KEYS: Sequence[str]

    def make_examples(self, recipe: Any) -> Iterator[Example | WithFiles]: ...


class ConvertPart(Protocol):
    """``convert.py``, optional: rows from and to the files of other tools. No torch.

    ``FORMATS`` are the formats by name; ``FILES`` are glob patterns of what a conversion may write, rows included.
    Raises UserError when a file is not what it should be, or cannot be told in the other format.
    """

    FORMATS: Sequence[str]
    FILES: Sequence[str]

    def convert(self, job: ConvertJob) -> ConvertOutcome: ...


class NetworkPart(Protocol):
    """``network.py``: brain spec to torch module, and what is needed to freeze and to check it.

    ``NETWORK`` is the type of `BrainSpec.network`. Weights are drawn from ``generator`` (None: torch's global one).
    """

    NETWORK: Any

    def build(self, spec: BrainSpec, generator: "torch.Generator | None" = None) -> "torch.nn.Module": ...

    def export_parts(self, checkpoint: Mapping[str, Any]) -> ExportParts: ...

    def golden_outputs(
        self, module: "torch.nn.Module", inputs: Mapping[str, "torch.Tensor"]
    ) -> dict[str, "torch.Tensor"]: ...


class LearnPart(Protocol):
    """``learn.py``: the training loop.

    A checkpoint_v1 is a torch file of tensors and plain values: a dict with "format": "checkpoint_v1", "task", and what
    the task's `NetworkPart.export_parts` reads. When ``job.should_stop()`` says so, save and raise KeyboardInterrupt.
    """

    def train(self, job: TrainJob) -> TrainOutcome: ...


class SourcesPart(Protocol):
    """``sources.py``, optional: what infer can answer from, for tasks that know more than inference_v1 files. No torch.

    Raises UserError when what was asked for is not there or does not fit together.
    """

    def find_source(self, request: SourceRequest) -> Source: ...


class PredictPart(Protocol):
    """``predict.py``: the model behind ``load_model(path).predict`` and the whole-dataset run."""

    def wrap(
        self, module: "torch.nn.Module", brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str
    ) -> "Model": ...

    def predict(self, job: InferJob) -> Iterator[Prediction]: ...


class ScorePart(Protocol):
    """``score.py``: predictions to scores and metrics. No torch.

    Optional: ``TABLE`` (`TableLayout`), and ``files(options) -> Mapping[str, str]``, the paths of files that the
    options name, by what they are for: they are inputs of evaluate as the predictions are.

    ``measure_records(predictions, options) -> Measurements`` is what compare, gate, sweep and ``evaluate --follow``
    work on. It takes any predictions: of several models (as two files one after the other, for a permutation test), an
    id more than once, or few of them; it judges each record by itself and raises UserError only for rows that do not
    mean anything.
    """

    GLOSSARY: Sequence[MetricDefinition]

    def evaluate(self, predictions: Sequence[Any], options: Any) -> Evaluation: ...


class DrawPart(Protocol):
    """``draw.py``: predictions to figures. No torch. Figures are yielded as they are written.

    Optional: ``ORDERS``, by section, says in a few words how its figures are ordered ("worst first");
    ``hash_images(predictions, image_root) -> str`` is one hash over all images that may be shown: with it they are
    inputs of visualize as the predictions are; ``draw_pair(job: PairDrawJob) -> Iterator[Figure]`` draws single records
    as several models answered them, side by side: a picture a record, with its id alone in ``record_ids``, as
    ``figures/pair_*``.
    """

    def draw(self, job: DrawJob) -> Iterator[Figure]: ...


SecondOpinion = Callable[[Any], Sequence[Any]]
"""What a model says about a whole episode, one entry a frame before its end."""


class LivePart(Protocol):
    """``live.py``: one tail row to what the terminal shows. No torch. See `pipeline.live` for the screen around it.

    ``SUMMARY`` is a Struct of the fields kept of every episode of the file, those of `schemas.rows.Episode` among them;
    the rest of a line is skipped. An episode is played in ``num_frames`` frames. ``PANELS`` open by their number;
    ``END_PANEL`` is the one that opens by itself in the last frame. ``READINGS_SIZE`` is the least room for the
    readings; the picture takes what it needs of the rest. ``NUM_RECENT`` summaries are handed over for the trend.
    """

    SUMMARY: type[Any]
    FILTERS: Sequence["Filter"]
    PANELS: Sequence["Panel"]
    END_PANEL: int | None
    READINGS_SIZE: "Size"
    NUM_RECENT: int

    def num_frames(self, summary: Any) -> int: ...

    def summary_line(self, summary: Any) -> str: ...

    def headline(self, scene: "Scene") -> "Text": ...

    def draw_picture(self, scene: "Scene", size: "Size") -> "Lines": ...

    def draw_readings(self, scene: "Scene", size: "Size") -> "Lines": ...

    def draw_trend(self, scene: "Scene", size: "Size") -> "Lines": ...

    def draw_caption(self, scene: "Scene", width: int) -> "Text": ...

    def draw_marks(self, episode: Any) -> Sequence["Mark"]: ...

    def legend(self) -> "Lines": ...


class LiveModelPart(Protocol):
    """``live_model.py``, optional: what an inference_v1 file says about the episodes that follow shows. Needs torch."""

    def open_model(self, path: Path) -> SecondOpinion: ...


__all__ = [
    "ERRORS_LEFT_OUT",
    "Block",
    "ConvertJob",
    "ConvertOutcome",
    "ConvertPart",
    "DataPart",
    "DrawJob",
    "DrawPart",
    "Evaluation",
    "ExportParts",
    "InferJob",
    "Iterable",
    "LearnPart",
    "LiveModelPart",
    "LivePart",
    "Measurements",
    "MetricDefinition",
    "NetworkPart",
    "PairDrawJob",
    "PredictPart",
    "Progress",
    "RecipePart",
    "RecordMetric",
    "Report",
    "RowsPart",
    "ScorePart",
    "SecondOpinion",
    "Source",
    "SourceRequest",
    "SourcesPart",
    "TableColumn",
    "TableLayout",
    "TableNote",
    "TrainJob",
    "TrainOutcome",
    "WithFiles",
]
