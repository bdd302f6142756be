"""Two model files side by side: is it the architecture, the weights or the recipe that differs, and by how much?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart
from pipeline.model.file import OpenedModel, largest_difference, open_model, task_outputs
from pipeline.recipe.moved import with_new_names


@dataclass(frozen=True)
class ModelComparison:
    """What two inference_v1 files have in common.

    differing_network   keys of the brain spec with their two values
    differing_recipe    keys of the recipe with their two values, such as "optimizer.learning_rate"
    weight_difference   largest |a - b| of any weight; None if the architectures differ
    output_differences  largest |a - b| of each output on the golden inputs of both; those that only one has, or that
                        have other shapes, are left out
    """

    same_architecture: bool
    same_weights: bool
    same_recipe: bool
    differing_network: Mapping[str, tuple[Any, Any]]
    differing_recipe: Mapping[str, tuple[Any, Any]]
    weight_difference: float | None
    output_differences: Mapping[str, float]

    def __str__(self) -> str:
        lines = [
            f"architecture: {_verdict(self.same_architecture, self.differing_network)}",
            f"weights:      {'same' if self.same_weights else 'differ'}{_at_most(self.weight_difference)}",
            f"recipe:       {_verdict(self.same_recipe, self.differing_recipe)}",
        ]
        if not self.output_differences:
            return "\n".join([*lines, "outputs:      not comparable, they have other shapes"])
        found = ", ".join(f"{name} by {difference:.3g}" for name, difference in sorted(self.output_differences.items()))
        return "\n".join([*lines, f"outputs:      differ on the golden inputs at most: {found}"])


def compare_models(a: Path | str, b: Path | str) -> ModelComparison:
    """Compare two inference_v1 files. Both are checked first; raises UserError when one is not whole."""
    one, two = open_model(a), open_model(b)
    weights_one, weights_two = one.module.state_dict(), two.module.state_dict()
    same_architecture = one.brain == two.brain
    weight_difference = None
    if same_architecture:
        weight_difference = max(largest_difference(weights_one[name], weights_two[name]) for name in weights_one)
    recipe_one, recipe_two = _recipe(one), _recipe(two)
    return ModelComparison(
        same_architecture=same_architecture,
        same_weights=weight_difference == 0.0,
        same_recipe=recipe_one == recipe_two,
        differing_network=_differences(
            {"input_size": one.brain.input_size, **one.brain.network},
            {"input_size": two.brain.input_size, **two.brain.network},
        ),
        differing_recipe=_differences(recipe_one, recipe_two),
        weight_difference=weight_difference,
        output_differences=_output_differences(one, two),
    )


def _recipe(opened: OpenedModel) -> Mapping[str, Any]:
    """The recipe of a model by the names that its keys have today."""
    return with_new_names(opened.metadata.get("recipe") or {}, load_part(opened.brain.task, RecipePart).moved)


def _output_differences(one: OpenedModel, two: OpenedModel) -> dict[str, float]:
    shapes = [{name: tensor.shape for name, tensor in opened.golden_inputs.items()} for opened in (one, two)]
    if one.brain.task != two.brain.task or shapes[0] != shapes[1]:
        return {}
    found: dict[str, float] = {}
    for inputs in (one.golden_inputs, two.golden_inputs):
        left, right = task_outputs(one, inputs), task_outputs(two, inputs)
        for name in left.keys() & right.keys():
            if left[name].shape == right[name].shape:
                found[name] = max(found.get(name, 0.0), largest_difference(left[name], right[name]))
    return found


def _differences(one: Mapping[str, Any], two: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted(one.keys() | two.keys()):
        left, right = one.get(key), two.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found |= _differences(left, right, f"{prefix}{key}.")
        elif left != right:
            found[f"{prefix}{key}"] = (left, right)
    return found


def _verdict(same: bool, differing: Mapping[str, tuple[Any, Any]]) -> str:
    if same:
        return "same"
    return "differs: " + ", ".join(f"{key} {left!r} -> {right!r}" for key, (left, right) in differing.items())


def _at_most(difference: float | None) -> str:
    return f", by {difference:.3g} at most" if difference else ""
