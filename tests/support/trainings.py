"""Trainings in this process, as the stage train asks for them."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart, TrainPart
from pipeline.train.trainer import RESUME
from schemas.recipe import Recipe


def train_in(
    folder: Path,
    recipe: Recipe | dict[str, Any],
    *,
    stop_after: int | None = None,
    resume: bool = False,
    start: dict[str, Tensor] | None = None,
) -> TrainOutcome:
    """Train by a recipe, or the plain values of one. Raises KeyboardInterrupt where the training is stopped, when it
    has asked ``stop_after`` times whether it should."""
    questions = itertools.count()
    if not isinstance(recipe, Recipe):
        recipe = msgspec.convert(recipe, load_part(recipe["task"], RecipePart).recipe)
    folder.mkdir(exist_ok=True)
    job = TrainJob(
        recipe=recipe,
        folder=folder,
        resume=resume,
        device="cpu",
        report=lambda done, total, facts: None,
        should_stop=lambda: stop_after is not None and next(questions) >= stop_after,
        start=start,
    )
    return load_part(recipe.task, TrainPart).train(job)


def results_of(folder: Path) -> dict[str, bytes]:
    """What must not depend on interruptions: all but the tail, which carries the clock."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "episodes.jsonl"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names if path.name != RESUME}
