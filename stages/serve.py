"""``baton serve``: a model behind HTTP: what infer does, a request at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from pipeline.errors import UserError
from pipeline.recipe.named import find_model
from stages.common import Result, command, main
from stages.options import ModelOption, Options

LogLevel = Literal["debug", "info", "warning", "error"]

HostOption = Annotated[
    str,
    typer.Option(
        "--host",
        envvar="INFERENCE_HOST",
        metavar="HOST",
        help="Where it listens; beyond this machine with --auth-file.",
    ),
]
PortOption = Annotated[
    int,
    typer.Option("--port", envvar="INFERENCE_PORT", min=0, max=65535, help="Its port; 0 for any that is free."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that answer.")]
AuthFileOption = Annotated[
    Path | None,
    typer.Option("--auth-file", metavar="FILE", help="Who may ask: a line NAME and sha256 of the key for each."),
]
ImageRootOption = Annotated[
    Path | None, typer.Option("--image-root", metavar="FOLDER", help="Where files are that requests may name.")
]
LogOption = Annotated[
    Path | None, typer.Option("--log", metavar="FOLDER", help="Request log, instead of the run's folder serve/.")
]
NoLogOption = Annotated[bool, typer.Option("--no-log", help="Keep no request log.")]
RotateOption = Annotated[
    int, typer.Option("--rotate-mb", min=1, metavar="MB", help="A file of the log is begun anew beyond this size.")
]
MaxItemsOption = Annotated[
    int, typer.Option("--max-items", envvar="MAX_BATCH_SIZE", min=1, help="Items of a batch, and of a model's call.")
]
MaxBodyOption = Annotated[int, typer.Option("--max-body-mb", min=1, metavar="MB", help="Most of a request's body.")]
MaxInFlightOption = Annotated[
    int, typer.Option("--max-in-flight", min=1, help="Requests of a worker at a time; more are told to come again.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout", envvar="INFERENCE_TIMEOUT_SECONDS", min=0.001, metavar="SECONDS", help="Longest of an answer."
    ),
]
RateOption = Annotated[
    float | None,
    typer.Option("--rate", min=0.001, metavar="NUMBER", help="Requests a second by key, or by address without keys."),
]
TaskArgument = Annotated[
    str, typer.Argument(metavar="[TASK]", help="Task; with --registry it may be left out: the model's file says it.")
]
RegistryOption = Annotated[
    str | None,
    typer.Option("--registry", envvar="MLFLOW_URI", metavar="PLACE", help="A folder, or mlflow://HOST:PORT."),
]
NameOption = Annotated[
    str | None, typer.Option("--name", envvar="MODEL_NAME", metavar="NAME", help="Which of the registry's models.")
]
AliasOption = Annotated[
    str, typer.Option("--alias", envvar="MODEL_STAGE", metavar="ALIAS", help="The alias, or the version, that answers.")
]
ReloadIntervalOption = Annotated[
    float | None,
    typer.Option(
        "--reload-interval",
        envvar="MODEL_RELOAD_INTERVAL_SECONDS",
        min=0.05,
        metavar="SECONDS",
        help="How often it is looked whether the alias has moved, or the file was replaced; else when it is asked.",
    ),
]
ProofRowsOption = Annotated[
    int,
    typer.Option("--proof-rows", min=0, metavar="NUMBER", help="Newest rows of the log that a new model must answer."),
]
CanaryOption = Annotated[
    str | None, typer.Option("--canary", metavar="VERSION", help="A version or alias that answers a share of the keys.")
]
ShareOption = Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="That share, with --canary.")]
ShadowOption = Annotated[
    str | None,
    typer.Option("--shadow", metavar="VERSION", help="A version or alias that is asked, but not heard."),
]
CacheOption = Annotated[
    bool, typer.Option("--cache", help="Keep answers in each worker; with REDIS_HOST they are kept there.")
]
LogLevelOption = Annotated[
    LogLevel | None,
    typer.Option(
        "--log-level", envvar="LOG_LEVEL", help="What the web server says of itself; debug: of requests, too."
    ),
]


@command("serve", shared=("recipe", "settings", "runs_dir", "device", "threads"))
def app(
    options: Options,
    task: TaskArgument = "",
    model: ModelOption = None,
    registry: RegistryOption = None,
    name: NameOption = None,
    alias: AliasOption = "production",
    reload_interval: ReloadIntervalOption = None,
    proof_rows: ProofRowsOption = 100,
    canary: CanaryOption = None,
    share: ShareOption = 0.1,
    shadow: ShadowOption = None,
    cache: CacheOption = False,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8006,
    workers: WorkersOption = 1,
    auth_file: AuthFileOption = None,
    image_root: ImageRootOption = None,
    log: LogOption = None,
    no_log: NoLogOption = False,
    rotate_mb: RotateOption = 1024,
    max_items: MaxItemsOption = 100,
    max_body_mb: MaxBodyOption = 16,
    max_in_flight: MaxInFlightOption = 512,
    timeout: TimeoutOption = 5.0,
    rate: RateOption = None,
    log_level: LogLevelOption = None,
) -> Result:
    """Answer over HTTP: what infer does, a request at a time, from a server that stays up.

    A request is an example row without its ground truth, an answer a prediction row; GET /openapi.json describes both.
    What was answered is logged as the predictions.jsonl that evaluate, compare and gate read.

    Example: baton serve gridworld --model full

    Example: baton serve gridworld --recipe full --workers 2 --port 8010

    Example: baton serve --registry models --name beacon --reload-interval 10

    Example: baton serve detection --model full --image-root images --host 0.0.0.0 --auth-file keys.txt
    """
    from pipeline.serve.http.limits import Limits  # here: `--help` need not wait for it
    from pipeline.serve.run import serve
    from pipeline.serve.settings import Settings
    from pipeline.web.address import is_loopback

    if auth_file is None and not is_loopback(host):
        what = "others than this machine may only ask with keys"
        raise UserError(what, where=f"--host {host}", remedy="add --auth-file FILE, or leave --host out")
    if no_log and log is not None:
        raise UserError("--no-log keeps none, --log says where", remedy="leave one of them out")
    if canary and shadow:
        raise UserError("there is one second model", where="--canary, --shadow", remedy="leave one of them out")
    named = model is None and options.recipe is None and name is not None
    if named and registry is None:
        raise UserError("a name is one of a registry", where=f"--name {name}", remedy="add --registry FOLDER")
    if (canary or shadow) and not named:
        raise UserError("a second model is one of a registry", remedy="--registry FOLDER --name NAME")
    options = replace(options, task=task or (_task_of(registry, name, alias) if registry and name else ""))
    recipe, run_name = options.recipe_or_defaults()
    path = None
    if not named:
        path = find_model(model, options.task) if model else options.folder(run_name, "export") / "model.inference_v1"
        path = path.resolve()
    folder = log or options.runs_dir / options.task / (run_name or "") / "serve"
    settings = Settings(
        task=options.task,
        model=path,
        registry=str(Path(registry).resolve()) if registry and "://" not in registry else registry,
        name=name,
        alias=alias,
        reload_interval_s=reload_interval,
        num_proof_rows=proof_rows,
        second=canary or shadow,
        mode="canary" if canary else "shadow",
        share=share,
        cache=cache,
        device=options.device,
        decoding=msgspec.to_builtins(getattr(recipe, "infer", None)),
        evaluate=msgspec.to_builtins(getattr(recipe, "evaluate", None)),
        image_root=image_root.resolve() if image_root else None,
        log=None if no_log else folder.resolve(),
        rotate_at=rotate_mb << 20,
        auth_file=auth_file.resolve() if auth_file else None,
        workers=workers,
        log_level=log_level,
        limits=Limits(
            max_body_bytes=max_body_mb << 20,
            max_items=max_items,
            timeout_s=timeout,
            max_in_flight=max_in_flight,
            rate=rate,
        ),
    )
    serve(settings, host, port)
    return Result()


def _task_of(registry: str, name: str, alias: str) -> str:
    """The task of a registry's model, as its file says it."""
    from pipeline.model.container import ModelFile
    from pipeline.registry.find import open_registry

    place = open_registry(registry)
    return str(ModelFile(place.fetch(name, place.resolve(name, alias))).header.metadata.get("task"))


if __name__ == "__main__":
    main(app)
