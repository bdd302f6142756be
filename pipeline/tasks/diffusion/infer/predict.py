"""Requests to rows: images are generated, judged, and set beside the real image of the request.

What goes wrong with one request stands in its own row. A row depends on its request and the model alone; requests that
are asked in the same way are generated together.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import msgspec
import numpy as np

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from pipeline.tasks.diffusion.model.model import DiffusionModel, Judgement
from pipeline.tasks.diffusion.model.sample import Draw, Settings, Way, sample
from pipeline.tasks.diffusion.pixels import Pixels, beside, decode_png, encode_png, to_pixels
from pipeline.tasks.diffusion.recipe import Infer
from pipeline.tasks.diffusion.rows import DiffusionExample, DiffusionPrediction
from schemas.rows import Example

UNKNOWN_CLASS, WRONG_RANGE = "unknown_class", "wrong_sigma_range"
_DIGITS = 5
_COPIED = tuple(
    name for name in DiffusionExample.__struct_fields__ if name not in (*Example.__struct_fields__, "task", "schema")
)


def predict(job: InferJob) -> Iterator[DiffusionPrediction]:
    """One row for each of ``job.examples[job.first_index:]``, in their order, a batch at a time."""
    model, options = job.model, cast(Infer, job.options)
    assert isinstance(model, DiffusionModel)
    num_errors = 0
    for start in range(job.first_index, len(job.examples), options.batch_size):
        batch = job.examples[start : start + options.batch_size]
        for index, row in enumerate(_answer(model, batch, options), start=start + 1):
            yield row
            num_errors += row.error is not None
            job.report(index, len(job.examples), {"errors": num_errors} if num_errors else {})


def _answer(model: DiffusionModel, batch: Sequence[DiffusionExample], options: Infer) -> list[DiffusionPrediction]:
    """The rows of a batch."""
    asked: dict[Settings, list[int]] = {}
    rows: dict[int, DiffusionPrediction] = {}
    for place, example in enumerate(batch):
        error = _refusal(model, example)
        if error is None:
            asked.setdefault(settings_of(example), []).append(place)
        else:
            rows[place] = DiffusionPrediction(**_facts(model, example), error=error)
    for settings, places in asked.items():
        draws = [_draw(model, batch[place]) for place in places]
        for place, way in zip(places, sample(model.denoiser, draws, settings), strict=True):
            rows[place] = _row(model, batch[place], way, options.num_frames)
    return [_judged(model, rows[place]) for place in range(len(batch))]


def settings_of(example: DiffusionExample | DiffusionPrediction) -> Settings:
    """How the image of a request is to be made."""
    return Settings(
        sampler=example.sampler,
        num_steps=example.num_steps,
        guidance=example.guidance,
        sigma_min=example.sigma_min,
        sigma_max=example.sigma_max,
    )


def _draw(model: DiffusionModel, example: DiffusionExample) -> Draw:
    return Draw(model.number_of(example.label), example.seed, example.initial)


def _refusal(model: DiffusionModel, example: DiffusionExample) -> str | None:
    """Why a request cannot be answered, as a code; None if it can."""
    if example.label is not None and example.label not in model.labels:
        return UNKNOWN_CLASS
    is_range = 0.0 < example.sigma_min < example.sigma_max < math.inf
    return None if is_range and example.num_steps >= 1 else WRONG_RANGE


def _facts(model: DiffusionModel, example: DiffusionExample) -> dict[str, Any]:
    """What a row says of its request."""
    copied = {name: getattr(example, name) for name in _COPIED}
    return {"id": example.id, "model": model.weights_hash[:16], **copied}


def _row(model: DiffusionModel, example: DiffusionExample, way: Way, num_frames: int) -> DiffusionPrediction:
    """What was generated, not yet judged."""
    changes = [_root_mean_square(way.denoised[0])]
    changes += [_root_mean_square(after - before) for before, after in pairwise(way.denoised)]
    frames = to_pixels(way.denoised[_chosen(len(way.denoised), num_frames)])
    return DiffusionPrediction(
        **_facts(model, example),
        image_png=encode_png(to_pixels(way.image)),
        frames_png=encode_png(beside(list(frames))) if len(frames) else None,
        sigmas=tuple(round(sigma, _DIGITS) for sigma in way.sigmas),
        changes=tuple(round(change, _DIGITS) for change in changes),
        num_evaluations=way.num_evaluations,
    )


def _root_mean_square(values: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))


def _chosen(num_steps: int, num_frames: int) -> list[int]:
    """Numbers of steps to keep images of: at equal distances, the first and the last among them."""
    if num_frames >= num_steps or num_frames < 2:
        return list(range(num_steps))[-num_frames:] if num_frames else []
    return [round(k * (num_steps - 1) / (num_frames - 1)) for k in range(num_frames)]


def _judged(model: DiffusionModel, row: DiffusionPrediction) -> DiffusionPrediction:
    """The row with what the judge says of its image, and of the real one."""
    if row.image_png is None:
        return row
    images: dict[str, Pixels] = {"": decode_png(row.image_png)}
    if row.real_png is not None:
        images["real_"] = decode_png(row.real_png)
    said = dict(zip(images, model.judge(list(images.values())), strict=True))
    facts = _said(model, said[""])
    own = said[""].probabilities
    if row.label is not None:
        facts["label_probability"] = round(float(own[model.number_of(row.label)]), _DIGITS)
    if "real_" in said:
        real = _said(model, said["real_"])
        kept = ("judged_label", "features", "nearest_train_distance")
        facts |= {f"real_{name}": real[name] for name in kept}
    return msgspec.structs.replace(row, **facts)


def _said(model: DiffusionModel, judgement: Judgement) -> dict[str, Any]:
    best = int(judgement.probabilities.argmax())
    return {
        "judged_label": model.labels[best],
        "judged_probability": round(float(judgement.probabilities[best]), _DIGITS),
        "features": tuple(round(float(value), 4) for value in judgement.features),
        "nearest_train": judgement.nearest_train,
        "nearest_train_distance": round(judgement.nearest_train_distance, _DIGITS),
    }


def remarks(predictions: Any, recipe: Any, metadata: Mapping[str, Any]) -> list[str]:
    """How far the judge of these predictions is to be trusted."""
    facts = metadata.get("facts", {})
    if "judge_accuracy" not in facts:
        return []
    return [f"the judge is right about {facts['judge_accuracy']:.1%} of {facts['num_heldout']:,} held-out images"]


PART = InferPart(predict=predict, wrap=DiffusionModel, remarks=remarks)
