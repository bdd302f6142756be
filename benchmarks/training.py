"""A training that a benchmark drives by hand: the stage's own parts, advanced as many steps as asked for."""

from pathlib import Path
from typing import Any

import torch

from pipeline.contract.jobs import TrainJob
from pipeline.files import Appender
from pipeline.recipe.load import load_recipe
from pipeline.tasks.gridworld.recipe import GridworldRecipe
from pipeline.tasks.gridworld.train.trainer import Trainer
from pipeline.train.checkpoint import save_checkpoint
from pipeline.train.tail import Tail
from pipeline.train.trainer import RESUME

ROOT = Path(__file__).resolve().parents[1]


def bench_recipe(*settings: str) -> GridworldRecipe:
    """The recipe of level full, learning from the second vector step on, with ``settings`` applied."""
    path = ROOT / "runs/recipes/gridworld/full.yaml"
    recipe: GridworldRecipe = load_recipe(path, "gridworld", ("train.warmup_steps=256", *settings))
    return recipe


class Bench:
    """One training in this process."""

    def __init__(self, recipe: GridworldRecipe, folder: Path) -> None:
        torch.set_num_threads(recipe.train.num_threads)
        torch.set_flush_denormal(True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.trainer = Trainer(TrainJob(recipe, folder, False, "cpu", _silent))
        self.progress = Appender(folder / "progress.jsonl")
        self.tail = Tail(folder / "episodes.jsonl")

    def advance(self, num_vector_steps: int) -> None:
        """Step, learn, write; returns when the tail has written what it was offered."""
        for _ in range(num_vector_steps):
            self.trainer.advance(self.progress, self.tail)
        self.progress.flush()
        self.tail.drain()

    def save(self) -> tuple[Path, Path]:
        """Write the checkpoint of the weights and the one that resumes; returns both paths."""
        kept = self.folder / "kept.checkpoint_v1"
        save_checkpoint(kept, self.trainer.checkpoint())
        self.trainer.save({"progress": self.progress.offset, "monitor": 0, "episodes": self.tail.drain()})
        return kept, self.folder / RESUME

    def close(self) -> None:
        """Close the files."""
        self.tail.close()
        self.progress.close()


def _silent(done: int, total: int, facts: Any) -> None:
    """Report nothing."""
