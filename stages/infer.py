"""``baton infer``: run a model once over a dataset, one prediction line per record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.inference import find_source, read_examples, run_inference
from pipeline.manifests import recorded_path
from pipeline.progress import Report, progress
from pipeline.runs import StageRequest, StageRun, stage_run
from pipeline.tasks import load_part
from pipeline.tasks.interface import InferJob, Source, SourceRequest
from stages.common import Options, Result, command, finished, main, stage_config

FILE = "predictions.jsonl"

ModelOption = Annotated[
    Path | None,
    typer.Option("--model", metavar="PATH", help="inference_v1 file instead of the run's, or what --backend reads."),
]
ExamplesOption = Annotated[
    Path | None, typer.Option("--input", metavar="FILE", help="examples.jsonl instead of the run's.")
]
BackendOption = Annotated[
    str | None, typer.Option("--backend", metavar="NAME", help="What answers, of a task that knows several.")
]
ReplayOption = Annotated[
    Path | None, typer.Option("--replay", metavar="FILE", help="Answers by record id, for a backend that replays them.")
]
ImageRootOption = Annotated[
    Path | None, typer.Option("--image-root", metavar="FOLDER", help="Where images are, instead of the input's folder.")
]


@command("infer")
def app(
    options: Options,
    model: ModelOption = None,
    examples: ExamplesOption = None,
    backend: BackendOption = None,
    replay: ReplayOption = None,
    image_root: ImageRootOption = None,
) -> Result:
    """Run a model once over a dataset: one prediction line per record, in order.

    What was killed goes on where it stopped, and ends in the same bytes.

    Example: baton infer gridworld --recipe demo

    Example: baton infer gridworld --model a.inference_v1 --input examples.jsonl --out predictions-of-a
    """
    recipe, run_name = options.recipe_or_defaults(*([f"infer.backend={backend}"] if backend else []))
    section = getattr(recipe, "infer", None)
    examples = examples or options.folder(run_name, "examples") / "examples.jsonl"
    source = find_source(
        SourceRequest(
            task=options.task,
            options=section,
            examples=examples,
            model=model,
            replay=replay,
            image_root=image_root,
            run_model=lambda: options.folder(run_name, "export") / "model.inference_v1",
        )
    )
    inputs = {"model": source.model_file} if source.model_file else {}
    request = StageRequest(
        stage="infer",
        task=options.task,
        folder=options.folder(run_name),
        config=stage_config(recipe, "infer") | {"device": options.device} | dict(source.config),
        inputs=inputs | dict(source.files) | {"examples": examples},
        writes=(FILE,),
        seed=recipe.seed,
        device=options.device,
        num_threads=options.threads,
        force=options.force,
        resumable=True,
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            with progress("infer", options.progress_style) as report:
                _infer(run, request, Asked(source, section, report))
    return finished("infer", run)


@dataclass(frozen=True)
class Asked:
    """What is inferred with, and to whom its progress is told."""

    source: Source
    section: Any
    report: Report


def _infer(run: StageRun, request: StageRequest, asked: Asked) -> None:
    source, task = asked.source, request.task
    examples = read_examples(task, request.inputs["examples"])
    if not examples:
        raise UserError("there are no examples in it", where=str(request.inputs["examples"]))
    model = None
    if source.model_file is not None:
        from pipeline import load_model  # loaded here: torch takes seconds, and wrong input is told before

        model = load_model(source.model_file, device=request.device)
        run.notes |= {"model": model.weights_hash[:16], "step": model.metadata.get("step")}
    run.notes |= source.facts
    if source.image_root is not None:
        run.notes["image_root"] = recorded_path(source.image_root, run.folder)
    job = InferJob(
        model=model,
        examples=examples,
        first_index=0,
        options=asked.section,
        device=request.device,
        report=asked.report,
        source=source,
        inputs={name: run.inputs[name] for name in source.files},
        note=run.notes.__setitem__,
    )
    counts = run_inference(
        load_part(task, "predict"),
        job,
        run.folder / FILE,
        row_type=load_part(task, "rows").ROW_TYPES["prediction_v1"],
        model_id=model.weights_hash[:16] if model else None,
    )
    run.output("predictions", run.folder / FILE)
    run.counts |= {"num_predictions": counts.num_predictions, "num_resumed": counts.num_resumed}
    run.error_counts |= counts.error_counts


if __name__ == "__main__":
    main(app)
