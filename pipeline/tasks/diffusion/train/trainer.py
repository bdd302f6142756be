"""The training of a generator. `pipeline.train` has the loop around it, with its files, its saving and its going on."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.files import Appender
from pipeline.tasks.diffusion.data.load import Split, load_split
from pipeline.tasks.diffusion.evaluate.distances import frechet_distance, moments
from pipeline.tasks.diffusion.model.model import DiffusionModel, Judgement
from pipeline.tasks.diffusion.model.network import DiffusionBrain, brain_spec, build
from pipeline.tasks.diffusion.pixels import Pixels, encode_png, to_values
from pipeline.tasks.diffusion.recipe import DiffusionRecipe
from pipeline.tasks.diffusion.rows import DiffusionEpisode, DiffusionMonitor, DiffusionProgress
from pipeline.tasks.diffusion.train.judge import fit_judge
from pipeline.tasks.diffusion.train.learner import Learner
from pipeline.train import trainer
from pipeline.train.loop import run_training
from pipeline.train.tail import Tail
from pipeline.train.trainer import RESUME
from schemas.brain import BrainSpec

MONITOR_SEED = 10_000  # of the first image that is monitored; every training is monitored on the same noise
MAX_SHOWN = 20  # images of a live sample
DISTANCE_WEIGHT = 0.001  # 5, which halves of real digits are apart, counts as much as one wrong image of 200
_DIGITS = 5


def make_brain(recipe: DiffusionRecipe, split: Split) -> BrainSpec:
    """The spec of a recipe's network for these images."""
    images = split.train.images
    network = DiffusionBrain(
        **msgspec.structs.asdict(recipe.network),
        size=images.shape[1],
        channels=images.shape[3],
        labels=split.train.names,
        sigma_data=round(float(to_values(images).std(dtype=np.float64)), 3),
        num_train=len(images),
    )
    return brain_spec(network)


