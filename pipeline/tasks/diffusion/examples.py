"""The requests that models are asked, each beside a held-out real image; they follow from the recipe alone."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np

from pipeline.contract.parts import ExamplesPart
from pipeline.errors import UserError
from pipeline.tasks.diffusion.data.load import DataSet, load_split
from pipeline.tasks.diffusion.pixels import encode_png
from pipeline.tasks.diffusion.recipe import DiffusionRecipe, Sampling
from pipeline.tasks.diffusion.rows import MAIN, DiffusionExample, Reference, Steering


class RealImages:
    """Held-out images in turn, of one class or of any. Those of a class begin anew when all were given."""

    def __init__(self, heldout: DataSet) -> None:
        self.names = heldout.names
        numbers = [[heldout.images[n] for n in np.flatnonzero(heldout.labels == k)] for k in range(len(self.names))]
        self._turns = {name: cycle(images) for name, images in zip(self.names, numbers, strict=True)}

    def next(self, label: str) -> dict[str, str]:
        """The fields of a request that tell of the next real image of a class."""
        return {"real_png": encode_png(next(self._turns[label])), "real_label": label}


def make_examples(recipe: DiffusionRecipe) -> Iterator[DiffusionExample]:
    """The requests of the main variant, of the sweep, and those that are steered: ids name the variant and count."""
    wanted = recipe.examples
    heldout = load_split(recipe.data).heldout
    num_null = round(wanted.null_share * wanted.num_images)
    real = RealImages(heldout)
    settings = _settings(wanted.sampling)
    for index in range(wanted.num_images):
        label = heldout.names[index % len(heldout.names)]
        asked = None if index >= wanted.num_images - num_null else label
        yield _request(MAIN, index, wanted.seed, label=asked, **settings, **real.next(label))
    sweep = wanted.sweep
    for sampler in sweep.samplers:
        for num_steps in sweep.num_steps:
            for guidance in sweep.guidance:
                name = f"{sampler}-{num_steps}-guidance-{guidance:g}"
                how = settings | {"sampler": sampler, "num_steps": num_steps, "guidance": guidance}
                yield from _variant(name, sweep.num_images, wanted.seed, how, heldout)
    yield from _steered(recipe, heldout)


def _steered(recipe: DiffusionRecipe, heldout: DataSet) -> Iterator[DiffusionExample]:
    """Requests that are steered to one class by references of it, while the model is told something else."""
    wanted, names = recipe.examples.steering, heldout.names
    if wanted.num_images and wanted.labels != ("reference",) and len(names) < 2:
        raise UserError("steering needs two classes or more", where="examples.steering")
    settings = _settings(recipe.examples.sampling)
    for mode in wanted.labels:
        for num_masked in wanted.num_masked:
            real = RealImages(heldout)
            for index in range(wanted.num_images):
                target = names[index % len(names)]
                other = names[(index + 1 + index // len(names) % (len(names) - 1)) % len(names)]
                steering = Steering(
                    references=_references(target, index, wanted.num_references, recipe.examples.seed),
                    target=target,
                    layers=wanted.layers,
                    num_masked=num_masked,
                    sigma=wanted.sigma,
                    label_mode=mode,
                )
                told = {"reference": target, "none": None, "other": other}[mode]
                name = f"steered-{mode}-{num_masked}"
                facts = {"label": told, "steering": steering, **settings, **real.next(target)}
                yield _request(name, index, recipe.examples.seed, **facts)


def _references(target: str, index: int, count: int, seed: int) -> tuple[Reference, ...]:
    drawn = np.random.default_rng((seed, 1, index)).integers(2**31, size=count)
    return tuple(Reference(label=target, seed=int(one)) for one in drawn)


def _variant(name: str, num: int, seed: int, how: dict[str, Any], heldout: DataSet) -> Iterator[DiffusionExample]:
    """Requests of another variant: classes, seeds and real images are those of the main one."""
    real = RealImages(heldout)
    for index in range(num):
        label = heldout.names[index % len(heldout.names)]
        yield _request(name, index, seed, label=label, **how, **real.next(label))


def _settings(sampling: Sampling) -> dict[str, Any]:
    return {name: getattr(sampling, name) for name in sampling.__struct_fields__}


def _request(variant: str, index: int, seed: int, **fields: Any) -> DiffusionExample:
    drawn = int(np.random.default_rng((seed, index)).integers(2**31))
    return DiffusionExample(id=f"{variant}-{index:05d}", seed=drawn, variant=variant, **fields)


PART = ExamplesPart(make=make_examples, recipe_keys=("data",))
