"""What every stage's command shares: its exit codes, its error block and its result; with `options`, all that stages
import of each other.

A stage is one function that takes `Options` (the shared options, spliced into its signature) and its own
parameters, and returns a `Result`::

    @command("evaluate")
    def app(options: Options, input: InputOption = None) -> Result: ...

    if __name__ == "__main__":
        main(app)

Exit codes: 0 done or up to date, 1 a gate or check failed, 2 the user's input is wrong, 130 interrupted; besides these
70 (EX_SOFTWARE of sysexits.h) for a bug of Baton itself, so that a bug is never read as a failed check.
"""

import contextlib
import dataclasses
import errno
import inspect
import io
import json as jsonlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import typer

from pipeline.errors import UserError
from pipeline.files.foreign import is_utf_8
from pipeline.run.folder import StageRun
from pipeline.run.memory import limit_memory, memory_error
from pipeline.run.signals import terminate_as_interrupt
from schemas.flow import BY_NAME
from stages.options import SHARED, Options, own_parameters

DONE, FAILED, WRONG_INPUT, BUG, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 70, 130, 141

# Numeric libraries read these when they are loaded, so they are set before a stage loads any.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

# Of a folder with more outputs than this, the result names the folder alone.
NUM_LISTED = 20

# Packages that not every installation has, and the extra that brings each.
EXTRAS = {
    "torch": "torch",
    "safetensors": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "transformers": "huggingface",
    "tokenizers": "huggingface",
    "ray": "ray",
    "starlette": "web",
    "uvicorn": "web",
    "websockets": "web",
    "granian": "serve",
    "prometheus_client": "serve",
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What a stage did: ``facts`` are printed with ``--json``, ``lines`` otherwise.

    ``status`` is "ok" or "up_to_date", or "failed" where a gate or check failed (exit code 1).
    """

    lines: Sequence[str] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    status: str = "ok"


def stage_config(recipe: Any, stage: str, keys: Sequence[str] | None = None) -> dict[str, Any]:
    """The part of a recipe that a stage's result depends on: what its manifest holds, and what outdates it.

    A section named after a stage belongs to that stage alone. A stage that reads the recipe also depends on ``keys``
    (None: on all that is left, but for the description); a stage that reads files depends on nothing else.
    """
    plain: dict[str, Any] = msgspec.to_builtins(recipe)
    own = {key: value for key, value in plain.items() if key == stage}
    if "recipe" not in BY_NAME[stage].reads:
        return own
    if keys is None:
        keys = [key for key in plain if key not in {*BY_NAME, *recipe.belongs_to, "description"}]
    return {key: plain[key] for key in keys} | own


def finished(stage: str, run: StageRun, lines: Sequence[str] = (), **facts: Any) -> Result:
    """The result of a `stage_run` that has ended: what it wrote or found up to date, where, and its counts."""
    before = run.previous if run.up_to_date else None
    outputs = {name: run.folder / file.path for name, file in before.outputs.items()} if before else run.outputs
    counts, errors = (before or run).counts, (before or run).error_counts
    told = ", ".join(f"{name.removeprefix('num_').replace('_', ' ')} {count:,}" for name, count in counts.items())
    head = f"{stage}: {'up to date' if run.up_to_date else 'done'}" + (f" ({told})" if told else "")
    return Result(
        lines=[
            head,
            *(f"  {count:,} records failed: {text}" for text, count in errors.items()),
            *lines,
            *listed(outputs),
        ],
        facts={
            "folder": str(run.folder),
            "outputs": {name: str(path) for name, path in outputs.items()},
            "counts": dict(counts),
            "error_counts": dict(errors),
            **facts,
        },
        status="up_to_date" if run.up_to_date else "ok",
    )


def listed(outputs: Mapping[str, Path]) -> list[str]:
    """The outputs, a line each; of many files in one folder, a line for the folder."""
    folders = Counter(path.parent for path in outputs.values())
    lines = [f"  {name}: {path}" for name, path in outputs.items() if folders[path.parent] <= NUM_LISTED]
    return lines + [f"  {count:,} files: {path}" for path, count in folders.items() if count > NUM_LISTED]


Stage = Callable[..., Result]


def command(
    name: str, *, shared: Sequence[str] = tuple(SHARED), options: type[Options] = Options
) -> Callable[[Stage], typer.Typer]:
    """Make a typer app of a stage function ``f(options: Options, ...) -> Result``.

    ``shared`` names the shared options that the stage takes; a subclass of ``options`` brings its own as fields. The
    function's docstring is the command's help.
    """
    fields = own_parameters(options)

    def decorate(function: Stage) -> typer.Typer:
        own = [*fields.values(), *list(inspect.signature(function).parameters.values())[1:]]
        taken = [SHARED[key] for key in SHARED if key in shared]
        parameters = sorted([*taken, *own], key=lambda p: not isinstance(_info(p), typer.models.ArgumentInfo))

        def run(**values: Any) -> int:
            chosen = {key: values.pop(key) for key in list(values) if key in shared or key in fields}
            return _call(function, options(stage=name, **chosen), values)

        keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        run.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # typer reads the signature
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__doc__ = function.__doc__
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
        app.command(name)(run)
        app.info.name = name
        return app

    return decorate


def _info(parameter: inspect.Parameter) -> Any:
    """The typer.Argument or typer.Option in a parameter's annotation."""
    return next(iter(getattr(parameter.annotation, "__metadata__", ())), None)


def _call(function: Stage, options: Options, values: Mapping[str, Any]) -> int:
    """Run a stage, print its result, and return its exit code. What goes wrong ends here, in one block."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(options.threads)
    try:
        if options.device == "cpu":  # drivers of other devices reserve more than they use
            limit_memory()
        with terminate_as_interrupt():
            result = function(options, **values)
        facts = {"stage": options.stage, "status": result.status, **result.facts}
        for line in [jsonlib.dumps(facts, default=str, allow_nan=False)] if options.json else result.lines:
            print(line)
        sys.stdout.flush()
        return FAILED if result.status == "failed" else DONE
    except BrokenPipeError:
        _quiet_stdout()
        return BROKEN_PIPE
    except UserError as wrong:
        status, error = "error", wrong
    except KeyboardInterrupt:
        status, error = "cancelled", UserError("interrupted", remedy=_resume_hint(options.stage))
    except OSError as refusal:
        status, error = "error", _system_error(refusal)
    except ModuleNotFoundError as missing:
        known = missing.name in EXTRAS
        status = "error" if known else "bug"
        error = _not_installed(options.stage, missing.name or "") if known else _bug_report(options.stage, missing)
    except Exception as bug:
        no_memory = memory_error(bug)
        status, error = ("error", no_memory) if no_memory else ("bug", _bug_report(options.stage, bug))
    return _fail(options.stage, error, status, json=options.json)


def _fail(stage: str, error: UserError, status: str, *, json: bool) -> int:
    """Print an error block on stderr (and an object on stdout with ``--json``); return the exit code."""
    code = {"error": WRONG_INPUT, "cancelled": INTERRUPTED, "bug": BUG}[status]
    print(f"error: {error}", file=sys.stderr)
    if json:
        parts = {"what": error.what, "where": error.where, "remedy": error.remedy}
        print(jsonlib.dumps({"stage": stage, "status": status, "error": parts, "exit_code": code}))
    return code


def main(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a stage's app as the whole process: no traceback reaches the user, and the exit code says what happened."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run_command(app, arguments))


def run_command(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a stage's app and return its exit code. The command line itself is checked here, the rest in the stage."""
    stage = app.info.name or ""
    _escape_what_cannot_be_shown()
    for text in arguments:
        if not is_utf_8(text):
            error = UserError("this is not UTF-8, and manifests are", where=text, remedy="rename the file or folder")
            return _fail(stage, error, "error", json="--json" in arguments)
    try:
        return int(app(args=list(arguments), prog_name=f"baton {stage}", standalone_mode=False) or 0)
    except typer.TyperException as wrong:
        message = wrong.format_message().strip().rstrip(".")
        error = UserError(message[:1].lower() + message[1:], remedy=f"baton {stage} --help")
        return _fail(stage, error, "error", json="--json" in arguments)


def _escape_what_cannot_be_shown() -> None:
    """A path that the encoding of stdout or stderr has no letters for is printed with escapes, and stops nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a terminal that is opened for reading, too, cannot be changed
                stream.reconfigure(errors="backslashreplace")


def _resume_hint(stage: str) -> str | None:
    """What to type after an interruption."""
    return "the same command again goes on from where it stopped" if stage in ("train", "infer") else None


def _system_error(error: OSError) -> UserError:
    """An error of the operating system (full disk, no permission) as a block with a remedy."""
    hints = {
        errno.ENOSPC: "free some space, then run the same command again",
        errno.EACCES: "check the permissions of that path",
        errno.ENOENT: "check the path",
    }
    return UserError(
        f"the system refused: {error.strerror or error}",
        where=str(error.filename) if error.filename else None,
        remedy=hints.get(error.errno or 0, "check the path and the disk, then run the same command again"),
    )


def _not_installed(stage: str, package: str) -> UserError:
    """A package that the stage needs and this installation does not have."""
    remedy = f"pip install 'baton-pipeline[{EXTRAS[package]}]'"
    return UserError(f"the {stage} stage needs {package}, which is not installed", remedy=remedy)


def _bug_report(stage: str, bug: BaseException) -> UserError:
    """Save the traceback to a file of its own and say where it is."""
    import tempfile  # these two are loaded here because every --help would pay for them
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix=f"baton-{stage}-", suffix=".traceback", delete=False) as file:
        traceback.print_exception(bug, file=file)
    return UserError(
        f"this is a bug in Baton: {type(bug).__name__}: {bug}",
        where=f"traceback saved in {file.name}",
        remedy="report it with that file and the command line",
    )


def _quiet_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not complain about the closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
