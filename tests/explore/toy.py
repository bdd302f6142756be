"""A toy generator in numpy, and what was recorded of it: an image is a bar whose place is its class."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from pipeline.contract.exploring import Cancelled, Choice, ExplorePart, OpenedBundle, Place, Step
from pipeline.errors import UserError
from pipeline.explore.bundle import IMAGES, Bundle, BundleWriter
from pipeline.explore.pictures import png_text
from pipeline.model.container import ModelFile
from pipeline.tasks.diffusion.pixels import decode_png
from schemas import rows
from schemas.bundle import BundleManifest, Curve, Layer, Record

CLASSES = ("ant", "bee", "cat", "dog")
LEVELS = (8.0, 2.0, 0.5, 0.1)
LAYERS = {"down": 6, "middle": 12}
SIZE = 8
NUM_FEATURES = max(LAYERS.values())


class ToyExample(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request."""

    task: Literal["toy"] = "toy"
    label: str | None
    seed: int
    num_steps: int
    references: tuple[str, ...] = ()
    num_masked: int = 0


class ToyPrediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its answer."""

    task: Literal["toy"] = "toy"
    label: str | None
    seed: int
    num_steps: int
    image_png: str


class ToyForm(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be asked."""

    label: str | None = None
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1, title="seed")] = 0
    num_steps: Annotated[int, Meta(ge=2, le=200, title="steps", description="More steps take longer.")] = 6
    num_masked: Annotated[int, Meta(ge=0, title="masked steps")] = 0
    mode: Annotated[Literal["null", "other"], Meta(title="label mode")] = "null"
    is_steered: Annotated[bool, Meta(title="steer by the neighbours")] = False


