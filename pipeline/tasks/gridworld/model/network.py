"""Brain spec to Q-network: feed-forward, dueling, two recurrent ones, and one small net shared over the places.

All of them have one interface (`QNetwork`), whether they remember or not, so that acting, learning and exporting are
written once.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from msgspec import structs
from torch import Tensor, nn

from pipeline.contract.parts import ModelPart
from pipeline.errors import UserError
from pipeline.model import brain
from pipeline.model.layers import LayerNorm
from pipeline.tasks.gridworld.model.freeze import export_parts
from pipeline.tasks.gridworld.model.layers import (
    ACTIVATIONS,
    CELLS,
    Convolution,
    Layer,
    Linear,
    Perceptron,
    QHead,
    duel,
    initialise,
    run_cell,
)
from pipeline.tasks.gridworld.recipe import Dueling, FeedForward, PlaceMemory, Places, Recurrent, RecurrentSpatial
from schemas.brain import BrainSpec


class PlacesBrain(Places, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="places"):
    """`Places`, with the sizes of the part of the observation that has a block per place (its end)."""

    num_places: int = 14
    place_features: int = 9


class RecurrentSpatialBrain(
    RecurrentSpatial, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="recurrent_spatial"
):
    """`RecurrentSpatial`, with where each part of the observation begins and ends; ``cells`` is a square of them."""

    cells: tuple[int, int] = (64, 89)
    position: tuple[int, int] = (89, 91)
    meters: tuple[int, int] = (94, 102)
    underfoot: tuple[int, int] = (102, 117)


SPATIAL_PARTS = ("position", "meters", "underfoot")
BrainNetwork = FeedForward | Dueling | Recurrent | PlacesBrain | RecurrentSpatialBrain
"""What ``network`` of a brain spec may be, for whoever parses specs."""

POSITION_SIZE = 2  # the common blocks begin with the position of the agent: x and y in [0, 1]
NUM_HEADS = 8
MAX_WIDTH = 65_536  # 200 times the widest trained so far; a spec from anywhere must not exhaust the memory
MAX_LAYERS = 64


class QNetwork(nn.Module):
    """Observations to Q-values, with an optional memory.

    A memory is one flat float32 vector of `hidden_size` numbers a row (0: the network does not remember), whatever
    is in it: LSTM h and c, or the cells of all places.
    """

    hidden_size = 0

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size

    def initial_hidden(self, batch_size: int) -> Tensor:
        """The memory at the start of an episode: float32 zeros [B, H]."""
        return torch.zeros(batch_size, self.hidden_size, device=next(self.parameters()).device)

    def forward(self, observations: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """One step: observations float32 [B, D], hidden float32 [B, H] (None: the start) -> q [B, A], next hidden.

        The hidden state returned is None for networks that do not remember.
        """
        if self.hidden_size and hidden is None:
            hidden = self.initial_hidden(observations.shape[0])
        if not self.hidden_size:
            return self.evaluate(observations), None
        q, hidden = self.unroll(observations.unsqueeze(0), hidden)
        return q.squeeze(0), hidden

    def unroll(
        self, observations: Tensor, hidden: Tensor | None, resets: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Steps in a row: observations float32 [T, B, D], hidden [B, H] before the first -> q [T, B, A], last hidden.

        resets bool [T, B]: the memory is emptied where true, before that step (a new episode begins there).
        The same numbers as T calls of `forward`, up to float32 rounding.
        """
        return self.evaluate(observations), None

    def evaluate(self, observations: Tensor) -> Tensor:
        """[..., D] -> [..., A], for networks that do not remember."""
        raise NotImplementedError


class FeedForwardNetwork(QNetwork):
    """Multilayer perceptron (Mnih et al. 2015, without the convolutions)."""

    def __init__(self, spec: BrainSpec, network: FeedForward) -> None:
        super().__init__(spec.input_size, spec.output_size)
        self.trunk = Perceptron(spec.input_size, network.hidden, network)
        self.head = QHead(self.trunk.out_features, spec.output_size, dueling=False)

    def evaluate(self, observations: Tensor) -> Tensor:
        q: Tensor = self.head(self.trunk(observations))
        return q


