"""A training that starts from another model: what is taken, left and why, what stays frozen, what is refused."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.train.learner import AveragedLearner
from pipeline.train.start import check_start, freeze, take_weights
from schemas.recipe import Optimizer, Training

OPTIONS = Training(num_steps=1, batch_size=1, monitor_every=1, checkpoint_every=1, start_from="a")


class Net(nn.Module):
    """A trunk of 3 inputs and a head of 2 outputs, all ones."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        for weight in self.parameters():
            nn.init.ones_(weight)


class Sgd(AveragedLearner[Net]):
    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.weights, 0.1)


def learner() -> Sgd:
    return Sgd(Optimizer(type="sgd", learning_rate=0.1), Net, 10, "cpu")


def options(**changes: Any) -> Training:
    return msgspec.structs.replace(OPTIONS, **changes)


def source(**changes: Tensor | None) -> Mapping[str, Tensor]:
    """Zeros of the same shapes, with ``trunk_weight=...`` instead of trunk.weight; None leaves it out."""
    zeros = {name: torch.zeros_like(weight) for name, weight in Net().state_dict().items()}
    changed = zeros | {name.replace("_", "."): weight for name, weight in changes.items()}
    return {name: weight for name, weight in changed.items() if weight is not None}


def test_all_weights_are_taken_and_the_average_begins_there() -> None:
    one = learner()
    told = take_weights(one, source(), options())
    assert told == {"taken": ["trunk.weight", "trunk.bias", "head.weight", "head.bias"], "in_part": {}, "left": {}}
    assert not any(weight.any() for weight in (*one.online.parameters(), *one.average.parameters()))


def test_where_shapes_differ_the_leading_part_is_taken() -> None:
    one = learner()
    told = take_weights(one, source(trunk_weight=torch.zeros(5, 2)), options())
    assert told["in_part"] == {"trunk.weight": "4x2, of 5x2 in the file, 4x3 here"}
    assert one.online.trunk.weight.tolist() == [[0, 0, 1]] * 4
    assert one.average.trunk.weight.tolist() == [[0, 0, 1]] * 4


def test_what_is_left_is_told_with_the_reason() -> None:
    one = learner()
    given = source(trunk_bias=None, trunk_weight=torch.zeros(2), extra=torch.zeros(1))
    assert take_weights(one, given, options(start_parts=("trunk", "head.weight")))["left"] == {
        "extra": "this network has no such tensor",
        "trunk.weight": "2 in the file, 4x3 here",
        "trunk.bias": "the file has no such tensor",
        "head.bias": "not among train.start_parts",
    }
    assert one.online.trunk.weight.all() and one.online.head.bias.all() and not one.online.head.weight.any()


def test_a_frozen_part_never_changes_and_the_rest_learns() -> None:
    one = learner()
    freeze(one, ["trunk"])
    one.descend(one.online.head(one.online.trunk(torch.ones(1, 3))).square().sum())
    assert (one.online.trunk.weight == 1).all() and (one.average.trunk.weight == 1).all()
    assert (one.online.head.weight != 1).all()


@pytest.mark.parametrize(
    ("given", "changes", "what"),
    [
        (
            {"other.weight": torch.zeros(1)},
            {},
            "nothing of the start file fits: it has other, this network trunk, head",
        ),
        (source(), {"start_parts": ("trnk",)}, "the network has no part 'trnk'"),
        (source(trunk_weight=torch.zeros(5, 2)), {"frozen": ("trunk",)}, "trunk.weight was not taken whole"),
        (source(), {"start_parts": ("head",), "frozen": ("trunk",)}, "trunk.weight, trunk.bias was not taken whole"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: Mapping[str, Tensor], changes: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError) as caught:
        take_weights(learner(), given, options(**changes))
    assert what in caught.value.what


def test_something_must_be_left_to_learn_and_parts_need_a_file() -> None:
    with pytest.raises(UserError, match="nothing is left to learn"):
        freeze(learner(), ["trunk", "head"])
    with pytest.raises(UserError, match="the network has no part 'tail'"):
        freeze(learner(), ["tail"])
    with pytest.raises(UserError, match=r"name parts of the model that train\.start_from starts from"):
        check_start(options(start_from=None, frozen=("trunk",)))
