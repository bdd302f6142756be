"""What a recipe of localization may say. A section named after a stage belongs to that stage alone."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pipeline.contract.parts import RecipePart
from schemas import recipe
from schemas.recipe import Count, Positive, Section, Seed, Share

Kind = Literal["clean", "one_late_3us", "one_early_3us", "one_late_30us", "each_late", "one_clock"]
Kinds = tuple[Kind, ...] | dict[Kind, Share]
Tier = Literal["levels", "times"]
Span = tuple[Positive, Positive]
Confidence = Annotated[float, Meta(gt=0, lt=1)]
CountOrZero = Annotated[int, Meta(ge=0)]


class World(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The simulated world: what receivers measure, and the ranges that hidden values are drawn from.

    ``tier`` is what is measured: levels alone, or times of arrival as well. ``sigma_ns`` is the standard deviation
    that is stated of a time, log-uniform in this range; its error is ``jitter_factor`` times as large.
    """

    tier: Tier = "levels"
    path_loss_exponent: Span = (2.0, 3.5)
    shadowing_db: Span = (4.0, 8.0)
    sigma_ns: Span = (50.0, 2000.0)
    jitter_factor: Positive = 1.0


class Mlp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="mlp"):
    """A perceptron over the levels of a fixed set of receivers, whose answer is a mixture of Gaussians."""

    hidden: tuple[Count, ...] = (256, 256, 256)
    num_components: Count = 4


class Weighing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="weighing"):
    """A network that weighs classical solutions from times of arrival, and says how far each may be off.

    With ``receivers`` "named" it knows each by its name, as those of a fixed set; with "any" it is blind to who they
    are and to their order, for sets in which receivers come and go: the first ``num_slots`` of a record are looked at,
    those with the least stated error. Each candidate is a mixture of ``num_scales`` Gaussians, and ``num_free`` more
    lie where levels and receivers say. A time without a stated standard deviation has ``sigma_ns``.
    """

    receivers: Literal["named", "any"] = "named"
    width: Count = 64
    pair_width: Count = 32
    num_scales: Count = 2
    num_free: Count = 4
    num_slots: Count = 8
    sigma_ns: Positive = 100.0


Network = Mlp | Weighing


class Optimizer(recipe.Optimizer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW; the learning rate falls along a cosine."""

    type: Literal["adamw"] = "adamw"
    learning_rate: recipe.Positive = 1e-3


class Train(recipe.Training, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is a batch of new transmissions, or of those in the file ``records`` (examples.jsonl).

    ``kinds`` are what times suffer: names, of which there are as many of each, or shares by name. The model is
    monitored on ``num_monitored`` other transmissions, or on the last fifth of the groups of the file. Losses are told
    every ``progress_every`` steps, and every ``sample_every`` what the model says of ``num_sampled`` transmissions.
    """

    num_steps: Count = 20_000
    batch_size: Count = 256
    monitor_every: Count = 2_000
    checkpoint_every: Count = 2_000
    kinds: Kinds = ("clean",)
    records: str | None = None
    num_monitored: Count = 4_000
    progress_every: Count = 50
    sample_every: Count = 200
    num_sampled: Count = 4


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many transmissions the model is evaluated on, and which.

    ``kinds`` are names, of which there are as many of each, or shares by name; levels suffer none of them. ``world``
    is another one than the model was trained in; null for the same.
    """

    num_records: Count = 1_000
    seed: Seed = 1
    kinds: Kinds = ("clean",)
    world: World | None = None


class Infer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What computes the answers: torch, or ONNX Runtime as a server does; they differ in the last digits."""

    runtime: Literal["torch", "onnxruntime"] = "torch"


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How predictions are scored: ``num_resamples`` bootstrap resamples at ``confidence``, from ``seed``.

    ``training`` is a file of examples whose levels nearest neighbours are taken from, ``conformal`` a file of
    predictions by which the ellipses are rescaled; null for neither. Of ``posterior_records`` records of levels, the
    first, the posterior of the simulator is computed (some 20 ms each).
    """

    confidence: Confidence = 0.95
    num_resamples: Count = 2_000
    seed: Seed = 0
    training: str | None = None
    conformal: str | None = None
    posterior_records: CountOrZero = 200


class Visualize(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many records have a map of their own, the farthest off first."""

    num_records: Count = 6


class LocalizationRecipe(recipe.Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run."""

    world: World = World()
    network: Network = Mlp()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    examples: Examples = Examples()
    infer: Infer = Infer()
    evaluate: Evaluate = Evaluate()
    visualize: Visualize = Visualize()


PART = RecipePart(recipe=LocalizationRecipe, network=Network)
