"""What records are told apart by: how many receivers heard them, band, kind, and geometry."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.stats import Floats
from pipeline.tasks.localization.measured import heard_of
from pipeline.tasks.localization.rows import Prediction
from pipeline.tasks.localization.solve import information, inverse
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

_BANDS = ((30.0, "below VHF"), (300.0, "VHF"), (3000.0, "UHF"), (np.inf, "SHF and above"))  # ITU-R V.431, MHz
_DILUTIONS = ((1.0, "to 1"), (2.0, "1 to 2"), (5.0, "2 to 5"), (10.0, "5 to 10"), (np.inf, "above 10"))


def slices_of(rows: Sequence[Prediction], truths: Floats) -> dict[str, list[str | None]]:
    """The value of each key for each record, None where it has none. Truths are [N, 2], NaN where nobody knows them.

    Geometry is the horizontal dilution of precision at the truth: by how much more than the errors of the ranges a
    solution of the times of arrival would be off.
    """
    return {
        "receivers": [str(len(row.measurements)) for row in rows],
        "band": [None if row.frequency_mhz is None else _class_of(row.frequency_mhz, _BANDS) for row in rows],
        "kind": [row.kind for row in rows],
        "dilution": [_class_of(d, _DILUTIONS) if np.isfinite(d) else None for d in _dilution(rows, truths).tolist()],
    }


def _dilution(rows: Sequence[Prediction], truths: Floats) -> Floats:
    heard = heard_of(rows)
    one_ns = replace(heard, arrival_ns=np.zeros_like(heard.arrival_ns), sigma_ns=np.ones_like(heard.sigma_ns))
    known = np.isfinite(truths).all(axis=1)
    found = np.full(len(rows), np.nan)
    covariances = inverse(information(one_ns[known], truths[known]))
    found[known] = np.sqrt(covariances[:, 0] + covariances[:, 2]) / SPEED_M_PER_NS
    return found


def _class_of(value: float, classes: Sequence[tuple[float, str]]) -> str:
    return next(name for limit, name in classes if value <= limit)
