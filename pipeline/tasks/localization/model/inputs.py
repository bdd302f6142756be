"""Measurements to what the networks take: named float32 arrays, and the frames that their answers lie in. No torch."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import Measured
from pipeline.tasks.localization.model.brain import MlpBrain, NetworkBrain, WeighingBrain
from pipeline.tasks.localization.model.candidates import find_candidates

Tensors = dict[str, NDArray[np.float32]]
_NS_LOG10 = 2.5  # log10 of 316 ns, in the middle of what is stated


@dataclass(frozen=True)
class Inputs:
    """``tensors`` [B, ...] by name; ``centre`` [B, 2] in degrees, about which answers are local kilometres.

    ``known`` bool [B]: there is something that the network can work with.
    """

    tensors: Tensors
    centre: Floats
    known: NDArray[np.bool_]


def network_inputs(brain: NetworkBrain, measured: Measured) -> Inputs:
    """The inputs that `brain.input_shapes` lists; 0 stands for what was not measured."""
    named = bool(brain.receivers_known)
    centre = np.full((len(measured), 2), brain.scales.centre) if named else _middle(measured)
    arrays = _levels(measured) if isinstance(brain, MlpBrain) else _weighing(brain, measured, centre)
    known = measured.heard if named else measured.heard & measured.placed
    return Inputs({name: array.astype(np.float32) for name, array in arrays.items()}, centre, np.asarray(known.any(1)))


def _levels(measured: Measured) -> dict[str, NDArray[np.generic]]:
    levelled = measured.levelled
    return {
        "level_dbm": np.where(levelled, measured.level_dbm, 0.0),
        "heard": levelled,
        "frequency_mhz": _frequency(measured),
    }


def _weighing(brain: WeighingBrain, measured: Measured, centre: Floats) -> dict[str, NDArray[np.generic]]:
    timed = measured.heard & np.isfinite(measured.arrival_ns)
    sigma_ns = np.where(timed & ~np.isfinite(measured.sigma_ns), brain.sigma_ns, measured.sigma_ns)
    found = find_candidates(replace(measured, sigma_ns=sigma_ns))
    scales, placed = brain.scales, measured.placed
    places = np.where(placed[..., None], measured.places, np.append(brain.scales.centre, 0.0))
    local = geo.to_local(places[..., :2], centre[:, None]) / 1000.0 / scales.distance_km
    receivers = [
        local[..., 0] * placed,
        local[..., 1] * placed,
        places[..., 2] / 1000.0 * placed,
        np.where(measured.levelled, (measured.level_dbm - scales.level_dbm) / scales.level_db, 0.0),
        timed,
        np.where(timed, np.log10(np.where(timed, sigma_ns, 1.0)) - _NS_LOG10, 0.0),
    ]
    return {
        "candidates_km": geo.to_local(found.places, centre[:, None]) / 1000.0,
        "factors_km": found.factors / 1000.0,
        "valid": found.valid,
        "facts": found.facts,
        "pairs": found.pairs,
        "receivers": np.stack(receivers, -1),
        "heard": measured.heard,
        "frequency_mhz": _frequency(measured),
    }


def _frequency(measured: Measured) -> Floats:
    return np.where(np.isnan(measured.frequency_mhz), 0.0, measured.frequency_mhz)[:, None]


def _middle(measured: Measured) -> Floats:
    """The mean place of the receivers of each record: [B, 2]; (0, 0) where there is none."""
    placed = (measured.heard & measured.placed)[..., None]
    places = np.where(placed, measured.places, 0.0)[..., :2]
    return np.asarray(places.sum(1) / np.maximum(placed.sum(1), 1))
