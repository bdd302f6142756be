"""Several trainings of one recipe as one subject: its figure is their mean, and the next training is the unknown.

Drawing trainings with replacement, as the bootstrap draws records, is no use for three of them: there are 10 different
draws, whose spread is too small by a third, and nothing says that the true spread may be far larger than that of three.
So what trainings add to the error of a mean, or of a difference of two, is drawn from Student's t, with the degrees of
freedom of Welch (1947), and added to the resamples of the records.

The trainings' scatter holds what they do differently on the same records, and so do the resamples of the records: that
part is counted twice, which widens the interval where records are few (docs/statistics.md has how much).
"""

from collections.abc import Sequence
from math import comb

import numpy as np

from pipeline.stats.metrics import Floats

METHOD = "trainings_and_records"
TEST = "trainings_student"


def training_errors(groups: Sequence[Sequence[float]], generator: np.random.Generator, num: int) -> Floats:
    """``num`` errors [num] of the mean of one group of trainings, or of the difference of the means of two.

    ``groups[g][s]`` is the figure of training s of group g. A single training tells no scatter, and adds none.
    """
    squares = [float(np.var(group, ddof=1)) / len(group) if len(group) > 1 else 0.0 for group in groups]
    total = sum(squares)
    if total == 0.0:
        return np.zeros(num)
    per_degree = sum(square**2 / (len(group) - 1) for square, group in zip(squares, groups, strict=True) if square)
    errors: Floats = total**0.5 * generator.standard_t(total**2 / per_degree, size=num)
    return errors


def two_sided(differences: Floats) -> float:
    """p of "no difference", from resampled differences [B]: twice the rarer side of 0, at least 2 / (B + 1)."""
    below, above = np.count_nonzero(differences <= 0.0), np.count_nonzero(differences >= 0.0)
    return float(min(1.0, 2.0 * (min(below, above) + 1) / (len(differences) + 1)))


def least_exchange_p(num: int, other: int) -> float:
    """The least two-sided p that a test can give which assumes nothing of the trainings' scatter: it exchanges which
    training belongs to which group, and there are only so many ways to do so."""
    return min(1.0, 2.0 / comb(num + other, num))
