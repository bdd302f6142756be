"""Networks: all that a brain spec can say builds, steps as it unrolls, learns, and answers the same in any batch."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.tasks.gridworld import recipe
from pipeline.tasks.gridworld.model.layers import GruCell, LstmCell, initialise
from pipeline.tasks.gridworld.model.model import TILE_ROWS, GridworldModel
from pipeline.tasks.gridworld.model.network import PlacesBrain, QNetwork, build, parse_network
from pipeline.tasks.gridworld.town.arrays import PLACE_FEATURES
from pipeline.tasks.gridworld.town.observe import layout, observation_size
from pipeline.tasks.gridworld.town.rules import ACTIONS, PLACES
from schemas.brain import BrainSpec

SIZE = observation_size("full", "places")
A = len(ACTIONS)

# Small ones of each kind; odd widths, because they take other paths through the matrix products.
KINDS: dict[str, dict[str, Any]] = {
    "feedforward": {"type": "feedforward", "hidden": [33, 17]},
    "dueling": {"type": "dueling", "hidden": [32], "stream": [7]},
    "gru": {"type": "recurrent", "encoder": [16], "cell": "gru", "hidden_size": 9, "head": [16]},
    "lstm": {"type": "recurrent", "encoder": [16], "cell": "lstm", "hidden_size": 9, "head": [16]},
    "spatial": {"type": "recurrent_spatial", "channels": [3, 5], "vision_size": 7, "part_size": 4, "hidden_size": 9},
    "places": {"type": "places", "place": [12], "mixed_size": 16, "trunk": [16], "head": [16]},
    "places with gru": {"type": "places", "place": [12, 8], "trunk": [16], "head": [], "memory": {"hidden_size": 3}},
    "places with lstm": {"type": "places", "place": [12], "memory": {"cell": "lstm", "hidden_size": 3}},
}
REMEMBERING = {name: kind for name, kind in KINDS.items() if name not in ("feedforward", "dueling", "places")}

# Every other value of every option.
OPTIONS: dict[str, dict[str, Any]] = {
    **{
        f"{name} {activation}": {**KINDS[name], "activation": activation}
        for name in ("feedforward", "places")
        for activation in ("relu", "gelu", "silu", "tanh", "elu")
    },
    **{f"{name} without layer norm": {**kind, "layer_norm": False} for name, kind in KINDS.items()},
    **{f"{name} with dropout": {**kind, "dropout": 0.5} for name, kind in KINDS.items()},
    "spatial, dueling": {**KINDS["spatial"], "dueling": True},
    "recurrent, not dueling": {**KINDS["gru"], "dueling": False},
    "places, not dueling": {**KINDS["places"], "dueling": False},
    "no hidden layer": {"type": "feedforward", "hidden": []},
    "no encoder, no head": {"type": "recurrent", "encoder": [], "hidden_size": 5, "head": []},
    "no stream": {"type": "dueling", "hidden": [8], "stream": []},
    "no trunk": {"type": "places", "place": [8], "trunk": [], "head": []},
}


def brain(network: dict[str, Any], input_size: int = SIZE) -> BrainSpec:
    return BrainSpec(task="gridworld", input_size=input_size, output_size=A, network=network)


def make(network: dict[str, Any], seed: int = 0) -> QNetwork:
    return build(brain(network), torch.Generator().manual_seed(seed))


def model(network: dict[str, Any]) -> GridworldModel:
    return GridworldModel(make(network), brain(network), {}, "0" * 64)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(params=[*KINDS, *OPTIONS])
def network(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    yield KINDS.get(request.param) or OPTIONS[request.param]


def test_every_option_gives_q_values_and_a_gradient_for_every_weight(network: dict[str, Any]) -> None:
    net = make(network)
    observations = draw(6, 5, SIZE)
    q, hidden = net.unroll(observations, net.initial_hidden(5) if net.hidden_size else None)
    assert q.shape == (6, 5, A)
    assert (hidden is None) == (net.hidden_size == 0)
    q.square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    without = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", KINDS)
def test_unrolled_steps_are_the_same_as_single_steps(name: str) -> None:
    net = make(KINDS[name]).eval()
    observations = draw(6, 3, SIZE)
    resets = torch.zeros(6, 3, dtype=torch.bool)
    resets[2, 0] = resets[4, 2] = True
    start = draw(3, net.hidden_size, seed=2) if net.hidden_size else None
    q, last = net.unroll(observations, start, resets)
    hidden = start
    for step in range(6):
        if hidden is not None:
            hidden = hidden * (~resets[step]).unsqueeze(1)
        q_step, hidden = net(observations[step], hidden)
        torch.testing.assert_close(q_step, q[step], rtol=1e-5, atol=1e-6)
    if last is not None:
        torch.testing.assert_close(hidden, last, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_reset_forgets_and_only_in_its_own_row(name: str) -> None:
    net = make(REMEMBERING[name]).eval()
    observations, hidden = draw(1, 2, SIZE), draw(2, net.hidden_size, seed=2)
    resets = torch.tensor([[True, False]])
    q, _ = net.unroll(observations, hidden, resets)
    fresh, _ = net.unroll(observations, net.initial_hidden(2))
    kept, _ = net.unroll(observations, hidden)
    torch.testing.assert_close(q[0, 0], fresh[0, 0])
    torch.testing.assert_close(q[0, 1], kept[0, 1])
    assert not torch.allclose(fresh[0, 1], kept[0, 1])


@pytest.mark.parametrize("name", REMEMBERING)
def test_the_first_observation_changes_the_last_answer_and_gets_a_gradient(name: str) -> None:
    net = make(REMEMBERING[name])
    observations = draw(5, 1, SIZE).requires_grad_()
    q, _ = net.unroll(observations, None)
    q[-1].sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert observations.grad is not None and observations.grad[0].any()


@pytest.mark.parametrize(("cell", "peer"), [(GruCell, torch.nn.GRUCell), (LstmCell, torch.nn.LSTMCell)])
def test_cells_compute_what_torch_computes(cell: Any, peer: Any) -> None:
    ours, theirs = cell(5, 4), peer(5, 4)
    initialise(ours, torch.Generator().manual_seed(0))
    # Ours has the LSTM's three sigmoid gates side by side, torch has the cell's gate before the last of them.
    order = [0, 1, 3, 2] if cell is LstmCell else [0, 1, 2]
    for part, suffix in ((ours.inputs, "ih"), (ours.recurrent, "hh")):
        for name in ("weight", "bias"):
            gates = getattr(part, name).detach().chunk(len(order))
            getattr(theirs, f"{name}_{suffix}").data = torch.cat([gates[i] for i in order])
    x, state = draw(3, 5), draw(3, ours.state_size, seed=1)
    new = ours.advance(ours.project(x), state)
    if cell is LstmCell:
        h, c = theirs(x, (state[:, :4], state[:, 4:]))
        torch.testing.assert_close(new, torch.cat((h, c), 1))
        torch.testing.assert_close(ours.output(new), h)
    else:
        torch.testing.assert_close(new, theirs(x, state))


def test_dueling_q_values_are_value_plus_centred_advantages() -> None:
    net: Any = make(KINDS["dueling"]).eval()
    observations = draw(4, SIZE)
    trunk = net.trunk(observations)
    value = net.value(net.value_stream(trunk))
    torch.testing.assert_close(net(observations)[0].mean(-1, keepdim=True), value)


def test_kinds_of_places_are_told_apart() -> None:
    """The same features in the block of another kind of place give other Q-values."""
    net = make(KINDS["places"]).eval()
    observations = torch.full((2, SIZE), 0.5)
    first = SIZE - len(PLACES) * len(PLACE_FEATURES)
    observations[:, first:] = 0.0
    observations[0, first : first + 9] = 1.0
    observations[1, first + 9 : first + 18] = 1.0
    q = net(observations)[0]
    assert not torch.allclose(q[0], q[1])


def test_the_places_of_the_observation_are_where_the_network_looks_for_them() -> None:
    places = layout("full", "places")[-1]
    spec = parse_network({"type": "places"})
    assert isinstance(spec, PlacesBrain)
    assert (spec.num_places, spec.place_features) == places.shape
    assert places.stop == SIZE
    assert layout("full", "places")[0].name == "position"


@pytest.mark.parametrize("name", KINDS)
def test_the_same_generator_gives_the_same_weights_and_leaves_the_global_one_alone(name: str) -> None:
    before = torch.get_rng_state()
    one, two, other = make(KINDS[name]), make(KINDS[name]), make(KINDS[name], seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_dropout_acts_in_training_only() -> None:
    net = make({**KINDS["feedforward"], "dropout": 0.5})
    observations = draw(4, SIZE)
    torch.manual_seed(0)
    one = net.train()(observations)[0]
    two = net(observations)[0]
    assert not torch.equal(one, two)
    net.eval()
    assert torch.equal(net(observations)[0], net(observations)[0])


@pytest.mark.parametrize(
    "struct", [recipe.FeedForward, recipe.Dueling, recipe.Recurrent, recipe.Places, recipe.RecurrentSpatial]
)
def test_the_default_of_every_kind_builds(struct: Any) -> None:
    net = build(brain(msgspec.to_builtins(struct())))
    assert net(draw(2, SIZE), None)[0].shape == (2, A)


@pytest.mark.parametrize(
    ("network", "what"),
    [
        ({"type": "feedforward", "hiden": [8]}, "network has no key 'hiden'"),
        ({"type": "feedfoward"}, "network.type cannot be 'feedfoward'"),
        ({"hidden": [8]}, "network.type is missing"),
        ({"type": "recurrent", "cell": "gruu"}, "network.cell cannot be 'gruu'"),
        ({"type": "dueling", "dropout": 1.5}, "network.dropout is 1.5"),
        ({"type": "feedforward", "hidden": [0]}, "network.hidden"),
        ({"type": "feedforward", "hidden": [10**9]}, "each from 1 to 65,536"),
        ({"type": "feedforward", "hidden": [1] * 100}, "at most 64 sizes"),
        ({"type": "places", "mixed_size": 12}, "multiple of 8"),
        ({"type": "places", "place": []}, "at least one layer"),
        ({"type": "places", "num_places": 40}, "too few for 40 places"),
        ({"type": "recurrent_spatial", "cells": [0, 24]}, "24, which is no square"),
        ({"type": "recurrent_spatial", "meters": [155, 163]}, "from 155 to 163, which is no part of 158 inputs"),
    ],
)
def test_what_a_spec_cannot_mean_is_refused(network: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what.replace("[", r"\[")):
        make(network)


# ------------------------------------------------------------------------------------------------- predict


@pytest.mark.parametrize("name", [*KINDS, "no hidden layer", "no encoder, no head", "no stream", "no trunk"])
def test_an_observation_gets_the_same_bits_in_any_batch_at_any_place(name: str) -> None:
    one = model(KINDS.get(name) or OPTIONS[name])
    num_rows = 3 * TILE_ROWS + 5
    observations = draw(num_rows, SIZE).numpy()
    hidden = draw(num_rows, one.hidden_size, seed=1).numpy() if one.hidden_size else None
    expected = one.predict(observations, hidden)
    generator = np.random.default_rng(0)
    for size in (1, 2, 3, 7, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1, num_rows):
        rows = generator.permutation(num_rows)[:size]
        found = one.predict(observations[rows], None if hidden is None else hidden[rows])
        assert found.q_values.tobytes() == expected.q_values[rows].tobytes()
        if hidden is not None:
            assert found.hidden is not None and expected.hidden is not None
            assert found.hidden.tobytes() == expected.hidden[rows].tobytes()


def test_the_number_of_threads_does_not_change_the_bits() -> None:
    one = model(KINDS["places"])
    observations = draw(100, SIZE).numpy()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = one.predict(observations).q_values.tobytes()
        torch.set_num_threads(2)
        assert one.predict(observations).q_values.tobytes() == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", KINDS)
def test_predict_answers_like_the_network(name: str) -> None:
    one = model(KINDS[name])
    observations = draw(5, SIZE)
    with torch.no_grad():
        expected, _ = one.module(observations)
    np.testing.assert_allclose(one.predict(observations.numpy()).q_values, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_single_observation_gives_a_single_answer() -> None:
    one = model(KINDS["gru"])
    observation = draw(SIZE).numpy()
    found = one.predict(observation)
    assert found.q_values.shape == (A,) and isinstance(found.actions, int)
    assert found.hidden is not None and found.hidden.shape == (one.hidden_size,)
    again = one.predict(observation, found.hidden)
    assert not np.array_equal(found.q_values, again.q_values)


def test_the_best_of_the_allowed_actions_is_chosen() -> None:
    mask = np.random.default_rng(0).random((400, A)) < 0.3
    mask[:, 5] = True
    found = model(KINDS["feedforward"]).predict(draw(400, SIZE).numpy(), mask=mask)
    assert mask[np.arange(400), found.actions].all()
    assert np.array_equal(found.actions, np.where(mask, found.q_values, -np.inf).argmax(1))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"observations": np.zeros((2, 5), np.float32)}, "observations have shape \\[2, 5\\]"),
        ({"observations": np.zeros((2, 2, SIZE), np.float32)}, "observations have shape"),
        ({"observations": np.full((2, SIZE), np.nan, np.float32)}, "NaN or infinity"),
        ({"mask": np.ones((2, 3), np.bool_)}, "mask is bool \\[2, 3\\]"),
        ({"mask": np.ones((2, A))}, "mask is float64"),
        ({"mask": np.zeros((2, A), np.bool_)}, "mask allows no action"),
        ({"hidden": np.zeros((2, 3), np.float32)}, "does not remember"),
    ],
)
def test_predict_says_what_does_not_fit(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what):
        model(KINDS["feedforward"]).predict(**{"observations": np.zeros((2, SIZE), np.float32), **arguments})


def test_a_hidden_state_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match=r"hidden has shape \[2, 3\]"):
        model(KINDS["gru"]).predict(np.zeros((2, SIZE)), hidden=np.zeros((2, 3)))
