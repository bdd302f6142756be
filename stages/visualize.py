"""``baton visualize``: pictures and a self-contained report, from the predictions alone."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.progress import progress
from pipeline.run.folder import StageRequest, stage_run
from stages.common import Result, command, finished, main, stage_config
from stages.options import Options

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
ImageRootOption = Annotated[
    Path | None,
    typer.Option("--image-root", metavar="FOLDER", help="Where images are, instead of where infer found them."),
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
    from pipeline.evaluate.run import label_inputs, named_files

    recipe, run_name = options.recipe_or_defaults()
    folder = options.folder(run_name)
    files = label_inputs(inputs or [str(options.folder(run_name, "infer") / "predictions.jsonl")])
    train_folder, training, notes = _training(options, run_name, train)
    image_root, images = _images(options.task, list(files.values())[-1], image_root)
    section = getattr(recipe, "evaluate", None)
    named = files if len(files) > 1 else dict(zip(["predictions"], files.values(), strict=True))
    trained = {f"training {name}": path for name, path in training.items()}
    request = StageRequest(
        stage="visualize",
        task=options.task,
        folder=folder,
        config=_config(recipe) | images | {"labels": list(files), "title": run_name},
        inputs=named | named_files(options.task, section) | trained,
        writes=visualization.WRITES,
        num_threads=options.threads,
        force=options.force,
    )
    job = visualization.VisualizationJob(
        task=options.task,
        inputs=files,
        folder=folder,
        options=section,
        draw_options=getattr(recipe, "visualize", None),
        train_folder=train_folder,
        image_root=image_root,
        name=run_name or "",
        description=recipe.description,
        notes=notes,
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            with progress("visualize", options.progress_style) as report:
                outcome = visualization.run_visualization(replace(job, report=report))
            run.outputs.update(outcome.outputs)
            run.counts.update(outcome.counts)
            run.notes["missing"] = outcome.missing
    result = finished("visualize", run)
    return replace(result, lines=[result.lines[0], f"  report: {folder / visualization.REPORT}"])


def _config(recipe: Any) -> dict[str, Any]:
    """The two sections that the pictures depend on: how they are drawn, and how predictions are scored in them."""
    return stage_config(recipe, "evaluate") | stage_config(recipe, "visualize")


def _images(task: str, predictions: Path, given: Path | None) -> tuple[Path, dict[str, str]]:
    """The folder of the images that the predictions name, and what of them joins the configuration.

    Raises UserError for a wrong ``--image-root``.
    """
    from pipeline.run.manifest import image_root_of
    from pipeline.visualize import image_inputs

    if given is not None and not given.is_dir():
        raise UserError("there is no such folder of images", where=str(given), remedy="check --image-root")
    root = given or image_root_of(predictions)
    return root, image_inputs(task, predictions, root)


def _training(
    options: Options, run_name: str | None, given: Path | None
) -> tuple[Path | None, dict[str, Path], list[str]]:
    """The folder of the training, its files by name, and what to note where there are none.

    Raises UserError for a wrong ``--train``.
    """
    from pipeline.visualize import training_inputs

    if given is not None and not given.is_dir():
        raise UserError("there is no such training folder", where=str(given), remedy="check --train")
    folder = given or (options.folder(run_name, "train") if run_name is not None else None)
    if folder is None or not folder.is_dir():
        return None, {}, ["No training folder was given or found: no training curves."]
    files, reason = training_inputs(folder, options.folder(run_name))
    return folder if files else None, files, [reason] if reason else []


if __name__ == "__main__":
    main(app)