def image_of(number: float, rng: np.random.Generator | None = None, noise: float = 0.0) -> NDArray[np.uint8]:
    """A bar in the columns of a class, and noise."""
    image = np.zeros((SIZE, SIZE, 1))
    image[:, int(number * SIZE / len(CLASSES)) : int((number + 1) * SIZE / len(CLASSES))] = 220
    if rng is not None:
        image += rng.normal(0, 60 * noise, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def centre(layer: str, number: float) -> NDArray[np.float64]:
    """Where the activations of a class lie."""
    angle = 2 * np.pi * number / len(CLASSES) + len(layer)
    return np.resize([np.cos(angle), np.sin(angle)], LAYERS[layer])


def place_of(activations: NDArray[Any]) -> NDArray[np.float32]:
    """The toy's map: the means of even and of odd features, [..., 2]."""
    return np.stack([activations[..., ::2].mean(-1), activations[..., 1::2].mean(-1)], -1).astype(np.float32)


def point(activations: NDArray[Any]) -> Place:
    """The place of one."""
    x, y = place_of(activations).tolist()
    return x, y


def write_toy_bundle(
    folder: Path, num: int = 40, *, weights: str = "a", title: str = "toy", weights_hash: str | None = None
) -> Bundle:
    """Records of all classes in turn; the less noise, the further apart the classes lie."""
    rng, writer = np.random.default_rng(0), BundleWriter(folder)
    numbers = np.arange(num) % len(CLASSES)
    writer.array(IMAGES, (num, SIZE, SIZE, 1), np.uint8)[:] = [image_of(float(one), rng, 0.3) for one in numbers]
    spread = 1 / (1 + np.array(LEVELS))
    for name, size in LAYERS.items():
        centres = np.stack([centre(name, one) for one in range(len(CLASSES))])[numbers]
        noise = rng.normal(0, 0.15, (num, len(LEVELS), size))
        activations = (centres[:, None] * spread[:, None] + noise).astype(np.float16)
        writer.array(f"activations-{name}.npy", activations.shape, np.float16)[:] = activations
        places = place_of(activations.astype(np.float32))
        writer.array(f"coordinates-{name}.npy", places.shape, np.float32)[:] = places
    layers = [
        Layer(
            name=name,
            num_features=size,
            activations=f"activations-{name}.npy",
            coordinates=f"coordinates-{name}.npy",
            probes={"class": (0.3, 0.6, 0.9, 0.97 if name == "middle" else 0.95), "hue": (0.2, 0.3, 0.4, 0.5)},
        )
        for name, size in LAYERS.items()
    ]
    curve = Curve(
        title="steering",
        x_label="masked steps",
        y_label="share of the references' class",
        lines={
            "null": ((0, 0.12), (2, 0.24), (4, 0.9), (6, 0.95)),
            "other": ((0, 0.0), (2, 0.0), (4, 0.77), (6, 0.86)),
        },
        field="num_masked",
        line_field="mode",
    )
    manifest = BundleManifest(
        task="toy",
        title=title,
        weights_hash=weights_hash or hashlib.sha256(weights.encode()).hexdigest(),
        conditioning="null",
        num_records=num,
        image_shape=(SIZE, SIZE, 1),
        classes=CLASSES,
        noise_levels=LEVELS,
        layers=tuple(layers),
        curves=(curve,),
    )
    records = (
        Record(task="toy", id=f"r{one:05d}", label=CLASSES[numbers[one]], facts={"hue": one % 7}) for one in range(num)
    )
    return writer.finish(manifest, records)


class ToyExplorer:
    """Walks from the middle to the class. ``gate`` holds it before each step after the first; class "bee" fails at its
    second step when ``is_broken``, and is an error of its row when ``is_hollow``."""

    def __init__(self, bundle: OpenedBundle) -> None:
        self.bundle = bundle
        self.gate = threading.Event()
        self.gate.set()
        self.is_broken = self.is_hollow = False

    def generate(
        self, request: ToyExample, on_step: Callable[[Step], None], should_cancel: Callable[[], bool]
    ) -> ToyPrediction:
        """As the task would."""
        rng = np.random.default_rng(request.seed)
        number = CLASSES.index(request.label) if request.label else int(rng.integers(len(CLASSES)))
        image = image_of(number)
        for step in range(request.num_steps):
            while not self.gate.wait(0.01) and step:
                if should_cancel():
                    raise Cancelled
            if should_cancel():
                raise Cancelled
            if self.is_broken and step == 1 and request.label == "bee":
                raise UserError("the toy is broken", remedy="mend it")
            level = 80.0 * (0.001 / 80.0) ** (step / (request.num_steps - 1))
            image = image_of(number, rng, min(level, 1.0))
            masked = [self.bundle.number(id) for id in request.references] if step < request.num_masked else []
            on_step(
                Step(
                    number=step,
                    num_steps=request.num_steps,
                    noise_level=level,
                    image=image,
                    noised=image_of(number, rng, 3.0),
                    places={layer: point(centre(layer, number) / (1 + level)) for layer in LAYERS},
                    masked_places={
                        layer: point(activations[masked, -1].astype(np.float32).mean(0))
                        for layer, activations in self.bundle.activations.items()
                        if masked
                    },
                )
            )
        shared = {name: getattr(request, name) for name in ("id", "label", "seed", "num_steps")}
        model = self.bundle.manifest.weights_hash[:16]
        error = "no_bee" if self.is_hollow and request.label == "bee" else None
        return ToyPrediction(**shared, model=model, image_png=png_text(image) or "", error=error)


def make_request(form: ToyForm, choice: Choice, id: str) -> ToyExample:
    """A form as a request."""
    if form.num_masked > form.num_steps:
        raise UserError("more steps are masked than there are", where="masked steps")
    if form.is_steered and not choice.references:
        raise UserError("nothing is chosen to steer by", remedy="choose neighbours on the map")
    return ToyExample(
        id=id,
        label=form.label,
        seed=form.seed,
        num_steps=form.num_steps,
        references=choice.references if form.is_steered else (),
        num_masked=form.num_masked if form.is_steered else 0,
    )


TOY = ExplorePart(
    example=ToyExample,
    form=ToyForm,
    class_field="label",
    seed_field="seed",
    request=make_request,
    open=lambda model, bundle, device: ToyExplorer(bundle),
    picture=lambda prediction: decode_png(prediction.image_png),
    reasons={"no_bee": "there are no bees: ask for another class"},
    facts=lambda prediction: (("judge", prediction.label or "?"),),
    record=lambda run, model, folder: write_toy_bundle(
        folder, 12, weights_hash=ModelFile(model).header.weights_hash, title=run.name
    ),
)
