"""The requests that models are asked, each beside a held-out real image; they follow from the recipe alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec.structs import asdict

from pipeline.contract.parts import ExamplesPart
from pipeline.errors import UserError
from pipeline.tasks.diffusion.data.load import DataSet, load_split
from pipeline.tasks.diffusion.data.shapes import FACTORS
from pipeline.tasks.diffusion.pixels import encode_png
from pipeline.tasks.diffusion.recipe import DiffusionRecipe, Factor
from pipeline.tasks.diffusion.rows import BETWEEN, MAIN, DiffusionExample, Reference, Steering


def make_examples(recipe: DiffusionRecipe) -> Iterator[DiffusionExample]:
    """The requests of the main variant, of the sweep, and those that are steered: ids name the variant and count."""
    wanted, heldout = recipe.examples, load_split(recipe.data).heldout
    settings = asdict(wanted.sampling)
    num_null = round(wanted.null_share * wanted.num_images)
    yield from _variant(MAIN, (wanted.num_images, num_null), wanted.seed, settings, heldout)
    sweep = wanted.sweep
    for sampler in sweep.samplers:
        for num_steps in sweep.num_steps:
            for guidance in sweep.guidance:
                name = f"{sampler}-{num_steps}-guidance-{guidance:g}"
                how = settings | {"sampler": sampler, "num_steps": num_steps, "guidance": guidance}
                yield from _variant(name, (sweep.num_images, 0), wanted.seed, how, heldout)
    if wanted.steering.num_images:
        for factor in wanted.steering.factors or (None,):
            yield from _steered(recipe, heldout, factor)


def _variant(
    name: str, counts: tuple[int, int], seed: int, how: dict[str, Any], heldout: DataSet
) -> Iterator[DiffusionExample]:
    """So many requests of all classes in turn, of which the last so many ask for none. Seeds and real images are the
    same in every variant."""
    num, num_null = counts
    for index in range(num):
        asked = heldout.names[index % len(heldout.names)] if index < num - num_null else None
        yield _request(name, index, seed, label=asked, **how, **_real(heldout, index))


def _real(heldout: DataSet, index: int) -> dict[str, str]:
    """The fields of a request that tell of its real image: classes in turn, and so the images of each."""
    turn, number = divmod(index, len(heldout.names))
    own = np.flatnonzero(heldout.labels == number)
    return {"real_png": encode_png(heldout.images[own[turn % len(own)]]), "real_label": heldout.names[number]}


def _steered(recipe: DiffusionRecipe, heldout: DataSet, factor: Factor | None) -> Iterator[DiffusionExample]:
    """Requests that are steered to one class by references of it, while the model is told something else; with
    ``factor``, another class that differs in that alone."""
    wanted, names, seed = recipe.examples.steering, heldout.names, recipe.examples.seed
    others = _others(names, factor)
    settings = asdict(recipe.examples.sampling)
    for mode in wanted.labels:
        for num_masked in wanted.num_masked:
            for index in range(wanted.num_images):
                turn, number = divmod(index, len(names))
                target = names[number]
                steering = Steering(
                    references=_references(target, index, wanted.num_references, seed),
                    target=target,
                    layers=wanted.layers,
                    num_masked=num_masked,
                    sigma=wanted.sigma,
                    label_mode=mode,
                    strength=wanted.strength,
                )
                other = others[number][turn % len(others[number])]
                told = {"reference": target, "none": None, "other": other}[mode]
                name = "-".join(filter(None, ("steered", factor, mode, str(num_masked))))
                yield _request(name, index, seed, label=told, steering=steering, **settings, **_real(heldout, index))


def _others(names: Sequence[str], factor: Factor | None) -> list[list[str]]:
    """Of each class the others, those behind it first; with ``factor``, those that differ from it in that alone.

    Raises UserError where there are none.
    """

    def rest(name: str) -> list[str]:
        return [value for value in name.split(BETWEEN) if factor is not None and value not in FACTORS[factor]]

    turned = [[*names[k + 1 :], *names[:k]] for k in range(len(names))]
    others = [[one for one in ones if rest(one) == rest(name)] for name, ones in zip(names, turned, strict=True)]
    if not all(others):
        what = f"no class differs from {names[0]!r} in {factor or 'anything'} alone: steering needs another one"
        raise UserError(what, where="examples.steering", remedy="drawn shapes have classes of several data.factors")
    return others


def _references(target: str, index: int, count: int, seed: int) -> tuple[Reference, ...]:
    drawn = np.random.default_rng((seed, 1, index)).integers(2**31, size=count)
    return tuple(Reference(label=target, seed=int(one)) for one in drawn)


def _request(variant: str, index: int, seed: int, **fields: Any) -> DiffusionExample:
    drawn = int(np.random.default_rng((seed, index)).integers(2**31))
    return DiffusionExample(id=f"{variant}-{index:05d}", seed=drawn, variant=variant, **fields)


PART = ExamplesPart(make=make_examples, recipe_keys=("data",))
