"""The bootstrap and the sign-flip test of a mean over very many records, by groups of records with close values.

How often the records of a group are drawn is one multinomial variate for all groups together, and how many signs of a
group flip is one binomial variate: work does not grow with the number of records once they are sorted. Values within a
group are replaced by their mean, and what that takes away of the variance is put back as a normal variate of exactly
that variance. With `NUM_GROUPS` groups of equal size that share is tiny (docs/compare.md has it measured); of a metric
with fewer distinct values than groups nothing is taken away at all.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.comparison.reading import Ints
from pipeline.stats import Floats

NUM_GROUPS = 512


@dataclass(frozen=True)
class Groups:
    """Records with close values: how many, their mean and their variance, [K] each."""

    sizes: Ints
    means: Floats
    variances: Floats


def group(values: Floats) -> Groups:
    """Groups of ``values[n]``: one for each distinct value where there are at most `NUM_GROUPS`, else of equal size."""
    ordered = np.sort(values)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if len(starts) > NUM_GROUPS:
        starts = (np.arange(NUM_GROUPS) * len(ordered)) // NUM_GROUPS
    sizes = np.diff(np.concatenate([starts, [len(ordered)]]))
    means = np.add.reduceat(ordered, starts) / sizes
    ordered -= np.repeat(means, sizes)
    return Groups(sizes=sizes, means=means, variances=np.add.reduceat(ordered * ordered, starts) / sizes)


def resample_mean(values: Floats, generator: np.random.Generator, num: int, strata: Ints | None = None) -> Floats:
    """Means of ``num`` resamples of ``values[n]``, each stratum resampled by itself: [num]."""
    labels = np.zeros(len(values), dtype=np.int64) if strata is None else strata
    total = np.zeros(num)
    for stratum in np.unique(labels):
        groups = group(values[labels == stratum])
        num_records = int(groups.sizes.sum())
        counts = generator.multinomial(num_records, groups.sizes / num_records, size=num)
        total += counts @ groups.means + np.sqrt(counts @ groups.variances) * generator.standard_normal(num)
    return total / len(values)


def flip_signs(differences: Floats, generator: np.random.Generator, num: int) -> Floats:
    """Sums of ``differences[n]`` with random signs: [num]."""
    groups = group(np.abs(differences))
    signs = 2.0 * generator.binomial(groups.sizes, 0.5, size=(num, len(groups.sizes))) - groups.sizes
    spread = float(groups.sizes @ groups.variances)
    flipped: Floats = signs @ groups.means + np.sqrt(spread) * generator.standard_normal(num)
    return flipped
