"""The training of detection: draw scenes, learn, monitor, checkpoint; resumed it ends in the same bytes.

What it leaves in its folder:

- ``progress.jsonl``      the losses, every ``progress_every`` steps
- ``episodes.jsonl``      the live tail: images with what the model in training wrote for them, and the truth
- ``monitor.jsonl``       the averaged weights, greedy, on monitoring scenes, every ``monitor_every`` steps
- ``checkpoints/``        the weights at each of those moments
- ``selected.checkpoint_v1``  a copy of the one with the highest average precision there
- ``resume.checkpoint_v1``    everything that is needed to go on

The scenes of a step, and all that is random in it, follow from the seed and the step's number: nothing of it has to be
kept to go on.
"""

import base64
import hashlib
import io
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.atomic import write_atomically
from pipeline.checkpoints import load_checkpoint, save_checkpoint
from pipeline.errors import UserError
from pipeline.hashes import canonical_json
from pipeline.jsonl import Appender
from pipeline.tail import Tail
from pipeline.tasks.detection.augment import augment
from pipeline.tasks.detection.decode import write_texts
from pipeline.tasks.detection.learner import Learner, Losses, learning_rate
from pipeline.tasks.detection.monitoring import GREEDY, count_matched, measure, read_writing, true_objects
from pipeline.tasks.detection.network import VisionTextBrain, brain_spec
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionEpisode, DetectionMonitor, DetectionProgress
from pipeline.tasks.detection.scenes import DrawnShape, make_batch
from pipeline.tasks.detection.shapes import CORNERS
from pipeline.tasks.detection.tokens import VOCABULARIES, Geometry, Shape
from pipeline.tasks.interface import TrainJob, TrainOutcome
from schemas.brain import BrainSpec

RESUME, SELECTED = "resume.checkpoint_v1", "selected.checkpoint_v1"
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
    """The whole state of a training, and one method a rhythm: `advance`, `sample`, `monitor`, `save`."""

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

    def advance(self, progress: Appender) -> None:
        """Draw a batch and learn from it."""
        size = self.train.batch_size
        images, drawn = self._draw("train", self.recipe.seed, range(self.step * size, (self.step + 1) * size))
        seen = augment(images, self.train.augment_share, self._generator(0))
        self._record(self.learner.update(seen, drawn, self._generator(1)), progress)

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

    def sample(self, tail: Tail) -> None:
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
        recipe = msgspec.to_builtins(self.recipe)
        return {
            "format": "checkpoint_v1",
            "task": self.recipe.task,
            "step": self.step,
            "brain": msgspec.to_builtins(self.brain),
            "recipe": recipe,
            "recipe_hash": hashlib.sha256(canonical_json(recipe)).hexdigest(),
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
    """Train by the job's recipe, from ``resume.checkpoint_v1`` if the job says so and there is one.

    Stops early, with everything saved, when ``job.should_stop()`` says so: then KeyboardInterrupt is raised.
    """
    assert isinstance(job.recipe, DetectionRecipe)
    torch.set_num_threads(job.recipe.train.num_threads)
    torch.set_flush_denormal(True)
    try:
        return _train(job)
    finally:
        torch.set_flush_denormal(False)  # or recipes would go unchecked: to msgspec "above 0" is the least denormal


def _train(job: TrainJob) -> TrainOutcome:
    """`train`, with the arithmetic set."""
    (job.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    trainer = Trainer(job)
    offsets = {"progress": 0, "monitor": 0, "episodes": 0}
    if job.resume and (job.folder / RESUME).exists():
        offsets = trainer.load()
    with (
        Appender(job.folder / "progress.jsonl", at=offsets["progress"]) as progress,
        Appender(job.folder / "monitor.jsonl", at=offsets["monitor"]) as monitor,
        Tail(job.folder / "episodes.jsonl", resume_at=offsets["episodes"]) as tail,
    ):
        _run(job, trainer, progress, monitor, tail)
        tail.drain()
        counts = {"tail_written": tail.num_written, "tail_dropped": tail.num_dropped}
        notes = {"tail_error": str(tail.error)} if tail.error else {}
    write_atomically(job.folder / SELECTED, [(job.folder / trainer.best_checkpoint).read_bytes()])
    images = trainer.step * trainer.train.batch_size
    return TrainOutcome(
        outputs={"selected": job.folder / SELECTED}
        | {name: job.folder / f"{name}.jsonl" for name in ("progress", "monitor", "episodes")},
        counts=counts | {"steps": trainer.step, "images": images, "tokens": trainer.tokens_seen},
        notes=notes | {"selected": trainer.best_checkpoint, "selected_by": trainer.best},
    )


def _run(job: TrainJob, trainer: Trainer, progress: Appender, monitor: Appender, tail: Tail) -> None:
    """Advance to the end, sampling, monitoring and saving on the way."""
    options = trainer.train

    def save() -> None:
        # On the disk before the checkpoint that counts on them: a power cut must not leave it ahead of its files.
        progress.flush(sync=True)
        monitor.flush(sync=True)
        trainer.save({"progress": progress.offset, "monitor": monitor.offset, "episodes": tail.drain()})

    while trainer.step < options.num_steps:
        trainer.advance(progress)
        if trainer.step % _REPORT_EVERY == 0:
            progress.flush()
            job.report(trainer.step, options.num_steps, trainer.facts())
        if trainer.step % options.sample_every == 0:
            trainer.sample(tail)
        done = trainer.step >= options.num_steps
        if done or trainer.step % options.monitor_every == 0:
            monitor.append(trainer.monitor())
            monitor.flush()
        if done:
            break
        if job.should_stop():
            save()
            raise KeyboardInterrupt
        if trainer.step % options.checkpoint_every == 0:
            save()
    save()
