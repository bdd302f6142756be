"""A training that takes a second, by tier and network."""

from pathlib import Path
from typing import Any

import msgspec

from pipeline.export import export_model
from pipeline.tasks.localization.recipe import LocalizationRecipe
from pipeline.train.loop import SELECTED
from tests.support.trainings import train_in

LEVELS: dict[str, Any] = {
    "schema": "recipe_v1",
    "task": "localization",
    "name": "small",
    "seed": 3,
    "network": {"type": "mlp", "hidden": [16, 16], "num_components": 2},
    "optimizer": {"learning_rate": 0.01, "average_decay": 0.9},
    "train": {
        "num_steps": 12,
        "batch_size": 16,
        "monitor_every": 6,
        "checkpoint_every": 4,
        "progress_every": 5,
        "sample_every": 3,
        "num_monitored": 50,
    },
    "examples": {"num_records": 40},
}
TIMES = LEVELS | {
    "world": {"tier": "times"},
    "network": {"type": "weighing", "width": 16, "pair_width": 8, "num_free": 2},
    "train": LEVELS["train"] | {"kinds": ["clean", "one_late_3us"]},
}
ANY = TIMES | {"network": TIMES["network"] | {"receivers": "any", "num_slots": 7}}
RECIPES = {"levels": LEVELS, "times": TIMES, "any": ANY}


def recipe(data: dict[str, Any], **train: Any) -> LocalizationRecipe:
    """A recipe of these values."""
    return msgspec.convert(data | {"train": data["train"] | train}, LocalizationRecipe)


def export_small(folder: Path, wanted: LocalizationRecipe) -> Path:
    """Train and export; the model file."""
    train_in(folder, wanted)
    return export_model(folder / SELECTED, folder / "model.inference_v1", task="localization").path
