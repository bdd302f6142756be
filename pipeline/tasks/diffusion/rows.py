"""The rows of diffusion: envelopes of `schemas.rows` with this task's flat fields.

Images are base64 of a PNG file in the row: those of this task are small, and a row alone tells what was made. Noise
levels (sigma) are standard deviations of the noise, of images with values from -1 to 1.
"""

from typing import Literal

from msgspec import Struct

from pipeline.contract.parts import RowsPart
from pipeline.tasks.diffusion.recipe import SIGMA_MAX, SIGMA_MIN, Initial, LabelMode, Sampler
from schemas import rows
from schemas.recipe import Seed

MAIN = "main"  # the variant of the requests that metrics over all records are of
TRUTH = ("label", "real_png", "real_label")
BETWEEN = "/"  # factors that a class says: no folder's name holds it


class Reference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that the model generates itself: of a class, from the noise of a seed."""

    label: str
    seed: Seed


class Steering(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an image is to be steered: for the first ``num_masked`` steps, ``layers`` say the mean of what they say of
    ``references`` with noise of level ``sigma``, whose class they are not told. ``strength`` is how far they go there
    from what they say themselves: 1 all the way, above 1 beyond it.

    ``target`` is the class of the references. ``label_mode`` says what the request's own label is beside it: that of
    the references, none, or another one.
    """

    references: tuple[Reference, ...]
    target: str
    layers: tuple[str, ...]
    num_masked: int
    sigma: float
    label_mode: LabelMode
    strength: float = 1.0


class FileRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file beside the predictions, and the sha256 of its bytes."""

    path: str
    sha256: str


class ActivationsRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where what the layers said of an image is: in the file of each layer, an array float16 [rows, levels, C, H, W] in
    numpy's format, at row ``place``. ``sigmas`` are the levels; ``label`` says whether the class was told."""

    files: dict[str, FileRef]
    place: int
    sigmas: tuple[float, ...]
    label: Literal["none", "asked"]


Position = tuple[float, float]


def values_of(label: str | None) -> set[str]:
    """What a class says of each factor: {"disc", "red"} of "disc/red"; the class itself where it says but one thing."""
    return set(label.split(BETWEEN)) if label else set()


class DiffusionExample(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request: an image of class ``label`` (null: of none), from the noise of ``seed``.

    ``num_steps`` noise levels lead from ``sigma_max`` to ``sigma_min`` and then to 0. ``initial`` "zero" begins without
    noise: what the model makes of nothing. ``variant`` names a group of requests that differ in how they are asked.
    ``real_png`` is a real image of class ``real_label`` that no model has learned from, to compare with.
    """

    task: Literal["diffusion"] = "diffusion"
    label: str | None
    seed: Seed
    sampler: Sampler = "heun"
    num_steps: int = 18
    guidance: float = 1.0
    sigma_min: float = SIGMA_MIN
    sigma_max: float = SIGMA_MAX
    initial: Initial = "noise"
    variant: str = MAIN
    real_png: str | None = None
    real_label: str | None = None
    steering: Steering | None = None


class DiffusionPrediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request (`DiffusionExample`), the image that was made, the way to it, and what the judge says of it.

    ``sigmas`` are the noise levels of the way, ``changes`` how far the denoised image moved there (root mean square of
    its values), ``frames_png`` denoised images of it beside each other, the first at the highest level.
    ``num_evaluations`` counts the network's calls. The judge: ``judged_label`` with ``judged_probability``,
    ``label_probability`` of the class that was asked for, and ``features`` of the image. ``nearest_train`` is the
    number of the training image that is nearest, ``nearest_train_distance`` how far it is (root mean square over the
    values of an image, in the principal components of training images). ``real_...`` is the same of the real image.

    Where the model's file has a map (`recipe.Map`): ``map_position`` is where what the layer says of the image lies,
    ``map_embedding`` that in its principal components; ``positions`` are the places of the way, ``masked_positions``
    those of its first steps after the mask. ``activations`` are files beside this one.

    ``error`` is a code (docs/diffusion.md); all of the answer is null then.
    """

    task: Literal["diffusion"] = "diffusion"
    label: str | None
    seed: Seed
    sampler: Sampler = "heun"
    num_steps: int = 18
    guidance: float = 1.0
    sigma_min: float = SIGMA_MIN
    sigma_max: float = SIGMA_MAX
    initial: Initial = "noise"
    variant: str = MAIN
    real_png: str | None = None
    real_label: str | None = None
    steering: Steering | None = None
    image_png: str | None = None
    frames_png: str | None = None
    sigmas: tuple[float, ...] = ()
    changes: tuple[float, ...] = ()
    num_evaluations: int | None = None
    judged_label: str | None = None
    judged_probability: float | None = None
    label_probability: float | None = None
    features: tuple[float, ...] | None = None
    nearest_train: int | None = None
    nearest_train_distance: float | None = None
    real_judged_label: str | None = None
    real_features: tuple[float, ...] | None = None
    real_nearest_train_distance: float | None = None
    map_position: Position | None = None
    map_embedding: tuple[float, ...] | None = None
    positions: tuple[Position, ...] = ()
    masked_positions: tuple[Position, ...] = ()
    activations: ActivationsRef | None = None


class DiffusionScore(rows.Score, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one image scored; null where nothing was asked for or made. ``subject`` "real" is the real image beside."""

    task: Literal["diffusion"] = "diffusion"
    variant: str
    label: str | None
    is_right: bool | None
    label_probability: float | None
    nearest_train_distance: float | None


class DiffusionProgress(rows.Progress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mean over a few training steps: the weighted squared error of denoised images."""

    task: Literal["diffusion"] = "diffusion"
    loss: float
    learning_rate: float
    images_seen: int


class DiffusionMonitor(rows.Monitor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the averaged weights generate, as the judge sees it: the share of the right class, and the Frechet distance
    to held-out images in the judge's features."""

    task: Literal["diffusion"] = "diffusion"
    num_images: int
    accuracy: float
    frechet_distance: float
    loss: float


class DiffusionEpisode(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images that the averaged weights generate now, one of each class (of many classes, of some), and what the judge
    takes them for."""

    task: Literal["diffusion"] = "diffusion"
    loss: float
    images_png: tuple[str, ...]
    labels: tuple[str, ...]
    judged: tuple[str, ...]
    probabilities: tuple[float, ...]
    num_right: int


PART = RowsPart(
    types={
        "progress_v1": DiffusionProgress,
        "episode_v1": DiffusionEpisode,
        "monitor_v1": DiffusionMonitor,
        "example_v1": DiffusionExample,
        "prediction_v1": DiffusionPrediction,
        "score_v1": DiffusionScore,
        "metric_v1": rows.Metric,
        "figure_v1": rows.Figure,
    },
    truth=TRUTH,
    files=("activations/*.npy",),
)
