"""Several models that answer as one, of a task whose infer part knows how."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.contract.jobs import EnsembleRule, Source
from pipeline.contract.load import load_part
from pipeline.contract.parts import InferPart
from pipeline.errors import UserError
from pipeline.recipe.named import find_model

if TYPE_CHECKING:
    from pipeline.contract.model import Model


def ensemble_source(task: str, models: Sequence[Path], rule: EnsembleRule | None) -> Source:
    """The models, each by path or by name, as one source.

    Raises UserError for fewer than two, without a rule, and where the task has no ensembles.
    """
    if len(models) < 2:
        raise UserError(
            "an ensemble needs two models or more",
            where="--ensemble",
            remedy="give --model A --model B, or no --ensemble",
        )
    if rule is None:
        raise UserError(
            f"{len(models)} models, and nothing says how they answer together",
            where="--model",
            remedy="give --ensemble mean, vote or least_disagreement, or one --model",
        )
    if load_part(task, InferPart).ensemble is None:
        raise UserError(
            f"task {task!r} has no ensembles: it does not say how several models answer together",
            where="--ensemble",
            remedy="run infer once for each --model, and `baton compare` what they say",
        )
    members = {f"model {number}": find_model(path, task) for number, path in enumerate(models, start=1)}
    return Source(files=members, config={"ensemble": rule}, ensemble=rule)


def open_model(task: str, source: Source, device: str) -> "Model | None":
    """The model file of a source, or all of them as one; None where it has none. Raises UserError."""
    if source.model_file is None and source.ensemble is None:
        return None
    from pipeline.model.file import load_model  # here: it loads torch, and not every backend needs it

    if source.model_file is not None:
        return load_model(source.model_file, task=task, device=device)
    members: list[Any] = [load_model(path, task=task, device=device) for path in source.files.values()]
    together = load_part(task, InferPart).ensemble
    assert together is not None and source.ensemble is not None
    return together(members, source.ensemble)
