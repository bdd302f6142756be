"""What a detection recipe may say: scenes, network, training, decoding, and what each stage does by default."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from pipeline.contract.parts import RecipePart
from pipeline.tasks.detection.read_text.formats import PRESETS, Axes, Preset, SwappedCorners, TextFormat
from schemas import recipe
from schemas.recipe import Count, CountOrZero, NotNegative, Positive, Recipe, Section, Seed, Share, ShareBelowOne

Confidence = Annotated[float, Meta(gt=0, lt=1)]
Backend = Literal["own", "huggingface", "server", "replay"]
Split = Literal["train", "monitor", "heldout", "unseen"]
EvaluationSplit = Literal["heldout", "unseen"]
Geometry = Literal["bbox", "poly", "both"]
Shape = Literal["circle", "square", "triangle", "star"]
Side = Annotated[int, Meta(ge=16, le=1024)]
ImageSize = tuple[Side, Side]
TrainedPhotograph = Literal["china", "flower", "astronaut", "brick", "camera", "chelsea", "coffee", "retina"]
UnseenPhotograph = Literal["grass", "gravel", "hubble", "ihc", "rocket", "text"]
Photograph = Literal[TrainedPhotograph, UnseenPhotograph]

REFERENCE_SIDE = 64  # `Scenes.object_size` is in pixels of an image whose shorter side has this many


class VisionText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="vision_text"):
    """Convolutional image encoder, causal text decoder with cross-attention.

    ``num_blocks`` residual blocks stand in each of the two coarser stages of the encoder, ``num_encoder_layers`` layers
    of self-attention behind it. ``vocabulary``: pieces of JSON and coordinates as tokens, or one token a character.
    """

    width: Count = 128
    num_blocks: CountOrZero = 2
    num_encoder_layers: CountOrZero = 1
    num_layers: Count = 3
    num_heads: Count = 4
    vocabulary: Literal["fragments", "characters"] = "fragments"


Network = VisionText


class Scenes(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The generated scenes: coloured shapes over photographs.

    ``image_sizes`` are [width, height] in pixels, one drawn for each scene; ``num_objects`` and ``object_size`` are
    [least, most]. ``object_size`` is the longer side of a shape's box, in pixels of an image whose shorter side has 64,
    and grows with the image. ``max_overlap`` is what two boxes may share, of the smaller one's area. ``geometry`` is
    what the truth is written as; with "both", a coin decides for each object. ``photographs`` are behind the scenes of
    training, monitoring and held-out images, each split with a part of its own, ``unseen_photographs`` behind the
    unseen ones. Of the training scenes, ``varied_share`` show the photograph in other light and turned, ``mixed_share``
    two photographs at once.
    """

    image_sizes: Annotated[tuple[ImageSize, ...], Meta(min_length=1)] = ((64, 64),)
    num_objects: tuple[CountOrZero, CountOrZero] = (0, 4)
    object_size: tuple[Positive, Positive] = (9.0, 30.0)
    max_overlap: Share = 0.3
    geometry: Geometry = "bbox"
    shapes: Annotated[tuple[Shape, ...], Meta(min_length=1)] = ("circle", "square", "triangle", "star")
    photographs: Annotated[tuple[Photograph, ...], Meta(min_length=1)] = get_args(TrainedPhotograph)
    unseen_photographs: Annotated[tuple[Photograph, ...], Meta(min_length=1)] = get_args(UnseenPhotograph)
    varied_share: Share = 0.8
    mixed_share: Share = 0.2

    def __post_init__(self) -> None:
        for name, (least, most) in (("num_objects", self.num_objects), ("object_size", self.object_size)):
            if least > most:
                raise ValueError(f"{name} is [least, most], and {least:g} is more than {most:g}")
        if self.object_size[1] > REFERENCE_SIDE:
            raise ValueError(f"object_size is more than the image, which has {REFERENCE_SIDE} in these units")
        both = sorted(set(self.photographs) & set(self.unseen_photographs))
        if both:
            raise ValueError(f"{', '.join(both)} cannot be among photographs and among unseen_photographs")


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fixed images that the model is evaluated on: scenes 0 to ``num_images`` of ``split`` and ``seed``."""

    num_images: Count = 500
    split: EvaluationSplit = "heldout"
    seed: Seed = 0


class Train(recipe.Training, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model learns, and what is written on the way. A step is one batch of ``batch_size`` new scenes.

    ``geometries`` are the answers that are learned for each image: boxes, polygons, or both, each to its own prompt;
    beside boxes, polygons are asked for in ``polygon_share`` of the images, as they take most of the tokens.
    ``sigma`` spreads the target over neighbouring coordinates, ``jitter`` moves those read so far (standard
    deviations, in thousandths of the image). ``dense_weight`` weighs the loss on the encoder's fine map.
    ``augment_share`` of the images are seen in other colours, light, sharpness and noise. ``precision`` is what
    products are computed in.
    """

    num_steps: Count = 5000
    batch_size: Count = 32
    geometries: Annotated[tuple[Literal["bbox_2d", "poly"], ...], Meta(min_length=1)] = ("bbox_2d", "poly")
    polygon_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    sigma: Positive = 4.0
    jitter: NotNegative = 6.0
    dense_weight: NotNegative = 1.0
    augment_share: Share = 0.5
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    monitor_every: Count = 500
    monitor_images: Count = 100
    checkpoint_every: Count = 500
    progress_every: Count = 20
    sample_every: Count = 50


