"""Measurements to what the networks take: named float32 arrays, and the frames that their answers lie in. No torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.model.brain import NetworkBrain
from pipeline.tasks.localization.model.measured import Measured

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Inputs:
    """``tensors`` [B, ...] by name; ``centre`` [B, 2] in degrees, about which answers are local kilometres.

    ``known`` bool [B]: at least one receiver is known to the network.
    """

    tensors: Tensors
    centre: Floats
    known: NDArray[np.bool_]


def network_inputs(brain: NetworkBrain, measured: Measured) -> Inputs:
    """level_dbm and heard [B, R], frequency_mhz [B, 1]; 0 stands for what was not measured."""
    has_level = measured.heard & np.isfinite(measured.level_dbm)
    tensors = {
        "level_dbm": np.where(has_level, measured.level_dbm, 0.0),
        "heard": has_level,
        "frequency_mhz": np.nan_to_num(measured.frequency_mhz)[:, None],
    }
    centre = np.broadcast_to(np.array(brain.scales.centre), (len(measured), 2))
    return Inputs(
        {name: array.astype(np.float32) for name, array in tensors.items()}, centre, np.asarray(measured.heard.any(1))
    )
