"""``baton visualize``: pictures and a self-contained report, from the predictions alone."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError
from pipeline.progress import progress
from pipeline.records.inputs import input_files, label_inputs
from pipeline.run.folder import stage_run
from pipeline.run.manifest import image_root_of
from stages.common import Result, command, finished, main, stage_config
from stages.options import ImageRootOption, Options

InputsOption = Annotated[
    list[str],
    typer.Option(
        "--input",
        metavar="[LABEL=]FILE",
        help="Predictions instead of the run's; several, in the order of training: the last is looked at closely.",
    ),
]
TrainOption = Annotated[
    Path | None,
    typer.Option("--train", metavar="FOLDER", help="Folder of the training, for its curves, instead of the run's."),
]


@command("visualize", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "threads", "json"))
def app(
    options: Options,
    inputs: InputsOption = [],  # noqa: B006 - typer copies it
    train: TrainOption = None,
    image_root: ImageRootOption = None,
) -> Result:
    """Pictures and a self-contained report, from the predictions alone.

    Writes figures/*, figures.jsonl and report.html, which opens in any browser and needs nothing beside it.
    What is not there to be drawn (traces, a training) is left out, and the report says so.

    Example: baton visualize gridworld --recipe demo

    Example: baton visualize gridworld --input elsewhere/predictions.jsonl --out pictures
    """
    from pipeline import visualize as visualization  # loaded here: `--help` need not wait for matplotlib

    recipe, run_name = options.recipe_or_defaults()
    folder, section = options.folder(run_name), getattr(recipe, "evaluate", None)
    files = label_inputs(inputs or [str(options.folder(run_name, "infer") / "predictions.jsonl")])
    last = list(files.values())[-1]
    if train is not None and not train.is_dir():
        raise UserError("there is no such training folder", where=str(train), remedy="check --train")
    train = train or (options.folder(run_name, "train") if run_name is not None else None)
    training, reason = visualization.training_inputs(train, folder)
    image_root = image_root_of(last, image_root)
    request = options.request(
        folder,
        stage_config(recipe, "evaluate")
        | stage_config(recipe, "visualize")
        | visualization.image_inputs(options.task, last, image_root)
        | {"labels": list(files), "title": run_name},
        inputs=input_files(options.task, files, section)
        | {f"training {name}": path for name, path in training.items()},
        writes=visualization.written_by(options.task),
    )
    job = visualization.VisualizationJob(
        task=options.task,
        inputs=files,
        folder=folder,
        options=section,
        draw_options=getattr(recipe, "visualize", None),
        train_folder=train if training else None,
        image_root=image_root,
        name=run_name or "",
        description=recipe.description,
        notes=[reason] if reason else [],
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            with progress("visualize", options.progress_style) as report:
                visualization.run_visualization(replace(job, report=report), run)
    result = finished("visualize", run)
    return replace(result, lines=[result.lines[0], f"  report: {folder / visualization.REPORT}"])


if __name__ == "__main__":
    main(app)
