"""The training of detection: draw scenes, learn, monitor, checkpoint; resumed it ends in the same bytes.

What it leaves in its folder (`pipeline.train.loop`):

- ``progress.jsonl``      the losses, every ``progress_every`` steps
- ``episodes.jsonl``      the live tail: images with what the model in training wrote for them, and the truth
- ``monitor.jsonl``       the averaged weights, greedy, on monitoring scenes; ``selected.checkpoint_v1`` is the one with
  the highest average precision there

The scenes of a step, and all that is random in it, follow from the seed and the step's number: nothing of it has to be
kept to go on.
"""

import base64
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.errors import UserError
from pipeline.files import Appender
from pipeline.tasks.detection.images import png_of
from pipeline.tasks.detection.model.decode import write_texts
from pipeline.tasks.detection.model.network import VisionTextBrain, brain_spec
from pipeline.tasks.detection.model.tokens import VOCABULARIES, Geometry, Shape
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionEpisode, DetectionMonitor, DetectionProgress
from pipeline.tasks.detection.scenes.augment import augment
from pipeline.tasks.detection.scenes.scene import DrawnShape, make_batch
from pipeline.tasks.detection.scenes.shapes import CORNERS
from pipeline.tasks.detection.train.learner import Learner, Losses
from pipeline.tasks.detection.train.monitor import count_matched, measure, read_writing, true_objects
from pipeline.train import trainer
from pipeline.train.loop import run_training
from pipeline.train.tail import Tail
from schemas.brain import BrainSpec

_MONITOR_SEED = 0  # every training is monitored on the same scenes
_DIGITS = 6
_SUMS = ("loss", "token_loss", "dense_loss")
_AS_READ = ("id", "width", "height", "raw_output", "status", "preds", "gt", "gt_coord_mode")  # what an episode repeats

Batch = tuple[NDArray[np.uint8], list[list[DrawnShape]]]


def make_brain(recipe: DetectionRecipe) -> BrainSpec:
    """The brain spec that a recipe asks for, every default spelled out.

    ``max_tokens`` is what the longest answer takes. Raises UserError when scenes and network do not fit.
    """
    sizes = set(recipe.scenes.image_sizes)
    ((width, height), *others) = sorted(sizes)
    if others or width != height:
        what = f"the network learns from square images of one size; the scenes have {sorted(sizes)}"
        raise UserError(what, where="scenes.image_sizes", remedy="for example: [[64, 64]]")
    labels = recipe.scenes.shapes
    vocabulary = VOCABULARIES[recipe.network.vocabulary](labels=labels)
    most = recipe.scenes.num_objects[1]
    texts = [vocabulary.encode(_longest(most, labels, name), name) for name in recipe.train.geometries]
    learned: dict[str, Any] = {"image_size": width, "labels": labels, "max_tokens": max(map(len, texts))}
    return brain_spec(VisionTextBrain(**msgspec.structs.asdict(recipe.network), **learned))


def _longest(count: int, labels: Sequence[str], geometry: Geometry) -> list[Shape]:
    """The objects that take most tokens to write. An image's edge adds a corner or two to the outline it cuts."""
    most = max(len(corners) for label, corners in CORNERS.items() if label in labels) + 2
    return [Shape(max(labels, key=len), geometry, (888,) * (4 if geometry == "bbox_2d" else 2 * most))] * count


