"""Requests to rows: images are generated, judged, and set beside the real image of the request.

What goes wrong with one request stands in its own row. A row depends on its request and the model alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import msgspec
import numpy as np
import torch

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from pipeline.errors import UserError
from pipeline.tasks.diffusion.infer.record import CHUNK, record
from pipeline.tasks.diffusion.infer.watch import Masks, Watch, rounded
from pipeline.tasks.diffusion.model.activations import References, look_at
from pipeline.tasks.diffusion.model.denoiser import check_layers
from pipeline.tasks.diffusion.model.model import DiffusionModel, Judgement
from pipeline.tasks.diffusion.model.sample import Draw, Settings, Way, sample
from pipeline.tasks.diffusion.pixels import Pixels, beside, decode_png, encode_png, to_pixels, to_values
from pipeline.tasks.diffusion.recipe import Infer
from pipeline.tasks.diffusion.rows import DiffusionExample, DiffusionPrediction, Steering
from schemas.rows import Example

UNKNOWN_CLASS, WRONG_RANGE, WRONG_STEPS = "unknown_class", "wrong_sigma_range", "wrong_num_steps"
WRONG_STEERING, BAD_REAL = "wrong_steering", "bad_real_image"
NO_IMAGE = "no_image"  # numbers left all bounds on the way, as with a guidance of thousands
# Beyond these a request is a mistake, or meant to keep a server busy.
_MAX_STEPS, _MAX_SIGMA, _MAX_REFERENCES, _MAX_STRENGTH = 1000, 1e6, 256, 100.0
_DIGITS = 5
_OF_REAL = ("judged_label", "features", "nearest_train_distance")  # what of a real image a row says
_COPIED = tuple(
    name for name in DiffusionExample.__struct_fields__ if name not in (*Example.__struct_fields__, "task", "schema")
)


def predict(job: InferJob) -> Iterator[DiffusionPrediction]:
    """One row for each of ``job.examples[job.first_index:]``, in their order.

    Chunks of activations begin where they would in a run that nothing disturbed; what of them is there is not yielded.
    """
    model, options = job.model, cast(Infer, job.options)
    assert isinstance(model, DiffusionModel)
    check_layers(model.denoiser, options.activations.layers, "infer.activations.layers")
    references, size, num_errors = References(model.denoiser), unit(options), 0
    first = job.first_index - (job.first_index % size if options.activations.layers else 0)
    for start in range(first, len(job.examples), size):
        chunk = job.examples[start : start + size]
        rows: list[DiffusionPrediction] = []
        for done in range(0, len(chunk), options.batch_size):
            rows += answer(model, chunk[done : done + options.batch_size], options.num_frames, references)
        if options.activations.layers:
            rows = record(model, rows, start, options.activations, job.write)
        for index, row in enumerate(rows, start=start):
            if index >= job.first_index:
                yield row
                num_errors += row.error is not None
                job.report(index + 1, len(job.examples), {"errors": num_errors} if num_errors else {})


def unit(options: Infer) -> int:
    """How many records are answered together: with activations, as many as share a file."""
    return CHUNK if options.activations.layers else options.batch_size


def answer(
    model: DiffusionModel,
    batch: Sequence[DiffusionExample],
    num_frames: int,
    references: References,
    make_watch: Callable[..., Watch] = Watch,
) -> list[DiffusionPrediction]:
    """The rows of a batch. Requests that are asked in the same way are generated together, under a watch."""
    asked: dict[tuple[Settings, tuple[str, ...], int, float], list[int]] = {}
    rows: dict[int, DiffusionPrediction] = {}
    for place, example in enumerate(batch):
        error = _refusal(model, example)
        if error is None:
            asked.setdefault((settings_of(example), *_masked(example)), []).append(place)
        else:
            rows[place] = DiffusionPrediction(**_facts(model, example), error=error)
    for (settings, _, num_masked, strength), places in asked.items():
        masks = [_masks(model, batch[place], references) for place in places] if num_masked else []
        watch = make_watch(model.denoiser, model.module.map, masks, num_masked, strength)
        draws = [_draw(model, batch[place]) for place in places]
        for number, way in enumerate(sample(model.denoiser, draws, settings, watch)):
            place = places[number]
            rows[place] = _row(model, batch[place], way, num_frames, watch.positions(number, way.sigmas))
    return _mapped(model, _judged(model, [rows[place] for place in range(len(batch))]))


def _masked(example: DiffusionExample) -> tuple[tuple[str, ...], int, float]:
    """What is masked: layers, for how many steps, and how strongly."""
    steering = example.steering
    if steering is None or not steering.num_masked:
        return (), 0, 1.0
    return steering.layers, steering.num_masked, steering.strength


def _masks(model: DiffusionModel, example: DiffusionExample, references: References) -> Masks:
    """What the layers of a steered request are to say."""
    assert example.steering is not None
    steering = example.steering
    named = [(model.number_of(one.label), one.seed) for one in steering.references]
    return references.mean(named, steering.layers, steering.sigma)


def _mapped(model: DiffusionModel, rows: list[DiffusionPrediction]) -> list[DiffusionPrediction]:
    """The rows with the places of their images on the map, where the model's file has one."""
    activation_map = model.module.map
    made = [place for place, row in enumerate(rows) if row.image_png is not None]
    if activation_map is None or not made:
        return rows
    config = activation_map.config
    images = [to_values(decode_png(rows[place].image_png or "")) for place in made]
    said = look_at(model.denoiser, images, [rows[place].seed for place in made], [config.layer], config.sigmas[:1])
    flat = [torch.from_numpy(values) for values in said[config.layer][:, 0]]
    positions = activation_map.place(flat, [config.sigmas[0]] * len(flat))
    for place, position, embedded in zip(made, positions, activation_map.embed(flat).tolist(), strict=True):
        embedding = tuple(round(one, 3) for one in embedded)
        rows[place] = msgspec.structs.replace(rows[place], map_position=rounded(position), map_embedding=embedding)
    return rows


