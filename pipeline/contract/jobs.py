"""What a stage hands to a part of a task, and what it gets back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import UserError
from pipeline.progress import Report
from schemas.manifest import FileRecord
from schemas.recipe import Recipe
from schemas.rows import Example

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.contract.model import Model


@dataclass(frozen=True)
class TrainJob:
    """What train hands to a task: where to write, and whether to go on from ``resume.checkpoint_v1`` in ``folder``.

    ``start`` are the weights of ``train.start_from``, by name.
    """

    recipe: Recipe
    folder: Path
    resume: bool
    device: str
    report: Report
    should_stop: Callable[[], bool] = lambda: False
    start: "Mapping[str, Tensor] | None" = None


@dataclass(frozen=True)
class TrainOutcome:
    """What a finished training left in ``folder``: files by name, counts and notes for the manifest."""

    outputs: Mapping[str, Path]
    counts: Mapping[str, int]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WithFiles:
    """An example, and the files that it names: their content by path, relative to the folder of ``examples.jsonl``."""

    example: Example
    files: Mapping[str, bytes]


OnBad = Literal["refuse", "skip"]


@dataclass(frozen=True)
class ConvertJob:
    """What convert hands to a task: ``files`` by the name of their option, to or from ``format``, into ``folder``.

    ``direction`` is "from" (that format to our rows) or "to" (our rows to that format). ``files`` may hold "input"
    (rows, or what the other format says in one file or folder), "annotations" (the truth in the other format),
    "results" (predictions in it) and what the format knows by a name of its own. ``on_bad`` says what happens to
    entries that are wrong: all of them are told, and then refused or left out. ``split`` is the part of a data set that
    is meant, None all of it; ``image_root`` is the folder of the images that are to be in one. ``options`` are of the
    type that the format has for them, None where it has none.
    """

    direction: Literal["from", "to"]
    format: str
    files: Mapping[str, Path]
    folder: Path
    on_bad: OnBad = "refuse"
    split: str | None = None
    image_root: Path | None = None
    options: Any = None


@dataclass(frozen=True)
class ConvertOutcome:
    """What a conversion wrote: files by name, counts for the manifest, and sentences about what it left alone."""

    outputs: Mapping[str, Path]
    counts: Mapping[str, int]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class SourceRequest:
    """What the user asks infer to answer from, for `SourcesPart.find_source`.

    ``options`` is the section ``infer`` of ``recipe``. ``model``, ``replay`` and ``image_root`` are paths where they
    were given; ``find_model()`` is the model file that ``model`` says, by path or by name, or else that of the run. It
    raises UserError where there is none of that name, or no run.
    """

    task: str
    recipe: Recipe
    options: Any
    examples: Path
    model: Path | None
    replay: Path | None
    image_root: Path | None
    find_model: Callable[[], Path]


EnsembleRule = Literal["mean", "vote", "least_disagreement"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the answers of an inference come from.

    ``model_file`` is the inference_v1 file that the stage opens, if there is one. ``files`` are all others that the
    answers depend on, by name: the manifest records their hashes. ``config`` is what else they depend on; it joins the
    configuration in the manifest, so that a change of it outdates the run. ``facts`` are worth noting there and outdate
    nothing. ``image_root`` is where the images that records name are looked up. With ``ensemble``, ``files`` are
    inference_v1 files that answer together by that rule. ``server`` is the address of a `baton serve` that answers.
    """

    model_file: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    image_root: Path | None = None
    ensemble: EnsembleRule | None = None
    server: str | None = None


def refuse_files(name: str, data: bytes) -> None:
    """What a job without a folder does when a task writes a file. Raises UserError."""
    raise UserError(f"this answer has the file {name!r} beside it, and here is no folder for one", remedy="baton infer")


@dataclass(frozen=True)
class InferJob:
    """What infer hands to a task. Predictions are yielded in input order, for ``examples[first_index:]``.

    ``options`` is the resolved decoding section (``infer`` of the recipe). ``model`` is None where ``source`` has no
    model file. ``inputs`` are the files of ``source`` as the manifest records them, by name. ``note(name, value)``
    leaves a fact in the manifest. ``write(name, data)`` writes a file of `RowsPart.files` beside the predictions,
    before a row that names it is yielded; written again, it is the same bytes.
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
    write: Callable[[str, bytes], None] = refuse_files


@dataclass(frozen=True)
class DrawJob:
    """What visualize hands to a task.

    Predictions by label (one per predictions file; the last is the one looked at closely), where to write, and, where
    given, the folder of the training (progress.jsonl, monitor.jsonl) for training curves. The task calls ``note`` with
    a sentence for each part that cannot be drawn, and why; the report prints it.

    ``options`` and ``score_options`` are the sections ``visualize`` and ``evaluate`` of the recipe, where it has them.
    ``image_root`` is the folder of the images that records name. A file that is no figure is written into ``folder``
    by a name of `VisualizePart.files` and told by ``keep(name, path)``.
    """

    predictions: Mapping[str, Sequence[Any]]
    folder: Path
    train_folder: Path | None = None
    note: Callable[[str], None] = lambda text: None
    options: Any = None
    score_options: Any = None
    image_root: Path | None = None
    keep: Callable[[str, Path], None] = lambda name, path: None


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
