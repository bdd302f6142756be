"""What the page of `baton explore` asks of this task: a form, and how it becomes a request."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from pipeline.contract.exploring import Choice, ExplorePart, Step
from pipeline.errors import UserError
from pipeline.tasks.diffusion.explore.generate import DiffusionExplorer
from pipeline.tasks.diffusion.explore.record import record, reference_of
from pipeline.tasks.diffusion.infer.predict import (
    BAD_REAL,
    NO_IMAGE,
    UNKNOWN_CLASS,
    WRONG_RANGE,
    WRONG_STEERING,
    WRONG_STEPS,
)
from pipeline.tasks.diffusion.pixels import Pixels, apart, decode_png
from pipeline.tasks.diffusion.recipe import SIGMA_MAX, SIGMA_MIN, Initial, LabelMode, Sampler
from pipeline.tasks.diffusion.rows import DiffusionExample, DiffusionPrediction, Reference, Steering

_RHO = 7.0  # of the schedule of noise levels, along which per cent are counted
Percent = Annotated[float, Meta(ge=0, le=100)]


class DiffusionForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked. Noise is in per cent of the way from the least to the most that the model knows."""

    label: str | None = None
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    sampler: Sampler = "heun"
    num_steps: Annotated[int, Meta(ge=1, le=200, title="steps")] = 18
    guidance: Annotated[
        float, Meta(ge=0, le=20, description="1: the class as learned; 0: none; above 1: more of it")
    ] = 1.0
    highest_noise: Annotated[Percent, Meta(title="highest noise, %")] = 100.0
    lowest_noise: Annotated[Percent, Meta(title="lowest noise, %")] = 0.0
    initial: Annotated[Initial, Meta(title="initial noise", description="zero: what the model makes of nothing")] = (
        "noise"
    )
    is_steered: Annotated[bool, Meta(title="steer by what is chosen, in this layer")] = False
    num_masked: Annotated[int, Meta(ge=0, le=200, title="masked steps", description="about .7 of the steps")] = 13
    label_mode: Annotated[LabelMode, Meta(title="label when steered")] = "none"
    strength: Annotated[
        float, Meta(gt=0, le=20, description="1: as the references are; above 1: beyond them, as with guidance")
    ] = 1.0
    mask_noise: Annotated[float, Meta(gt=0, le=80, title="noise of references")] = 0.6


def make_request(form: DiffusionForm, choice: Choice, id: str) -> DiffusionExample:
    """The example that a form asks. Raises UserError where it does not go together."""
    if form.highest_noise <= form.lowest_noise:
        raise UserError("the highest noise is not above the lowest", where="highest noise")
    steering = _steering(form, choice) if form.is_steered else None
    return DiffusionExample(
        id=id,
        label=_label(form, steering),
        seed=form.seed,
        sampler=form.sampler,
        num_steps=form.num_steps,
        guidance=form.guidance,
        sigma_min=_sigma(form.lowest_noise),
        sigma_max=_sigma(form.highest_noise),
        initial=form.initial,
        variant="explore",
        steering=steering,
    )


def _sigma(percent: float) -> float:
    low, high = SIGMA_MIN ** (1 / _RHO), SIGMA_MAX ** (1 / _RHO)
    if percent in (0, 100):
        return SIGMA_MAX if percent else SIGMA_MIN  # to the last digit
    return float((low + percent / 100 * (high - low)) ** _RHO)


def _steering(form: DiffusionForm, choice: Choice) -> Steering:
    """By the chosen records, in the layer that is looked at; their most frequent class is the target."""
    if not choice.references:
        raise UserError("nothing is chosen to steer by", remedy="select a record and neighbours on the map")
    if form.num_masked > form.num_steps:
        raise UserError("more steps are masked than there are", where="masked steps")
    references = tuple(Reference(label=label, seed=seed) for label, seed in map(reference_of, choice.references))
    ((target, _),) = Counter(one.label for one in references).most_common(1)
    return Steering(
        references=references,
        target=target,
        layers=(choice.layer,),
        num_masked=form.num_masked,
        sigma=form.mask_noise,
        label_mode=form.label_mode,
        strength=form.strength,
    )


def _label(form: DiffusionForm, steering: Steering | None) -> str | None:
    """What the model is told: of a steered request what its label mode says."""
    if steering is None:
        return form.label
    if steering.label_mode == "other" and form.label in (None, steering.target):
        what = f"another class than that of the references, {steering.target}, is to be told"
        raise UserError(what, where="label", remedy="choose it as the label")
    return {"reference": steering.target, "none": None, "other": form.label}[steering.label_mode]


def picture(prediction: DiffusionPrediction) -> Pixels | None:
    """The image that was made."""
    return None if prediction.image_png is None else decode_png(prediction.image_png)


def facts(prediction: DiffusionPrediction) -> Sequence[tuple[str, str]]:
    """What the judge says."""
    if prediction.judged_label is None:
        return ()
    return (("judged", f"{prediction.judged_label} ({prediction.judged_probability:.0%})"),)


def steps(prediction: DiffusionPrediction) -> list[Step]:
    """The way as far as the row tells it: the frames that it keeps. The row does not name the layer of its places."""
    if prediction.frames_png is None:
        return []
    frames, total = apart(decode_png(prediction.frames_png)), len(prediction.sigmas)
    numbers = [round(k * (total - 1) / max(len(frames) - 1, 1)) for k in range(len(frames))]
    return [
        Step(number=k, num_steps=len(frames), noise_level=prediction.sigmas[number], image=frame)
        for k, (number, frame) in enumerate(zip(numbers, frames, strict=True))
    ]


REASONS = {
    UNKNOWN_CLASS: "the model has not learned this class, or that of a reference",
    WRONG_RANGE: "the highest noise is not above the lowest",
    WRONG_STEPS: "there are too many steps, or none",
    WRONG_STEERING: "the model cannot be steered like that: look at the layer, the masked steps and the strength",
    BAD_REAL: "the real image beside the request cannot be read",
    NO_IMAGE: "there is no image, its numbers left all bounds: ask for less guidance or strength",
}

PART = ExplorePart(
    example=DiffusionExample,
    form=DiffusionForm,
    class_field="label",
    seed_field="seed",
    request=make_request,
    open=DiffusionExplorer,
    picture=picture,
    reasons=REASONS,
    facts=facts,
    steps=steps,
    record=record,
)