class Optimizer(recipe.Optimizer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The learning rate falls along a cosine. "muon": Muon for the matrices inside the network, AdamW for the rest."""

    type: Literal["adamw", "muon"] = "muon"
    learning_rate: Positive = 1.5e-2
    weight_decay: NotNegative = 0.05
    final_fraction: Share = 0.01
    warmup_updates: CountOrZero = 100
    max_grad_norm: Positive = 1.0
    average_decay: ShareBelowOne = 0.998


class Server(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible server: ``url`` up to and with its version, as in http://127.0.0.1:8000/v1.

    ``api_key_variable`` names the environment variable that holds the key; no name, no key is sent. A request that
    fails is tried ``num_tries`` times in all, after waits that double from ``backoff_s`` and stay below ``max_wait_s``.
    ``timeout_s`` is for one whole answer, ``num_parallel`` how many are asked for at once.
    """

    url: str = ""
    model: str = ""
    api_key_variable: str = ""
    connect_timeout_s: Positive = 10.0
    timeout_s: Positive = 300.0
    num_tries: Count = 5
    backoff_s: Positive = 0.5
    max_wait_s: Positive = 60.0
    num_parallel: Count = 8


class Infer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decoding. ``temperature`` 0 is greedy; a sampled record's random stream depends on ``seed`` and its id alone.

    ``prompt`` "" is the backend's own. ``precision`` is what a Hugging Face model computes in. Images with more bytes
    or pixels than the limits are not opened.
    """

    backend: Backend = "own"
    batch_size: Count = 16
    prompt: str = ""
    temperature: NotNegative = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    repetition_penalty: Positive = 1.0
    max_new_tokens: Count = 512
    seed: Seed = 0
    keep_logprobs: bool = False
    precision: Literal["stored", "float32", "bfloat16", "float16"] = "stored"
    max_image_bytes: Count = 64_000_000
    max_image_pixels: Annotated[int, Meta(ge=1, le=178_000_000)] = 64_000_000  # PIL opens no larger ones
    server: Server = Server()


Key = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_\-]*$")]


class TextFormatSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model writes objects: the form of a family (``preset``), and what is otherwise; null is the preset's own.

    Keys are those of objects in JSON. ``axes`` is the order of a box's numbers, ``grid`` the number that stands for the
    right and the lower edge, or "pixels": of the image as the model saw it, with sides that are multiples of
    ``image_multiple`` (0: as stored) and ``image_min_pixels`` to ``image_max_pixels`` in all. ``swapped_corners`` says
    whether a box whose first corner is right of the second, or below it, is dropped, or its corners are put in order.
    """

    preset: Preset = "baton"
    desc_key: Key | None = None
    box_key: Key | None = None
    poly_key: Key | None = None
    axes: Axes | None = None
    grid: Count | Literal["pixels"] | None = None
    swapped_corners: SwappedCorners | None = None
    image_multiple: CountOrZero | None = None
    image_min_pixels: CountOrZero | None = None
    image_max_pixels: CountOrZero | None = None

    def __post_init__(self) -> None:
        keys = [name for name in ("desc_key", "box_key", "poly_key") if getattr(self, name) is not None]
        if keys and PRESETS[self.preset].form is not None:
            raise ValueError(f"models of preset {self.preset} write tokens and no keys: leave {', '.join(keys)} out")
        written = self.resolved()
        names = [name for name in (written.desc_key, written.box_key, written.poly_key) if name is not None]
        if len(set(names)) < len(names):
            raise ValueError(f"the keys differ from each other, and these do not: {', '.join(names)}")

    def resolved(self) -> TextFormat:
        """The preset with what this section says otherwise. With a grid of one's own, numbers may be broken."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        del said["preset"]
        if self.grid is not None:
            said |= {"largest": None, "is_bin": False, "is_whole": False}
        return msgspec.structs.replace(PRESETS[self.preset], **said)


AreaRange = tuple[NotNegative, Positive]


class SizeRanges(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as small, medium and large: [least, most] area in square pixels, COCO's by default.

    A true object whose area is on the edge of two ranges counts in both, as with pycocotools.
    """

    small: AreaRange = (0.0, 32.0**2)
    medium: AreaRange = (32.0**2, 96.0**2)
    large: AreaRange = (96.0**2, 1e5**2)

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            least, most = getattr(self, name)
            if least > most:
                raise ValueError(f"{name} is [least, most], and {least:g} is more than {most:g}")


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How predictions are scored; everything else about it is fixed (docs/detection.md).

    ``use_salvaged`` counts the objects in that were complete before a text was cut. ``score_from`` says what ranks
    predictions: the ``score`` of the row ("contract": 1.0 for models that write text), or the log probabilities of the
    object's tokens. Predictions below ``min_score`` (null: none) count in average precision and the costs of errors
    alone. Labels are one class when they are equal after folding (space and case, ``label_match``), or by the table of
    the file ``synonyms``. ``slice_by`` are keys of the records' ``metadata``: metrics are also taken over the records
    of each value. ``size_ranges`` are the areas of small, medium and large objects; null is COCO's.
    """

    use_salvaged: bool = False
    score_from: Literal["contract", "logprobs"] = "contract"
    min_score: float | None = None
    label_match: Literal["folded", "exact"] = "folded"
    synonyms: str | None = None
    slice_by: tuple[str, ...] = ()
    size_ranges: SizeRanges | None = None
    num_resamples: CountOrZero = 1000
    confidence: Confidence = 0.95
    seed: Seed = 0


class Visualize(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``num_images`` are drawn, the worst first."""

    num_images: Count = 60


class DetectionRecipe(Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe of task detection."""

    belongs_to: ClassVar[Mapping[str, str]] = {"text_format": "infer"}

    task: Literal["detection"] = "detection"
    scenes: Scenes = Scenes()
    examples: Examples = Examples()
    network: Network = VisionText()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    infer: Infer = Infer()
    text_format: TextFormatSection = TextFormatSection()
    evaluate: Evaluate = Evaluate()
    visualize: Visualize = Visualize()


_OPTIMIZER = ("learning_rate", "final_fraction", "weight_decay", "max_grad_norm", "average_decay")

PART = RecipePart(
    recipe=DetectionRecipe,
    network=Network,
    moved={"train.optimizer": "optimizer.type", "train.warmup_steps": "optimizer.warmup_updates"}
    | {f"train.{name}": f"optimizer.{name}" for name in _OPTIMIZER},
)
