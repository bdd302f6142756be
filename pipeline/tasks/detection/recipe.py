"""What a detection recipe may say: scenes, network, training, decoding, and what each stage does by default."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.recipe import Count, CountOrZero, NotNegative, Positive, Recipe, Section, Seed

Confidence = Annotated[float, Meta(gt=0, lt=1)]
Backend = Literal["own", "huggingface", "server", "replay"]


class VisionText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="vision_text"):
    """Convolutional image encoder, causal text decoder with cross-attention."""

    width: Count = 128
    num_layers: Count = 3
    num_heads: Count = 4


Network = VisionText


class Scenes(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The generated scenes that the model is trained on."""

    image_size: Count = 64


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fixed images that the model is evaluated on."""

    num_images: Count = 500
    seed: Seed = 0


class Train(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long, and what is written on the way."""

    num_steps: Count = 20_000


class Infer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decoding. ``temperature`` 0 is greedy; a sampled record's random stream depends on ``seed`` and its id alone."""

    backend: Backend = "own"
    batch_size: Count = 16
    prompt: str = ""
    temperature: NotNegative = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    repetition_penalty: Positive = 1.0
    max_new_tokens: Count = 512
    seed: Seed = 0
    keep_logprobs: bool = False


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``use_salvaged`` counts the objects in that were complete before a text was cut."""

    use_salvaged: bool = False
    num_resamples: CountOrZero = 1000
    confidence: Confidence = 0.95
    seed: Seed = 0


class Visualize(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``num_images`` are drawn, the worst first."""

    num_images: Count = 60


class DetectionRecipe(Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe of task detection."""

    task: Literal["detection"] = "detection"
    scenes: Scenes = Scenes()
    examples: Examples = Examples()
    network: Network = VisionText()
    train: Train = Train()
    infer: Infer = Infer()
    evaluate: Evaluate = Evaluate()
    visualize: Visualize = Visualize()


RECIPE = DetectionRecipe
