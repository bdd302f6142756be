"""What a recipe of this task says."""

from pipeline.contract.parts import RecipePart
from schemas.recipe import Recipe, Section


class Train(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gradient steps, and their size."""

    num_steps: int = 400
    learning_rate: float = 0.1


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many points."""

    num_points: int = 8


class LineRecipe(Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run."""

    train: Train = Train()
    examples: Examples = Examples()


PART = RecipePart(recipe=LineRecipe)
