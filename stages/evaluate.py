"""``baton evaluate``: metrics with intervals, beside the baselines, from the predictions alone."""

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.evaluate import run as evaluation
from pipeline.progress import progress
from pipeline.records.inputs import input_files, label_inputs
from pipeline.run.folder import StageRun, stage_run
from pipeline.train.steps import in_order_of_training
from stages.common import Result, command, finished, main, stage_config
from stages.options import Options

if TYPE_CHECKING:
    from pipeline.evaluate.watch import Show, State

JOINED = "joined.jsonl"  # the rows of a request log, with their truths

InputsOption = Annotated[
    list[str],
    typer.Option(
        "--input",
        metavar="[LABEL=]FILE",
        help="Predictions instead of the run's; several beside each other: checkpoints of one training by their steps.",
    ),
]
SalvagedOption = Annotated[
    bool,
    typer.Option(
        "--use-salvaged",
        help="Count what was complete before an answer was cut: --set evaluate.use_salvaged=true, where a task has it.",
    ),
]
ConformalOption = Annotated[
    Path | None,
    typer.Option(
        "--conformal",
        metavar="FILE",
        help="Predictions to calibrate by: --set evaluate.conformal=FILE, where a task has it.",
    ),
]
FollowOption = Annotated[
    bool,
    typer.Option(
        "--follow",
        help="Watch a growing file, with intervals that hold at every moment. Writes nothing; ends with infer.",
    ),
]
StopWhenOption = Annotated[
    str | None,
    typer.Option(
        "--stop-when",
        metavar="QUESTION",
        help='With --follow: end when this is decided, such as "wellbeing > 430". Exit code 0 for yes, else 1.',
    ),
]
MetricOption = Annotated[
    list[str],
    typer.Option("--metric", metavar="NAME[:STATISTIC]", help="With --follow: this metric instead of the main ones."),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against", metavar="FILE", help="With --follow: differences to these predictions, record by record."
    ),
]
TruthsOption = Annotated[
    Path | None,
    typer.Option("--truths", metavar="FILE", help="Truths of a request log: evaluate its rows whose truth is known."),
]
IdleOption = Annotated[
    float | None, typer.Option("--idle-exit", metavar="SECONDS", min=0.0, help="With --follow: end when so long idle.")
]


@command("evaluate", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "threads", "json"))
def app(
    options: Options,
    inputs: InputsOption = [],  # noqa: B006 - typer copies it
    use_salvaged: SalvagedOption = False,
    conformal: ConformalOption = None,
    follow: FollowOption = False,
    stop_when: StopWhenOption = None,
    metrics: MetricOption = [],  # noqa: B006 - typer copies it
    against: AgainstOption = None,
    idle_exit: IdleOption = None,
    truths: TruthsOption = None,
) -> Result:
    """Metrics with intervals, beside the baselines, from the predictions alone.

    Writes metrics.jsonl, scores.jsonl and table.md, and shows the table.

    Example: baton evaluate gridworld --recipe demo

    Example: baton evaluate gridworld --input early=a/predictions.jsonl --input late=b/predictions.jsonl --out compared

    Example: baton evaluate localization --recipe demo --conformal calibration/predictions.jsonl

    Example: baton evaluate detection --input MODEL/predictions.jsonl --truths MODEL/truths.jsonl --out judged

    Example: baton evaluate gridworld --recipe demo --follow --stop-when "wellbeing > 430"
    """
    shortcuts = ["evaluate.use_salvaged=true"] if use_salvaged else []
    shortcuts += [f"evaluate.conformal={json.dumps(str(conformal))}"] if conformal else []
    recipe, run_name = options.recipe_or_defaults(*shortcuts)
    section = getattr(recipe, "evaluate", None)
    if follow:
        if len(inputs) > 1 or truths:
            raise UserError("--follow watches one file", where="--input", remedy="follow each in a terminal of its own")
        path = Path(inputs[0]) if inputs else options.folder(run_name, "infer") / "predictions.jsonl"
        return _follow(options, path, section, stop_when, metrics, against, idle_exit)
    if stop_when or metrics or against or idle_exit:
        raise UserError("--stop-when, --metric, --against and --idle-exit need --follow", remedy="add --follow")
    if truths and len(inputs) > 1:
        raise UserError("--truths are of one request log", where="--input", remedy="evaluate each into its own --out")
    named = label_inputs(inputs or [str(options.folder(run_name, "infer") / "predictions.jsonl")])
    files, steps = in_order_of_training(named)
    job = evaluation.EvaluationJob(
        task=options.task,
        inputs=files,
        options=section,
        folder=options.folder(run_name),
        training_steps=steps,
    )
    return _evaluate(options, job, recipe, truths)


def _evaluate(options: Options, job: evaluation.EvaluationJob, recipe: Any, truths: Path | None) -> Result:
    several = {"checkpoints": list(job.inputs), "training_steps": job.training_steps} if len(job.inputs) > 1 else {}
    request = options.request(
        job.folder,
        stage_config(recipe, "evaluate") | several,
        inputs=input_files(job.task, job.inputs, job.options) | ({"truths": truths} if truths else {}),
        writes=(*evaluation.OUTPUTS.values(), *([JOINED] if truths else [])),
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            job = _joined(job, run, truths) if truths else job
            with progress("evaluate", options.progress_style) as report:
                evaluation.run_evaluation(replace(job, report=report), run)
    lines, main_metrics = evaluation.show(job.task, run.folder)
    return finished("evaluate", run, lines, metrics=main_metrics)


def _joined(job: evaluation.EvaluationJob, run: StageRun, truths: Path) -> evaluation.EvaluationJob:
    """The same of the log's rows whose truth is known."""
    from pipeline.serve.exchange import join_truths  # here: few evaluate a request log

    ((label, predictions),) = job.inputs.items()
    run.outputs["joined"] = job.folder / JOINED
    _, run.counts["num_truths_of_no_row"] = join_truths(predictions, truths, job.folder / JOINED, job.task)
    return replace(job, inputs={label: job.folder / JOINED})


def _follow(
    options: Options,
    path: Path,
    section: Any,
    stop_when: str | None,
    metrics: list[str],
    against: Path | None,
    idle_s: float | None,
) -> Result:
    from pipeline.evaluate.anytime import Anytime, AnytimeJob
    from pipeline.evaluate.watch import State, parse_question, summary, watch

    question = parse_question(stop_when) if stop_when else None
    metrics = [*metrics, *([question.metric] if question else [])]
    job = AnytimeJob(task=options.task, path=path, options=section, metrics=metrics, against=against)
    state = State(Anytime(job), question)
    try:
        with _shown(options) as show:
            watch(state, show, idle_s)
    except KeyboardInterrupt:
        if not options.json:
            print("\n".join(summary(state)), flush=True)
        raise
    status = "ok" if question is None or state.answer == "yes" else "failed"
    return Result(lines=summary(state), facts=state.facts(), status=status)


@contextlib.contextmanager
def _shown(options: Options) -> "Iterator[Show]":
    """A table that renews itself on a terminal, else lines."""
    from pipeline.evaluate.watch import LineShow, table_of

    if options.json or not sys.stdout.isatty():
        yield LineShow(sys.stdout, json=options.json)
        return
    from rich.live import Live

    with Live(refresh_per_second=4, transient=True) as live:

        def show(state: "State") -> None:
            live.update(table_of(state))

        yield show


if __name__ == "__main__":
    main(app)
