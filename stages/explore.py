"""``baton explore``: a map of what a generator thinks, in the browser, and what is generated from it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError
from pipeline.recipe.named import find_model
from stages.common import Result, command, main
from stages.options import HostOption, Options, PortOption, TokenOption

ActivationsOption = Annotated[
    list[Path],
    typer.Option(
        "--activations", metavar="FOLDER", help="A bundle, or an infer run with activations; several side by side."
    ),
]
ModelsOption = Annotated[
    list[Path],
    typer.Option(
        "--model", metavar="FILE", help="inference_v1 file or pretrained name, of the activations; to generate."
    ),
]
GeneratorOption = Annotated[
    str | None,
    typer.Option("--generator", metavar="URL", help="Generate on another machine, by `baton serve` of the same model."),
]
AuthOption = Annotated[
    list[str], typer.Option("--auth", metavar="USER:PASSWORD", help="Only those who log in; what they make is theirs.")
]
AuthFileOption = Annotated[
    Path | None, typer.Option("--auth-file", metavar="FILE", help="The same, a line each; keep it to yourself.")
]
SpaceOption = Annotated[
    Path | None,
    typer.Option("--space", metavar="FOLDER", help="Write a folder that runs as a Hugging Face Space, and end."),
]


@command("explore", shared=("task", "recipe", "settings", "out", "runs_dir", "device", "threads", "json"))
def app(
    options: Options,
    activations: ActivationsOption = [],  # noqa: B006 - typer copies it
    model: ModelsOption = [],  # noqa: B006
    generator: GeneratorOption = None,
    port: PortOption = 8008,
    host: HostOption = "127.0.0.1",
    token: TokenOption = None,
    auth: AuthOption = [],  # noqa: B006
    auth_file: AuthFileOption = None,
    space: SpaceOption = None,
) -> Result:
    """Wander through recorded activations on a map in the browser, generate from there, and keep what you made as rows.

    Several activations are shown side by side with the same records linked. A model generates for the activations that
    were recorded of it. What people make is kept in `--out`: their own, by a cookie or by who they log in as.

    Example: baton explore diffusion --recipe demo

    Example: baton explore diffusion --model a.inference_v1 --activations a/infer --activations b/infer
    """
    from pipeline.explore.door import read_passwords  # here: `--help` need not wait for what a server needs
    from pipeline.explore.serve import Wanted, serve_explorer

    run_name = options.load_recipe().name if options.recipe is not None else None
    if not activations and run_name is None:
        what = "there is nothing to explore: neither a recipe nor a path says which activations"
        raise UserError(what, remedy=f"baton explore {options.task} --recipe NAME, or --activations FOLDER")
    if generator and model:
        raise UserError("--generator and --model both say what generates", remedy="leave one of them out")
    if not activations:
        activations = [options.folder(run_name, "infer")]
        model = model or ([] if generator else [options.folder(run_name, "export") / "model.inference_v1"])
    wanted = Wanted(
        task=options.task,
        bundles=activations,
        models=[find_model(path, options.task) for path in model],
        folder=options.out or options.runs_dir / options.task / (run_name or ".") / "explore",
        generator=generator,
        device=options.device,
    )
    if space is not None:
        from pipeline.explore.space import write_space

        written = write_space(wanted, space)
        return Result([f"explore: a Space, in {space}", *(f"  {path}" for path in written)], {"folder": str(space)})
    serve_explorer(wanted, read_passwords(auth, auth_file), host, port, token)
    return Result()


if __name__ == "__main__":
    main(app)
