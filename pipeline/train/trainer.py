"""A trainer: the whole state of a training, and what all tasks do with it - keep the best, save it, go on from it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from pipeline.contract.jobs import TrainJob
from pipeline.files import Appender
from pipeline.files.hashes import canonical_json
from pipeline.train.checkpoint import load_checkpoint, save_checkpoint
from pipeline.train.learner import AveragedLearner
from pipeline.train.tail import Tail
from schemas.brain import BrainSpec
from schemas.recipe import Recipe
from schemas.rows import Monitor

RESUME = "resume.checkpoint_v1"
_OWN_STATE = ("best", "best_checkpoint", "kept_at", "started_from")

Learner = TypeVar("Learner", bound=AveragedLearner[Any])


class Trainer(ABC, Generic[Learner]):
    """One method a rhythm: `advance`, `monitor`, `save`. A task adds how to go on, and how that is measured.

    ``report_every`` so many steps the progress display is told. ``plain_state`` names the attributes that are needed to
    go on and are numbers, texts, or lists and dicts of them; a task adds what is none of these to `get_state`.
    ``best_checkpoint`` is a path in the folder ("" before the first `monitor`), ``best`` what it was selected by;
    ``kept_at`` is the step of the last checkpoint that was kept, ``started_from`` what `pipeline.train.start` took.
    """

    recipe: Recipe
    learner: Learner
    report_every: int
    step_digits: ClassVar[int] = 8  # of the step in names of checkpoints and rows
    plain_state: ClassVar[tuple[str, ...]] = ()

    def __init__(self, job: TrainJob, brain: BrainSpec) -> None:
        self.recipe, self.folder, self.brain = job.recipe, job.folder, brain
        self.best, self.best_checkpoint, self.kept_at = -float("inf"), "", -1
        self.started_from: dict[str, Any] = {}

    @property
    @abstractmethod
    def step(self) -> int:
        """How far the training is, in the unit of the recipe's ``num_steps``."""

    @abstractmethod
    def advance(self, progress: Appender, tail: Tail) -> None:
        """Go on by the smallest step there is."""

    @abstractmethod
    def monitor(self) -> Monitor:
        """Measure the model as it is, `keep` a checkpoint, and say how it did."""

    def finish(self, progress: Appender) -> None:
        """Append what is left to say at the end; a training that is made longer goes on as if it had not been said."""

    @abstractmethod
    def facts(self) -> Mapping[str, float | str]:
        """What the progress display shows."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """What the manifest of the finished training counts."""

    @abstractmethod
    def notes(self) -> Mapping[str, Any]:
        """What the manifest of the finished training notes."""

    @abstractmethod
    def checkpoint_facts(self) -> Mapping[str, Any]:
        """What a checkpoint says about the moment it is of."""

    @property
    def step_name(self) -> str:
        """``step-00000500``: the id of what is written about this step."""
        return f"step-{self.step:0{self.step_digits}d}"

    @property
    def _checkpoint_name(self) -> str:
        return f"checkpoints/{self.step_name.replace('-', '_')}.checkpoint_v1"

    def keep(self, selected_by: float) -> str:
        """Write a checkpoint of this moment into the folder, and remember whether it is the best; returns its path."""
        name = self._checkpoint_name
        if selected_by > self.best:
            self.best, self.best_checkpoint = selected_by, name
        save_checkpoint(self.folder / name, self.checkpoint())
        self.kept_at = self.step
        return name

    @property
    def depends_on_length(self) -> bool:
        """Whether what is done at a step depends on how many there will be."""
        return self.learner.schedule != "constant"

    def _recipe_facts(self) -> dict[str, Any]:
        recipe = msgspec.to_builtins(self.recipe)
        return {"recipe": recipe, "recipe_hash": hashlib.sha256(canonical_json(recipe)).hexdigest()}

    def checkpoint(self) -> dict[str, Any]:
        """What is needed to export this moment."""
        return {
            "format": "checkpoint_v1",
            "task": self.recipe.task,
            "step": self.step,
            "brain": msgspec.to_builtins(self.brain),
            **self._recipe_facts(),
            "facts": dict(self.checkpoint_facts()),
            "average_weights": self.learner.average.state_dict(),
        }

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors, builtins, and dicts of them."""
        plain = {name: getattr(self, name) for name in (*self.plain_state, *_OWN_STATE)}
        return self.checkpoint() | self.learner.get_state() | {"trainer": plain}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.learner.set_state(state)
        older = {"kept_at": state["step"]}  # trainings of before it was saved ended with a checkpoint
        for name, value in (older | state["trainer"]).items():
            setattr(self, name, value)

    def save(self, offsets: dict[str, int]) -> None:
        """Write ``resume.checkpoint_v1``; ``offsets`` are the lengths in bytes of the files written so far."""
        save_checkpoint(self.folder / RESUME, self.get_state() | {"offsets": offsets})

    def load(self) -> dict[str, int]:
        """Go on from `save`; returns the offsets it was given. Raises UserError when the checkpoint does not read.

        Of a training that ended there, and is longer now, nothing is left that tells of the end.
        """
        state = load_checkpoint(self.folder / RESUME)
        self.set_state(state)
        if self.kept_at != self.step:
            (self.folder / self._checkpoint_name).unlink(missing_ok=True)
        if state["recipe_hash"] != self._recipe_facts()["recipe_hash"] and not self.depends_on_length:
            for kept in sorted(self.folder.glob("checkpoints/*.checkpoint_v1")):
                save_checkpoint(kept, load_checkpoint(kept) | self._recipe_facts())
        offsets: dict[str, int] = state["offsets"]
        return offsets