def settings_of(example: DiffusionExample | DiffusionPrediction) -> Settings:
    """How the image of a request is to be made."""
    return Settings(**{name: getattr(example, name) for name in Settings.__struct_fields__})


def _draw(model: DiffusionModel, example: DiffusionExample) -> Draw:
    return Draw(model.number_of(example.label), example.seed, example.initial)


def _refusal(model: DiffusionModel, example: DiffusionExample) -> str | None:
    """Why a request cannot be answered, as a code; None if it can."""
    if example.label is not None and example.label not in model.labels:
        return UNKNOWN_CLASS
    if not 0.0 < example.sigma_min < example.sigma_max <= _MAX_SIGMA:
        return WRONG_RANGE
    if not 1 <= example.num_steps <= _MAX_STEPS:
        return WRONG_STEPS
    if example.real_png is not None:
        channels, height, width = model.denoiser.shape
        try:
            real = decode_png(example.real_png, (width, height))
        except UserError:
            return BAD_REAL
        if real.shape[2] != channels:
            return BAD_REAL
    return _refused_steering(model, example.steering) if example.steering is not None else None


def _refused_steering(model: DiffusionModel, steering: Steering) -> str | None:
    if not {one.label for one in steering.references} <= {*model.labels}:
        return UNKNOWN_CLASS
    layers = {*steering.layers}
    is_right = (
        1 <= len(steering.references) <= _MAX_REFERENCES
        and 1 <= len(layers) == len(steering.layers)
        and layers <= {*model.denoiser.layers}
        and steering.num_masked >= 0
        and 0.0 < steering.sigma <= _MAX_SIGMA
        and 0.0 < steering.strength <= _MAX_STRENGTH
    )
    return None if is_right else WRONG_STEERING


def _facts(model: DiffusionModel, example: DiffusionExample) -> dict[str, Any]:
    """What a row says of its request."""
    copied = {name: getattr(example, name) for name in _COPIED}
    return {"id": example.id, "model": model.weights_hash[:16], **copied}


def _row(
    model: DiffusionModel, example: DiffusionExample, way: Way, num_frames: int, on_map: Mapping[str, Any]
) -> DiffusionPrediction:
    """What was generated, not yet judged."""
    if not (np.isfinite(way.image).all() and np.isfinite(way.denoised).all()):
        return DiffusionPrediction(**_facts(model, example), error=NO_IMAGE)
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
        **on_map,
    )


def _root_mean_square(values: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))


def _chosen(num_steps: int, num_frames: int) -> list[int]:
    """Numbers of steps to keep images of: at equal distances, the first and the last among them."""
    if num_frames >= num_steps or num_frames < 2:
        return list(range(num_steps))[-num_frames:] if num_frames else []
    return [round(k * (num_steps - 1) / (num_frames - 1)) for k in range(num_frames)]


def _judged(model: DiffusionModel, rows: Sequence[DiffusionPrediction]) -> list[DiffusionPrediction]:
    """The rows with what the judge says of their images, and of the real ones."""
    images: dict[tuple[int, str], Pixels] = {}
    for place, row in enumerate(rows):
        if row.image_png is not None:
            images[place, ""] = decode_png(row.image_png)
            if row.real_png is not None:
                images[place, "real_"] = decode_png(row.real_png)
    said = dict(zip(images, model.judge(list(images.values())), strict=True))
    out = list(rows)
    for (place, prefix), judgement in said.items():
        facts = _said(model, judgement)
        if prefix:
            facts = {f"{prefix}{name}": facts[name] for name in _OF_REAL}
        elif (label := rows[place].label) is not None:
            facts["label_probability"] = round(float(judgement.probabilities[model.number_of(label)]), _DIGITS)
        out[place] = msgspec.structs.replace(out[place], **facts)
    return out


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


PART = InferPart(predict=predict, wrap=DiffusionModel, remarks=remarks, unit=unit)
