"""The fixed scenarios of gridworld: level, seed, decay multiplier.

Seeds come from the examples' own domain (`seeds.EXAMPLES`), so no scenario here can occur in training or monitoring.
They depend on ``examples.seed`` and the index alone: recipes of other training seeds, networks or levels are compared
on the same scenarios, and a longer set begins with the shorter one. Every multiplier gets the same seeds, which pairs
them.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.contract.parts import ExamplesPart
from pipeline.tasks.gridworld.recipe import GridworldRecipe
from pipeline.tasks.gridworld.rows import GridworldExample
from pipeline.tasks.gridworld.town.seeds import EXAMPLES, derive


def make_examples(recipe: GridworldRecipe) -> Iterator[GridworldExample]:
    """Yield ``examples.num_scenarios`` scenarios for each of ``examples.multipliers``, in that order.

    An id names level, multiplier and index, such as ``full-x1-00000042``; it is the same in every run.
    """
    level = recipe.environment.level
    seeds = derive(EXAMPLES, recipe.examples.seed, np.arange(recipe.examples.num_scenarios))
    for multiplier in recipe.examples.multipliers:
        for index, seed in enumerate(seeds.tolist()):
            yield GridworldExample(
                id=f"{level}-x{multiplier:g}-{index:08d}", level=level, seed=seed, multiplier=multiplier
            )


PART = ExamplesPart(make=make_examples, recipe_keys=("environment",))
