"""``baton gate``: has anything become worse than the baseline?"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from pipeline.errors import UserError
from pipeline.files import write_all
from stages.common import Result, command, main
from stages.options import Options

if TYPE_CHECKING:
    from pipeline.gate.run import GateJob, GateReport

InputOption = Annotated[
    Path | None,
    typer.Option("--input", metavar="FILE", help="predictions.jsonl (pairs: sees more) or metrics.jsonl."),
]
BaselineOption = Annotated[
    Path | None,
    typer.Option(
        "--baseline", metavar="FILE", help="Baseline, or the predictions.jsonl or metrics.jsonl to compare with."
    ),
]
GateOption = Annotated[
    str | None,
    typer.Option("--gate", metavar="NAME", help="Gate: a name under runs/gates/TASK, or a path to a .yaml file."),
]
ToleranceOption = Annotated[
    list[str], typer.Option("--tolerance", metavar="METRIC=LIMIT", help="What it may lose: 0.01, or a share as in 2%.")
]
EffectOption = Annotated[
    list[str], typer.Option("--min-effect", metavar="METRIC=LIMIT", help="Losses up to this are not reported.")
]
JunitOption = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit XML report.")]
VerdictsOption = Annotated[Path | None, typer.Option("--verdicts", metavar="FILE", help="Write verdict rows (JSONL).")]
UpdateOption = Annotated[bool, typer.Option("--update", help="Make the input the new baseline; shows the difference.")]
YesOption = Annotated[bool, typer.Option("--yes", help="With --update: do not ask.")]


@command("gate", shared=("task", "recipe", "settings", "runs_dir", "threads", "json"))
def app(
    options: Options,
    input: InputOption = None,
    baseline: BaselineOption = None,
    gate: GateOption = None,
    tolerance: ToleranceOption = [],  # noqa: B006 - typer copies it
    min_effect: EffectOption = [],  # noqa: B006
    junit: JunitOption = None,
    verdicts: VerdictsOption = None,
    update: UpdateOption = False,
    yes: YesOption = False,
) -> Result:
    """Compare predictions or metrics with a baseline: exit code 1 when anything became worse than it may.

    A change fails when its whole confidence interval lies beyond the tolerance: noise does not. See docs/gate.md.

    Example: baton gate gridworld --gate full --input predictions.jsonl

    Example: baton gate gridworld --input new.jsonl --baseline old.jsonl --tolerance wellbeing=2%
    """
    from pipeline.gate.report import write_junit  # these are loaded here: `--help` need not wait for numpy
    from pipeline.gate.run import GateJob, run_gate
    from pipeline.gate.spec import load_gate, with_flags

    loaded, path = load_gate(gate, options.task)
    spec = with_flags(loaded, tolerance, min_effect)
    if baseline is None:
        if path is None:
            raise UserError("the gate needs a baseline", remedy="give --baseline FILE, or --gate NAME")
        baseline = path.parent / (spec.baseline or f"{spec.name}.baseline.json")
    given = [f"evaluate.{key}={msgspec.json.encode(value).decode()}" for key, value in spec.evaluate.items()]
    recipe, run_name = replace(options, settings=[*given, *options.settings]).recipe_or_defaults()
    job = GateJob(
        spec=spec,
        options=getattr(recipe, "evaluate", None),
        input=input or options.folder(run_name, "infer") / "predictions.jsonl",
        baseline=baseline,
        where=str(path or "the command line"),
    )
    if update:
        return _update(job, options, ask=not yes)
    report = run_gate(job)
    if junit is not None:
        write_junit(junit, report)
    if verdicts is not None:
        write_all(verdicts, report.verdicts)
    return Result(_lines(report, options), _facts(report), "failed" if report.failed else "ok")


def _lines(report: "GateReport", options: Options) -> list[str]:
    from pipeline.gate import report as table

    colour = sys.stdout.isatty() and not options.json and "NO_COLOR" not in os.environ
    return table.lines(report, colour=colour)


def _facts(report: "GateReport") -> dict[str, Any]:
    return {
        "gate": report.spec.name,
        "paired": report.paired,
        "num_records": report.num_records,
        "num_checks": len(report.verdicts),
        "num_failed": len(report.having("fails")),
        "num_undecided": len(report.having("cannot_tell")),
        "verdicts": [msgspec.to_builtins(verdict) for verdict in report.verdicts],
    }


def _update(job: "GateJob", options: Options, *, ask: bool) -> Result:
    """Show what would change, ask, and replace the baseline in one step."""
    from pipeline.gate.baseline import update_baseline
    from pipeline.gate.run import new_baseline, run_gate

    if job.baseline.name.endswith((".jsonl", ".jsonl.zst")):
        raise UserError(
            "--update writes a baseline, and this is a file of rows",
            where=str(job.baseline),
            remedy="name a .json file: --baseline my.baseline.json",
        )
    document, predictions = new_baseline(job)
    question, failed = "write it?", 0
    if job.baseline.exists():
        try:
            report = run_gate(job)
        except UserError as error:
            shown = ["the former baseline cannot be compared with:", *str(error).splitlines()]
        else:
            shown, failed = _lines(report, options), len(report.having("fails"))
        question = (
            f"{failed} checks fail; make this the baseline all the same?" if failed else "make this the baseline?"
        )
        if not options.json:
            print(*shown, sep="\n")
        if ask:
            _confirm(question, job.baseline)
    written = update_baseline(job.baseline, document, predictions)
    files = [job.baseline, *([job.baseline.parent / written.predictions.path] if written.predictions else [])]
    lines = [f"gate: baseline written ({written.num_records:,} records, {len(written.metrics)} values)"]
    return Result(
        [*lines, *(f"  {path}" for path in files)],
        {"gate": job.spec.name, "files": [str(path) for path in files], "num_failed_before": failed},
    )


def _confirm(question: str, path: Path) -> None:
    """Ask on a terminal. Raises UserError where there is none, or the answer is no."""
    if not sys.stdin.isatty():
        raise UserError("there is a baseline already, and nobody to ask", where=str(path), remedy="give --yes as well")
    if not typer.confirm(question):
        raise UserError("the baseline stays as it was", where=str(path))


if __name__ == "__main__":
    main(app)
