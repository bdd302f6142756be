"""What a network said, to rows: the same for infer and for a server. No torch.

inputs = prepare(records, brain)                 # named arrays for the network, whatever runs it
outputs = one_by_one(run, inputs)
rows = answer(records, inputs, outputs, model)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.tasks.localization.measured import Record, in_slots, of_records
from pipeline.tasks.localization.mixture import Part, told
from pipeline.tasks.localization.model.brain import NetworkBrain
from pipeline.tasks.localization.model.inputs import Inputs, network_inputs
from pipeline.tasks.localization.rows import PART as ROWS
from pipeline.tasks.localization.rows import Covariance, Example, Prediction
from pipeline.tasks.localization.signal.recording import with_measurements

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]
"""One record through the network: named float32 arrays [1, ...] in and out."""

NOTHING_KNOWN = "no_known_receiver"
_SHARED = ("id", *ROWS.truth_fields)
_LEAST_WEIGHT = 1e-6  # of a component that a row tells
_WIDEST_M = 2e6  # standard deviation of one; what is wider says nothing of a place on the Earth


def prepare(records: Sequence[Record], brain: NetworkBrain) -> Inputs:
    """What the network is asked about ``records``, one row each."""
    named = [receiver.name for receiver in brain.receivers_known]
    measured = of_records(records, named) if named else in_slots(records, brain.num_receivers)
    return network_inputs(brain, measured)


def one_by_one(run: Run, inputs: Inputs) -> Arrays:
    """The network's outputs [B, ...]. Records go through it one by one: no other in a batch changes the last bits."""
    if len(inputs.known) == 1:
        return run(inputs.tensors)
    each = [run({name: array[n : n + 1] for name, array in inputs.tensors.items()}) for n in range(len(inputs.known))]
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


def answer(records: Sequence[Record], inputs: Inputs, outputs: Arrays, model: str) -> list[Prediction]:
    """One row a record, from the network's outputs [B, ...]; where no receiver is known to it, a row with an error."""
    fixes, *columns = (outputs[name].tolist() for name in ("fix_km", "weights", "means_km", "factors"))
    mixtures = [parts(*one) for one in zip(*columns, strict=True)]
    answers = told(mixtures, [(east * 1000.0, north * 1000.0) for east, north in fixes], inputs.centre.tolist())
    return [
        row(record, model, **(said if known else {"error": NOTHING_KNOWN}))
        for record, said, known in zip(records, answers, inputs.known.tolist(), strict=True)
    ]


def row(record: Record, model: str, **said: Any) -> Prediction:
    """A prediction of a record: what it shares with its example, and what is said of it."""
    return Prediction(model=model, **{name: getattr(record, name) for name in _SHARED}, **said)


def answer_measured(
    records: Sequence[Example], root: Path, model: str, answer_all: Callable[[Sequence[Example]], Sequence[Prediction]]
) -> list[Prediction]:
    """What ``answer_all`` says of ``records``, whose recordings lie in ``root``; one row each, in their order.

    A recording that cannot be read, or in which nobody heard anything, is a row with an error.
    """
    ready: list[Example] = []
    failed: dict[int, Prediction] = {}
    for place, record in enumerate(records):
        try:
            ready.append(with_measurements(record, root))
            if not ready[-1].measurements:
                raise UserError("no receiver heard anything in the recording")
        except UserError as error:
            del ready[place - len(failed) :]
            failed[place] = row(record, model, error=f"bad_recording: {error.what}")
    answers = iter(answer_all(ready))
    return [failed[place] if place in failed else next(answers) for place in range(len(records))]


def parts(weights: Sequence[float], means_km: Sequence[Any], factors: Sequence[Any]) -> list[Part]:
    """The components of one record in metres, K of each; those that hardly count have no weight. The widest that is on
    the Earth does: all that is nowhere near the others is left to it."""
    covariances = [_covariance(*factor) for factor in factors]
    usable = [east + north <= _WIDEST_M**2 for east, _, north in covariances]
    if not any(usable):
        usable = [True] * len(usable)
    precisions = [first * last if used else math.inf for (first, _, last), used in zip(factors, usable, strict=True)]
    widest = precisions.index(min(precisions))
    kept = [one if used and one >= _LEAST_WEIGHT else 0.0 for one, used in zip(weights, usable, strict=True)]
    kept[widest] = max(kept[widest], _LEAST_WEIGHT)
    total = float(np.add.reduce(kept))
    return [
        (one / total, mean[0] * 1000.0, mean[1] * 1000.0, *(own if used else (1.0, 0.0, 1.0)))
        for one, mean, own, used in zip(kept, means_km, covariances, usable, strict=True)
    ]


def _covariance(first: float, corner: float, last: float) -> Covariance:
    """That of the precision F'F, F = [[a, 0], [b, c]] a kilometre: the inverse of F is [[1/a, 0], [-b/(ac), 1/c]], and
    the covariance that times its transpose."""
    first, corner, last = first / 1000.0, corner / 1000.0, last / 1000.0
    precision = first * last
    if not precision > 0:
        return math.inf, 0.0, math.inf
    east, both, north = 1.0 / first, -corner / precision, 1.0 / last
    return east * east, east * both, both * both + north * north
