"""What a brain spec of localization says: a recipe's network, and what the training data add to it. No torch."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import Struct

from pipeline.stats import Floats
from pipeline.tasks.localization.recipe import Mlp, Weighing
from schemas.brain import BrainSpec

NUM_FACTS, NUM_PAIR_FACTS, NUM_RECEIVER_FACTS = 10, 6, 6  # of a candidate, of it and a receiver, of a receiver


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver that the network knows by name; its place is null where nobody told it."""

    name: str
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None


class Scales(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What numbers are measured against: the middle and the spread of places and of levels in the training data.

    ``centre`` is latitude and longitude in degrees.
    """

    centre: tuple[float, float]
    distance_km: float
    level_dbm: float
    level_db: float


class MlpBrain(Mlp, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mlp"):
    """`Mlp` with its receivers, in the order of its inputs, and its scales."""

    receivers_known: tuple[Place, ...]
    scales: Scales

    @property
    def num_receivers(self) -> int:
        """R of its inputs."""
        return len(self.receivers_known)


class WeighingBrain(Weighing, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="weighing"):
    """`Weighing` with its receivers, none where any will do, and its scales."""

    receivers_known: tuple[Place, ...]
    scales: Scales

    @property
    def num_receivers(self) -> int:
        """R of its inputs."""
        return len(self.receivers_known) or self.num_slots


NetworkBrain = MlpBrain | WeighingBrain


def brain_spec(network: NetworkBrain) -> BrainSpec:
    """All that is needed to build the network again; sizes count the numbers of a record, in and out."""
    return BrainSpec(
        task="localization",
        input_size=sum(math.prod(shape) for shape in input_shapes(network).values()),
        output_size=6 * num_components(network) + 2,
        network=msgspec.to_builtins(network),
    )


def input_shapes(network: NetworkBrain) -> dict[str, tuple[int, ...]]:
    """The shape of each input of the network, without the batch, in the order in which it takes them."""
    num = network.num_receivers
    if isinstance(network, MlpBrain):
        return {"level_dbm": (num,), "heard": (num,), "frequency_mhz": (1,)}
    candidates = num_candidates(num)
    return {
        "candidates_km": (candidates, 2),
        "factors_km": (candidates, 3),
        "valid": (candidates,),
        "facts": (candidates, NUM_FACTS),
        "pairs": (candidates, num, NUM_PAIR_FACTS),
        "receivers": (num, NUM_RECEIVER_FACTS),
        "heard": (num,),
        "frequency_mhz": (1,),
    }


def num_components(network: NetworkBrain) -> int:
    """K of the mixture."""
    if isinstance(network, MlpBrain):
        return network.num_components
    return num_candidates(network.num_receivers) * network.num_scales + network.num_free


def read_network(spec: BrainSpec) -> NetworkBrain:
    """The network of a spec, typed."""
    network: NetworkBrain = msgspec.convert(spec.network, NetworkBrain)
    return network


def num_candidates(num_receivers: int) -> int:
    """Classical solutions that are weighed for so many receivers: see `candidates`."""
    return num_receivers + 4


def scales(truth: Floats, levels_dbm: Floats) -> Scales:
    """The scales of places [N, 2] in degrees and of the levels that were heard [M]."""
    low, high = truth.min(0), truth.max(0)
    latitude, longitude = ((low + high) / 2).tolist()
    north_km, east_km = (truth.std(0) * 111.2 * [1.0, np.cos(np.radians(latitude))]).tolist()  # km a degree
    return Scales(
        centre=(round(latitude, 4), round(longitude, 4)),
        distance_km=round(max(float(np.hypot(north_km, east_km)), 1e-3), 3),
        level_dbm=round(float(levels_dbm.mean()), 2) if len(levels_dbm) else 0.0,
        level_db=round(max(float(levels_dbm.std()), 1.0), 2) if len(levels_dbm) else 1.0,
    )


def places(names: Sequence[str], rows: Floats) -> tuple[Place, ...]:
    """Receivers by name, at [R, 3] (degrees, degrees, metres), NaN where unknown."""
    known = [[None if math.isnan(value) else value for value in row] for row in rows.tolist()]
    return tuple(
        Place(name=name, latitude=latitude, longitude=longitude, altitude_m=altitude_m)
        for name, (latitude, longitude, altitude_m) in zip(names, known, strict=True)
    )
