"""The fixed transmissions that models are evaluated on. A longer set begins with the shorter one."""

from collections.abc import Iterator

import numpy as np

from pipeline.contract.parts import ExamplesPart
from pipeline.tasks.localization.recipe import LocalizationRecipe
from pipeline.tasks.localization.rows import Example, Measurement
from pipeline.tasks.localization.world.draw import Batch, draw_batch
from pipeline.tasks.localization.world.propagation import ALTITUDE_M
from pipeline.tasks.localization.world.receivers import SITES

_CHUNK = 1000  # drawn at once


def make_examples(recipe: LocalizationRecipe) -> Iterator[Example]:
    """Records of the recipe's world, or of that of its section ``examples``, from the seed of that section."""
    options = recipe.examples
    world = recipe.world if options.world is None else options.world
    for first in range(0, options.num_records, _CHUNK):
        generator = np.random.default_rng((options.seed, 0, first))
        batch = draw_batch(_CHUNK, world, options.kinds, generator)
        for row in range(min(_CHUNK, options.num_records - first)):
            yield example(f"event-{options.seed}-{first + row:06d}", batch, row)


def example(id: str, batch: Batch, row: int) -> Example:
    """One transmission of a batch as a record; levels to .01 dB, times to .01 ns (3 mm)."""
    events, times = batch.events, batch.times
    measurements = []
    for place in np.flatnonzero(events.heard[row]).tolist():
        site = SITES[place]
        measurements.append(
            Measurement(
                receiver=site.name,
                latitude=site.latitude,
                longitude=site.longitude,
                altitude_m=site.altitude_m,
                level_dbm=round(float(events.level_dbm[row, place]), 2),
                arrival_ns=None if times is None else round(float(times.arrival_ns[row, place]), 2),
                sigma_ns=None if times is None else round(float(times.sigma_ns[row, place]), 2),
            )
        )
    return Example(
        id=id,
        measurements=tuple(measurements),
        frequency_mhz=round(float(events.frequency_mhz[row]), 4),
        altitude_m=ALTITUDE_M,
        kind=str(batch.kinds[row]),
        latitude=round(float(events.latitude[row]), 8),
        longitude=round(float(events.longitude[row]), 8),
    )


PART = ExamplesPart(make=make_examples, recipe_keys=("world",))
