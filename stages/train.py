"""``baton train``: train a model by a recipe, resumable, with a live tail of whole episodes."""

from typing import Annotated, Any

import typer

from pipeline.contract.jobs import TrainJob
from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart, TrainPart
from pipeline.progress import progress
from pipeline.run.folder import StageRequest, StageRun, stage_run
from pipeline.run.signals import stop_on_signal
from stages.common import Result, command, finished, main, stage_config
from stages.options import Options

WRITES = ("*.jsonl", "*.checkpoint_v1", "checkpoints/*")

ResumeOption = Annotated[
    bool, typer.Option("--resume/--fresh", help="Go on with an unfinished training, or start anew.")
]


@command("train")
def app(options: Options, resume: ResumeOption = True) -> Result:
    """Train a model by a recipe.

    Ctrl-C leaves a checkpoint, and the same command goes on from it. `baton follow` shows the training live.

    Example: baton train gridworld --recipe demo
    """
    threads = (f"train.num_threads={options.threads}",) if options.threads != 1 else ()
    loaded = options.load_recipe(*threads)
    folder = options.folder(loaded.recipe.name)
    request = StageRequest(
        stage="train",
        task=options.task,
        folder=folder,
        config=stage_config(loaded.recipe, "train") | {"device": options.device},
        moved=load_part(options.task, RecipePart).moved,
        writes=WRITES,
        seed=loaded.recipe.seed,
        device=options.device,
        num_threads=options.threads,
        force=options.force,
        resumable=resume,
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            _train(run, loaded.recipe, options)
    return finished("train", run)


def _train(run: StageRun, recipe: Any, options: Options) -> None:
    with stop_on_signal() as stop, progress("train", options.progress_style) as report:
        job = TrainJob(
            recipe=recipe,
            folder=run.folder,
            resume=run.resuming,
            device=options.device,
            report=report,
            should_stop=stop,
        )
        outcome = load_part(options.task, TrainPart).train(job)
    for name, path in outcome.outputs.items():
        run.output(name, path)
    run.counts.update(outcome.counts)
    run.notes.update(outcome.notes)


if __name__ == "__main__":
    main(app)