class DuelingNetwork(QNetwork):
    """Shared trunk, then a stream for the value and one for the advantages (Wang et al. 2016)."""

    def __init__(self, spec: BrainSpec, network: Dueling) -> None:
        super().__init__(spec.input_size, spec.output_size)
        self.trunk = Perceptron(spec.input_size, network.hidden, network)
        self.value_stream = Perceptron(self.trunk.out_features, network.stream, network)
        self.advantage_stream = Perceptron(self.trunk.out_features, network.stream, network)
        self.value = Linear(self.value_stream.out_features, 1, gain=0.1)
        self.advantage = Linear(self.advantage_stream.out_features, spec.output_size, gain=0.1)

    def evaluate(self, observations: Tensor) -> Tensor:
        x = self.trunk(observations)
        return duel(self.value(self.value_stream(x)), self.advantage(self.advantage_stream(x)))


class SpatialEncoder(nn.Module):
    """Convolutions over a square of cells, and a layer each for the other parts: [..., D] -> [..., F]."""

    def __init__(self, network: RecurrentSpatialBrain) -> None:
        super().__init__()
        plain = structs.replace(network, layer_norm=False)
        start, stop = network.cells
        self.cells, self.side = slice(start, stop), math.isqrt(stop - start)
        self.slices = {name: slice(*getattr(network, name)) for name in SPATIAL_PARTS}
        self.convolutions = nn.ModuleList(Convolution(a, b) for a, b in itertools.pairwise((1, *network.channels)))
        self.activation = ACTIVATIONS[network.activation]
        self.vision = Layer(network.channels[-1] * self.side**2, network.vision_size, network)
        self.parts = nn.ModuleDict(
            {name: Layer(part.stop - part.start, network.part_size, plain) for name, part in self.slices.items()}
        )
        self.out_features = network.vision_size + len(self.parts) * network.part_size

    def forward(self, observations: Tensor) -> Tensor:
        flat = observations.flatten(0, -2)
        x = flat[:, self.cells].reshape(-1, 1, self.side, self.side)
        for convolution in self.convolutions:
            x = self.activation(convolution(x))
        parts = [self.parts[name](flat[:, part]) for name, part in self.slices.items()]
        return torch.cat((self.vision(x.flatten(1)), *parts), -1).view(*observations.shape[:-1], self.out_features)


