"""``baton convert``: rows from the files of other tools, and back."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.contract.jobs import ConvertJob, OnBad
from pipeline.contract.load import find_part
from pipeline.contract.parts import ConvertPart
from pipeline.convert import FILE, TENSORBOARD, to_tensorboard, training_files
from pipeline.errors import UserError
from pipeline.run.folder import stage_run
from stages.common import Result, command, finished, main
from stages.options import Options

FromOption = Annotated[str | None, typer.Option("--from", metavar="FORMAT", help="Format to read, for example coco.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="FORMAT", help="Format to write.")]
RowsOption = Annotated[
    Path | None,
    typer.Option("--input", metavar="FILE", help="Rows to convert, with --to; a run folder for tensorboard."),
]
AnnotationsOption = Annotated[
    Path | None,
    typer.Option(
        "--annotations", metavar="FILE", help="The truth in the other format; with --to, whose categories are taken."
    ),
]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", metavar="PATH", help="Predictions in the other format, with --from.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Part of a data set that has several, such as val.")
]
CopiedImagesOption = Annotated[
    Path | None,
    typer.Option("--image-root", metavar="FOLDER", help="Where the images are that are to be in the data set."),
]
OnBadOption = Annotated[
    OnBad,
    typer.Option(
        "--on-bad", help="Entries that are wrong, all of which are listed: refuse the file, or go on without."
    ),
]


@command("convert", shared=("task", "out", "force", "json"))
def app(
    options: Options,
    source: FromOption = None,
    target: ToOption = None,
    rows: RowsOption = None,
    annotations: AnnotationsOption = None,
    results: ResultsOption = None,
    split: SplitOption = None,
    image_root: CopiedImagesOption = None,
    on_bad: OnBadOption = "refuse",
) -> Result:
    """Rows from the files of other tools, and back. Nothing is rounded, and what came from a file goes back as it was.

    Example: baton convert detection --from coco --annotations instances.json --results results.json --out rows

    Example: baton convert detection --from yolo --annotations data.yaml --split val --results predictions --out rows

    Example: baton convert detection --to coco --input predictions.jsonl --out files

    Example: baton convert gridworld --to tensorboard --input runs/gridworld/full --out curves/full
    """
    if target == TENSORBOARD and source is None:
        return _to_tensorboard(options, rows)
    part = find_part(options.task, ConvertPart)
    if part is None:
        where = f"pipeline/tasks/{options.task}/convert.py"
        remedy = f"--to {TENSORBOARD} works for any task"
        raise UserError(f"task {options.task!r} knows no other formats", where=where, remedy=remedy)
    direction, name = _asked(part, source, target)
    if options.out is None:
        raise UserError("convert does not know where to write", remedy="give --out FOLDER")
    given = {"input": rows, "annotations": annotations, "results": results}
    files = {key: path for key, path in given.items() if path is not None}
    job = ConvertJob(direction, name, files, options.out, on_bad, split, image_root)
    config = {"direction": direction, "format": name, "on_bad": on_bad, "split": split} | dict(part.depends(job))
    inputs = {key: path for key, path in files.items() if not path.is_dir()}
    request = options.request(options.out, config, inputs=inputs, writes=tuple(part.files))
    with stage_run(request) as run:
        if not run.up_to_date:
            outcome = part.convert(job)
            run.record(outcome.outputs, outcome.counts, {"notes": list(outcome.notes)} if outcome.notes else {})
    notes = (run.previous or run if run.up_to_date else run).notes.get("notes", [])
    return finished("convert", run, [f"  {note}" for note in notes], notes=notes)


def _to_tensorboard(options: Options, given: Path | None) -> Result:
    """The curves of a training, of any task."""
    if given is None or options.out is None:
        remedy = "give --input runs/TASK/RUN (or its progress.jsonl or monitor.jsonl) and --out FOLDER"
        raise UserError("convert needs a training and a folder to write to", remedy=remedy)
    files = training_files(given)
    config = {"direction": "to", "format": TENSORBOARD}
    request = options.request(options.out, config, inputs=files, writes=(FILE,))
    with stage_run(request) as run:
        if not run.up_to_date:
            outcome = to_tensorboard(options.task, files, options.out)
            run.record(outcome.outputs, outcome.counts)
    return finished("convert", run, [f"  tensorboard --logdir {options.out}"])


def _asked(part: ConvertPart, source: str | None, target: str | None) -> tuple[Literal["from", "to"], str]:
    """Which way, and which format. Raises UserError unless exactly one of both is given, and known."""
    if source is not None and target is not None:
        raise UserError("--from and --to at once", remedy="convert in two steps: from one format to rows, then on")
    name = target if source is None else source
    known = ", ".join(part.formats)
    if name is None:
        raise UserError("convert needs a format", remedy=f"give --from or --to; known: {known}")
    if name not in part.formats:
        raise UserError(f"there is no format {name!r}", remedy=f"known: {known}")
    return ("to" if source is None else "from"), name


if __name__ == "__main__":
    main(app)
