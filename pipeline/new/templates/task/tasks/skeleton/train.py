"""The training. `pipeline.train` has the loop around it, with its files, its saving and its going on."""

import time
from collections.abc import Mapping

import numpy as np
import torch
from msgspec.structs import replace
from torch.nn import functional as F

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.files import Appender
from pipeline.train import trainer
from pipeline.train.learner import AveragedLearner
from pipeline.train.loop import run_training
from pipeline.train.tail import Tail

from .curve import Points, draw_points
from .model.network import Network, brain_spec, build
from .recipe import SkeletonRecipe
from .rows import Episode, Monitor, Progress

GRID = np.linspace(-1.0, 1.0, 21, dtype=np.float32)  # where the live view looks
MONITOR_SEED = 1  # every training is monitored on the same points
NUM_MONITORED = 200


class Learner(AveragedLearner[Network]):
    """The network that learns, and the average of its weights, which is monitored and exported."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Its learning rate is set before each update."""
        return torch.optim.Adam(self.weights, self.options.learning_rate)

    def update(self, x: Points, y: Points) -> float:
        """One gradient step from points [B]; returns their mean squared error."""
        loss = F.mse_loss(self.online(self.tensor(x[:, None])), self.tensor(y[:, None]))
        self.descend(loss)
        return float(loss.detach())

    @torch.inference_mode()
    def say(self, x: Points) -> Points:
        """What the averaged weights say of points [N]."""
        said: Points = self.average(self.tensor(x[:, None])).squeeze(1).cpu().numpy()
        return said


class Trainer(trainer.Trainer[Learner]):
    """All points follow from the seed and the step, so that nothing of them has to be kept to go on."""

    recipe: SkeletonRecipe
    report_every = 50
    plain_state = ("loss",)

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.recipe, SkeletonRecipe)
        super().__init__(job, brain_spec(job.recipe.network))
        seed, options = job.recipe.seed, job.recipe.train

        def make() -> Network:
            return build(self.brain, torch.Generator().manual_seed(seed))

        self.learner = Learner(job.recipe.optimizer, make, options.num_steps, job.device)
        self.monitored = draw_points(NUM_MONITORED, np.random.default_rng(MONITOR_SEED))
        self.loss = 0.0

    @property
    def step(self) -> int:
        """Batches learned from so far."""
        return self.learner.update_count

    def advance(self, progress: Appender, tail: Tail) -> None:
        """Draw a batch and learn from it; every so often, show what the model says now."""
        options = self.recipe.train
        x, y = draw_points(options.batch_size, np.random.default_rng((self.recipe.seed, 1, self.step)))
        self.loss = self.learner.update(x, y)
        progress.append(Progress(id=self.step_name, step=self.step, loss=self.loss))
        if self.step % options.sample_every == 0:
            self._sample(tail)

    def _sample(self, tail: Tail) -> None:
        row = Episode(
            id=self.step_name,
            step=self.step,
            ended_unix_s=time.time(),
            loss=self.loss,
            xs=tuple(GRID.tolist()),
            ys=tuple(np.sin(3.0 * GRID).tolist()),
            predicted=tuple(self.learner.say(GRID).tolist()),
        )
        tail.offer(lambda num_dropped: replace(row, num_dropped_before=num_dropped))

    def monitor(self) -> Monitor:
        """Measure the averaged weights and keep a checkpoint; the one with the least error is selected."""
        x, y = self.monitored
        error = float(np.abs(self.learner.say(x) - y).mean())
        kept = self.keep(-error)
        return Monitor(id=self.step_name, step=self.step, checkpoint=kept, selected_by=-error, absolute_error=error)

    def facts(self) -> Mapping[str, float | str]:
        """What the progress display shows."""
        return {"loss": round(self.loss, 5)}

    def counts(self) -> Mapping[str, int]:
        """How many points were learned from."""
        return {"points": self.step * self.recipe.train.batch_size}

    def notes(self) -> Mapping[str, float]:
        """What was selected by."""
        return {"selected_by": self.best}

    def checkpoint_facts(self) -> Mapping[str, int]:
        """How much was learned from."""
        return dict(self.counts())


def train(job: TrainJob) -> TrainOutcome:
    """Train by the job's recipe."""
    return run_training(job, Trainer)


PART = TrainPart(train=train)
