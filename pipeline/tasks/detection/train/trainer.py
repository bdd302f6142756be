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
import io
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.errors import UserError
from pipeline.files import Appender
from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.tasks.detection.model.decode import write_texts
from pipeline.tasks.detection.model.network import VisionTextBrain, brain_spec
from pipeline.tasks.detection.model.tokens import VOCABULARIES, Geometry, Shape
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionEpisode, DetectionMonitor, DetectionProgress
from pipeline.tasks.detection.scenes.augment import augment
from pipeline.tasks.detection.scenes.scene import DrawnShape, make_batch
from pipeline.tasks.detection.scenes.shapes import CORNERS
from pipeline.tasks.detection.train.learner import Learner, Losses, learning_rate
from pipeline.tasks.detection.train.monitor import GREEDY, count_matched, measure, read_writing, true_objects
from pipeline.train.loop import RESUME, Rhythm, arithmetic, checkpoint_head, run_training
from pipeline.train.tail import Tail
from schemas.brain import BrainSpec

_REPORT_EVERY = 5  # steps between two reports of progress
_MONITOR_SEED = 0  # every training is monitored on the same scenes
_DIGITS = 6
_SUMS = ("loss", "token_loss", "dense_loss")

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
    longest = [
        len(vocabulary.encode(_longest(most, labels, geometry), geometry)) for geometry in recipe.train.geometries
    ]
    return brain_spec(
        VisionTextBrain(
            **msgspec.structs.asdict(recipe.network), image_size=width, labels=labels, max_tokens=max(longest)
        )
    )


def _longest(count: int, labels: Sequence[str], geometry: Geometry) -> list[Shape]:
    """The objects that take most tokens to write. An image's edge adds a corner or two to the outline it cuts."""
    most = max(len(corners) for label, corners in CORNERS.items() if label in labels) + 2
    return [Shape(max(labels, key=len), geometry, (888,) * (4 if geometry == "bbox_2d" else 2 * most))] * count


class Trainer:
    """The whole state of a training, and one method a rhythm: `advance`, `monitor`, `save`."""

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.recipe, DetectionRecipe)
        self.recipe, self.folder, self.train = job.recipe, job.folder, job.recipe.train
        self.brain = make_brain(job.recipe)
        self.learner = Learner(self.train, self.brain, job.recipe.seed, job.device)
        self.monitored = self._draw("monitor", _MONITOR_SEED, range(self.train.monitor_images))
        self.tokens_seen = 0
        self.sums = dict.fromkeys(_SUMS, 0.0)
        self.num_summed = 0
        self.recent = 0.0
        self.best = -1.0
        self.best_checkpoint = ""

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
        if self.step % self.train.progress_every == 0 or self.step == self.train.num_steps:
            means = {name: round(total / self.num_summed, _DIGITS) for name, total in self.sums.items()}
            progress.append(
                DetectionProgress(
                    id=f"step-{self.step:08d}",
                    step=self.step,
                    loss=means["loss"],
                    token_loss=means["token_loss"],
                    dense_loss=means["dense_loss"],
                    learning_rate=learning_rate(self.train, self.step - 1),
                    tokens_seen=self.tokens_seen,
                    images_seen=self.step * self.train.batch_size,
                )
            )
            self.sums, self.num_summed = dict.fromkeys(_SUMS, 0.0), 0

    def _sample(self, tail: Tail) -> None:
        """Let the model write about one monitoring image, the next in turn, and offer that to the tail."""
        turn = self.step // self.train.sample_every - 1
        number, geometry = turn % len(self.monitored[1]), self.train.geometries[turn % len(self.train.geometries)]
        image, drawn = self.monitored[0][number], self.monitored[1][number]
        (writing,) = write_texts(self.learner.online, image[None], geometry, GREEDY)
        gt, step, loss, seen_at = true_objects(drawn, geometry), self.step, self.recent, time.time()

        def build(num_dropped_before: int) -> DetectionEpisode:
            row = read_writing(f"step-{step:08d}", writing, gt, len(image))
            return DetectionEpisode(
                id=row.id,
                step=step,
                ended_unix_s=seen_at,
                num_dropped_before=num_dropped_before,
                width=row.width,
                height=row.height,
                image_png=_png(image),
                raw_output=row.raw_output,
                status=row.status,
                preds=row.preds,
                gt=row.gt,
                gt_coord_mode=row.gt_coord_mode,
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
        name = f"checkpoints/step_{self.step:08d}.checkpoint_v1"
        if selected_by > self.best:
            self.best, self.best_checkpoint = selected_by, name
        save_checkpoint(self.folder / name, self.checkpoint())
        return DetectionMonitor(
            id=f"step-{self.step:08d}",
            step=self.step,
            checkpoint=name,
            selected_by=round(selected_by, _DIGITS),
            num_images=len(self.monitored[1]),
            average_precision=round(boxes.average_precision, _DIGITS) if boxes else None,
            average_precision_50=round(boxes.average_precision_50, _DIGITS) if boxes else None,
            mask_average_precision=round(masks.average_precision, _DIGITS) if masks else None,
            mask_average_precision_50=round(masks.average_precision_50, _DIGITS) if masks else None,
            malformed_share=round(float(np.mean([one.malformed_share for one in measures])), _DIGITS),
            loss=round(self.recent, _DIGITS),
        )

    def checkpoint(self) -> dict[str, Any]:
        """What is needed to export this moment."""
        return checkpoint_head(self.recipe, self.brain, self.step) | {
            "facts": {"images_seen": self.step * self.train.batch_size, "tokens_seen": self.tokens_seen},
            "average_weights": self.learner.average.state_dict(),
        }

    def save(self, offsets: dict[str, int]) -> None:
        """Write everything that is needed to go on; ``offsets`` are the lengths of the files written so far."""
        own = {name: getattr(self, name) for name in _OWN}
        checkpoint = self.checkpoint() | self.learner.get_state() | {"trainer": own, "offsets": offsets}
        save_checkpoint(self.folder / RESUME, checkpoint)

    def load(self) -> dict[str, int]:
        """Go on from `save`; returns the offsets it was given. Raises UserError when the checkpoint does not read."""
        checkpoint = load_checkpoint(self.folder / RESUME)
        self.learner.set_state(checkpoint)
        for name in _OWN:
            setattr(self, name, checkpoint["trainer"][name])
        offsets: dict[str, int] = checkpoint["offsets"]
        return offsets

    def facts(self) -> dict[str, float | str]:
        """What the progress display shows."""
        return {"loss": round(self.recent, 4), "best AP": round(self.best, 3) if self.best_checkpoint else "-"}


_OWN = ("tokens_seen", "sums", "num_summed", "recent", "best", "best_checkpoint")


def _png(image: NDArray[np.uint8]) -> str:
    """An image uint8 [S, S, 3] as base64 of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def train(job: TrainJob) -> TrainOutcome:
    """Train by the job's recipe (`run_training`)."""
    assert isinstance(job.recipe, DetectionRecipe)
    options = job.recipe.train
    rhythm = Rhythm(
        num_steps=options.num_steps,
        monitor_every=options.monitor_every,
        checkpoint_every=options.checkpoint_every,
        report_every=_REPORT_EVERY,
    )
    with arithmetic(options.num_threads):
        trainer = Trainer(job)
        outcome = run_training(job, trainer, rhythm)
    counts = {"images": trainer.step * options.batch_size, "tokens": trainer.tokens_seen}
    return replace(outcome, counts={**outcome.counts, **counts}, notes={**outcome.notes, "selected_by": trainer.best})


PART = TrainPart(train=train)
