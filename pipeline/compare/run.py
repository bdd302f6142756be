"""What compare does: predictions files to comparisons.jsonl, movers.jsonl, table.md, figures and a report.

Heavy to import (matplotlib, the task's score part): the command loads it when it runs, never for ``--help``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pipeline.compare import page, tables
from pipeline.compare.families import compare_family, forgetting, overfitting
from pipeline.compare.judge import Found, Judge, pairs_of
from pipeline.compare.movers import NUM_PICTURES, moved_metrics, movers
from pipeline.compare.pairs import Settings
from pipeline.compare.trainings import GroupJudge
from pipeline.errors import UserError
from pipeline.files import gc_paused, read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.progress import Report as Progress
from pipeline.records.inputs import named_files
from pipeline.records.join import OnMissing, join_records
from pipeline.records.measured import POOLED, Task
from pipeline.records.read import read_records
from pipeline.run.manifest import load_manifest
from pipeline.stats.intervals import NUM_LINEAR
from pipeline.visualize import image_inputs
from schemas.comparison import Comparison, Mover
from schemas.rows import Figure

COMPARISONS, MOVERS, REPORT = "comparisons.jsonl", "movers.jsonl", "report.html"
FILES = (COMPARISONS, MOVERS, "table.md", "figures.jsonl", REPORT)
WRITES = (*FILES, "figures/*")


@dataclass(frozen=True, kw_only=True)
class ComparisonJob:
    """``inputs`` are predictions files by label; ``train_inputs`` those of the same models on records that they learned
    from. ``steps`` are the training steps of all inputs, which are then in this order, where they are checkpoints of
    one training; else empty. ``groups`` are the labels of the inputs that are trainings of one recipe, by the label of
    each group; empty where each input is compared by itself. ``baseline`` is a label, else the first. ``options`` is
    the recipe's section ``evaluate``; ``image_root`` the folder of the images that records name."""

    task: str
    inputs: Mapping[str, Path]
    folder: Path
    options: Any
    settings: Settings
    steps: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    baseline: str | None = None
    train_inputs: Mapping[str, Path] = field(default_factory=dict)
    metrics: Sequence[str] = ()
    all_pairs: bool = False
    on_missing: OnMissing = "refuse"
    num_movers: int = 50
    with_figures: bool = True
    image_root: Path | None = None
    report: Progress = lambda done, total, facts: None


@dataclass(frozen=True)
class ComparisonOutcome:
    """Outputs by name, counts for the manifest, and what a reader must know."""

    outputs: dict[str, Path]
    counts: dict[str, int]
    notes: list[str]


def settings(options: Any, num_resamples: int | None, confidence: float | None, seed: int | None) -> Settings:
    """What was asked for; else what the section ``evaluate`` says, where it says it; else the defaults."""
    defaults = Settings()
    return Settings(
        num_resamples=num_resamples or getattr(options, "num_resamples", 0) or defaults.num_resamples,
        confidence=getattr(options, "confidence", defaults.confidence) if confidence is None else confidence,
        seed=getattr(options, "seed", defaults.seed) if seed is None else seed,
    )


def config(job: ComparisonJob) -> dict[str, Any]:
    """What the result depends on besides files and the section ``evaluate``."""
    chosen = {
        "settings": asdict(job.settings),
        "labels": list(job.inputs),
        "baseline": _baseline(job),
        "metrics": list(job.metrics),
        "all_pairs": job.all_pairs,
        "on_missing": job.on_missing,
        "num_movers": job.num_movers,
        "num_pictures": NUM_PICTURES,
        "with_figures": job.with_figures,
        "training_steps": {**job.steps},
    }
    chosen |= {"groups": {label: list(members) for label, members in job.groups.items()}} if job.groups else {}
    last = list(job.inputs.values())[-1]
    images = image_inputs(job.task, last, job.image_root) if job.image_root else {}
    return {"compare": chosen} | images


def inputs(job: ComparisonJob) -> dict[str, Path]:
    """All files that the result depends on, by name."""
    learned = {f"learned by {label}": path for label, path in job.train_inputs.items()}
    return {**job.inputs, **learned, **named_files(job.task, job.options)}


