"""``baton export``: freeze one checkpoint into one self-contained, self-verifying file."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from pipeline.errors import UserError
from pipeline.recipe.named import find_model
from pipeline.run.folder import stage_run
from stages.common import Result, command, finished, main
from stages.options import ModelOption, Options

MODEL, ONNX = "model.inference_v1", "model.onnx"

Format = Literal["inference_v1", "onnx"]

CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="FILE", help="Checkpoint instead of the run's selected one.")
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="onnx: the run's model (or --model) as one ONNX file, into export-onnx/.")
]
TrainedInOption = Annotated[
    list[str],
    typer.Option(
        "--trained-in",
        metavar="KEY=VALUE",
        help="What an old checkpoint_v0 does not say, such as level=full and encoding=grid.",
    ),
]


@command("export", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "threads", "json"))
def app(
    options: Options,
    checkpoint: CheckpointOption = None,
    format: FormatOption = "inference_v1",
    model: ModelOption = None,
    trained_in: TrainedInOption = [],  # noqa: B006 - typer copies it
) -> Result:
    """Freeze one checkpoint into one self-contained, self-verifying file.

    The file is opened again and tried on its golden inputs before the stage says that it is done.

    Example: baton export gridworld --recipe demo

    Example: baton export gridworld --checkpoint old.pt --trained-in level=full --trained-in encoding=grid --out frozen

    Example: baton export gridworld --recipe demo --format onnx
    """
    recipe, run_name = options.recipe_or_defaults()
    if format == "onnx":
        if checkpoint is not None or trained_in:
            what = "ONNX is made from an inference_v1 file, not from a checkpoint"
            raise UserError(
                what, where="--format onnx", remedy="export without --format first, then give it as --model"
            )
        model = find_model(model, options.task) if model else _run_folder(options, run_name, "export") / MODEL
        return _export_onnx(options, model, options.out or _run_folder(options, run_name, "export-onnx"))
    if model is not None:
        raise UserError("--model is for --format onnx", remedy="give a checkpoint with --checkpoint")
    checkpoint = checkpoint or _run_folder(options, run_name, "train") / "selected.checkpoint_v1"
    plain = msgspec.to_builtins(recipe) if options.recipe or options.settings else {}
    asked = {key: section for key, section in plain.items() if recipe.belongs_to.get(key) == "export"}
    return _export_model(options, checkpoint, options.folder(run_name), parse_pairs(trained_in), asked)


def _run_folder(options: Options, run_name: str | None, name: str) -> Path:
    """Folder ``name`` of the run, whatever ``--out`` says."""
    return replace(options, out=None).folder(run_name, name)


def parse_pairs(texts: Sequence[str]) -> dict[str, str]:
    """``["level=full"]`` to ``{"level": "full"}``. Raises UserError on anything else."""
    pairs = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not (key and separator and value):
            raise UserError(
                f"--trained-in takes KEY=VALUE, not {text!r}", remedy="for example: --trained-in level=full"
            )
        pairs[key] = value
    return pairs


def _export_model(
    options: Options, checkpoint: Path, folder: Path, trained_in: dict[str, str], asked: dict[str, Any]
) -> Result:
    """``asked`` are the recipe's sections of export, instead of those of the training."""
    config = {"format": "inference_v1", "trained_in": trained_in, **asked}
    request = options.request(folder, config, inputs={"checkpoint": checkpoint}, writes=(MODEL,))
    with stage_run(request) as run:
        if not run.up_to_date:
            from pipeline.export import export_model  # loaded here: torch takes seconds, and wrong input is told before

            made = export_model(checkpoint, folder / MODEL, task=options.task, environment=trained_in, sections=asked)
            facts = msgspec.to_builtins({f.name: getattr(made, f.name) for f in fields(made) if f.name != "path"})
            counts = {"num_parameters": made.num_parameters, "num_bytes": made.num_bytes}
            run.record({"model": made.path}, counts, facts)
    notes = run.notes or (run.previous.notes if run.previous else {})
    return finished("export", run, [f"  filled in: {text}" for text in notes.get("filled_in", ())], **notes)


def _export_onnx(options: Options, model: Path, folder: Path) -> Result:
    request = options.request(folder, {"format": "onnx"}, inputs={"model": model}, writes=(ONNX,))
    with stage_run(request) as run:
        if not run.up_to_date:
            from pipeline.model.onnx import export_onnx

            made = export_onnx(model, folder / ONNX)
            differs = {"largest_difference": made.largest_difference, "tolerance": made.tolerance}
            named = {"inputs": list(made.inputs), "outputs": list(made.outputs)}
            run.record({"onnx": made.path}, {"num_bytes": made.num_bytes}, differs | named)
    notes = run.notes or (run.previous.notes if run.previous else {})
    found, allowed = notes["largest_difference"], notes["tolerance"]
    return finished("export", run, [f"  differs from torch by {found:.2g} at most (allowed {allowed:.2g})"], **notes)


if __name__ == "__main__":
    main(app)
