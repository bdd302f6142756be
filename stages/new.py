"""``baton new``: write a project of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from stages.common import Result, command, main
from stages.options import Options

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write it into: a new or an empty one.")]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="NAME", help="Also write a task of one's own, whole, under tasks/NAME.")
]


@command("new", shared=("json",))
def app(options: Options, folder: FolderArgument, task: TaskOption = None) -> Result:
    """Write a project of one's own: recipe, gate, sweep, Makefile, CI file.

    `make demo` in it goes through all stages and ends with a report. With --task it also gets a task of its own, which
    passes every stage as it is, to be replaced file by file.

    Example: baton new my-project

    Example: baton new my-project --task my_task
    """
    from pipeline.new.write import USUAL_TASK, write_project  # here: `--help` need not wait for it

    written = write_project(folder, task)
    return Result(
        lines=[
            f"new: {len(written)} files in {folder}, for task {task or USUAL_TASK}",
            f"  next: cd {folder} && make demo",
        ],
        facts={"folder": str(folder), "task": task or USUAL_TASK, "files": [str(path) for path in written]},
    )


if __name__ == "__main__":
    main(app)
