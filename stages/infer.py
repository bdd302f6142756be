"""``baton infer``: run a model once over a dataset, one prediction line per record."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.jsonl import read_all
from pipeline.progress import progress
from pipeline.runs import StageRequest, StageRun, stage_run
from pipeline.tasks import load_part
from pipeline.tasks.interface import InferJob
from stages.common import ModelOption, Options, Result, command, finished, main, stage_config

FILE = "predictions.jsonl"

ExamplesOption = Annotated[
    Path | None, typer.Option("--input", metavar="FILE", help="examples.jsonl instead of the run's.")
]


@command("infer")
def app(options: Options, model: ModelOption = None, examples: ExamplesOption = None) -> Result:
    """Run a model once over a dataset: one prediction line per record, in order.

    What was killed goes on where it stopped, and ends in the same bytes.

    Example: baton infer gridworld --recipe demo

    Example: baton infer gridworld --model a.inference_v1 --input examples.jsonl --out predictions-of-a
    """
    recipe, run_name = options.recipe_or_defaults()
    model = model or options.folder(run_name, "export") / "model.inference_v1"
    examples = examples or options.folder(run_name, "examples") / "examples.jsonl"
    request = StageRequest(
        stage="infer",
        task=options.task,
        folder=options.folder(run_name),
        config=stage_config(recipe, "infer") | {"device": options.device},
        inputs={"model": model, "examples": examples},
        writes=(FILE,),
        seed=recipe.seed,
        device=options.device,
        num_threads=options.threads,
        force=options.force,
        resumable=True,
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            _infer(run, request, getattr(recipe, "infer", None), options)
    return finished("infer", run)


def _infer(run: StageRun, request: StageRequest, section: Any, options: Options) -> None:
    from pipeline import inference, load_model  # loaded here: torch takes seconds, and wrong input is told before

    row_types = load_part(options.task, "rows").ROW_TYPES
    records = read_all(request.inputs["examples"], row_types["example_v1"])
    if not records:
        raise UserError("there are no examples in it", where=str(request.inputs["examples"]))
    model = load_model(request.inputs["model"], device=options.device)
    with progress("infer", options.progress_style) as report:
        job = InferJob(
            model=model, examples=records, first_index=0, options=section, device=options.device, report=report
        )
        counts = inference.run_inference(
            load_part(options.task, "predict"),
            job,
            run.folder / FILE,
            row_type=row_types["prediction_v1"],
            model_id=model.weights_hash[:16],
        )
    run.output("predictions", run.folder / FILE)
    run.counts |= {"num_predictions": counts.num_predictions, "num_resumed": counts.num_resumed}
    run.error_counts |= counts.error_counts
    run.notes |= {"model": model.weights_hash[:16], "step": model.metadata.get("step")}


if __name__ == "__main__":
    main(app)
