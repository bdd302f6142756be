"""``baton train``: train a model by a recipe, resumable, with a live tail of whole episodes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.contract.jobs import TrainJob
from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart, TrainPart
from pipeline.progress import progress
from pipeline.recipe.named import find_model
from pipeline.run.folder import StageRun, stage_run
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

    Ctrl-C leaves a checkpoint, and the same command goes on from it; with a larger train.num_steps a finished training
    goes on, too. `baton follow` shows the training live.

    Example: baton train gridworld --recipe demo

    Example: baton train gridworld --recipe temporal --set train.start_from=full --set train.frozen='[place]'
    """
    threads = (f"train.num_threads={options.threads}",) if options.threads != 1 else ()
    recipe = options.load_recipe(*threads)
    folder = options.folder(recipe.name)
    config = stage_config(recipe, "train") | {"device": options.device}
    start = config.get("train", {}).get("start_from")
    inputs = {"start_from": find_model(Path(start), options.task)} if start else {}
    request = options.request(
        folder,
        config,
        inputs=inputs,
        moved=load_part(options.task, RecipePart).moved,
        writes=WRITES,
        seed=recipe.seed,
        resumable=resume,
        extends=("train", "num_steps"),
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            with stop_on_signal() as stop, progress("train", options.progress_style) as report:
                weights = _read_weights(inputs["start_from"], options.task) if inputs else None
                job = TrainJob(recipe, folder, run.resuming, options.device, report, stop, weights)
                outcome = load_part(options.task, TrainPart).train(job)
            longer = {} if run.extended_from is None else {"extended_from_steps": run.extended_from}
            run.record(outcome.outputs, outcome.counts, {**outcome.notes, **longer})
    return finished("train", run, [*_started(run), *_lengthened(run)])


def _read_weights(path: Path, task: str) -> Any:
    from pipeline.model.start import read_weights  # loaded here: torch takes seconds, and wrong input is told before

    return read_weights(path, task)


def _started(run: StageRun) -> list[str]:
    """What was taken of the model that the training started from."""
    started = run.notes.get("started_from")
    if not started:
        return []
    taken, in_part, left = (started[key] for key in ("taken", "in_part", "left"))
    head = f"  started from {run.inputs['start_from'].path}: {len(taken)} tensors taken, {len(in_part)} in part, "
    lines = [f"{head}{len(left)} left"]
    lines += [f"    in part {name}: {what}" for name, what in in_part.items()]
    return lines + [f"    left {name}: {why}" for name, why in left.items()]


def _lengthened(run: StageRun) -> list[str]:
    """What to know of a training that was made longer."""
    if run.extended_from is None:
        return []
    line = f"  went on from a training of {run.extended_from:,} steps"
    if run.notes["depends_on_length"]:
        return [f"{line}, whose schedule was that of so many: a training of this length from the start differs"]
    return [f"{line}; it equals one of this length from the start"]


if __name__ == "__main__":
    main(app)
