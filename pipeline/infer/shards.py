"""Inference in shards: the records in runs of a few hundred, each predicted by some worker, merged in input order.

The merged file is the same, byte for byte, as that of one process: a prediction is a function of its record and the
model, and shards begin and end where batches do. A shard that is finished before those ahead of it waits in a file of
its own, so that a run that is killed loses at most what was being predicted; it resumes with this or with no engine.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from pipeline.contract.jobs import InferJob, Source
from pipeline.contract.load import load_part, read_examples
from pipeline.contract.parts import InferPart
from pipeline.errors import UserError
from pipeline.files import Appender, read_all
from pipeline.files.atomic import write_atomically
from pipeline.files.encode import encode
from pipeline.infer.ensemble import open_model
from pipeline.infer.run import Files, InferenceCounts, refuse_duplicates, resume_point
from pipeline.run.manifest import count_errors
from schemas.manifest import FileRecord
from schemas.rows import Prediction

FOLDER = "shards"
NUM_RECORDS = 512  # at least so many in a shard
MAX_LOSSES = 5  # of one shard: more is no accident
IN_FLIGHT = 2  # shards given out for each worker, so that none waits for the next one


@dataclass(frozen=True)
class Shard:
    """The records [``start``, ``stop``) of the input."""

    start: int
    stop: int

    @property
    def name(self) -> str:
        """Its file, while it waits to be merged."""
        return f"{self.start:012d}-{self.stop:012d}.jsonl"


@dataclass(frozen=True)
class ShardJob:
    """What a worker needs to predict any shard. All paths are absolute: workers may be on machines that share them."""

    task: str
    examples: Path
    options: Any
    device: str
    source: Source
    inputs: Mapping[str, FileRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class Predicted:
    """A shard's lines, the facts that its prediction left for the manifest, and the files that its rows name."""

    lines: bytes
    notes: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


class Pool(ABC):
    """Workers. A shard whose worker is lost is given to another; one that keeps losing workers is a UserError."""

    def __init__(self, num_workers: int) -> None:
        self.num_workers, self.num_lost = num_workers, 0
        self._losses: Counter[Shard] = Counter()

    @abstractmethod
    def submit(self, shard: Shard) -> None:
        """Have a shard predicted."""

    @abstractmethod
    def next_done(self) -> tuple[Shard, Predicted]:
        """Wait for a shard, whichever is done first. Raises what its prediction raised."""

    def count_loss(self, shards: Iterable[Shard]) -> None:
        """A worker was lost, and with it these shards. Raises UserError for one that no worker survives."""
        self.num_lost += 1
        for shard in shards:
            self._losses[shard] += 1
            if self._losses[shard] > MAX_LOSSES:
                records = f"records {shard.start + 1} to {shard.stop}"
                raise UserError(
                    f"{self._losses[shard]} workers ended while they predicted {records}",
                    remedy="is there enough memory? fewer --num-workers, or a smaller infer.batch_size",
                )


