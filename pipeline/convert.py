"""A training's rows for TensorBoard: every number of progress.jsonl and monitor.jsonl as a curve over the steps.

Works for any task, for it reads what all trainings write. The file is a function of the rows: no time, no host.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.jobs import ConvertOutcome
from pipeline.contract.load import load_part
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.files import read
from pipeline.files.atomic import replacing

TENSORBOARD = "tensorboard"
FILE = "events.out.tfevents.0.baton"  # TensorBoard goes by the first three parts of the name
SCHEMAS = {"progress": "progress_v1", "monitor": "monitor_v1"}  # of NAME.jsonl


def training_files(path: Path) -> dict[str, Path]:
    """progress.jsonl and monitor.jsonl of a run folder or its training, or the one that ``path`` is; by name.

    Raises UserError where there is neither.
    """
    if path.is_file() and path.stem in SCHEMAS:
        return {path.stem: path}
    for folder in (path, path / "train"):
        found = {name: folder / f"{name}.jsonl" for name in SCHEMAS if (folder / f"{name}.jsonl").exists()}
        if found:
            return found
    raise UserError(
        "there is neither a progress.jsonl nor a monitor.jsonl",
        where=str(path),
        remedy="give --input runs/TASK/RUN, or one of the two files that its training wrote",
    )


def to_tensorboard(task: str, files: Mapping[str, Path], folder: Path) -> ConvertOutcome:
    """Write all numbers of the files as scalars called "progress/NAME" and "monitor/NAME".

    Raises UserError without the package tensorboard, and for rows that are not those of the task.
    """
    try:
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        remedy = "pip install 'baton-pipeline[tensorboard]'"
        raise UserError("this needs the package tensorboard", remedy=remedy) from error
    types, counts = load_part(task, RowsPart).types, {f"num_{name}": 0 for name in files}
    with replacing(folder / FILE) as file:
        writer = RecordWriter(file)
        writer.write(_event(file_version="brain.Event:2"))
        for name, path in files.items():
            for row in read(path, types[SCHEMAS[name]]):
                counts[f"num_{name}"] += 1
                values = dict(_numbers(msgspec.to_builtins(row), name))
                writer.write(_event(step=int(values.pop(f"{name}/step")), scalars=values))
    return ConvertOutcome(outputs={"events": folder / FILE}, counts=counts)


def _event(*, scalars: Mapping[str, float] | None = None, **fields: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    if scalars is not None:
        fields["summary"] = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in scalars.items()])
    return bytes(Event(wall_time=0.0, **fields).SerializeToString(deterministic=True))


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """Every number in a row by its path, yes and no as 1 and 0."""
    if isinstance(value, int | float):
        yield name, value if name.endswith("/step") else float(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}/{key}")
