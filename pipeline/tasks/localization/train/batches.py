"""What a training learns from: new transmissions of the simulated world, or those of a file.

A source has ``names`` and ``places`` [R, 3] of the receivers, and ``monitored`` records that nothing is learnt from. A
batch follows from the seed and the step.
"""

from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.files import read
from pipeline.stats import Floats
from pipeline.tasks.localization.examples import example
from pipeline.tasks.localization.measured import Measured, in_slots, of_batch, of_records, site_places
from pipeline.tasks.localization.recipe import LocalizationRecipe, Weighing
from pipeline.tasks.localization.rows import Example, place_of
from pipeline.tasks.localization.world.draw import draw_batch
from pipeline.tasks.localization.world.receivers import SITES

_MONITOR_SEED = 0  # every training is monitored on the same transmissions
_MONITORED = 0.2  # of the groups of a file


class Simulated:
    """Nothing comes twice."""

    def __init__(self, recipe: LocalizationRecipe) -> None:
        self.recipe = recipe
        self.names, self.places = [site.name for site in SITES], site_places()
        options, generator = recipe.train, np.random.default_rng((_MONITOR_SEED, 2))
        self._drawn = draw_batch(options.num_monitored, recipe.world, options.kinds, generator)
        self.monitored = of_batch(self._drawn)

    def batch(self, step: int) -> Measured:
        """New transmissions."""
        options, generator = self.recipe.train, np.random.default_rng((self.recipe.seed, 1, step))
        return of_batch(draw_batch(options.batch_size, self.recipe.world, options.kinds, generator))

    def sample(self, num: int) -> list[Example]:
        """The first monitored ones."""
        return [example(f"event-{row}", self._drawn, row) for row in range(min(num, len(self.monitored)))]


class Recorded:
    """Records of a file, each once before any comes again. A group (a device, an aircraft) is on one side alone."""

    def __init__(self, recipe: LocalizationRecipe, path: Path) -> None:
        self.recipe = recipe
        rows = [row for row in read(path, Example) if place_of(row) is not None]
        groups = sorted({_group(row) for row in rows})
        held = {*np.random.default_rng(_MONITOR_SEED).permutation(groups)[: max(round(len(groups) * _MONITORED), 1)]}
        self._held = [row for row in rows if _group(row) in held]
        learnt = [row for row in rows if _group(row) not in held]
        if not learnt:
            what = f"{len(rows)} records of {len(groups)} groups leave none to learn from"
            raise UserError(what, where=str(path), remedy="give records with a truth, of at least two groups")
        self.names = sorted({one.receiver for row in learnt for one in row.measurements})
        network = recipe.network
        if isinstance(network, Weighing) and network.receivers == "any":
            self.learnt, self.monitored = (in_slots(some, network.num_slots) for some in (learnt, self._held))
        else:
            self.learnt, self.monitored = (of_records(some, self.names) for some in (learnt, self._held))
        self.places = np.array([_last(self.learnt.places[:, place]) for place in range(self.learnt.heard.shape[1])])

    def batch(self, step: int) -> Measured:
        """The next ones in an order that is drawn anew for every pass."""
        size, num = self.recipe.train.batch_size, len(self.learnt)
        wanted = np.arange(step * size, (step + 1) * size)
        rows = [
            np.random.default_rng((self.recipe.seed, 1, epoch)).permutation(num)[wanted[wanted // num == epoch] % num]
            for epoch in np.unique(wanted // num).tolist()
        ]
        return self.learnt[np.concatenate(rows)]

    def sample(self, num: int) -> list[Example]:
        """The first monitored ones."""
        return self._held[:num]


Source = Simulated | Recorded


def open_source(recipe: LocalizationRecipe) -> Source:
    """What the recipe says to learn from. Raises UserError for a file that is none or has too little in it."""
    if recipe.train.records is None:
        return Simulated(recipe)
    path = Path(recipe.train.records)
    if not path.is_file():
        where = f"train.records: {path}"
        raise UserError("there are no records to learn from", where=where, remedy="name a file of examples")
    return Recorded(recipe, path)


def _group(row: Example) -> str:
    return row.id if row.group is None else row.group


def _last(places: Floats) -> Floats:
    """The last known one of [N, 3]; NaN where there is none."""
    known = places[np.isfinite(places).all(1)]
    return known[-1] if len(known) else np.full(3, np.nan)
