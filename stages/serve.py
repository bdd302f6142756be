"""``baton serve``: a model behind HTTP: what infer does, a request at a time."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from pipeline.errors import UserError
from pipeline.recipe.named import find_model
from stages.common import Result, command, main
from stages.options import ModelOption, Options


@dataclass(frozen=True)
class ServeOptions(Options):
    """What `pipeline.serve.settings.Settings` are made from, under the same names, in the order of ``--help``."""

    task: Annotated[
        str,
        typer.Argument(metavar="[TASK]", help="Task; with --registry it may be left out: the model's file says it."),
    ] = ""
    model: ModelOption = None
    registry: Annotated[
        str | None,
        typer.Option("--registry", envvar="MLFLOW_URI", metavar="PLACE", help="A folder, or mlflow://HOST:PORT."),
    ] = None
    name: Annotated[
        str | None, typer.Option("--name", envvar="MODEL_NAME", metavar="NAME", help="Which of the registry's models.")
    ] = None
    alias: Annotated[
        str,
        typer.Option("--alias", envvar="MODEL_STAGE", metavar="ALIAS", help="The alias or version that answers."),
    ] = "production"
    reload_interval_s: Annotated[
        float | None,
        typer.Option(
            "--reload-interval",
            envvar="MODEL_RELOAD_INTERVAL_SECONDS",
            min=0.05,
            metavar="SECONDS",
            help="How often it is looked whether the alias has moved, or the file was replaced; else when it is asked.",
        ),
    ] = None
    proof_rows: Annotated[
        int,
        typer.Option("--proof-rows", min=0, metavar="NUMBER", help="Newest rows of the log that a new model answers."),
    ] = 100
    canary: Annotated[
        str | None,
        typer.Option("--canary", metavar="VERSION", help="A version or alias that answers a share of the keys."),
    ] = None
    share: Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="That share, with --canary.")] = 0.1
    shadow: Annotated[
        str | None, typer.Option("--shadow", metavar="VERSION", help="A version or alias that is asked, but not heard.")
    ] = None
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep answers in each worker; with REDIS_HOST they are kept there.")
    ] = False
    host: Annotated[
        str,
        typer.Option(
            "--host", envvar="INFERENCE_HOST", metavar="HOST", help="Where; beyond this machine with --auth-file."
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        typer.Option("--port", envvar="INFERENCE_PORT", min=0, max=65535, help="Its port; 0 for any that is free."),
    ] = 8006
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that answer.")] = 1
    engine: Annotated[
        Literal["granian", "ray"],
        typer.Option("--engine", help="Where they run: on this machine, or on the Ray cluster that RAY_ADDRESS names."),
    ] = "granian"
    auth_file: Annotated[
        Path | None,
        typer.Option("--auth-file", metavar="FILE", help="Who may ask: a line NAME and sha256 of the key for each."),
    ] = None
    image_root: Annotated[
        Path | None, typer.Option("--image-root", metavar="FOLDER", help="Where files are that requests may name.")
    ] = None
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FOLDER", help="Request log, instead of the run's folder serve/."),
    ] = None
    no_log: Annotated[bool, typer.Option("--no-log", help="Keep no request log.")] = False
    rotate_mb: Annotated[
        int, typer.Option("--rotate-mb", min=1, metavar="MB", help="A file of the log is begun anew beyond this size.")
    ] = 1024
    max_items: Annotated[
        int,
        typer.Option("--max-items", envvar="MAX_BATCH_SIZE", min=1, help="Items of a batch, and of a model's call."),
    ] = 100
    max_body_mb: Annotated[
        int, typer.Option("--max-body-mb", min=1, metavar="MB", help="Most of a request's body.")
    ] = 16
    body_timeout_s: Annotated[
        float, typer.Option("--body-timeout", min=0.001, metavar="SECONDS", help="Longest that a body may take.")
    ] = 10.0
    max_in_flight: Annotated[
        int, typer.Option("--max-in-flight", min=1, help="Requests of a worker at a time; more are told to come again.")
    ] = 512
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout", envvar="INFERENCE_TIMEOUT_SECONDS", min=0.001, metavar="SECONDS", help="Longest of an answer."
        ),
    ] = 5.0
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=0.001, metavar="NUMBER", help="Requests a second by key, or by address without keys."
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option("--log-level", envvar="LOG_LEVEL", help="What the web server says of itself; debug: of requests."),
    ] = None

    @property
    def is_named(self) -> bool:
        """Whether a registry says which model answers."""
        return self.model is None and self.recipe is None and self.name is not None


@command("serve", shared=("recipe", "settings", "runs_dir", "device", "threads"), options=ServeOptions)
def app(options: ServeOptions) -> Result:
    """Answer over HTTP: what infer does, a request at a time, from a server that stays up.

    A request is an example row without its ground truth, an answer a prediction row; GET /openapi.json describes both.
    What was answered is logged as the predictions.jsonl that evaluate, compare and gate read.

    Example: baton serve gridworld --model full

    Example: baton serve gridworld --recipe full --workers 2 --port 8010

    Example: baton serve --registry models --name beacon --reload-interval 10

    Example: baton serve detection --model full --image-root images --host 0.0.0.0 --auth-file keys.txt
    """
    from pipeline.serve.engines import granian, ray  # here: `--help` need not wait for it
    from pipeline.serve.http.limits import Limits
    from pipeline.serve.settings import Settings

    _check(options)
    registry, name = options.registry, options.name
    if registry and "://" not in registry:
        options = replace(options, registry=str(Path(registry).resolve()))
    if registry and name and not options.task:
        options = replace(options, task=_task_of(registry, name, options.alias))
    recipe, run_name = options.recipe_or_defaults()
    model = None
    if not options.is_named:
        model = options.model and find_model(options.model, options.task)
        model = (model or options.folder(run_name, "export") / "model.inference_v1").resolve()
    log = options.log or options.runs_dir / options.task / (run_name or "") / "serve"
    settings = msgspec.structs.replace(
        msgspec.convert(options, Settings, from_attributes=True),
        model=model,
        decoding=msgspec.to_builtins(getattr(recipe, "infer", None)),
        evaluate=msgspec.to_builtins(getattr(recipe, "evaluate", None)),
        log=None if options.no_log else log.resolve(),
        image_root=options.image_root and options.image_root.resolve(),
        auth_file=options.auth_file and options.auth_file.resolve(),
        limits=msgspec.convert(options, Limits, from_attributes=True),
    )
    (granian if options.engine == "granian" else ray).serve(settings, options.host, options.port)
    return Result()


def _check(options: ServeOptions) -> None:
    """Raises UserError where options do not go together."""
    from pipeline.web.address import is_loopback  # here: `--help` need not wait for it

    if options.auth_file is None and not is_loopback(options.host):
        what = "others than this machine may only ask with keys"
        raise UserError(what, where=f"--host {options.host}", remedy="add --auth-file FILE, or leave --host out")
    if options.no_log and options.log is not None:
        raise UserError("--no-log keeps none, --log says where", remedy="leave one of them out")
    if options.canary and options.shadow:
        raise UserError("there is one second model", where="--canary, --shadow", remedy="leave one of them out")
    if options.is_named and options.registry is None:
        raise UserError("a name is one of a registry", where=f"--name {options.name}", remedy="add --registry FOLDER")
    if (options.canary or options.shadow) and not options.is_named:
        raise UserError("a second model is one of a registry", remedy="--registry FOLDER --name NAME")


def _task_of(registry: str, name: str, alias: str) -> str:
    """The task of a registry's model, as its file says it."""
    from pipeline.model.container import ModelFile
    from pipeline.registry.find import open_registry

    place = open_registry(registry)
    return str(ModelFile(place.fetch(name, place.resolve(name, alias))).header.metadata.get("task"))


if __name__ == "__main__":
    main(app)
