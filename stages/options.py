"""The options that commands share, and what a stage gets of them."""

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.progress import Style, choose_style
from pipeline.recipe.load import LoadedRecipe, default_recipe, load_recipe

TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="Task, for example gridworld.")]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME", help="Recipe: a name under runs/recipes/TASK, or a path to a .yaml file."),
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one value of the recipe, such as train.num_steps=1000."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Replace the recipe's seed.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="Output folder instead of the run's own.")
]
RunsDirOption = Annotated[
    Path, typer.Option("--runs-dir", envvar="BATON_RUNS", metavar="FOLDER", help="Where run folders are.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Redo a finished stage and replace what it made.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="Device of the model: cpu, cuda, cuda:1.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Threads of numeric libraries in this process.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one machine-readable object on stdout.")]

# For stages' own parameters: explicit paths, so that a stage can be pointed at files that came from anywhere.
InputOption = Annotated[Path | None, typer.Option("--input", metavar="FILE", help="Input file instead of the run's.")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="inference_v1 file instead of the run's.")
]


@dataclasses.dataclass(frozen=True)
class Options:
    """The shared options of one call. A stage that leaves some out (``shared=`` of `command`) sees their defaults."""

    stage: str
    task: str = ""
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    seed: int | None = None
    out: Path | None = None
    runs_dir: Path = Path("runs")
    force: bool = False
    device: str = "cpu"
    threads: int = 1
    json: bool = False

    def load_recipe(self, *more_settings: str) -> LoadedRecipe:
        """The recipe with ``--set``, ``more_settings`` and ``--seed`` applied. Raises UserError."""
        if self.recipe is None:
            raise UserError(f"the {self.stage} stage needs a recipe", remedy=f"baton {self.stage} TASK --recipe NAME")
        return load_recipe(self.recipe, self.task, (*self.settings, *more_settings), self.seed)

    def recipe_or_defaults(self, *more_settings: str) -> tuple[Any, str | None]:
        """The recipe and the name of its run; without ``--recipe`` the task's defaults, and None: for stages that can
        do with explicit paths. ``--set``, ``more_settings`` and ``--seed`` are applied to either. Raises UserError.
        """
        if self.recipe is not None:
            recipe = self.load_recipe(*more_settings).recipe
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


def _template(
    task: TaskArgument,
    recipe: RecipeOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    seed: SeedOption = None,
    out: OutOption = None,
    runs_dir: RunsDirOption = Path("runs"),
    force: ForceOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """The shared options, in the order in which ``--help`` lists them. Never called: only its signature is used."""


SHARED = {parameter.name: parameter for parameter in inspect.signature(_template).parameters.values()}