def show(folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """What a finished comparison says: lines for the terminal, and the rows over all records as plain values."""
    rows = read_all(folder / COMPARISONS, Comparison)
    moved = read_all(folder / MOVERS, Mover)
    manifest = load_manifest(folder)
    by_step = bool(manifest.config["compare"]["training_steps"])
    lines = tables.terminal(rows, moved, manifest.notes["notes"], by_step=by_step)
    return lines, [msgspec.to_builtins(row) for row in rows if row.slice_by == "all"]


def run_comparison(job: ComparisonJob) -> ComparisonOutcome:
    """Compare, write everything, draw everything. Raises UserError."""
    found = compare_files(job)
    job.report(2, 3, {"drawing": "figures"})
    figures: Sequence[Figure] = []
    moved = found.movers
    if job.with_figures:
        from pipeline.compare.draw import draw_all  # here: matplotlib takes a while to load

        figures, moved = draw_all(found, job.folder, job.image_root)
    outputs = {name.partition(".")[0]: job.folder / name for name in FILES}
    write_all(outputs["comparisons"], found.comparisons)
    write_all(outputs["movers"], moved)
    write_all(outputs["figures"], figures)
    table = tables.markdown(job.task, found.comparisons, moved, found.notes, by_step=bool(job.steps))
    write_atomically(outputs["table"], [table.encode()])
    report = page.page(found, moved, figures, job.folder)
    write_atomically(outputs["report"], [report.encode()])
    outputs |= {f"figure_{figure.id}": job.folder / figure.path for figure in figures}
    job.report(3, 3, {})
    counts = {
        "num_records": len(found.judge.joined.ids),
        "num_comparisons": len(found.comparisons),
        "num_movers": len(moved),
        "num_figures": len(figures),
    }
    return ComparisonOutcome(outputs=outputs, counts=counts, notes=found.notes)


def compare_files(job: ComparisonJob) -> Found:
    """Read, join and judge. Raises UserError when the files cannot be compared."""
    baseline = _baseline(job)
    if job.groups and job.train_inputs:
        raise UserError(
            "overfitting is shown of single files, and these are groups",
            where="--train-predictions",
            remedy="compare the files of a group by themselves",
        )
    unknown = [label for label in job.train_inputs if label not in job.inputs]
    if unknown:
        raise UserError(
            f"there are no held-out predictions called {unknown[0]!r}",
            where="--train-predictions",
            remedy=f"labels are {', '.join(job.inputs)}",
        )
    with gc_paused():
        judge = _judge(job, job.inputs)
        train = {label: _judge(job, {label: path}) for label, path in job.train_inputs.items()}
    notes = judge.joined.notes
    if job.steps:
        told = ", ".join(f"{label} ({step:,})" for label, step in job.steps.items())
        notes.append(f"Checkpoints of one training, in the order of their steps: {told}.")
    whole, *parts = judge.joined.slices
    pairs = pairs_of(judge.labels, baseline, all_pairs=job.all_pairs)
    by_slice = judge.metrics if len(judge.joined.ids) < NUM_LINEAR else judge.metrics[:1]
    job.report(0, 3, {"comparing": f"{len(judge.joined.ids):,} records"})
    rows = compare_family(judge, pairs, judge.metrics, [whole], notes)
    rows += compare_family(judge, pairs, by_slice, parts, notes)
    if isinstance(judge, GroupJudge):
        notes += [note for pair in pairs for note in judge.told(pair)]
    else:
        rows += forgetting(judge, parts)
    rows += [row for label in train for row in overfitting(judge, train[label], label)]
    job.report(1, 3, {"comparing": "record by record"})
    moved = [
        row
        for pair in pairs
        for metric in moved_metrics(judge.metrics)
        if not (job.groups and metric.statistic == POOLED)
        for row in movers(judge, pair, metric, job.num_movers)
    ]
    return Found(judge=judge, comparisons=rows, movers=moved, notes=notes, train=train)


def _baseline(job: ComparisonJob) -> str:
    labels = job.groups or job.inputs
    if job.baseline is None or job.baseline in labels:
        return job.baseline or next(iter(labels))
    raise UserError(f"no file is called {job.baseline!r}", where="--baseline", remedy=f"labels are {', '.join(labels)}")


def _judge(job: ComparisonJob, paths: Mapping[str, Path]) -> Judge:
    """Files, read and joined."""
    task = Task(job.task, job.options)
    files = {label: read_records(task, label, path, job.metrics) for label, path in paths.items()}
    definitions = task.glossary
    joined = join_records(task, files, job.on_missing, {name: known.better for name, known in definitions.items()})
    common = [metric for metric in joined.metrics if metric.name in definitions]
    if job.groups:
        return GroupJudge(task, joined, common, definitions, job.settings, groups=job.groups)
    return Judge(task, joined, common, definitions, job.settings, job.steps)
