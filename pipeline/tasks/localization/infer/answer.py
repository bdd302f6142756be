"""What a network said, to rows: the same for infer and for a server. No torch.

inputs = prepare(records, brain)                 # named arrays for the network, whatever runs it
rows = answer(records, inputs, outputs, model)   # its outputs, by name
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.localization.mixture import Mixtures, told
from pipeline.tasks.localization.model.brain import NetworkBrain
from pipeline.tasks.localization.model.inputs import Inputs, network_inputs
from pipeline.tasks.localization.model.measured import Record, in_slots, of_records
from pipeline.tasks.localization.rows import Prediction

NOTHING_KNOWN = "no_known_receiver"
_LEAST_WEIGHT = 1e-6  # of a component that a row tells
_WIDEST_M = 2e6  # standard deviation of one; what is wider says nothing of a place on the Earth


def prepare(records: Sequence[Record], brain: NetworkBrain) -> Inputs:
    """What the network is asked about ``records``, one row each."""
    named = [receiver.name for receiver in brain.receivers_known]
    measured = of_records(records, named) if named else in_slots(records, brain.num_receivers)
    return network_inputs(brain, measured)


def answer(
    records: Sequence[Record], inputs: Inputs, outputs: Mapping[str, NDArray[np.float32]], model: str
) -> list[Prediction]:
    """One row a record, from the network's outputs [B, ...]; where no receiver is known to it, a row with an error."""
    answers = told(mixtures(outputs), inputs.centre, outputs["fix_km"].astype(np.float64) * 1000.0)
    return [
        _row(record, model, said if known else {"error": NOTHING_KNOWN})
        for record, said, known in zip(records, answers, inputs.known.tolist(), strict=True)
    ]


def mixtures(outputs: Mapping[str, NDArray[np.float32]]) -> Mixtures:
    """The network's outputs in metres, without components that hardly count. The widest that is on the Earth does: all
    that is nowhere near the others is left to it."""
    first, corner, last = np.moveaxis(outputs["factors"].astype(np.float64), -1, 0) / 1000.0
    # The inverse of F = [[a, 0], [b, c]] is [[1/a, 0], [-b/(ac), 1/c]]; a covariance is that times its transpose.
    east, both, north = 1.0 / first, -corner / (first * last), 1.0 / last
    covariances = np.stack((east**2, east * both, both**2 + north**2), -1)
    usable = covariances[..., 0] + covariances[..., 2] <= _WIDEST_M**2
    usable |= ~usable.any(1, keepdims=True)
    weights = np.where(usable, outputs["weights"].astype(np.float64), 0.0)
    widest = np.where(usable, first * last, np.inf).argmin(1)[:, None] == np.arange(weights.shape[1])
    weights = np.where(weights >= _LEAST_WEIGHT, weights, np.where(widest, _LEAST_WEIGHT, 0.0))
    return Mixtures(
        weights=weights / weights.sum(1, keepdims=True),
        means=outputs["means_km"].astype(np.float64) * 1000.0,
        covariances=np.where(usable[..., None], covariances, (1.0, 0.0, 1.0)),
    )


def _row(record: Record, model: str, said: Mapping[str, Any]) -> Prediction:
    return Prediction(
        id=record.id,
        model=model,
        measurements=record.measurements,
        frequency_mhz=record.frequency_mhz,
        altitude_m=record.altitude_m,
        kind=record.kind,
        group=record.group,
        time=record.time,
        latitude=record.latitude,
        longitude=record.longitude,
        recording=record.recording,
        **said,
    )