class Trainer(trainer.Trainer[Learner]):
    """Adds the scenes that are learned from, and those that the model is monitored on."""

    recipe: DetectionRecipe
    report_every = 5
    plain_state = ("tokens_seen", "sums", "num_summed", "recent")

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.recipe, DetectionRecipe)
        super().__init__(job, make_brain(job.recipe))
        self.train = job.recipe.train
        self.learner = Learner(job.recipe, self.brain, job.device)
        self.monitored = self._draw("monitor", _MONITOR_SEED, range(self.train.monitor_images))
        self.tokens_seen = 0
        self.sums = dict.fromkeys(_SUMS, 0.0)
        self.num_summed = 0
        self.recent = 0.0

    @property
    def step(self) -> int:
        """Batches learned from so far."""
        return self.learner.update_count

    def _draw(self, split: Any, seed: int, indices: range) -> Batch:
        return make_batch(self.recipe.scenes, split, seed, indices)

    def _generator(self, purpose: int) -> np.random.Generator:
        """Random numbers of this step."""
        return np.random.default_rng((self.recipe.seed, purpose, self.step))

    def advance(self, progress: Appender, tail: Tail) -> None:
        """Draw a batch and learn from it; every so often, show what the model writes now."""
        size = self.train.batch_size
        images, drawn = self._draw("train", self.recipe.seed, range(self.step * size, (self.step + 1) * size))
        seen = augment(images, self.train.augment_share, self._generator(0))
        self._record(self.learner.update(seen, drawn, self._generator(1)), progress)
        if self.step % self.train.sample_every == 0:
            self._sample(tail)

    def _record(self, losses: Losses, progress: Appender) -> None:
        self.tokens_seen += losses.num_tokens
        self.recent = losses.loss if self.step == 1 else 0.95 * self.recent + 0.05 * losses.loss
        self.num_summed += 1
        for name in _SUMS:
            self.sums[name] += getattr(losses, name)
        if self.step % self.train.progress_every == 0:
            self._report(progress)

    def finish(self, progress: Appender) -> None:
        """The losses since the last row."""
        if self.num_summed:
            self._report(progress)

    def _report(self, progress: Appender) -> None:
        means: dict[str, Any] = {name: round(total / self.num_summed, _DIGITS) for name, total in self.sums.items()}
        row = DetectionProgress(
            id=self.step_name,
            step=self.step,
            learning_rate=self.learner.learning_rate(self.step - 1),
            **(means | self.checkpoint_facts()),
        )
        progress.append(row)
        self.sums, self.num_summed = dict.fromkeys(_SUMS, 0.0), 0

    def _sample(self, tail: Tail) -> None:
        """Let the model write about one monitoring image, the next in turn, and offer that to the tail."""
        turn = self.step // self.train.sample_every - 1
        number, geometry = turn % len(self.monitored[1]), self.train.geometries[turn % len(self.train.geometries)]
        image, drawn = self.monitored[0][number], self.monitored[1][number]
        (writing,) = write_texts(self.learner.online, image[None], geometry)
        gt, step, loss, seen_at = true_objects(drawn, geometry), self.step, self.recent, time.time()
        name = self.step_name

        def build(num_dropped_before: int) -> DetectionEpisode:
            row = read_writing(name, writing, gt, len(image))
            as_read: dict[str, Any] = {field: getattr(row, field) for field in _AS_READ}
            return DetectionEpisode(
                **as_read,
                step=step,
                ended_unix_s=seen_at,
                num_dropped_before=num_dropped_before,
                image_png=base64.b64encode(png_of(Image.fromarray(image))).decode(),
                loss=round(loss, _DIGITS),
                num_gt=len(row.gt),
                num_preds=len(row.preds),
                num_matched=count_matched(row),
                average_precision=self.best if self.best_checkpoint else None,
            )

        tail.offer(build)

    def monitor(self) -> DetectionMonitor:
        """Let the averaged weights write about the monitoring scenes, keep a checkpoint, and say how they did."""
        by_geometry = {name: measure(self.learner.average, *self.monitored, name) for name in self.train.geometries}
        measures = list(by_geometry.values())
        boxes, masks = by_geometry.get("bbox_2d"), by_geometry.get("poly")
        selected_by = float(np.mean([one.average_precision for one in measures]))
        return DetectionMonitor(
            id=self.step_name,
            step=self.step,
            checkpoint=self.keep(selected_by),
            selected_by=round(selected_by, _DIGITS),
            num_images=len(self.monitored[1]),
            average_precision=round(boxes.average_precision, _DIGITS) if boxes else None,
            average_precision_50=round(boxes.average_precision_50, _DIGITS) if boxes else None,
            mask_average_precision=round(masks.average_precision, _DIGITS) if masks else None,
            mask_average_precision_50=round(masks.average_precision_50, _DIGITS) if masks else None,
            malformed_share=round(float(np.mean([one.malformed_share for one in measures])), _DIGITS),
            loss=round(self.recent, _DIGITS),
        )

    def checkpoint_facts(self) -> dict[str, int]:
        """How much was learned from."""
        return {"images_seen": self.step * self.train.batch_size, "tokens_seen": self.tokens_seen}

    def counts(self) -> dict[str, int]:
        """Images and tokens."""
        return {"images": self.step * self.train.batch_size, "tokens": self.tokens_seen}

    def notes(self) -> dict[str, float]:
        """What was selected by."""
        return {"selected_by": self.best}

    def facts(self) -> dict[str, float | str]:
        """What the progress display shows."""
        return {"loss": round(self.recent, 4), "best AP": round(self.best, 3) if self.best_checkpoint else "-"}


def train(job: TrainJob) -> TrainOutcome:
    """Train by the job's recipe (`run_training`)."""
    return run_training(job, Trainer)


PART = TrainPart(train=train)
