"""The training. `pipeline.train` has the loop around it, with its files, its saving and its going on."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.files import Appender
from pipeline.tasks.localization.infer.predict import LocalizationModel
from pipeline.tasks.localization.model.brain import MlpBrain, NetworkBrain, WeighingBrain, brain_spec, places, scales
from pipeline.tasks.localization.model.inputs import network_inputs
from pipeline.tasks.localization.model.network import Network, build
from pipeline.tasks.localization.recipe import LocalizationRecipe, Mlp
from pipeline.tasks.localization.rows import Episode, Monitor, Progress
from pipeline.tasks.localization.train.batches import Source, open_source
from pipeline.tasks.localization.train.learner import Learner, truth_km
from pipeline.train import trainer
from pipeline.train.loop import run_training
from pipeline.train.tail import Tail

_DIGITS = 5


def make_brain(recipe: LocalizationRecipe, source: Source) -> NetworkBrain:
    """The network that a recipe asks for, made for the receivers and the scales of what it learns from."""
    monitored, options = source.monitored, recipe.network
    levels = monitored.level_dbm[np.isfinite(monitored.level_dbm)]
    named = isinstance(options, Mlp) or options.receivers == "named"
    kind = MlpBrain if isinstance(options, Mlp) else WeighingBrain
    return kind(
        **msgspec.structs.asdict(options),
        receivers_known=places(source.names, source.places) if named else (),
        scales=scales(monitored.truth, levels),
    )


class Trainer(trainer.Trainer[Learner]):
    """What is learnt from follows from the seed and the step, so that nothing of it has to be kept to go on."""

    recipe: LocalizationRecipe
    report_every = 50
    plain_state = ("total", "num_summed", "recent")

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.recipe, LocalizationRecipe)
        self.source = open_source(job.recipe)
        self.network = make_brain(job.recipe, self.source)
        super().__init__(job, brain_spec(self.network))
        seed, options = job.recipe.seed, job.recipe.train

        def make() -> Network:
            return build(self.brain, torch.Generator().manual_seed(seed))

        self.learner = Learner(job.recipe.optimizer, make, options.num_steps, job.device)
        self.monitored = network_inputs(self.network, self.source.monitored)
        self.monitored_truth = truth_km(self.source.monitored, self.monitored)
        self.sampled = self.source.sample(options.num_sampled)
        self.total, self.num_summed, self.recent = 0.0, 0, 0.0

    @property
    def step(self) -> int:
        """Batches learned from so far."""
        return self.learner.update_count

    def advance(self, progress: Appender, tail: Tail) -> None:
        """Learn from a batch; every so often, show what the model says now."""
        options, measured = self.recipe.train, self.source.batch(self.step)
        inputs = network_inputs(self.network, measured)
        loss = self.learner.update(inputs, truth_km(measured, inputs))
        self.recent = loss if self.step == 1 else 0.98 * self.recent + 0.02 * loss
        self.total, self.num_summed = self.total + loss, self.num_summed + 1
        if self.step % options.progress_every == 0:
            self.finish(progress)
        if self.step % options.sample_every == 0:
            self._sample(tail)

    def finish(self, progress: Appender) -> None:
        """The mean loss since the last row."""
        if self.num_summed:
            mean = round(self.total / self.num_summed, _DIGITS)
            progress.append(Progress(id=self.step_name, step=self.step, loss=mean))
        self.total, self.num_summed = 0.0, 0

    def _sample(self, tail: Tail) -> None:
        fixes = tuple(LocalizationModel(self.learner.average, self.brain, {}, "").predict(self.sampled))
        said: dict[str, Any] = {"id": self.step_name, "step": self.step, "loss": round(self.recent, _DIGITS)}
        said |= {"ended_unix_s": time.time(), "fixes": fixes}
        tail.offer(lambda num_dropped: Episode(num_dropped_before=num_dropped, **said))

    def monitor(self) -> Monitor:
        """Measure the averaged weights and keep a checkpoint; the likeliest one is selected."""
        median, negative = self.learner.measure(self.monitored, self.monitored_truth)
        return Monitor(
            id=self.step_name,
            step=self.step,
            checkpoint=self.keep(-negative),
            selected_by=round(-negative, _DIGITS),
            median_error_m=round(median, 2),
            negative_log_likelihood=round(negative, _DIGITS),
        )

    def facts(self) -> Mapping[str, float | str]:
        """What the progress display shows."""
        return {"loss": round(self.recent, 3), "best": round(-self.best, 3) if self.best_checkpoint else "-"}

    def counts(self) -> Mapping[str, int]:
        """How many transmissions were learned from."""
        return {"transmissions": self.step * self.recipe.train.batch_size}

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
