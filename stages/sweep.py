"""``baton sweep``: a grid of models, seeds and decoding settings; every cell once, by any number of workers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.errors import UserError
from pipeline.progress import progress
from stages.common import Result, command, main
from stages.options import Options

Engine = Literal["local", "ray"]

NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Sweep: a name under runs/sweeps/TASK.")]
FileOption = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Sweep file from anywhere.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Cells that this process runs at a time.")]
EngineOption = Annotated[Engine, typer.Option("--engine", help="ray: workers on the nodes of a Ray cluster.")]
BeatenOption = Annotated[
    bool, typer.Option("--stop-beaten", help="Stop a cell once a finished one is better with confidence.")
]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Try cells that failed before once more.")]
LeaseOption = Annotated[
    float,
    typer.Option("--lease", min=1.0, metavar="SECONDS", help="A worker not heard of for so long has lost its cell."),
]


@command("sweep", shared=("task", "out", "runs_dir", "device", "threads", "json"))
def app(
    options: Options,
    name: NameOption = None,
    file: FileOption = None,
    workers: WorkersOption = 1,
    engine: EngineOption = "local",
    stop_beaten: BeatenOption = False,
    retry_failed: RetryOption = False,
    lease_s: LeaseOption = 60.0,
) -> Result:
    """Run a grid of models, seeds and decoding settings; one table over all of it.

    The same command goes on where it was stopped or killed. Given a second time, here or on another machine that
    shares the folder, it adds a worker. Cells that fail are named and do not stop the others (exit code 1).

    Example: baton sweep gridworld --name seeds --workers 2
    """
    from pipeline.sweep.run import Asked, run_sweep  # loaded here: `--help` need not wait for matplotlib

    path = _file(options.task, name, file)
    asked = Asked(
        task=options.task,
        file=path,
        folder=options.out,
        runs_dir=options.runs_dir,
        device=options.device,
        threads=options.threads,
        num_workers=workers,
        engine=engine,
        stop_beaten=stop_beaten,
        retry_failed=retry_failed,
        lease_s=lease_s,
    )
    with progress("sweep", options.progress_style) as report:
        outcome = run_sweep(asked, report)
    return Result(
        lines=[*outcome.lines, *(f"  {name}: {path}" for name, path in outcome.outputs.items())],
        facts={
            "folder": str(outcome.folder),
            "outputs": {name: str(path) for name, path in outcome.outputs.items()},
            "counts": outcome.counts,
        },
        status="failed" if outcome.counts["num_failed"] else "up_to_date" if outcome.up_to_date else "ok",
    )


def _file(task: str, name: str | None, file: Path | None) -> Path:
    from pipeline.recipe.named import find_named

    if (name is None) == (file is None):
        what = "the sweep stage needs one of --name and --file"
        raise UserError(what, remedy="baton sweep TASK --name NAME")
    return file if file is not None else find_named("sweep", name or "", task)


if __name__ == "__main__":
    main(app)