class RecurrentNetwork(QNetwork):
    """Encoder, one recurrent layer, head (Hausknecht and Stone 2015)."""

    def __init__(self, spec: BrainSpec, network: Recurrent | RecurrentSpatialBrain) -> None:
        super().__init__(spec.input_size, spec.output_size)
        self.norm: nn.Module = nn.Identity()
        if isinstance(network, RecurrentSpatialBrain):
            self.encoder: SpatialEncoder | Perceptron = SpatialEncoder(network)
            self.cell = CELLS["lstm"](self.encoder.out_features, network.hidden_size)
            if network.layer_norm:
                self.norm = LayerNorm(network.hidden_size)
        else:
            self.encoder = Perceptron(spec.input_size, network.encoder, network)
            self.cell = CELLS[network.cell](self.encoder.out_features, network.hidden_size)
        self.head = Perceptron(network.hidden_size, network.head, network)
        self.q = QHead(self.head.out_features, spec.output_size, network.dueling)
        self.hidden_size = self.cell.state_size

    def unroll(
        self, observations: Tensor, hidden: Tensor | None, resets: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if hidden is None:
            hidden = self.initial_hidden(observations.shape[1])
        projected = self.cell.project(self.encoder(observations))
        outputs, hidden = run_cell(self.cell, projected, hidden, resets)
        return self.q(self.head(self.norm(outputs))), hidden


class PlacesNetwork(QNetwork):
    """One small net shared over the places; a trunk on the rest of the observation gates how their outputs mix.

    The kinds of places are told apart by a bias of their own in the first layer of the small net, and by their gates.
    With a memory every place has a recurrent cell (weights shared) that sees the place's features and the agent's
    position, so that it can hold where the place was when it was last seen. What the small net knows of a place then
    comes from that cell alone: with a path around it a model leans on what is in sight (measured on "partial": emptied
    before each step it kept 56 % of its survivals with that path, and 26 % without).
    """

    def __init__(self, spec: BrainSpec, network: PlacesBrain) -> None:
        super().__init__(spec.input_size, spec.output_size)
        self.num_places, self.place_features = network.num_places, network.place_features
        self.common_size = spec.input_size - network.num_places * network.place_features
        self.num_heads = NUM_HEADS
        width = network.place_features
        self.cell = None
        if network.memory is not None:
            self.cell = CELLS[network.memory.cell](width + POSITION_SIZE, network.memory.hidden_size)
            self.hidden_size = network.num_places * self.cell.state_size
            width = network.memory.hidden_size
        self.place_bias = nn.Parameter(torch.empty(network.num_places, network.place[0]))
        self.place = nn.ModuleList(Perceptron(width, network.place, network))
        self.place_out = Linear(network.place[-1], network.mixed_size // NUM_HEADS, bias=False)
        self.trunk = Perceptron(self.common_size, network.trunk, network)
        self.gates = Linear(self.trunk.out_features, NUM_HEADS * network.num_places)
        self.head = Perceptron(network.mixed_size + self.trunk.out_features, network.head, network)
        self.q = QHead(self.head.out_features, spec.output_size, network.dueling)

    def _split(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """[..., D] -> common [..., C], places [..., P, F]."""
        shape = (*observations.shape[:-1], self.num_places, self.place_features)
        return observations[..., : self.common_size], observations[..., self.common_size :].reshape(shape)

    def _mix(self, common: Tensor, places: Tensor) -> Tensor:
        """common [N, C], inputs of the shared net [N, P, width] -> q [N, A]."""
        trunk = self.trunk(common)
        first = self.place[0]
        assert isinstance(first, Layer)
        x = first.finish(first.linear(places).add_(self.place_bias))
        for layer in self.place[1:]:
            x = layer(x)
        gates = self.gates(trunk).view(-1, self.num_heads, self.num_places)
        mixed = torch.bmm(gates, self.place_out(x)).flatten(1)
        q: Tensor = self.q(self.head(torch.cat((mixed, trunk), dim=-1)))
        return q

    def evaluate(self, observations: Tensor) -> Tensor:
        common, places = self._split(observations.flatten(0, -2))
        return self._mix(common, places).view(*observations.shape[:-1], self.output_size)

    def unroll(
        self, observations: Tensor, hidden: Tensor | None, resets: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if self.cell is None:
            return self.evaluate(observations), None
        steps, batch = observations.shape[:2]
        if hidden is None:
            hidden = self.initial_hidden(batch)
        common, places = self._split(observations)
        position = common[..., None, :POSITION_SIZE].expand(-1, -1, self.num_places, -1)
        seen = torch.cat((places, position), dim=-1)
        projected = self.cell.project(seen).flatten(1, 2)
        state = hidden.reshape(batch * self.num_places, -1)
        each = None if resets is None else resets.repeat_interleave(self.num_places, dim=1)
        outputs, state = run_cell(self.cell, projected, state, each)
        remembered = outputs.reshape(steps, batch, self.num_places, -1)
        q = self._mix(common.flatten(0, 1), remembered.flatten(0, 1))
        return q.view(steps, batch, -1), state.reshape(batch, -1)


def parse_network(data: Mapping[str, Any]) -> BrainNetwork:
    """The network section of a recipe or of a brain spec as its Struct, every default filled in.

    Raises UserError that names the wrong key or value, and the nearest known one.
    """
    network: BrainNetwork = brain.parse_network(data, BrainNetwork, "gridworld")
    return network


def check(spec: BrainSpec, network: BrainNetwork) -> None:
    """Raises UserError when the parts of a spec do not fit together, or are out of all proportion."""
    sizes = [spec.input_size, spec.output_size, *_widths(network)]
    if min(sizes) < 1 or max(sizes) > MAX_WIDTH or len(sizes) > MAX_LAYERS:
        what = f"a network has at most {MAX_LAYERS} sizes, each from 1 to {MAX_WIDTH:,}; here are {len(sizes)}"
        raise UserError(f"{what}, from {min(sizes):,} to {max(sizes):,}", where="brain spec")
    if isinstance(network, RecurrentSpatialBrain):
        _check_parts(spec, network)
    if not isinstance(network, PlacesBrain):
        return
    if spec.input_size - network.num_places * network.place_features < POSITION_SIZE:
        raise UserError(
            f"{spec.input_size} inputs are too few for {network.num_places} places times {network.place_features}",
            where="brain spec: input_size",
            remedy="network type places needs encoding places or memory",
        )
    if not network.place or network.mixed_size % NUM_HEADS:
        what = f"network.place needs at least one layer, and network.mixed_size ({network.mixed_size}) to be a multiple"
        raise UserError(f"{what} of {NUM_HEADS}", where="brain spec: network")


def _check_parts(spec: BrainSpec, network: RecurrentSpatialBrain) -> None:
    for name in ("cells", *SPATIAL_PARTS):
        start, stop = getattr(network, name)
        if not 0 <= start < stop <= spec.input_size:
            what = f"network.{name} is from {start} to {stop}, which is no part of {spec.input_size} inputs"
            raise UserError(what, where=f"brain spec: network.{name}")
    start, stop = network.cells
    if math.isqrt(stop - start) ** 2 != stop - start:
        raise UserError(f"network.cells are {stop - start}, which is no square", where="brain spec: network.cells")


def _widths(network: BrainNetwork) -> Iterator[int]:
    """Every size that a network names."""
    for name, value in structs.asdict(network).items():
        if name == "cells":
            yield network.channels[-1] * max(value[1] - value[0], 1)  # type: ignore[union-attr]  # only one has cells
        elif isinstance(value, PlaceMemory):
            yield value.hidden_size
        elif isinstance(value, tuple) and name not in SPATIAL_PARTS:
            yield from value
        elif type(value) is int:
            yield value


_NETWORKS: dict[type[Any], type[Any]] = {
    FeedForward: FeedForwardNetwork,
    Dueling: DuelingNetwork,
    Recurrent: RecurrentNetwork,
    RecurrentSpatialBrain: RecurrentNetwork,
    PlacesBrain: PlacesNetwork,
}


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> QNetwork:
    """The network of a brain spec, its weights drawn from ``generator`` (None: from torch's global one).

    On the meta device (`with torch.device("meta")`) nothing is drawn: that is for weights to be loaded into.
    Raises UserError when the spec is not valid.
    """
    network = parse_network(spec.network)
    check(spec, network)
    module: QNetwork = _NETWORKS[type(network)](spec, network)
    if next(module.parameters()).device.type != "meta":
        initialise(module, generator)
    return module


@torch.inference_mode()
def golden_outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network answers to golden inputs: q [T, B, A], and the last hidden state [B, H] if it remembers.

    Inputs: observations float32 [T, B, D], resets bool [T, B].
    """
    assert isinstance(module, QNetwork)
    q, hidden = module.unroll(inputs["observations"], None, inputs["resets"])
    return {"q_values": q} if hidden is None else {"q_values": q, "hidden": hidden}


PART = ModelPart(network=BrainNetwork, build=build, export_parts=export_parts, golden_outputs=golden_outputs)
