"""The gate before an alias moves: do the predictions of that very version pass?"""

from pathlib import Path

import msgspec

from pipeline.contract.load import load_part
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.files import read
from pipeline.gate.run import GateJob, GateReport, run_gate
from pipeline.gate.spec import load_gate
from pipeline.model.container import ModelFile
from pipeline.recipe.load import default_recipe


def gate_version(model: Path, gate: str, predictions: Path | None) -> GateReport:
    """Judge the predictions of a model file by a gate of its task, against the gate's own baseline.

    Raises UserError when there are no predictions, or when they are those of another model.
    """
    header = ModelFile(model).header
    task, model_id = str(header.metadata.get("task")), header.weights_hash[:16]
    remedy = f"baton infer {task} --model {model} --input EXAMPLES --out FOLDER, then --input FOLDER/predictions.jsonl"
    if predictions is None:
        raise UserError("a gate judges predictions, and none were given", where="--gate", remedy=remedy)
    models = {row.model for row in read(predictions, load_part(task, RowsPart).prediction)}
    if models != {model_id}:
        others = ", ".join(sorted(models - {model_id})) or "nobody"
        what = f"these are predictions of {others}, not of {model_id}"
        raise UserError(what, where=str(predictions), remedy=remedy)
    spec, path = load_gate(gate, task)
    assert path is not None  # of a gate that was named
    settings = [f"evaluate.{key}={msgspec.json.encode(value).decode()}" for key, value in spec.evaluate.items()]
    return run_gate(
        GateJob(
            spec=spec,
            options=getattr(default_recipe(task, settings), "evaluate", None),
            input=predictions,
            baseline=path.parent / (spec.baseline or f"{spec.name}.baseline.json"),
            where=str(path),
        )
    )
