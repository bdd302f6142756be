"""What visualize does: predictions files to figures/*, figures.jsonl and report.html.

Headline numbers come from the task's score part over the same predictions, and not from what evaluate wrote: both may
run at the same moment. Heavy to import (matplotlib): the command loads it when it runs, never for ``--help``.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pipeline.contract.jobs import DrawJob
from pipeline.contract.load import find_part, load_part
from pipeline.contract.metrics import Evaluation, TableLayout
from pipeline.contract.parts import EvaluatePart, RowsPart, VisualizePart
from pipeline.errors import UserError
from pipeline.evaluate.run import evaluate_rows
from pipeline.files import read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.follow.feed import open_recording
from pipeline.follow.save import save_episodes
from pipeline.follow.scene import FollowPredictionsPart
from pipeline.look import tables
from pipeline.look.numbers import Number, words
from pipeline.look.report import Cell, Headline, Records, Report, render
from pipeline.progress import Report as Progress
from pipeline.run.folder import StageRun, check_input
from pipeline.train.steps import training_step
from schemas.rows import Figure, Metric, Score

FIGURES, REPORT, EPISODES = "figures.jsonl", "report.html", "episodes.html"
WRITES = ("figures/*", FIGURES, REPORT, EPISODES)
MAX_EPISODES = 12  # that are played beside the report: one of 500 steps takes 1.3 MB
TRAINING_FILES = ("progress.jsonl", "monitor.jsonl")
MAX_RECORDS = 20_000  # rows of the table in the report: about 2 MB of it
LONG_TEXT = 60  # characters
ENVELOPE = frozenset({"schema", "task", "model"})  # said once, above the table


@dataclass(frozen=True, kw_only=True)
class VisualizationJob:
    """``inputs`` are predictions files by label, the last is looked at closely.

    ``options`` and ``draw_options`` are the recipe's sections ``evaluate`` and ``visualize``; ``image_root`` is the
    folder of the images that records name; ``name`` and ``description`` head the report; ``notes`` are known gaps.
    """

    task: str
    inputs: Mapping[str, Path]
    folder: Path
    options: Any
    report: Progress = lambda done, total, facts: None
    draw_options: Any = None
    train_folder: Path | None = None
    image_root: Path | None = None
    name: str = ""
    description: str = ""
    notes: Sequence[str] = ()


def run_visualization(job: VisualizationJob, run: StageRun) -> None:
    """Draw everything there is to draw, then write figures.jsonl and the report. Raises UserError."""
    row_type = load_part(job.task, RowsPart).prediction
    predictions = {label: read_all(path, row_type) for label, path in job.inputs.items()}
    label, rows = list(predictions.items())[-1]
    if not rows:
        raise UserError("there are no predictions to draw", where=str(job.inputs[label]), remedy="run `baton infer`")
    missing = list(job.notes)
    evaluation = evaluate_rows(load_part(job.task, EvaluatePart), rows, job.inputs[label], job.options)
    figures = _draw(job, _with_steps(predictions, job.inputs), missing, run)
    played = _save_episodes(job, figures, run)
    page = replace(_report(job, rows, evaluation, figures, missing), played=played)
    run.outputs |= {f"figure_{figure.id}": job.folder / figure.path for figure in figures}
    run.outputs |= {"figures": job.folder / FIGURES, "report": job.folder / REPORT}
    write_all(run.outputs["figures"], figures)
    write_atomically(run.outputs["report"], [render(page).encode()])
    run.counts |= {"num_figures": len(figures), "num_predictions": len(rows)}
    run.notes["missing"] = missing


def image_inputs(task: str, predictions: Path, image_root: Path) -> dict[str, str]:
    """What the pictures depend on besides the files of rows: one hash over the images, of tasks that show any.

    Raises UserError for predictions that cannot be read. Where there are none, the stage says so.
    """
    hash_images = load_part(task, VisualizePart).hash_images
    if hash_images is None or not predictions.is_file():
        return {}
    row_type = load_part(task, RowsPart).prediction
    return {"images_sha256": hash_images(read_all(predictions, row_type), image_root)}


def written_by(task: str) -> tuple[str, ...]:
    """Glob patterns of all that is written."""
    return (*WRITES, *load_part(task, VisualizePart).files)


def training_inputs(folder: Path | None, out: Path) -> tuple[dict[str, Path], str | None]:
    """The files in the folder of a training that pictures are made of, by name, and why there are none.

    A training that runs, or broke off, is left out rather than refused: its curves are not what was asked for.
    """
    if folder is None or not folder.is_dir():
        return {}, "No training folder was given or found: no training curves."
    found = {path.stem: path for path in (folder / name for name in TRAINING_FILES) if path.is_file()}
    if not found:
        return {}, f"No training curves: {folder.name} holds neither {' nor '.join(TRAINING_FILES)}."
    try:
        for name, path in found.items():
            check_input(name, path, out)
    except UserError as error:
        return {}, f"No training curves: {error.what}."
    return found, None


def _with_steps(predictions: Mapping[str, Sequence[Any]], inputs: Mapping[str, Path]) -> dict[str, Sequence[Any]]:
    """The predictions, labelled with the training step of their model too where it is known and there are several."""
    steps = {label: training_step(path) if len(inputs) > 1 else None for label, path in inputs.items()}
    return {
        label if steps[label] is None else f"{label}, step {steps[label]:,}": rows
        for label, rows in predictions.items()
    }


def _draw(
    job: VisualizationJob, predictions: Mapping[str, Sequence[Any]], missing: list[str], run: StageRun
) -> list[Figure]:
    draw_job = DrawJob(
        predictions=predictions,
        folder=job.folder,
        train_folder=job.train_folder,
        note=missing.append,
        options=job.draw_options,
        score_options=job.options,
        image_root=job.image_root,
        keep=run.output,
    )
    figures = []
    for figure in load_part(job.task, VisualizePart).draw(draw_job):
        figures.append(figure)
        job.report(len(figures), 0, {"figure": figure.title})
    return figures


def _save_episodes(job: VisualizationJob, figures: Sequence[Figure], run: StageRun) -> dict[str, str]:
    """A page that plays the records which have a figure of their own, and by record the address of it there."""
    if find_part(job.task, FollowPredictionsPart) is None:
        return {}
    wanted = [*dict.fromkeys(figure.record_ids[0] for figure in figures if len(figure.record_ids) == 1)]
    opened = open_recording(list(job.inputs.values())[-1], job.task, expect_predictions=True)
    try:
        ids = save_episodes(opened, job.folder / EPISODES, wanted[:MAX_EPISODES], task=job.task) if wanted else []
    except UserError:  # none of them can be played: the report has its figures
        return {}
    if ids:
        run.output("episodes", job.folder / EPISODES)
    return {id: f"{EPISODES}#{quote(id, safe='')}" for id in ids}


def _report(
    job: VisualizationJob,
    rows: Sequence[Any],
    evaluation: Evaluation,
    figures: Sequence[Figure],
    missing: list[str],
) -> Report:
    part = load_part(job.task, EvaluatePart)
    metrics = evaluation.metrics
    layout = tables.layout_of(part, metrics)
    found = [tables.main_table(metrics, layout, "All records"), *tables.slice_tables(metrics, layout)]
    shown = {column.metric: column.heading for column in layout.columns}
    constant, records = split_columns(rows, evaluation.scores)
    if len(records.rows) < len(rows):
        missing.append(f"The table shows the first {MAX_RECORDS:,} of {len(rows):,} records.")
    return Report(
        title=f"{job.task}: {job.name}" if job.name else job.task,
        subtitle=job.description,
        folder=job.folder,
        figures=figures,
        facts={"records": f"{len(rows):,}", "model": rows[0].model} | constant,
        headlines=headlines(metrics, layout),
        tables=[replace(t, names=[*map(words, t.names)]) for t in found if t.columns],
        footnotes=tables.footnotes(metrics, layout),
        meanings={shown[d.name]: d.definition for d in part.glossary if d.name in shown},
        records=records,
        missing=missing,
        orders=load_part(job.task, VisualizePart).orders,
    )


def headlines(metrics: Sequence[Metric], layout: TableLayout) -> list[Headline]:
    """The model's main metrics over all records, each against the bar, on a scale that ends at the best subject.

    That of a share goes to 100 % at least.
    """
    found = []
    table = tables.main_table(metrics, layout)
    for column in layout.columns:
        by_subject = {m.subject: m for m in metrics if m.slice_by == "all" and column.shows(m)}
        ours, bar = by_subject.get(tables.MODEL), by_subject.get(layout.bar or "")
        if ours is None:
            continue
        heading = tables.heading_of(column, ours)
        cells = zip(table.kinds, table.columns[heading], strict=True)
        shown = {kind: cell for kind, cell in cells if isinstance(cell, Number)}
        ends = [value for m in by_subject.values() for value in (m.value, m.low, m.high) if value is not None]
        ends += [1.0] if ours.unit == "share" else []
        found.append(
            Headline(
                heading=heading,
                number=shown["model"],
                confidence=ours.confidence,
                against=f"{words(bar.subject)}: {shown['bar'].text}" if bar else "",
                bar=bar.value if bar else None,
                limits=(min(0.0, *ends), max(0.0, *ends)),
            )
        )
    return found


def split_columns(rows: Sequence[msgspec.Struct], scores: Sequence[Score] = ()) -> tuple[dict[str, str], Records]:
    """The plain values of the rows: those that are the same in all rows as facts, the others as columns of a table.

    With the model's ``scores`` of the same records, what only they know is added to the columns. Of a single row
    everything is a column: nothing can be said to be the same.
    """
    columns = {name: [getattr(row, name) for row in rows] for name in rows[0].__struct_fields__ if name not in ENVELOPE}
    columns = {name: values for name, values in columns.items() if _is_plain(values)}
    facts = {}
    for name in [name for name in columns if len(rows) > 1 and name != "id" and len(set(columns[name])) == 1]:
        value = columns.pop(name)[0]
        if value is not None:
            facts[words(name)] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    columns |= _scored(rows, scores, {*rows[0].__struct_fields__})
    names = sorted(columns, key=lambda name: (name != "id", _is_long(columns[name])))
    table = [[columns[name][n] for name in names] for n in range(min(len(rows), MAX_RECORDS))]
    return facts, Records(columns=names, rows=table)


def _scored(rows: Sequence[Any], scores: Sequence[Score], known: Container[str]) -> dict[str, list[Cell]]:
    """Plain values of the model's scores that are not the same for all records, by name."""
    by_id = {score.id: score for score in scores if score.subject == tables.MODEL}
    found: list[Any] = [by_id.get(f"{row.id}/{tables.MODEL}") for row in rows]
    if not by_id or None in found:
        return {}
    names = [name for name in found[0].__struct_fields__ if name not in ENVELOPE | {"id", "subject"}]
    columns = {name: [getattr(score, name) for score in found] for name in names if name not in known}
    return {name: values for name, values in columns.items() if _is_plain(values) and len(set(values)) > 1}


def _is_long(values: Sequence[Cell]) -> bool:
    """Whether these are texts rather than names: they stand last."""
    return any(isinstance(value, str) and len(value) > LONG_TEXT for value in values)


def _is_plain(values: Sequence[Any]) -> bool:
    return all(isinstance(value, Cell) for value in values)
