"""``baton evaluate``: metrics with intervals, beside the baselines, from the predictions alone."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.progress import progress
from pipeline.runs import StageRequest, StageRun, stage_run
from stages.common import Options, Result, command, finished, main, stage_config

WRITES = ("metrics.jsonl", "scores.jsonl", "table.md")

InputsOption = Annotated[
    list[str],
    typer.Option(
        "--input",
        metavar="[LABEL=]FILE",
        help="Predictions instead of the run's; several, in the order of training, for a learning curve.",
    ),
]


SalvagedOption = Annotated[
    bool,
    typer.Option(
        "--use-salvaged",
        help="Count what was complete before an answer was cut: --set evaluate.use_salvaged=true, where a task has it.",
    ),
]


@command("evaluate", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "threads", "json"))
def app(options: Options, inputs: InputsOption = [], use_salvaged: SalvagedOption = False) -> Result:  # noqa: B006 - typer copies it
    """Metrics with intervals, beside the baselines, from the predictions alone.

    Writes metrics.jsonl, scores.jsonl and table.md, and shows the table.

    Example: baton evaluate gridworld --recipe demo

    Example: baton evaluate gridworld --input early=a/predictions.jsonl --input late=b/predictions.jsonl --out compared
    """
    from pipeline import evaluation  # loaded here: `--help` need not wait for pandas

    recipe, run_name = options.recipe_or_defaults(*(["evaluate.use_salvaged=true"] if use_salvaged else []))
    files = evaluation.label_inputs(inputs or [str(options.folder(run_name, "infer") / "predictions.jsonl")])
    several = len(files) > 1
    request = StageRequest(
        stage="evaluate",
        task=options.task,
        folder=options.folder(run_name),
        config=stage_config(recipe, "evaluate") | ({"checkpoints": list(files)} if several else {}),
        inputs=_inputs(files) | evaluation.named_files(options.task, getattr(recipe, "evaluate", None)),
        writes=WRITES,
        num_threads=options.threads,
        force=options.force,
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            _evaluate(run, files, getattr(recipe, "evaluate", None), options)
    lines, main_metrics = evaluation.show(options.task, run.folder)
    return finished("evaluate", run, lines, metrics=main_metrics)


def _inputs(files: dict[str, Path]) -> dict[str, Path]:
    """Predictions by the names that the manifest has for them: their labels, where there are several."""
    return files if len(files) > 1 else dict(zip(["predictions"], files.values(), strict=True))


def _evaluate(run: StageRun, files: dict[str, Path], section: Any, options: Options) -> None:
    from pipeline import evaluation

    with progress("evaluate", options.progress_style) as report:
        job = evaluation.EvaluationJob(
            task=options.task, inputs=files, options=section, folder=run.folder, report=report
        )
        outcome = evaluation.run_evaluation(job)
    for name, path in outcome.outputs.items():
        run.output(name, path)
    run.counts.update(outcome.counts)
    run.error_counts.update(outcome.error_counts)
    run.notes["steps"] = outcome.steps


if __name__ == "__main__":
    main(app)
