"""The ellipses of predictions as their rows say them, and the truths in them."""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import PROBABILITIES
from pipeline.tasks.localization.rows import Prediction


def needed_factors(rows: Sequence[Prediction], truths: Floats) -> Floats:
    """By how much each ellipse of each row would have to grow to reach the truth [N, 2]: [N, P], at most 1 where it
    holds it, infinite where an ellipse has no extent.

    Raises UserError for rows that do not have an ellipse of each of `PROBABILITIES`.
    """
    axes = np.empty((len(rows), len(PROBABILITIES), 3))
    fixes = np.empty((len(rows), 2))
    for n, row in enumerate(rows):
        if tuple(e.probability for e in row.ellipses) != PROBABILITIES:
            raise UserError(
                "a prediction has other ellipses than those of " + ", ".join(f"{p:g}" for p in PROBABILITIES),
                where=f"record {row.id!r}, field ellipses",
                remedy="write the four of them, the smallest first",
            )
        axes[n] = [(e.semi_major_m, e.semi_minor_m, e.azimuth_deg) for e in row.ellipses]
        fixes[n] = row.fix_latitude, row.fix_longitude
    east, north = np.moveaxis(geo.to_local(truths, fixes), -1, 0)[..., None]
    azimuth = np.radians(axes[..., 2])
    along = east * np.sin(azimuth) + north * np.cos(azimuth)
    across = east * np.cos(azimuth) - north * np.sin(azimuth)
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.hypot(along / axes[..., 0], across / axes[..., 1])
    return np.where(np.isnan(needed), np.inf, needed)
