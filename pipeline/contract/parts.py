"""What each part of a task offers to the stages: one Protocol per file of a task's folder.

A part is a module; a stage loads it by name (`pipeline.contract.load.load_part`) and uses what its Protocol lists and
nothing else. ``rows``, ``recipe``, ``data``, ``score``, ``draw`` and ``live`` never import torch.
What stages hand over and get back is in `jobs`, what ``score`` says in `metrics`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.contract.jobs import (
    ConvertJob,
    ConvertOutcome,
    DrawJob,
    InferJob,
    Source,
    SourceRequest,
    TrainJob,
    TrainOutcome,
    WithFiles,
)
from pipeline.contract.metrics import (
    Evaluation,
    MetricDefinition,
)
from pipeline.contract.model import ExportParts
from schemas.brain import BrainSpec
from schemas.recipe import Recipe
from schemas.rows import Example, Figure, Prediction, Row

if TYPE_CHECKING:
    import torch
    from rich.text import Text

    from pipeline.contract.model import Model
    from pipeline.follow.scene import Filter, Lines, Mark, Panel, Scene, Size


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
    """``predict.py``: the model behind ``load_model(path).predict`` and the whole-dataset run.

    Optional, here and in the other parts that sweeps use: ``prepare()``, which loads what every run needs, such as
    machine code, and leaves no threads. A sweep calls it once, in the process that its stages are forked from.
    """

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
    """``live.py``: one tail row to what the terminal shows. No torch. See `pipeline.follow` for the screen around it.

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


class LivePredictionsPart(LivePart, Protocol):
    """``live_predictions.py``, optional: the same for the rows of predictions.jsonl. No torch.

    ``LINE`` is a Struct of the fields to read of every line, of which ``summarize`` makes the summary that is kept; its
    ``ended_unix_s`` and ``num_dropped_before`` are 0. A record that cannot be played has ``num_frames`` of 0, and
    ``UNPLAYED`` says behind the number of those what they lack. ``unfold`` makes of a whole row what is drawn as an
    episode; ``path`` is its file, beside which there may be more of it.
    """

    LINE: type[Any]
    UNPLAYED: str

    def summarize(self, line: Any) -> Any: ...

    def unfold(self, row: Any, path: Path) -> Any: ...


class LiveModelPart(Protocol):
    """``live_model.py``, optional: what an inference_v1 file says about the episodes that follow shows. Needs torch."""

    def open_model(self, path: Path) -> SecondOpinion: ...
