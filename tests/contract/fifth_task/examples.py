"""Points on the line, from the recipe's seed."""

import random
from collections.abc import Iterator

from pipeline.contract.parts import ExamplesPart
from pipeline.tasks.fifth.recipe import LineRecipe
from pipeline.tasks.fifth.rows import LineExample


def make_examples(recipe: LineRecipe) -> Iterator[LineExample]:
    generator = random.Random(recipe.seed)
    for index in range(recipe.examples.num_points):
        x = generator.uniform(-1.0, 1.0)
        yield LineExample(task="fifth", id=f"point-{index:04d}", x=x, y=2.0 * x + 1.0)


PART = ExamplesPart(make=make_examples, recipe_keys=("seed",))
