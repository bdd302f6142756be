"""``baton convert``: rows from the files of other tools, and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from pipeline.contract.jobs import ConvertJob, OnBad
from pipeline.contract.load import find_part
from pipeline.contract.parts import ConvertPart
from pipeline.convert import FILE, TENSORBOARD, to_tensorboard, training_files
from pipeline.errors import UserError, nearest
from pipeline.recipe.load import read_settings
from pipeline.run.folder import stage_run
from stages.common import Result, command, finished, main
from stages.options import Options

FromOption = Annotated[str | None, typer.Option("--from", metavar="FORMAT", help="Format to read, for example coco.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="FORMAT", help="Format to write.")]
RowsOption = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="PATH",
        help="What to convert: rows, with --to; a run folder for tensorboard; with --from, what has no other option.",
    ),
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
FilesOption = Annotated[
    list[str] | None,
    typer.Option("--file", metavar="NAME=PATH", help="A further file that the format knows, such as places=FILE."),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="What the format leaves open, such as the name of a column."),
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
    more_files: FilesOption = None,
    settings: SettingsOption = None,
) -> Result:
    """Rows from the files of other tools, and back. Nothing is rounded, and what came from a file goes back as it was.

    Example: baton convert detection --from coco --annotations instances.json --results results.json --out rows

    Example: baton convert detection --from yolo --annotations data.yaml --split val --results predictions --out rows

    Example: baton convert detection --to coco --input predictions.jsonl --out files

    Example: baton convert localization --from csv --input messages.csv --file places=gateways.csv --out rows

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
    files = {key: path for key, path in given.items() if path is not None} | _more_files(part, name, more_files or [])
    said = _settings(part, name, settings or [])
    job = ConvertJob(direction, name, files, options.out, on_bad, split, image_root, said)
    config = {"direction": direction, "format": name, "on_bad": on_bad, "split": split} | dict(part.depends(job))
    config |= {} if said is None else {"options": msgspec.to_builtins(said)}
    inputs = {key: path for key, path in files.items() if not path.is_dir()}
    request = options.request(options.out, config, inputs=inputs, writes=tuple(part.files))
    with stage_run(request) as run:
        if not run.up_to_date:
            outcome = part.convert(job)
            run.record(outcome.outputs, outcome.counts, {"notes": list(outcome.notes)} if outcome.notes else {})
    notes = (run.previous or run if run.up_to_date else run).notes.get("notes", [])
    return finished("convert", run, [f"  {note}" for note in notes], notes=notes)


def _more_files(part: ConvertPart, format: str, given: Sequence[str]) -> dict[str, Path]:
    """The files of ``--file``, by name. Raises UserError for what the format does not know."""
    known = part.more_files.get(format, ())
    found: dict[str, Path] = {}
    for text in given:
        name, separator, path = text.partition("=")
        if name not in known or not path:
            what = f"{format} knows no file {name!r}" if separator else f"--file takes NAME=PATH, not {text!r}"
            raise UserError(what, where=f"--file {text}", remedy=nearest(name, known))
        found[name] = Path(path)
    return found


def _settings(part: ConvertPart, format: str, given: Sequence[str]) -> Any:
    """What ``--set`` says, in the type of the format; None where it has none. Raises UserError."""
    options = part.options.get(format)
    if options is None and given:
        raise UserError(f"{format} leaves nothing open", where=f"--set {given[0]}", remedy="leave it out")
    return None if options is None else read_settings(options, given)


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
