"""Two model files side by side: is it the architecture, the weights or the recipe that differs, and by how much?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.load import load_part
from pipeline.contract.parts import RecipePart
from pipeline.model.file import OpenedModel, largest_difference, open_model, task_outputs
from pipeline.recipe.moved import with_new_names

Differing = Mapping[str, tuple[Any, Any]]
"""Keys with their two values, such as "optimizer.learning_rate"."""


@dataclass(frozen=True)
class ModelComparison:
    """What two inference_v1 files have in common.

    differing_network   of the brain spec
    differing_recipe    of the recipe, by the names that its keys have today
    weight_difference   largest |a - b| of any weight; None if the architectures differ
    output_differences  largest |a - b| of each output on the golden inputs of both; those that only one has, or that
                        have other shapes, are left out
    """

    differing_network: Differing
    differing_recipe: Differing
    weight_difference: float | None
    output_differences: Mapping[str, float]

    @property
    def same_architecture(self) -> bool:
        return not self.differing_network

    @property
    def same_weights(self) -> bool:
        return self.weight_difference == 0.0

    @property
    def same_recipe(self) -> bool:
        return not self.differing_recipe

    def __str__(self) -> str:
        at_most = f", by {self.weight_difference:.3g} at most" if self.weight_difference else ""
        outputs = [f"{name} by {difference:.3g}" for name, difference in sorted(self.output_differences.items())]
        told = f"differ on the golden inputs at most: {', '.join(outputs)}"
        lines = [
            f"architecture: {_verdict(self.differing_network)}",
            f"weights:      {'same' if self.same_weights else 'differ'}{at_most}",
            f"recipe:       {_verdict(self.differing_recipe)}",
            f"outputs:      {told if outputs else 'not comparable, they have other shapes'}",
        ]
        return "\n".join(lines)


def compare_models(a: Path | str, b: Path | str) -> ModelComparison:
    """Compare two inference_v1 files. Both are checked first; raises UserError when one is not whole."""
    one, two = open_model(a), open_model(b)
    network = _differences(_architecture(one), _architecture(two))
    weight_difference = None
    if not network:
        weights, others = one.module.state_dict(), two.module.state_dict()
        weight_difference = max(largest_difference(weights[name], others[name]) for name in weights)
    return ModelComparison(network, _differences(_recipe(one), _recipe(two)), weight_difference, _outputs(one, two))


def _architecture(opened: OpenedModel) -> Mapping[str, Any]:
    brain = opened.brain
    sizes = {"input_size": brain.input_size, "output_size": brain.output_size}
    return {"task": brain.task, **sizes, **brain.network}


def _recipe(opened: OpenedModel) -> Mapping[str, Any]:
    return with_new_names(opened.metadata.get("recipe") or {}, load_part(opened.brain.task, RecipePart).moved)


def _outputs(one: OpenedModel, two: OpenedModel) -> dict[str, float]:
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


def _verdict(differing: Differing) -> str:
    told = [f"{key} {left!r} -> {right!r}" for key, (left, right) in differing.items()]
    return f"differs: {', '.join(told)}" if told else "same"
