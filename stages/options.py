"""The options that commands share, and what a stage gets of them."""

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.progress import Style, choose_style
from pipeline.recipe.load import default_recipe, load_recipe
from pipeline.recipe.named import names_of
from pipeline.run.folder import StageRequest

# For stages' own parameters: explicit paths, so that a stage can be pointed at files that came from anywhere.
InputOption = Annotated[Path | None, typer.Option("--input", metavar="FILE", help="Input file instead of the run's.")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="inference_v1 file or pretrained name, not the run's.")
]
ImageRootOption = Annotated[
    Path | None,
    typer.Option("--image-root", metavar="FOLDER", help="Where images are, instead of where infer found them."),
]
HostOption = Annotated[
    str, typer.Option("--host", metavar="HOST", help="Where the server listens; beyond this machine with --token.")
]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="Its port; 0 for any that is free.")]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", envvar="BATON_TOKEN", metavar="TEXT", help="What who connects must know."),
]


@dataclasses.dataclass(frozen=True)
class Options:
    """The shared options of one call, in the order in which ``--help`` lists them.

    A stage that leaves some out (``shared=`` of `command`) sees their defaults.
    """

    stage: str
    task: Annotated[str, typer.Argument(metavar="TASK", help="Task, for example gridworld.")] = ""
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="NAME", help="Recipe: a name under runs/recipes/TASK, or a path to a .yaml file."
        ),
    ] = None
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace one value of the recipe, such as train.num_steps=1000."
        ),
    ] = dataclasses.field(default_factory=list)
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Replace the recipe's seed.")] = None
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Output folder instead of the run's own.")
    ] = None
    runs_dir: Annotated[
        Path, typer.Option("--runs-dir", envvar="BATON_RUNS", metavar="FOLDER", help="Where run folders are.")
    ] = Path("runs")
    force: Annotated[bool, typer.Option("--force", help="Redo a finished stage and replace what it made.")] = False
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="Device of the model: cpu, cuda, cuda:1.")] = (
        "cpu"
    )
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of numeric libraries in this process.")] = 1
    json: Annotated[bool, typer.Option("--json", help="Print one machine-readable object on stdout.")] = False

    def load_recipe(self, *more_settings: str) -> Any:
        """The recipe with ``--set``, ``more_settings`` and ``--seed`` applied. Raises UserError."""
        if self.recipe is None:
            what, known = f"the {self.stage} stage needs a recipe", names_of("recipe", self.task)
            remedy = f"baton {self.stage} TASK --recipe NAME" + (f", one of: {', '.join(known)}" if known else "")
            raise UserError(what, remedy=remedy)
        return load_recipe(self.recipe, self.task, (*self.settings, *more_settings), self.seed)

    def recipe_or_defaults(self, *more_settings: str) -> tuple[Any, str | None]:
        """The recipe and the name of its run; without ``--recipe`` the task's defaults, and None: for stages that can
        do with explicit paths. ``--set``, ``more_settings`` and ``--seed`` are applied to either. Raises UserError.
        """
        if self.recipe is not None:
            recipe = self.load_recipe(*more_settings)
            return recipe, recipe.name
        return default_recipe(self.task, (*self.settings, *more_settings), self.seed), None

    @property
    def progress_style(self) -> Style:
        """How long work shows itself: see `pipeline.progress`."""
        return choose_style(silent=self.json)

    def folder(self, run_name: str | None, stage: str | None = None) -> Path:
        """Folder of ``stage`` (default: this one): ``--out`` for this stage's own, else ``runs/<task>/<run>/<stage>``.

        Raises UserError when neither ``--out`` nor a recipe says where to write.
        """
        if self.out is not None and stage in (None, self.stage):
            return self.out
        if run_name is None:
            raise UserError(
                f"no folder for the {stage or self.stage} stage: neither a recipe nor a path says which",
                remedy="give --recipe NAME, or explicit paths (--out, and --input or --model where the stage has them)",
            )
        return self.runs_dir / self.task / run_name / (stage or self.stage)

    def request(self, folder: Path, config: Mapping[str, Any], **more: Any) -> StageRequest:
        """What this call asks of the run folder ``folder``; ``more`` are further fields of `StageRequest`."""
        return StageRequest(
            stage=self.stage,
            task=self.task,
            folder=folder,
            config=config,
            device=self.device,
            num_threads=self.threads,
            force=self.force,
            **more,
        )


def _parameter(field: "dataclasses.Field[Any]") -> inspect.Parameter:
    """An option as a parameter of a command."""
    default = field.default if field.default is not dataclasses.MISSING else []
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.type)


def own_parameters(options: type[Options]) -> dict[str, inspect.Parameter]:
    """The options of one stage alone, which are fields of a subclass."""
    fields = dataclasses.fields(options) if options is not Options else ()
    return {field.name: _parameter(field) for field in fields if field.name in options.__annotations__}


SHARED = {field.name: _parameter(field) for field in dataclasses.fields(Options) if field.name != "stage"}
SHARED["task"] = SHARED["task"].replace(default=inspect.Parameter.empty)  # the one that must be given
