"""What evaluate does: predictions files to scores.jsonl, metrics.jsonl and the tables people see."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.metrics import Evaluation, TableLayout
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.errors import UserError
from pipeline.files import Lines, StoredRows, cache, gc_paused, lines_of, read, read_all, write_all, write_lines
from pipeline.files.atomic import write_atomically
from pipeline.look import tables
from pipeline.look.tables import Checkpoint
from pipeline.progress import Report
from pipeline.run.folder import StageRun
from pipeline.run.manifest import count_errors, load_manifest
from pipeline.train.steps import infer_remarks, training_step
from schemas.rows import Metric, Score

OUTPUTS = {"metrics": "metrics.jsonl", "scores": "scores.jsonl", "table": "table.md"}
CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class EvaluationJob:
    """``inputs`` are predictions files by label; ``training_steps`` the steps of all of them where they are checkpoints
    of one training, else empty. ``options`` is the recipe's section ``evaluate``."""

    task: str
    inputs: Mapping[str, Path]
    options: Any
    folder: Path
    report: Report = lambda done, total, facts: None
    training_steps: Mapping[str, int] = field(default_factory=dict)


class _Outcome(msgspec.Struct):
    """Of a prediction, whether it failed."""

    error: str | None = None


def run_evaluation(job: EvaluationJob, run: StageRun) -> None:
    """Evaluate every input, write ``scores.jsonl``, ``metrics.jsonl`` and ``table.md`` into ``job.folder``.

    One input: its rows as they are. Several: every row is marked with its input's label, metrics by ``slice_by``
    "checkpoint" (a slice within it: "checkpoint,level"). Raises UserError.
    """
    with gc_paused():  # rows come and go by the million: collecting garbage among them takes as long as decoding them
        _run(job, run)


def _run(job: EvaluationJob, run: StageRun) -> None:
    part = load_part(job.task, EvaluatePart)
    row_type = load_part(job.task, RowsPart).prediction
    errors: Counter[str] = Counter()
    metrics: list[Metric] = []
    scores: list[Iterable[bytes]] = []
    remarks: list[str] = []
    num_predictions = 0
    for done, (label, path) in enumerate(job.inputs.items()):
        job.report(done, len(job.inputs), {"input": label})
        evaluation = evaluate_rows(part, StoredRows(path, row_type), path, job.options)
        remarks += _labelled([*infer_remarks(path), *evaluation.remarks], label, job.inputs)
        outcomes = [outcome.error for outcome in read(path, _Outcome)]
        num_predictions += len(outcomes)
        errors.update(count_errors(outcomes))
        evaluation = evaluation if len(job.inputs) == 1 else mark(evaluation, label)
        metrics += evaluation.metrics
        scores.append(lines_of(evaluation.scores))
    job.report(len(job.inputs), len(job.inputs), {})
    steps = {label: training_step(path) for label, path in job.inputs.items()}
    found = checkpoints_of(metrics, steps)
    run.notes["remarks"] = remarks
    text = markdown(job.task, found, tables.layout_of(part, metrics), one_training=bool(job.training_steps))
    text += "".join(f"- {remark}\n" for remark in run.notes["remarks"])
    run.outputs |= {name: job.folder / file for name, file in OUTPUTS.items()}
    run.counts |= {
        "num_predictions": num_predictions,
        "num_metrics": write_all(run.outputs["metrics"], metrics),
        "num_scores": write_lines(run.outputs["scores"], chain.from_iterable(scores)),
    }
    write_atomically(run.outputs["table"], [text.encode()])
    run.error_counts |= dict(sorted(errors.items()))
    run.notes["steps"] = steps
    cache.trim()


def _labelled(remarks: Sequence[str], label: str, inputs: Mapping[str, Path]) -> list[str]:
    """What infer and evaluate tell about an input, under its label where there are several."""
    return [f"{label}: {remark}" if len(inputs) > 1 else remark for remark in remarks]


