"""What a recipe of this task may say. A section named after a stage belongs to that stage alone."""

from typing import Literal

from msgspec import Struct

from pipeline.contract.parts import RecipePart
from schemas import recipe
from schemas.recipe import Count, Section


class Mlp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="mlp"):
    """One hidden layer of so many units."""

    hidden: Count = 32


class Optimizer(recipe.Optimizer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adam; the learning rate falls along a cosine."""

    type: Literal["adam"] = "adam"
    learning_rate: recipe.Positive = 0.05


class Train(recipe.Training, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is a batch of new points. Every ``sample_every`` steps the live view is shown what the model says."""

    num_steps: Count = 1000
    batch_size: Count = 32
    monitor_every: Count = 250
    checkpoint_every: Count = 250
    sample_every: Count = 50


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many points the model is evaluated on."""

    num_points: Count = 100


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resamples behind the intervals."""

    num_resamples: Count = 2000


class SkeletonRecipe(recipe.Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run."""

    network: Mlp = Mlp()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    examples: Examples = Examples()
    evaluate: Evaluate = Evaluate()


PART = RecipePart(recipe=SkeletonRecipe, network=Mlp)