def plan_shards(num_records: int, first: int, unit: int) -> list[Shard]:
    """The shards of records [``first``, ``num_records``): their ends are multiples of one size, itself of a unit."""
    size = -(-NUM_RECORDS // unit) * unit
    edges = [first, *range((first // size + 1) * size, num_records, size), num_records]
    return [Shard(start, stop) for start, stop in pairwise(edges) if start < stop]


def predict_shard(job: ShardJob, shard: Shard) -> Predicted:
    """What a worker does. Model and examples are loaded once a process."""
    model, examples = _loaded(job.task, job.source, job.device), _examples(job.task, job.examples)
    notes: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    infer = InferJob(
        model=model,
        examples=examples[: shard.stop],
        first_index=shard.start,
        options=job.options,
        device=job.device,
        report=lambda done, total, facts: None,
        source=job.source,
        inputs=job.inputs,
        note=notes.__setitem__,
        write=files.__setitem__,
    )
    rows = load_part(job.task, InferPart).predict(infer)
    return Predicted(b"".join(map(encode, rows)), notes, files)


def run_sharded(
    pool: Pool, job: InferJob, path: Path, *, row_type: type[Prediction], model_id: str | None, unit: int
) -> InferenceCounts:
    """`pipeline.infer.run.run_inference` with the shards predicted by ``pool``: the same file, the same errors.

    ``unit`` is that of `InferPart`.
    """
    refuse_duplicates(job.examples)
    errors: Counter[str] = Counter()
    num_resumed = resume_point(path, job.examples, row_type, model_id, errors)
    merger = _Merger(path, job, row_type, model_id, errors)
    shards = plan_shards(len(job.examples), num_resumed, unit)
    with Appender(path, resume=num_resumed > 0, buffer_bytes=0) as appender:
        waiting = deque(shard for shard in shards if not merger.has(shard))
        order = deque(shards)
        merger.merge(order, appender)
        num_out = 0
        while order:
            for shard in list(islice(waiting, max(0, IN_FLIGHT * pool.num_workers - num_out))):
                waiting.popleft()
                pool.submit(shard)
                num_out += 1
            shard, predicted = pool.next_done()
            num_out -= 1
            merger.keep(shard, predicted)
            merger.merge(order, appender)
            job.report(appender.num_rows + num_resumed, len(job.examples), {"lost workers": pool.num_lost})
    return InferenceCounts(len(job.examples), num_resumed, dict(sorted(errors.items())))


class _Merger:
    """The shards that wait for those ahead of them, as files beside the predictions."""

    def __init__(
        self, path: Path, job: InferJob, row_type: type[Prediction], model_id: str | None, errors: Counter[str]
    ) -> None:
        self.folder, self.files = path.parent / FOLDER, Files(path.parent)
        self.job, self.row_type, self.model_id, self.errors = job, row_type, model_id, errors

    def has(self, shard: Shard) -> bool:
        """Whether a shard is there, from this run or from one that was killed."""
        return (self.folder / shard.name).exists()

    def keep(self, shard: Shard, predicted: Predicted) -> None:
        for name, data in predicted.files.items():
            self.files.write(name, data)
        write_atomically(self.folder / shard.name, [predicted.lines])
        for name, value in predicted.notes.items():
            self.job.note(name, value)

    def merge(self, order: deque[Shard], appender: Appender) -> None:
        """Append the shards at the head of ``order`` that are there, and remove their files."""
        while order and self.has(order[0]):
            shard = order.popleft()
            file = self.folder / shard.name
            rows = read_all(file, self.row_type)
            self._check(file, shard, rows)
            appender.append_line(file.read_bytes())
            appender.num_rows += len(rows) - 1  # they went in as one line
            self.errors.update(count_errors(row.error for row in rows))
            file.unlink()
        if not order and self.folder.is_dir():
            for file in self.folder.iterdir():  # of an earlier run that was killed amid a merge
                file.unlink()
            self.folder.rmdir()

    def _check(self, file: Path, shard: Shard, rows: Sequence[Prediction]) -> None:
        expected = [example.id for example in self.job.examples[shard.start : shard.stop]]
        other = self.model_id is not None and any(row.model != self.model_id for row in rows)
        if other or [row.id for row in rows] != expected:
            raise UserError("this shard is not of these examples and this model", where=str(file), remedy="--force")


_open: dict[str, tuple[Source, Any]] = {}  # by device: the model that this process opened last


def _loaded(task: str, source: Source, device: str) -> Any:
    if device not in _open or _open[device][0] != source:
        _open[device] = source, open_model(task, source, device)
    return _open[device][1]


@lru_cache(maxsize=1)
def _examples(task: str, path: Path) -> list[Any]:
    return read_examples(task, path)


def shard_job(task: str, examples: Path, job: InferJob) -> ShardJob:
    """What workers need for ``job``."""
    source = job.source
    found = replace(
        source,
        model_file=source.model_file.resolve() if source.model_file else None,
        files={name: path.resolve() for name, path in source.files.items()},
        image_root=source.image_root.resolve() if source.image_root else None,
    )
    return ShardJob(task, examples.resolve(), job.options, job.device, found, job.inputs)