def show(task: str, folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """What a finished evaluation says: lines for the terminal, and the model's main metrics as plain values."""
    part = load_part(task, EvaluatePart)
    metrics = read_all(folder / "metrics.jsonl", load_part(task, RowsPart).metric)
    layout = tables.layout_of(part, metrics)
    manifest = load_manifest(folder)
    found = checkpoints_of(metrics, manifest.notes["steps"])
    lines = terminal(found, layout, one_training=bool(manifest.config.get("training_steps")))
    lines += manifest.notes.get("remarks", [])
    main = [m for m in metrics if m.subject == tables.MODEL and m.slice_by in ("all", CHECKPOINT)]
    return lines, [msgspec.to_builtins(m) for m in main if layout.shows(m)]


def evaluate_rows(part: EvaluatePart, predictions: Sequence[Any], path: Path, options: Any) -> Evaluation:
    """Scores and metrics of predictions that came from ``path``: errors name it, too. Raises UserError."""
    try:
        return part.evaluate(predictions, options)
    except UserError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        if error.where and error.where.startswith(str(path)):  # the file cannot be read
            raise
        raise UserError(error.what, where=where, remedy=error.remedy) from error


def mark(evaluation: Evaluation, label: str) -> Evaluation:
    """The rows of one checkpoint, marked so that they can stand in one file with those of others."""

    def metric(row: Metric) -> Metric:
        whole = row.slice_by == "all"
        return msgspec.structs.replace(
            row,
            id=f"{CHECKPOINT}={label}/{row.id}",
            slice_by=CHECKPOINT if whole else f"{CHECKPOINT},{row.slice_by}",
            slice_value=label if whole else f"{label},{row.slice_value}",
        )

    def score(row: Score) -> Score:
        return msgspec.structs.replace(row, id=f"{CHECKPOINT}={label}/{row.id}")

    scores = evaluation.scores
    marked = scores.renamed(f"{CHECKPOINT}={label}/") if isinstance(scores, Lines) else list(map(score, scores))
    return Evaluation(scores=marked, metrics=list(map(metric, evaluation.metrics)))


def checkpoints_of(metrics: Sequence[Metric], steps: Mapping[str, int | None]) -> list[Checkpoint]:
    """The inputs behind the rows of one metrics.jsonl, in their order, with the marks of `mark` taken off."""
    if len(steps) == 1:
        return [Checkpoint(label, step, metrics) for label, step in steps.items()]
    rows: dict[str, list[Metric]] = {label: [] for label in steps}
    for row in metrics:
        label = row.id.partition("/")[0].removeprefix(f"{CHECKPOINT}=")
        whole = row.slice_by == CHECKPOINT
        slice_by = "all" if whole else row.slice_by.removeprefix(f"{CHECKPOINT},")
        slice_value = "all" if whole else row.slice_value.removeprefix(f"{label},")
        rows[label].append(msgspec.structs.replace(row, slice_by=slice_by, slice_value=slice_value))
    return [Checkpoint(label, step, rows[label]) for label, step in steps.items()]


def terminal(checkpoints: Sequence[Checkpoint], layout: TableLayout, *, one_training: bool) -> list[str]:
    """All inputs beside each other, or the one input's table and those of its slices; then the footnotes."""
    if len(checkpoints) > 1:
        table = tables.side_by_side(checkpoints, layout, one_training=one_training)
        blocks = [table.title, tables.to_text(table)]
    else:
        blocks = [tables.to_text(tables.main_table(checkpoints[0].metrics, layout))]
        for table in tables.slice_tables(checkpoints[0].metrics, layout):
            blocks += ["", table.title, tables.to_text(table, max_rows=tables.MAX_ROWS)]
    return "\n".join([*blocks, "", *_footnotes(checkpoints, layout)]).split("\n")


def markdown(task: str, checkpoints: Sequence[Checkpoint], layout: TableLayout, *, one_training: bool) -> str:
    """``table.md``: all inputs beside each other, then for each its tables and every metric of its model."""
    lines = [f"# Evaluation: {task}", ""]
    several = len(checkpoints) > 1
    if several:
        lines += tables.sections([tables.side_by_side(checkpoints, layout, one_training=one_training)])
    for checkpoint in checkpoints:
        metrics = checkpoint.metrics
        found = [tables.main_table(metrics, layout), *tables.slice_tables(metrics, layout), tables.all_metrics(metrics)]
        lines += tables.sections(found, f"{checkpoint.label}: " if several else "")
    return "\n".join([*lines, *(f"- {note}" for note in _footnotes(checkpoints, layout)), ""])


def _footnotes(checkpoints: Sequence[Checkpoint], layout: TableLayout) -> list[str]:
    notes: dict[str, None] = {}
    for checkpoint in checkpoints:
        label = checkpoint.label if len(checkpoints) > 1 else ""
        notes |= dict.fromkeys(tables.footnotes(checkpoint.metrics, layout, label))
    return list(notes)
