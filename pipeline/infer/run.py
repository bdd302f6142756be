"""One prediction line per example, in order, through a task's predict part; resumable after any kind of death.

``predictions.jsonl`` is a pure function of model, examples and decoding options, so a run that was killed goes on
behind the last whole line, and the finished file equals that of an uninterrupted run.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.contract.jobs import InferJob, Source, SourceRequest
from pipeline.contract.load import find_part
from pipeline.contract.parts import InferPart, SourcesPart
from pipeline.errors import UserError
from pipeline.files import Appender, scan
from pipeline.files.atomic import inside, write_atomically
from pipeline.run.manifest import count_errors
from schemas.rows import Prediction


@dataclass(frozen=True)
class InferenceCounts:
    """What one run of inference wrote. ``num_resumed`` of ``num_predictions`` were there already."""

    num_predictions: int
    num_resumed: int
    error_counts: dict[str, int]


def find_source(request: SourceRequest) -> Source:
    """What to answer from: as the task's part ``sources`` says; without one, a model file. Raises UserError."""
    part = find_part(request.task, SourcesPart)
    if part is not None:
        return part.find_source(request)
    for flag, path in (("--replay", request.replay), ("--image-root", request.image_root)):
        if path is not None:
            raise UserError(f"task {request.task!r} has no use for {flag}", where=str(path), remedy=f"leave {flag} out")
    return Source(model_file=request.find_model())


def run_inference(
    part: InferPart, job: InferJob, path: Path, *, row_type: type[Prediction], model_id: str | None
) -> InferenceCounts:
    """Write ``path``: the predictions of ``job.model`` on all of ``job.examples``.

    Goes on behind the whole lines that ``path`` holds, whatever ``job.first_index`` says; remove the file to start
    anew. ``model_id`` is what the rows' ``model`` says; None where the task alone knows. Raises UserError when two
    examples share an id, and when ``path`` holds predictions of other examples or of another model.
    """
    refuse_duplicates(job.examples)
    errors: Counter[str] = Counter()
    num_resumed = resume_point(path, job.examples, row_type, model_id, errors)
    left = job.examples[num_resumed:]
    files = Files(path.parent)
    predictions = part.predict(replace(job, first_index=num_resumed, write=files.write)) if left else ()
    # Each row at once: it may have taken a minute of a large model, and a kill must not cost those waiting in a buffer.
    with Appender(path, resume=num_resumed > 0, buffer_bytes=0) as appender:
        for example, prediction in zip(left, predictions, strict=True):
            if prediction.id != example.id or model_id not in (None, prediction.model):
                raise AssertionError(f"predict gave {prediction.id} ({prediction.model}) for {example.id} ({model_id})")
            appender.append(prediction)
            errors.update(count_errors([prediction.error]))
    return InferenceCounts(len(job.examples), num_resumed, dict(sorted(errors.items())))


@dataclass(frozen=True)
class Files:
    """The files that predictions name, in the folder of these."""

    folder: Path

    def write(self, name: str, data: bytes) -> None:
        """Write one, unless the same is there: a run that was killed left it before the rows that name it."""
        path = inside(self.folder, name)
        if not (path.is_file() and path.read_bytes() == data):
            write_atomically(path, [data])


def refuse_duplicates(examples: Sequence[Any]) -> None:
    """Raise UserError when two examples share an id."""
    number_of: dict[str, int] = {}
    for number, example in enumerate(examples):
        if example.id in number_of:
            raise UserError(
                f"two examples are called {example.id!r}: rows are joined by id",
                where=f"records {number_of[example.id] + 1} and {number + 1} of the input",
                remedy="give every record an id of its own",
            )
        number_of[example.id] = number


def resume_point(
    path: Path, examples: Sequence[Any], row_type: type[Prediction], model_id: str | None, errors: Counter[str]
) -> int:
    """Number of whole lines in ``path``, after checking that they answer the first of ``examples`` with this model."""
    if not path.exists():
        return 0
    found = scan(path, row_type).rows
    for number, row in enumerate(found):
        expected = examples[number].id if number < len(examples) else None
        if row.id != expected or model_id not in (None, row.model):
            raise UserError(
                f"cannot go on with these predictions: this line is {row.id!r} by model {row.model}, "
                f"expected {expected!r} by model {model_id or row.model}",
                where=f"{path}:{number + 1}",
                remedy="they belong to other examples or another model; replace them with --force",
            )
    errors.update(count_errors(row.error for row in found))
    return len(found)
