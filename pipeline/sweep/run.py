"""A whole sweep: its file to a plan, workers until nothing is left, then the table and the report."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.files.atomic import write_atomically
from pipeline.look.tables import to_text
from pipeline.progress import Report
from pipeline.recipe.named import load_named
from pipeline.run.folder import StageRequest, StageRun, stage_run
from pipeline.run.manifest import FILE_NAME, changed_files, load_manifest
from pipeline.sweep import figures as pictures
from pipeline.sweep import table
from pipeline.sweep.forks import warm_runner
from pipeline.sweep.ledger import Ledger, State
from pipeline.sweep.plan import Machine, Plan, make_plan
from pipeline.sweep.workers import Crew, Work, failures_so_far
from schemas.sweep import CellResult, Sweep

OUTPUTS = {"table": "table.md", "rows": "sweep.jsonl", "report": "report.html"}
WRITES = (*OUTPUTS.values(), "figures/*")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What `baton sweep` was asked to do. ``folder`` None: ``<runs_dir>/<task>/<name of the sweep>/sweep``."""

    task: str
    file: Path
    folder: Path | None
    runs_dir: Path
    device: str = "cpu"
    threads: int = 1
    num_workers: int = 1
    engine: Literal["local", "ray"] = "local"
    stop_beaten: bool = False
    retry_failed: bool = False
    lease_s: float = 60.0


@dataclass(frozen=True)
class SweepOutcome:
    """What a call of sweep leaves: lines for the terminal, files by name, and counts of cells."""

    folder: Path
    lines: list[str]
    outputs: dict[str, Path]
    counts: dict[str, int]
    up_to_date: bool


def run_sweep(asked: Asked, report: Report) -> SweepOutcome:
    """Work on a sweep until nothing is left to do, and say what came of it. Raises UserError."""
    sweep, places = load_named("sweep", asked.file, asked.task, Sweep)
    plan = make_plan(sweep, places, Machine(asked.device, asked.threads))
    folder = asked.folder or asked.runs_dir / asked.task / sweep.name / "sweep"
    work = Work(
        plan=plan,
        folder=folder,
        lease_s=asked.lease_s,
        retries=failures_so_far(plan, folder) if asked.retry_failed else {},
        stop_beaten=asked.stop_beaten,
        report=_told(plan, report),
    )
    if asked.engine == "ray":
        state = _on_ray(work, asked.num_workers)
    else:
        state = Crew(replace(work, run_stage=warm_runner(asked.task))).run(asked.num_workers)
    work.report(state)
    return summarize(plan, folder, state)


def _on_ray(work: Work, num_workers: int) -> State:
    """Workers on the nodes of a Ray cluster, which share this machine's folders. A worker of a node that is lost is
    started anew elsewhere; its cell falls free when its lease has run out."""
    from pipeline.infer.ray import run_everywhere  # here: few sweeps need it

    ledger = Ledger(work.folder)

    def tell() -> None:
        work.report(ledger.state(work.plan.parts))

    sent = replace(work, folder=work.folder.resolve(), report=lambda state: None)  # this process tells
    run_everywhere(_work_on_node, (sent, Path.cwd()), num_workers, tell)
    return ledger.state(work.plan.parts)


def _work_on_node(work: Work, folder: Path) -> None:
    """One worker, in a process that Ray started anywhere; the paths of a sweep are relative to ``folder``."""
    os.chdir(folder)
    Crew(work).run(1)


def _told(plan: Plan, report: Report) -> Callable[[State], None]:
    def tell(state: State) -> None:
        statuses = [result.status for result in table.results_of(plan, state)]
        num_failed = statuses.count("failed")
        num_done = len(statuses) - num_failed - statuses.count("waiting")
        report(num_done, len(plan.cells), {"failed": num_failed} if num_failed else {})

    return tell


def summarize(plan: Plan, folder: Path, state: State) -> SweepOutcome:
    """Write the table and the report of what is settled, unless they are there already.

    They hold nothing but what the grid and its results say: however often the sweep was interrupted, and whoever
    worked on it, they are the same bytes.
    """
    results = table.results_of(plan, state)
    kinds = ("finished", "stopped", "failed", "waiting")
    counts = {"num_cells": len(results)} | {f"num_{kind}": sum(r.status == kind for r in results) for kind in kinds}
    request = StageRequest(
        stage="sweep",
        task=plan.sweep.task,
        folder=folder,
        config={"sweep": msgspec.to_builtins(plan.sweep), "cells": [msgspec.to_builtins(result) for result in results]},
        writes=WRITES,
    )
    # A sweep that grew by a seed is the same sweep: its cells are kept by their keys, and its table is made anew.
    request = msgspec.structs.replace(request, force=not _is_current(request))
    with stage_run(request) as run:
        if not run.up_to_date:
            _write(run, plan, results, counts)
    first, *others = table.tables_of(plan, results)
    lines = [_head(counts, run.up_to_date), "", to_text(first), ""]
    lines += [line for other in others for line in (other.title, to_text(other), "")]
    lines += [*table.footnotes(results), *table.remarks(results)]
    outputs = {name: folder / path for name, path in OUTPUTS.items()}
    return SweepOutcome(folder, lines, outputs, counts, run.up_to_date)


def _write(run: StageRun, plan: Plan, results: list[CellResult], counts: Mapping[str, int]) -> None:
    run.outputs |= {name: run.folder / path for name, path in OUTPUTS.items()}
    write_atomically(run.outputs["table"], [table.markdown(plan, results).encode()])
    write_all(run.outputs["rows"], results)
    figures = pictures.draw(plan, results, run.folder)
    write_atomically(run.outputs["report"], [pictures.page(plan, results, run.folder, figures).encode()])
    run.outputs |= {figure.id: run.folder / figure.path for figure in figures}
    run.counts.update(counts)


def _is_current(request: StageRequest) -> bool:
    """Whether the folder holds the finished table of exactly these results."""
    if not (request.folder / FILE_NAME).exists():
        return False
    try:
        manifest = load_manifest(request.folder)
    except UserError:
        return False
    same = manifest.config == msgspec.json.decode(msgspec.json.encode(request.config))
    return same and manifest.status == "ok" and not changed_files(request.folder, manifest.outputs)


def _head(counts: Mapping[str, int], up_to_date: bool) -> str:
    told = [f"{counts['num_finished']} of {counts['num_cells']} cells finished"]
    told += [f"{counts[f'num_{kind}']} {kind}" for kind in ("stopped", "failed", "waiting") if counts[f"num_{kind}"]]
    return f"sweep: {'up to date' if up_to_date else 'done'} ({', '.join(told)})"
