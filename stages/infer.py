"""``baton infer``: run a model once over a dataset, one prediction line per record."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline.contract.jobs import EnsembleRule, InferJob, Source, SourceRequest
from pipeline.contract.load import load_part, read_examples
from pipeline.contract.parts import InferPart, RowsPart
from pipeline.errors import UserError
from pipeline.files import read
from pipeline.infer.ensemble import ensemble_source, open_model
from pipeline.infer.run import InferenceCounts, find_source, run_inference
from pipeline.progress import Report, progress
from pipeline.recipe.named import find_model
from pipeline.run.folder import StageRequest, StageRun, stage_run
from pipeline.run.manifest import recorded_path
from stages.common import Result, command, finished, main, stage_config
from stages.options import Options

FILE, SHARDS = "predictions.jsonl", "shards"

ModelOption = Annotated[
    list[Path],
    typer.Option(
        "--model",
        metavar="PATH",
        help="inference_v1 file or pretrained name, not the run's, or what --backend reads. Several: an ensemble.",
    ),
]
EnsembleOption = Annotated[
    EnsembleRule | None, typer.Option("--ensemble", help="How several models answer as one, of a task that knows how.")
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
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="A `baton serve` that answers; its key is in BATON_SERVE_KEY."),
]
ImageRootOption = Annotated[
    Path | None, typer.Option("--image-root", metavar="FOLDER", help="Where images are, instead of the input's folder.")
]
Engine = Literal["local", "ray"]
EngineOption = Annotated[
    Engine, typer.Option("--engine", help="Where shards are predicted: here, or on a Ray cluster.")
]
NumWorkersOption = Annotated[
    int, typer.Option("--num-workers", min=1, help="Shards predicted at a time; the bytes are the same for any number.")
]


@command("infer")
def app(
    options: Options,
    models: ModelOption = [],  # noqa: B006 - typer copies it
    ensemble: EnsembleOption = None,
    examples: ExamplesOption = None,
    backend: BackendOption = None,
    replay: ReplayOption = None,
    image_root: ImageRootOption = None,
    server: ServerOption = None,
    engine: EngineOption = "local",
    num_workers: NumWorkersOption = 1,
) -> Result:
    """Run a model once over a dataset: one prediction line per record, in order.

    What was killed goes on where it stopped, and ends in the same bytes.

    Example: baton infer gridworld --recipe demo

    Example: baton infer gridworld --recipe full --model full

    Example: baton infer gridworld --model a.inference_v1 --input examples.jsonl --out predictions-of-a

    Example: baton infer gridworld --recipe full --server http://127.0.0.1:8006

    Example: baton infer gridworld --recipe full --model a.inference_v1 --model b.inference_v1 --ensemble mean
    """
    recipe, run_name = options.recipe_or_defaults(*([f"infer.backend={backend}"] if backend else []))
    asked = SourceRequest(
        task=options.task,
        recipe=recipe,
        options=getattr(recipe, "infer", None),
        examples=examples or options.folder(run_name, "examples") / "examples.jsonl",
        model=models[0] if models else None,
        replay=replay,
        image_root=image_root,
        find_model=lambda: (
            find_model(models[0], options.task) if models else options.folder(run_name, "export") / "model.inference_v1"
        ),
    )
    if server is None:
        source = _source(asked, models, ensemble)
    else:
        source = _server(server, models or ensemble or backend or replay or image_root, engine, num_workers)
    request = _request(options, asked, source, options.folder(run_name))
    with stage_run(request) as run:
        if not run.up_to_date:
            with progress("infer", options.progress_style) as report:
                job = _job(run, request, source, asked.options, report)
                counts = _predict(run, request, job, engine, num_workers)
            _record(run, asked, job, counts)
    notes = run.previous.notes if run.previous and run.up_to_date else run.notes
    result = finished("infer", run, remarks=notes.get("remarks", []))
    return replace(result, lines=[*result.lines, *(f"  {remark}" for remark in notes.get("remarks", []))])


def _source(asked: SourceRequest, models: Sequence[Path], ensemble: EnsembleRule | None) -> Source:
    """What answers. Raises UserError."""
    if len(models) < 2 and ensemble is None:
        return find_source(asked)
    if asked.replay or asked.image_root:
        raise UserError("an ensemble answers by itself", remedy="leave --replay and --image-root out")
    return ensemble_source(asked.task, models, ensemble)


def _server(url: str, besides: object, engine: Engine, num_workers: int) -> Source:
    """A server that answers, with nothing ``besides`` it. Raises UserError."""
    from pipeline.infer.remote import server_source  # here: few runs need an HTTP client

    if besides or num_workers > 1 or engine != "local":
        remedy = "leave --model, --ensemble, --backend, --replay, --image-root, --engine and --num-workers out"
        raise UserError("a server answers by itself, one request after another", where="--server", remedy=remedy)
    return server_source(url)


def _request(options: Options, asked: SourceRequest, source: Source, folder: Path) -> StageRequest:
    """What the answers depend on, and where they go."""
    model = {"model": source.model_file} if source.model_file else {}
    return options.request(
        folder,
        stage_config(asked.recipe, "infer") | {"device": options.device} | dict(source.config),
        inputs=model | dict(source.files) | {"examples": asked.examples},
        writes=(FILE, f"{SHARDS}/*", *load_part(options.task, RowsPart).files),
        seed=asked.recipe.seed,
        resumable=True,
    )


def _record(run: StageRun, asked: SourceRequest, job: InferJob, counts: InferenceCounts) -> None:
    """What was written, for the manifest, and what a user should read about it."""
    rows = load_part(asked.task, RowsPart)
    files = sorted(path for pattern in rows.files for path in run.folder.glob(pattern))
    named = {path.relative_to(run.folder).as_posix(): path for path in files}
    made = {"num_predictions": counts.num_predictions, "num_resumed": counts.num_resumed}
    run.record({"predictions": run.folder / FILE, **named}, made | ({"num_files": len(files)} if files else {}))
    run.error_counts |= counts.error_counts
    predictions = read(run.folder / FILE, rows.prediction)
    metadata = job.model.metadata if job.model else {}
    if remarks := load_part(asked.task, InferPart).remarks(predictions, asked.recipe, metadata):
        run.notes["remarks"] = list(remarks)


def _job(run: StageRun, request: StageRequest, source: Source, section: Any, report: Report) -> InferJob:
    """The opened model and the records, with what the manifest is to say of them."""
    examples = read_examples(request.task, request.inputs["examples"])
    if not examples:
        where = str(request.inputs["examples"])
        raise UserError("there are no examples in it", where=where, remedy="give a file that `baton examples` wrote")
    model = open_model(request.task, source, request.device)
    if model is not None:
        about = model.metadata
        run.notes |= {"model": model.weights_hash[:16], "step": about.get("step"), "training": about.get("recipe_hash")}
    run.notes |= source.facts
    if source.image_root is not None:
        run.notes["image_root"] = recorded_path(source.image_root, run.folder)
    return InferJob(
        model=model,
        examples=examples,
        first_index=0,
        options=section,
        device=request.device,
        report=report,
        source=source,
        inputs={name: run.inputs[name] for name in source.files},
        note=run.notes.__setitem__,
    )


def _predict(run: StageRun, request: StageRequest, job: InferJob, engine: Engine, num_workers: int) -> InferenceCounts:
    """All predictions, by this process or by many: the same bytes."""
    path = run.folder / FILE
    row_type, part = load_part(request.task, RowsPart).prediction, load_part(request.task, InferPart)
    model_id = job.model.weights_hash[:16] if job.model else None
    if job.source.server is not None:
        from pipeline.infer.remote import server_part  # here: as above

        return run_inference(server_part(request.task), job, path, row_type=row_type, model_id=None)
    # What a sharded run left behind is merged by one that is not, too.
    if engine == "local" and num_workers == 1 and not (run.folder / SHARDS).exists():
        return run_inference(part, job, path, row_type=row_type, model_id=model_id)
    from pipeline.infer.shards import run_sharded, shard_job  # these are loaded here: few runs need them

    workers = importlib.import_module(f"pipeline.infer.{engine}")
    with workers.pool(shard_job(request.task, request.inputs["examples"], job), num_workers) as pool:
        counts = run_sharded(pool, job, path, row_type=row_type, model_id=model_id, unit=part.unit(job.options))
    run.notes |= {"engine": engine, "num_workers": num_workers, "num_workers_lost": pool.num_lost}
    return counts


if __name__ == "__main__":
    main(app)
