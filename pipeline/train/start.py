"""A training that starts from the weights of another model: what it takes of them, and what it never changes.

Weights are matched by name. Where a shape differs, the leading part that both have is taken, and the rest keeps its
first weights: a layer that got inputs or units behind the old ones still has the old ones where they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.train.learner import AveragedLearner
from schemas.recipe import Training


def check_start(options: Training) -> None:
    """Raises UserError where parts are named, but no file to take them from."""
    if options.start_from is None and (options.start_parts or options.frozen):
        what = "train.start_parts and train.frozen name parts of the model that train.start_from starts from"
        raise UserError(what, where="train.start_from", remedy="add train.start_from: a file, or a pretrained name")


@torch.no_grad()
def take_weights(learner: AveragedLearner[Any], source: Mapping[str, Tensor], options: Training) -> dict[str, Any]:
    """Copy weights of ``source`` into the learner's networks.

    Returns "taken" (names), "in_part" (what of it, by name) and "left" (why, by name). Raises UserError when nothing
    fits, when a part is not known, and when one is to be frozen that was not taken whole.
    """
    own = learner.online.state_dict()
    parts, frozen = options.start_parts or (), options.frozen or ()
    _check_parts(parts, own, "train.start_parts")
    taken, in_part = [], {}
    left = {name: "this network has no such tensor" for name in source if name not in own}
    for name, weight in own.items():
        if parts and not _is_in(name, parts):
            left[name] = "not among train.start_parts"
        elif name not in source:
            left[name] = "the file has no such tensor"
        elif source[name].dim() != weight.dim():
            left[name] = f"{_shape(source[name])} in the file, {_shape(weight)} here"
        else:
            shared = tuple(slice(min(sizes)) for sizes in zip(source[name].shape, weight.shape, strict=True))
            weight[shared] = source[name][shared].to(weight)
            if source[name].shape == weight.shape:
                taken.append(name)
            else:
                in_part[name] = (
                    f"{_shape(weight[shared])}, of {_shape(source[name])} in the file, {_shape(weight)} here"
                )
    if not taken and not in_part:
        what = f"nothing of the start file fits: it has {_tops(source)}, this network {_tops(own)}"
        raise UserError(what, where="train.start_from", remedy="take a model with the same type of network")
    loose = [name for name in own if _is_in(name, frozen) and name not in taken]
    if loose:
        what = f"{', '.join(loose[:3])} was not taken whole, and what is not learned cannot be left to chance"
        raise UserError(what, where="train.frozen", remedy="freeze only parts that the file has in the same shape")
    learner.begin_here()
    return {"taken": taken, "in_part": in_part, "left": left}


def freeze(learner: AveragedLearner[Any], parts: Sequence[str]) -> None:
    """Leave these parts of the network as they are. Raises UserError when one is not known, or when nothing is left."""
    weights = dict(learner.online.named_parameters())
    _check_parts(parts, weights, "train.frozen")
    for name, weight in weights.items():
        weight.requires_grad_(not _is_in(name, parts))
    if not any(weight.requires_grad for weight in weights.values()):
        raise UserError("every part is frozen: nothing is left to learn", where="train.frozen")


def _check_parts(parts: Sequence[str], names: Iterable[str], where: str) -> None:
    """Raises UserError when a part has no tensor."""
    names = list(names)
    for part in parts:
        if not any(_is_in(name, (part,)) for name in names):
            raise UserError(f"the network has no part {part!r}", where=where, remedy=f"its parts: {_tops(names)}")


def _is_in(name: str, parts: Sequence[str]) -> bool:
    """Whether a tensor is one of the parts, or of a part: "trunk.0.linear.weight" is in "trunk" and in "trunk.0"."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _tops(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))


def _shape(weight: Tensor) -> str:
    return "x".join(map(str, weight.shape))
