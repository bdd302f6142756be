"""The fixed records that models are evaluated on, from the recipe's seed."""

from collections.abc import Iterator

import numpy as np

from pipeline.contract.parts import ExamplesPart

from .curve import draw_points
from .recipe import SkeletonRecipe
from .rows import Example


def make_examples(recipe: SkeletonRecipe) -> Iterator[Example]:
    """Points on the curve; the same recipe gives the same points."""
    xs, ys = draw_points(recipe.examples.num_points, np.random.default_rng((recipe.seed, 0)))
    for index, (x, y) in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
        yield Example(id=f"point-{index:04d}", x=x, y=y)


PART = ExamplesPart(make=make_examples, recipe_keys=("seed",))
