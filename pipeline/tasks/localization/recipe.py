"""What a recipe of localization may say. A section named after a stage belongs to that stage alone."""

from typing import Literal

from msgspec import Struct

from pipeline.contract.parts import RecipePart
from schemas import recipe
from schemas.recipe import Count, Section


class Mlp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="mlp"):
    """A perceptron over the levels of a fixed set of receivers, whose answer is a mixture of Gaussians."""

    hidden: tuple[Count, ...] = (256, 256, 256)
    num_components: Count = 4


class Optimizer(recipe.Optimizer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW; the learning rate falls along a cosine."""

    type: Literal["adamw"] = "adamw"
    learning_rate: recipe.Positive = 1e-3


class Train(recipe.Training, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is a batch of new transmissions."""

    num_steps: Count = 20_000
    batch_size: Count = 256
    monitor_every: Count = 2_000
    checkpoint_every: Count = 2_000


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many transmissions the model is evaluated on."""

    num_records: Count = 1_000


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resamples behind the intervals."""

    num_resamples: Count = 2_000


class LocalizationRecipe(recipe.Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run."""

    network: Mlp = Mlp()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    examples: Examples = Examples()
    evaluate: Evaluate = Evaluate()


PART = RecipePart(recipe=LocalizationRecipe, network=Mlp)