class Trainer(trainer.Trainer[Learner]):
    """All batches follow from the seed and the step. The judge is trained before the first one."""

    recipe: DiffusionRecipe
    report_every = 10
    plain_state = ("judge_accuracy", "recent", "summed", "num_summed", "accuracy")

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.recipe, DiffusionRecipe)
        self.split = load_split(job.recipe.data)
        super().__init__(job, make_brain(job.recipe, self.split))
        self.train, self.seed = job.recipe.train, job.recipe.seed
        self.learner = Learner(job.recipe, self.brain, job.device)
        self.values = to_values(self.split.train.images)
        self.judge_accuracy = self.recent = self.summed = self.accuracy = 0.0
        self.num_summed = 0
        if not (job.resume and (job.folder / RESUME).exists()):
            first = build(self.brain, torch.Generator().manual_seed(self.seed))
            self.judge_accuracy = fit_judge(first, self.split, self.train.judge, self.seed)
            self.learner.take_judge(first)

    @property
    def step(self) -> int:
        """Batches learned from so far."""
        return self.learner.update_count

    def advance(self, progress: Appender, tail: Tail) -> None:
        """Draw a batch and learn from it; every so often, show what the model generates now."""
        generator = np.random.default_rng((self.seed, 1, self.step))
        chosen = generator.integers(len(self.values), size=self.train.batch_size)
        loss = self.learner.update(self.values[chosen], self.split.train.labels[chosen], generator)
        self.recent = loss if self.step == 1 else 0.98 * self.recent + 0.02 * loss
        self.summed, self.num_summed = self.summed + loss, self.num_summed + 1
        if self.step % self.train.progress_every == 0:
            self.finish(progress)
        if self.step % self.train.sample_every == 0:
            self._sample(tail)

    def finish(self, progress: Appender) -> None:
        """The loss since the last row."""
        if not self.num_summed:
            return
        progress.append(
            DiffusionProgress(
                id=self.step_name,
                step=self.step,
                loss=round(self.summed / self.num_summed, _DIGITS),
                learning_rate=self.learner.learning_rate(self.step - 1),
                images_seen=self.step * self.train.batch_size,
            )
        )
        self.summed, self.num_summed = 0.0, 0

    @property
    def _model(self) -> DiffusionModel:
        return DiffusionModel(self.learner.average, self.brain, {}, "in training")

    def _generate(self, labels: Sequence[str]) -> tuple[Pixels, list[Judgement]]:
        """Images of classes, from noise that is the same at every step, and what the judge says."""
        model = self._model
        images = model.predict(labels, range(MONITOR_SEED, MONITOR_SEED + len(labels)))
        return images, model.judge(list(images))

    def _sample(self, tail: Tail) -> None:
        names = self.split.train.names
        labels = names[:: -(-len(names) // MAX_SHOWN)]
        images, judged = self._generate(labels)
        name, step, loss, ended_unix_s = self.step_name, self.step, self.recent, time.time()
        said = [names[int(one.probabilities.argmax())] for one in judged]

        def build_row(num_dropped_before: int) -> DiffusionEpisode:
            return DiffusionEpisode(
                id=name,
                step=step,
                ended_unix_s=ended_unix_s,
                num_dropped_before=num_dropped_before,
                loss=round(loss, _DIGITS),
                images_png=tuple(encode_png(image) for image in images),
                labels=labels,
                judged=tuple(said),
                probabilities=tuple(round(float(one.probabilities.max()), 4) for one in judged),
                num_right=sum(a == b for a, b in zip(labels, said, strict=True)),
            )

        tail.offer(build_row)

    def monitor(self) -> DiffusionMonitor:
        """Judge what the averaged weights generate, and keep a checkpoint. Selected is that with the most images of the
        right class; the Frechet distance, which hardly sees a few wrong ones, counts where that is much the same."""
        names = self.split.train.names
        labels = [names[k % len(names)] for k in range(self.train.monitor_images)]
        _, judged = self._generate(labels)
        right = [names[int(one.probabilities.argmax())] == label for one, label in zip(judged, labels, strict=True)]
        real = self._model.judge(list(self.split.heldout.images[: self.train.monitor_images]))
        features = [np.stack([one.features for one in group]).astype(np.float64) for group in (judged, real)]
        distance = frechet_distance(*(moments(group) for group in features))
        self.accuracy = float(np.mean(right))
        selected_by = self.accuracy - DISTANCE_WEIGHT * distance
        return DiffusionMonitor(
            id=self.step_name,
            step=self.step,
            checkpoint=self.keep(selected_by),
            selected_by=round(selected_by, _DIGITS),
            num_images=len(labels),
            accuracy=round(self.accuracy, _DIGITS),
            frechet_distance=round(distance, _DIGITS),
            loss=round(self.recent, _DIGITS),
        )

    def facts(self) -> Mapping[str, float | str]:
        """What the progress display shows."""
        return {"loss": round(self.recent, 4), "accuracy": round(self.accuracy, 3) if self.best_checkpoint else "-"}

    def counts(self) -> Mapping[str, int]:
        """How many images were learned from."""
        return {"images": self.step * self.train.batch_size}

    def notes(self) -> Mapping[str, float]:
        """What was selected by, and how far the judge is right."""
        return {"selected_by": self.best, "judge_accuracy": self.judge_accuracy}

    def checkpoint_facts(self) -> Mapping[str, Any]:
        """How much was learned from, from which images, and how often the judge is right on held-out ones."""
        return {
            "images_seen": self.step * self.train.batch_size,
            "data_sha256": self.split.train.sha256,
            "judge_accuracy": self.judge_accuracy,
            "num_heldout": len(self.split.heldout),
        }


def train(job: TrainJob) -> TrainOutcome:
    """Train by the job's recipe."""
    return run_training(job, Trainer)


PART = TrainPart(train=train)
