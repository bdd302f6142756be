"""checkpoint_v0: an older kind of training checkpoint, read as if it were a checkpoint_v1.

A checkpoint_v0 is a torch file of a dict with ``state_dict``, ``network_type`` ("simple", "dueling" or "recurrent") and
``params``, usually beside ``optimizer`` and ``replay``; it has no brain spec. One of version 3 holds the same deeper
down (`version_3`). The sizes come from the shapes of the tensors, the rest from ``params``; what neither says is filled
in and said. Nothing is renamed by hand: layers are taken in the order they stand in, whatever their names, and each has
to take what the one before gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch import Tensor

from pipeline.contract.parts import UpgradePart
from pipeline.errors import UserError
from pipeline.tasks.gridworld.model.network import SPATIAL_PARTS, parse_network
from pipeline.tasks.gridworld.model.version_3 import unpack
from pipeline.tasks.gridworld.town.observe import layout, observation_size
from pipeline.tasks.gridworld.town.rules import ACTIONS
from schemas.brain import BrainSpec

TYPES = ("simple", "dueling", "recurrent")
_ENVIRONMENT = ("level", "encoding")
_FACTS = {"episode": "num_episodes", "epsilon": "epsilon", "stage": "stage"}
_SIZES = ("hidden", "hidden_sizes", "hidden_dims", "hidden_size", "hidden_dim")
_CELL_PREFIXES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_GUIDE = "see docs/migrating-checkpoints.md"
# The layers of a recurrent network with a vision encoder, and what they are called here; besides these `lstm`.
_SPATIAL = {
    "vision_encoder.0": "encoder.convolutions.0",
    "vision_encoder.2": "encoder.convolutions.1",
    "vision_encoder.5": "encoder.vision.linear",
    "vision_encoder.6": "encoder.vision.norm",
    "position_encoder.0": "encoder.parts.position.linear",
    "meter_encoder.0": "encoder.parts.meters.linear",
    "affordance_encoder.0": "encoder.parts.underfoot.linear",
    "lstm_norm": "norm",
    "q_head.0": "head.0.linear",
    "q_head.1": "head.0.norm",
    "q_head.3": "q.linear",
}
_SPATIAL_ONLY = ("vision_encoder", "position_encoder", "meter_encoder", "affordance_encoder", "lstm_norm")
_NUM_OCCUPANCY = observation_size("partial", "occupancy")
# torch orders an LSTM's gates input, forget, cell, output; ours has the three sigmoids side by side and the cell last.
_LSTM_ORDER = (0, 1, 3, 2)


def _wrong(what: str, where: str = "state_dict", remedy: str = _GUIDE) -> UserError:
    return UserError(what, where=where, remedy=remedy)


@dataclass(eq=False)
class _Layer:
    """A linear map, and the LayerNorm behind it."""

    name: str
    weight: Tensor
    bias: Tensor
    norm: tuple[Tensor, Tensor] | None = None

    @property
    def num_inputs(self) -> int:
        return self.weight.shape[1]

    @property
    def width(self) -> int:
        return len(self.weight)

    def weights(self, name: str) -> dict[str, Tensor]:
        """Those of the linear map, by their new names."""
        return {f"{name}.weight": self.weight, f"{name}.bias": self.bias}


@dataclass
class _Upgrade:
    """What is read on the way. ``said`` are the sentences for the user."""

    params: Mapping[str, Any]
    said: list[str]
    used: set[str] = field(default_factory=set)

    def take(self, key: str, default: Any) -> Any:
        self.used.add(key)
        if key in self.params:
            return self.params[key]
        self.said.append(f"network.{key}: {default!r} (params do not say it)")
        return default

    def style(self, layer_norm: bool) -> dict[str, Any]:
        activation = str(self.take("activation", "relu")).lower()
        return {"activation": activation, "dropout": self.take("dropout", 0.0), "layer_norm": layer_norm}


def upgrade(checkpoint: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """A checkpoint_v0 as a checkpoint_v1, and sentences on what was filled in.

    ``environment`` may name "level" and "encoding", which a checkpoint_v0 does not know.
    Raises UserError when the tensors are not those of the network it names.
    """
    said: list[str] = []
    if "population_state" in checkpoint:
        checkpoint, said = unpack(checkpoint)
    kind = checkpoint["network_type"]
    if kind not in TYPES:
        raise _wrong(f"network_type is {str(kind)[:40]!r}; known are {', '.join(TYPES)}", "network_type")
    params = checkpoint.get("params") or checkpoint.get("network_params") or {}
    if not isinstance(params, Mapping):
        raise _wrong("params is not a dict", "params")
    work = _Upgrade(params, said)
    brain, weights = _read_network(kind, _tensors(checkpoint["state_dict"]), work)
    step = checkpoint.get("step", checkpoint.get("total_steps"))
    if step is None:
        work.said.append("step: 0 (the checkpoint does not say it)")
    work.said += [f"params.{key} is not used" for key in sorted(map(str, params.keys() - work.used))]
    facts = {new: checkpoint.get(old) for old, new in _FACTS.items()}
    upgraded = {
        "format": "checkpoint_v1",
        "task": "gridworld",
        "step": int(step or 0),
        "brain": msgspec.to_builtins(brain),
        "average_weights": weights,
        "recipe": _recipe(environment, work),
        "facts": {name: value for name, value in facts.items() if isinstance(value, int | float)},
    }
    return upgraded, work.said


def _read_network(kind: str, tensors: Mapping[str, Tensor], work: _Upgrade) -> tuple[BrainSpec, dict[str, Tensor]]:
    """The brain spec, every default spelled out, and the weights by their new names."""
    is_spatial = kind == "recurrent" and any(name.split(".")[0] in _SPATIAL_ONLY for name in tensors)
    readers = {"simple": _simple, "dueling": _dueling, "recurrent": _spatial if is_spatial else _recurrent}
    network, weights, (num_inputs, num_outputs) = readers[kind](tensors, work)
    if num_outputs != len(ACTIONS):
        raise UserError(
            f"the network has {num_outputs} outputs; gridworld has {len(ACTIONS)} actions", where="state_dict"
        )
    work.used.add("observation_dim")
    if work.params.get("observation_dim", num_inputs) != num_inputs:
        what = f"observation_dim is {work.params['observation_dim']!r}, but the network takes {num_inputs}"
        raise _wrong(what, "observation_dim")
    parsed = msgspec.to_builtins(parse_network(network))
    _check_sizes(network, work)
    return BrainSpec(task="gridworld", input_size=num_inputs, output_size=num_outputs, network=parsed), weights


def _tensors(state_dict: Any) -> dict[str, Tensor]:
    if not isinstance(state_dict, Mapping) or not state_dict:
        raise _wrong("state_dict is not a dict of tensors")
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise UserError("state_dict holds something else than float tensors", where=f"state_dict: {str(name)[:80]}")
    return {name: tensor.detach().float().contiguous() for name, tensor in state_dict.items()}


def _recipe(environment: Mapping[str, str], work: _Upgrade) -> dict[str, Any]:
    if not environment:
        what = "level and encoding: not known, so the file does not describe its input and infer cannot use it"
        work.said.append(what)
        return {}
    if environment.keys() != {*_ENVIRONMENT}:
        what = f"what it was trained in is told by {' and '.join(_ENVIRONMENT)}, not by {', '.join(environment)}"
        raise UserError(what, remedy="for example: --trained-in level=full --trained-in encoding=grid")
    return {"environment": dict(environment)}


def _layers(tensors: Mapping[str, Tensor]) -> list[_Layer]:
    """Linear maps and LayerNorms in the order of the state_dict."""
    layers: list[_Layer] = []
    for name in dict.fromkeys(key.rpartition(".")[0] for key in tensors):
        parts = {key.rpartition(".")[2]: t for key, t in tensors.items() if key.rpartition(".")[0] == name}
        if set(parts) != {"weight", "bias"} or parts["bias"].shape != parts["weight"].shape[:1]:
            raise _unknown(name, f"it has {', '.join(sorted(parts))}")
        weight, bias = parts["weight"], parts["bias"]
        if weight.dim() == 2:
            layers.append(_Layer(name, weight, bias))
        elif weight.dim() != 1 or not layers or layers[-1].norm is not None:
            raise _unknown(name, f"its weight has shape {list(weight.shape)}")
        elif len(weight) != layers[-1].width:
            raise _unknown(name, f"it does not fit the {layers[-1].width} outputs of {layers[-1].name}")
        else:
            layers[-1].norm = weight, bias
    return layers


def _unknown(name: str, why: str) -> UserError:
    what = f"{name} is neither a linear layer nor the LayerNorm behind one: {why}"
    return _wrong(what, f"state_dict: {name}", f"this network has no brain spec; {_GUIDE}")


def _chain(layers: Sequence[_Layer], num_inputs: int | None = None) -> None:
    """Each layer takes what the one before gives."""
    for layer in layers:
        if num_inputs not in (None, layer.num_inputs):
            what = f"{layer.name} takes {layer.num_inputs} numbers, but the layer before gives {num_inputs}"
            raise _wrong(what, f"state_dict: {layer.name}")
        num_inputs = layer.width


def _norms(hidden: Sequence[_Layer], last: Sequence[_Layer]) -> bool:
    """Whether the hidden layers have LayerNorm: all or none, and never the output."""
    found = [layer.norm is not None for layer in hidden]
    if any(layer.norm is not None for layer in last) or (any(found) and not all(found)):
        raise _wrong("LayerNorm stands behind some layers only")
    return any(found)


def _perceptron(prefix: str, layers: Sequence[_Layer]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for index, layer in enumerate(layers):
        weights |= layer.weights(f"{prefix}.{index}.linear")
        if layer.norm is not None:
            weights |= {f"{prefix}.{index}.norm.weight": layer.norm[0], f"{prefix}.{index}.norm.bias": layer.norm[1]}
    return weights


def _widths(layers: Sequence[_Layer]) -> list[int]:
    return [layer.width for layer in layers]


_Read = tuple[dict[str, Any], dict[str, Tensor], tuple[int, int]]
"""Network section, weights by their new names, input and output size."""


def _simple(tensors: Mapping[str, Tensor], work: _Upgrade) -> _Read:
    layers = _layers(tensors)
    *hidden, last = layers
    _chain(layers)
    network = {"type": "feedforward", "hidden": _widths(hidden), **work.style(_norms(hidden, [last]))}
    return network, _perceptron("trunk", hidden) | last.weights("head.linear"), (layers[0].num_inputs, last.width)


def _split(layers: Sequence[_Layer]) -> tuple[list[_Layer], list[_Layer], list[_Layer]]:
    """Layers of the trunk, of the value and of the advantage stream, told apart by their names."""
    kinds: dict[str, list[_Layer]] = {"value": [], "adv": [], "": []}
    for layer in layers:
        kinds[next(word for word in kinds if word in layer.name.lower())].append(layer)
    return kinds[""], kinds["value"], kinds["adv"]


def _dueling(tensors: Mapping[str, Tensor], work: _Upgrade) -> _Read:
    trunk, value, advantage = _split(_layers(tensors))
    if not trunk or not value or not advantage or value[-1].width != 1:
        raise _wrong("a dueling network has a trunk, a 'value' stream with one output and an 'advantage' stream")
    if _widths(value[:-1]) != _widths(advantage[:-1]):
        what = f"the streams differ: value {_widths(value[:-1])}, advantage {_widths(advantage[:-1])}"
        raise _wrong(what, remedy=f"a brain spec has one size for both; {_GUIDE}")
    for stream in (value, advantage):
        _chain([*trunk, *stream])
    layer_norm = _norms([*trunk, *value[:-1], *advantage[:-1]], [value[-1], advantage[-1]])
    network = {"type": "dueling", "hidden": _widths(trunk), "stream": _widths(value[:-1]), **work.style(layer_norm)}
    weights = _perceptron("trunk", trunk)
    weights |= _perceptron("value_stream", value[:-1]) | _perceptron("advantage_stream", advantage[:-1])
    weights |= value[-1].weights("value") | advantage[-1].weights("advantage")
    return network, weights, (trunk[0].num_inputs, advantage[-1].width)


def _recurrent(tensors: Mapping[str, Tensor], work: _Upgrade) -> _Read:
    names = [name for name in tensors if name.rpartition(".")[2].startswith(_CELL_PREFIXES)]
    cell, hidden_size, cell_inputs, weights = _cell({name.rpartition(".")[2]: tensors[name] for name in names}, work)
    order = list(tensors)
    start, stop = order.index(names[0]), order.index(names[-1])
    encoder = _layers({name: tensors[name] for name in order[:start]})
    head, value, advantage = _split(_layers({name: tensors[name] for name in order[stop + 1 :]}))
    dueling = bool(value or advantage)
    if dueling and (len(value) != 1 or len(advantage) != 1 or value[0].width != 1):
        raise _wrong("value and advantage of a recurrent network are one linear layer each")
    if not dueling and not head:
        raise _wrong("state_dict has too few layers for this network_type")
    last = [value[0], advantage[0]] if dueling else [head.pop()]
    _chain(encoder)
    if encoder and encoder[-1].width != cell_inputs:
        raise _wrong(f"the {cell} takes {cell_inputs} numbers, but the layer before gives {encoder[-1].width}")
    for layer in last:
        _chain([*head, layer], hidden_size)
    network = {"type": "recurrent", "encoder": _widths(encoder), "cell": cell, "hidden_size": hidden_size}
    network |= {"head": _widths(head), "dueling": dueling, **work.style(_norms([*encoder, *head], last))}
    weights |= _perceptron("encoder", encoder) | _perceptron("head", head)
    weights |= {"q.linear.weight": torch.cat([layer.weight for layer in last])}
    weights |= {"q.linear.bias": torch.cat([layer.bias for layer in last])}
    return network, weights, (encoder[0].num_inputs if encoder else cell_inputs, last[-1].width)


def _spatial(tensors: Mapping[str, Tensor], work: _Upgrade) -> _Read:
    """The network of type recurrent_spatial, whose layers have fixed names."""
    wanted = {f"{old}.{leaf}" for old in _SPATIAL for leaf in ("weight", "bias")}
    wanted |= {f"lstm.{prefix}_l0" for prefix in _CELL_PREFIXES}
    missing, unknown = sorted(wanted - tensors.keys()), sorted(tensors.keys() - wanted)
    if missing or unknown:
        told = [f"{what} {', '.join(names)}" for what, names in (("lacks", missing), ("has", unknown)) if names]
        raise _wrong(f"a recurrent network with a vision encoder has fixed layers; this one {' and '.join(told)}")
    cell, hidden_size, _, weights = _cell({f"{p}_l0": tensors[f"lstm.{p}_l0"] for p in _CELL_PREFIXES}, work)
    for old, new in _SPATIAL.items():
        kernel, bias = tensors[f"{old}.weight"], tensors[f"{old}.bias"]
        num_axes = 4 if "convolutions" in new else 1 if new.endswith("norm") else 2
        if kernel.dim() != num_axes or (num_axes == 4 and kernel.shape[2:] != (3, 3)) or not kernel.numel():
            raise _wrong(f"{old} has a weight of shape {list(kernel.shape)}", f"state_dict: {old}")
        weights |= {f"{new}.weight": kernel.flatten(1) if num_axes == 4 else kernel, f"{new}.bias": bias}
    channels = [len(tensors[f"vision_encoder.{index}.weight"]) for index in (0, 2)]
    sizes = [tensors["vision_encoder.5.weight"].shape[1] // channels[-1]]
    sizes += [tensors[f"{name}_encoder.0.weight"].shape[1] for name in ("position", "meter", "affordance")]
    input_size = int(work.take("observation_dim", _NUM_OCCUPANCY))
    network = {
        "type": "recurrent_spatial",
        "channels": channels,
        "vision_size": len(tensors["vision_encoder.5.bias"]),
        "part_size": len(tensors["position_encoder.0.bias"]),
        "hidden_size": hidden_size,
        "head": [len(tensors["q_head.0.bias"])],
        **work.style(layer_norm=True),
        **_slices(sizes, input_size, work),
    }
    if cell != "lstm":
        raise _wrong(f"lstm is a {cell}")
    return network, weights, (input_size, len(tensors["q_head.3.bias"]))


def _slices(sizes: Sequence[int], input_size: int, work: _Upgrade) -> dict[str, list[int]]:
    """Where in the observation a spatial network reads each of its parts."""
    blocks = {block.name: [block.start, block.stop] for block in layout("partial", "occupancy")}
    known = [blocks[name] for name in ("window", *SPATIAL_PARTS)]
    if input_size == _NUM_OCCUPANCY and list(sizes) == [stop - start for start, stop in known]:
        starts = [start for start, _ in known]
        work.said.append(
            f"network.cells, position, meters, underfoot: read at {', '.join(map(str, starts))}, where the observation "
            f"has them; the network read its first {sum(sizes)} numbers, which begin with the grid, empty in its view"
        )
    else:
        starts = [sum(sizes[:index]) for index in range(len(sizes))]
        work.said.append(f"network.cells, position, meters, underfoot: the first {sum(sizes)} numbers, in this order")
    names = ("cells", *SPATIAL_PARTS)
    return {name: [start, start + size] for name, start, size in zip(names, starts, sizes, strict=True)}


def _cell(parts: Mapping[str, Tensor], work: _Upgrade) -> tuple[str, int, int, dict[str, Tensor]]:
    """Kind, hidden size, inputs and weights of the recurrent cell, by the number of its gates."""
    if set(parts) != {f"{prefix}_l0" for prefix in _CELL_PREFIXES}:
        raise _wrong("a recurrent network has one LSTM or GRU of torch, of one layer and one direction, with biases")
    num_rows, hidden_size = parts["weight_hh_l0"].shape
    num_gates = num_rows // hidden_size
    if num_gates not in (3, 4) or num_rows != num_gates * hidden_size:
        raise UserError("the recurrent layer has neither the 4 gates of an LSTM nor the 3 of a GRU", where="state_dict")
    cell = {3: "gru", 4: "lstm"}[num_gates]
    said = str(work.params.get("cell", cell)).lower()
    work.used.add("cell")
    if said != cell:
        raise UserError(f"params.cell is {said!r}, but the tensors are those of a {cell}", where="params.cell")

    def ordered(tensor: Tensor) -> Tensor:
        gates = tensor.chunk(num_gates)
        return torch.cat([gates[i] for i in _LSTM_ORDER]) if cell == "lstm" else tensor

    names = {"weight_ih": "inputs.weight", "bias_ih": "inputs.bias"}
    names |= {"weight_hh": "recurrent.weight", "bias_hh": "recurrent.bias"}
    weights = {f"cell.{new}": ordered(parts[f"{old}_l0"]) for old, new in names.items()}
    return cell, hidden_size, parts["weight_ih_l0"].shape[1], weights


def _check_sizes(network: Mapping[str, Any], work: _Upgrade) -> None:
    """Where params name hidden sizes, they have to be those of the tensors."""
    found = network["hidden"] if "hidden" in network else network["hidden_size"]
    for key in [key for key in _SIZES if key in work.params]:
        work.used.add(key)
        said = work.params[key]
        meant = list(said) if isinstance(said, list | tuple) else said
        same_everywhere = isinstance(found, list) and found and found == [meant] * len(found)
        if meant != found and not same_everywhere:
            raise _wrong(f"params.{key} is {said!r}, but the tensors have {found}", f"params.{key}")


PART = UpgradePart(upgrade=upgrade)
