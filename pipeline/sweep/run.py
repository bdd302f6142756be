"""A whole sweep: its file to a plan, workers until nothing is left, then the table and the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.atomic import write_atomically
from pipeline.errors import UserError
from pipeline.jsonl import write_all
from pipeline.manifests import FILE_NAME, changed_files, load_manifest
from pipeline.progress import Report
from pipeline.runs import StageRequest, StageRun, stage_run
from pipeline.sweep import pictures, table
from pipeline.sweep.files import load_sweep
from pipeline.sweep.grid import Machine, Plan, make_plan
from pipeline.sweep.ledger import State
from pipeline.sweep.warm import warm_runner
from pipeline.sweep.workers import Crew, Work
from pipeline.tables import to_text
from schemas.sweep import CellResult

TABLE, ROWS = "table.md", "sweep.jsonl"
WRITES = (TABLE, ROWS, pictures.REPORT, "figures/*")


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
    max_cells: int | None = None
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
    sweep, places = load_sweep(asked.file, asked.task)
    plan = make_plan(sweep, places, Machine(asked.device, asked.threads))
    folder = asked.folder or asked.runs_dir / asked.task / sweep.name / "sweep"
    work = Work(
        plan=plan,
        folder=folder,
        lease_s=asked.lease_s,
        retry_failed=asked.retry_failed,
        max_cells=asked.max_cells,
        run_stage=warm_runner(asked.task),
        report=_told(plan, report),
    )
    state = _run(work, asked)
    work.report(state)
    return summarize(plan, folder, state)


def _run(work: Work, asked: Asked) -> State:
    if asked.engine == "ray":
        raise UserError("not there yet")
    return Crew(work).run(asked.num_workers)


def _told(plan: Plan, report: Report) -> Callable[[State], None]:
    def tell(state: State) -> None:
        num_done = sum(cell.key in state.results for cell in plan.cells)
        num_failed = sum(_has_failed(state, cell) for cell in plan.cells)
        report(num_done, len(plan.cells), {"failed": num_failed} if num_failed else {})

    return tell


def _has_failed(state: State, cell: Any) -> bool:
    return cell.key in state.failures or (cell.key not in state.results and state.failed_need(cell) is not None)


def summarize(plan: Plan, folder: Path, state: State) -> SweepOutcome:
    """Write the table and the report of what is settled, unless they are there already.

    They hold nothing but what the grid and its results say: however often the sweep was interrupted, and whoever
    worked on it, they are the same bytes.
    """
    results = table.results_of(plan, state)
    counts = {f"num_{kind}": sum(r.status == kind for r in results) for kind in ("finished", "stopped", "failed")}
    counts = {"num_cells": len(results), **counts, "num_waiting": sum(r.status == "waiting" for r in results)}
    request = StageRequest(
        stage="sweep",
        task=plan.sweep.task,
        folder=folder,
        config={
            "sweep": msgspec.to_builtins(plan.sweep),
            "cells": [msgspec.to_builtins(result) for result in results],
        },
        writes=WRITES,
    )
    # A sweep that grew by a seed is the same sweep: its cells are kept by their keys, and its table is made anew.
    request = msgspec.structs.replace(request, force=not _is_current(request))
    with stage_run(request) as run:
        if not run.up_to_date:
            _write(run, plan, results, counts)
    outputs = {name: folder / path for name, path in (("table", TABLE), ("rows", ROWS), ("report", pictures.REPORT))}
    lines = [_head(counts, run.up_to_date), "", to_text(table.frame(plan, results)), ""]
    lines += [*table.footnotes(results), *table.remarks(results)]
    return SweepOutcome(folder, lines, outputs, counts, run.up_to_date)


def _write(run: StageRun, plan: Plan, results: list[CellResult], counts: Mapping[str, int]) -> None:
    write_atomically(run.folder / TABLE, [table.markdown(plan, results).encode()])
    write_all(run.folder / ROWS, results)
    figures = pictures.draw(plan, results, run.folder)
    page = pictures.page(plan, results, run.folder, figures)
    write_atomically(run.folder / pictures.REPORT, [page.encode()])
    for name, path in (("table", TABLE), ("rows", ROWS), ("report", pictures.REPORT)):
        run.output(name, run.folder / path)
    for figure in figures:
        run.output(figure.id, run.folder / figure.path)
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
