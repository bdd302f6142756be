"""``baton compare``: what differs between models, over the same records, and how sure that is."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.errors import UserError
from pipeline.progress import progress
from pipeline.run.folder import stage_run
from pipeline.run.manifest import image_root_of
from pipeline.train.steps import in_order_of_training
from stages.common import Result, command, finished, main, stage_config
from stages.options import ImageRootOption, Options

if TYPE_CHECKING:
    from pipeline.compare.run import ComparisonJob

FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="[LABEL=]FILE[,FILE]...",
        help="Predictions of two models or more on the same records; several trainings of one recipe with commas.",
    ),
]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", metavar="LABEL", help="What all others are compared with; else the first.")
]
AllPairsOption = Annotated[bool, typer.Option("--all-pairs", help="Compare each file with every one before it.")]
MetricOption = Annotated[
    list[str],
    typer.Option("--metric", metavar="NAME[:STATISTIC]", help="What is compared; else the task's first metrics."),
]
TrainOption = Annotated[
    list[str],
    typer.Option(
        "--train-predictions",
        metavar="LABEL=FILE",
        help="Predictions of that model on records that it learned from: shows overfitting.",
    ),
]
ResamplesOption = Annotated[
    int | None, typer.Option("--num-resamples", min=1, help="Bootstrap resamples; else as the recipe says.")
]
ConfidenceOption = Annotated[
    float | None,
    typer.Option("--confidence", min=0.5, max=0.9999, help="Of intervals; a verdict needs p below 1 less this."),
]
MoversOption = Annotated[int, typer.Option("--num-movers", min=0, help="Records listed of each pair and metric.")]
FiguresOption = Annotated[
    bool, typer.Option("--figures/--no-figures", help="Without figures a comparison takes a fraction of the time.")
]
OnMissing = Literal["refuse", "intersect", "worst"]
MissingOption = Annotated[
    OnMissing, typer.Option("--on-missing", help="Records that not every file answers: refuse, leave out, or worst.")
]


@command("compare", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "threads", "json"))
def app(
    options: Options,
    files: FilesArgument,
    baseline: BaselineOption = None,
    all_pairs: AllPairsOption = False,
    metrics: MetricOption = [],  # noqa: B006 - typer copies it
    on_missing: MissingOption = "refuse",
    train_predictions: TrainOption = [],  # noqa: B006
    num_resamples: ResamplesOption = None,
    confidence: ConfidenceOption = None,
    num_movers: MoversOption = 50,
    figures: FiguresOption = True,
    image_root: ImageRootOption = None,
) -> Result:
    """What differs between models, over the same records, and how sure that is.

    Joins predictions by record id. Writes comparisons.jsonl (differences with intervals, tests, verdicts),
    movers.jsonl (the records that moved a metric), table.md, figures/* and report.html, and shows the tables.

    Example: baton compare gridworld old=a/predictions.jsonl new=b/predictions.jsonl --out compared

    Example: baton compare gridworld old=a1.jsonl,a2.jsonl,a3.jsonl new=b1.jsonl,b2.jsonl,b3.jsonl --out compared

    Example: baton compare gridworld *.jsonl --all-pairs --metric wellbeing --out curve
    """
    from pipeline.compare import run as comparison  # loaded here: `--help` need not wait for matplotlib
    from pipeline.records.inputs import label_groups, label_inputs

    recipe, run_name = options.recipe_or_defaults()
    groups = label_groups(files)
    named = {label: path for members in groups.values() for label, path in members.items()}
    grouped = len(named) > len(groups)
    if len(groups) < 2:
        raise UserError("a comparison needs two files or more", remedy="baton compare TASK A.jsonl B.jsonl")
    inputs, steps = (named, {}) if grouped else in_order_of_training(named)
    section = getattr(recipe, "evaluate", None)
    job = comparison.ComparisonJob(
        task=options.task,
        inputs=inputs,
        folder=options.folder(run_name or _run_name([*groups])),
        options=section,
        settings=comparison.settings(section, num_resamples, confidence, options.seed),
        steps=steps,
        groups={label: [*members] for label, members in groups.items()} if grouped else {},
        baseline=baseline or next(iter(groups)),
        train_inputs=label_inputs(train_predictions) if train_predictions else {},
        metrics=metrics,
        all_pairs=all_pairs,
        on_missing=on_missing,
        num_movers=num_movers,
        with_figures=figures,
        image_root=image_root_of(next(iter(inputs.values())), image_root),
    )
    return _compare(options, job, recipe)


def _compare(options: Options, job: "ComparisonJob", recipe: Any) -> Result:
    from pipeline.compare import run as comparison

    config = stage_config(recipe, "evaluate") | comparison.config(job)
    request = options.request(job.folder, config, inputs=comparison.inputs(job), writes=comparison.WRITES)
    with stage_run(request) as run:
        if not run.up_to_date:
            with progress("compare", options.progress_style) as report:
                outcome = comparison.run_comparison(replace(job, report=report))
            run.record(outcome.outputs, outcome.counts, {"notes": outcome.notes})
    lines, facts = comparison.show(job.folder)
    result = finished("compare", run, lines, comparisons=facts)
    return replace(result, lines=[*result.lines[: len(lines) + 1], f"  report: {job.folder / comparison.REPORT}"])


def _run_name(labels: list[str]) -> str:
    """The folder of a comparison without a recipe: what is compared with what."""
    rest = f"{labels[1]}" if len(labels) == 2 else f"{len(labels) - 1}-others"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{labels[0]}-vs-{rest}").lstrip("._-")[:100]


if __name__ == "__main__":
    main(app)
