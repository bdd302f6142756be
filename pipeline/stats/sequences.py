"""Confidence sequences: intervals that hold at every moment at once, so that one may look whenever one likes.

A 95 % interval is wrong one time in twenty at the one moment it was made for; whoever looks after every record and
stops when the interval says what they hoped for is wrong far more often. A confidence sequence is wrong at any moment
at all in one case of twenty.

- `BoundedMean` for values with known bounds (rates, shares, their differences): hedged betting (Waudby-Smith and Ramdas
  2024, theorem 3). It holds exactly, for any number of records.
- `MedianSequence`: order statistics, as far from the middle as Robbins' normal mixture lets a fair coin drift (Howard
  and Ramdas 2022). It holds exactly.
- `MeanSequence` for values without bounds, and `EstimateSequence` for any figure that is asymptotically a mean of
  one term a record (interquartile mean, average precision, their differences): asymptotic confidence sequences
  (Waudby-Smith et al. 2024, theorem 2.2). They hold in the limit of many records, as the central limit theorem does,
  and say nothing before ``num_first`` of them.

All assume that the next record is as likely to be any record as the last was: records drawn independently, or in
random order. What is shown is the running intersection, which never grows. Should it become empty, then the truth was
outside at some time (one case of twenty at most), or the records drift; ``is_coherent`` is False from then on, and the
interval is that of the moment alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.intervals import Interval, check_values
from pipeline.stats.metrics import Floats

_GRID = 128  # means that are tried at a time
_SEGMENT = 50  # records between two looks at how coarse the grid is
_COARSE = 32  # a step of the grid is at most this part of the distance between bound and mean: so much is given away
_NUM_CHANGES = 20  # see MeanSequence
_AIMS = (1 / 8, 1.0, 8.0, 64.0)  # a quarter of the capital each is bet as is best for so many times num_target records


@dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """``confidence`` that the truth is never left. The width is least at about ``num_target`` records, and not far from
    it ten times before and after. Asymptotic sequences begin with ``num_first`` records."""

    confidence: float = 0.95
    num_target: int = 1000
    num_first: int = 100

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence must be between 0 and 1, not {self.confidence}")
        if self.num_target < 1 or self.num_first < 2:
            raise ValueError("num_target must be at least 1 and num_first at least 2")


SEQUENCE_DEFAULTS = SequenceOptions()


class BoundedMean:
    """Mean of values within [``lowest``, ``highest``]. ``take`` costs no more than the new records, on average.

    Someone bets, record after record, that the mean is above m, at odds that are fair if it is m. If it is, their
    capital ever becomes 1 / alpha times what it was with probability alpha at most (Ville 1939): every m against which
    it did is refuted as too low. Half of the capital bets so for the lower bound, half against it for the upper one.
    """

    def __init__(self, lowest: float, highest: float, options: SequenceOptions = SEQUENCE_DEFAULTS) -> None:
        if not lowest < highest:
            raise ValueError(f"bounds must rise, not {lowest} to {highest}")
        self.num_records = 0
        self._lowest, self._span = lowest, highest - lowest
        self._options = options
        self._logarithm = math.log(2.0 * len(_AIMS) / (1.0 - options.confidence))
        self._floor, self._mirrored_ceiling = _Floor(options), _Floor(options)
        self._sum, self._squares = 0.0, 0.0

    @property
    def is_coherent(self) -> bool:
        """Is there still a mean that was never refuted?"""
        return self._floor.edge <= 1.0 - self._mirrored_ceiling.edge

    def take(self, values: Floats) -> Interval:
        """Take in the next records' values [n], in their order. Raises ValueError for values out of bounds."""
        if len(values):
            scaled = (check_values(values) - self._lowest) / self._span
            if scaled.min() < -1e-12 or scaled.max() > 1.0 + 1e-12:
                raise ValueError(f"a value is not within {self._lowest} and {self._lowest + self._span}")
            scaled = np.clip(scaled, 0.0, 1.0)
            stakes = self._stakes(scaled)
            self._floor.take(scaled, stakes)
            self._mirrored_ceiling.take(1.0 - scaled, stakes)
        low, high = self._floor.edge, 1.0 - self._mirrored_ceiling.edge
        mean = self._sum / self.num_records if self.num_records else 0.5
        value, low, high = (self._lowest + self._span * x for x in (mean, low, high))
        return Interval.around(value, low, high, self._options.confidence, "betting_sequence")

    def _stakes(self, scaled: Floats) -> Floats:
        """What is bet on each record, from those before it alone (the paper's predictable plug-in), if it is the only
        one: with n records to come, the root of n times less."""
        count = self.num_records + np.arange(1, len(scaled) + 1)
        sums = self._sum + np.cumsum(scaled)
        squares = self._squares + np.cumsum((scaled - (0.5 + sums) / (count + 1)) ** 2)
        before = np.concatenate([[self._squares], squares[:-1]])
        variance = (0.25 + before) / count
        self.num_records, self._sum, self._squares = int(count[-1]), float(sums[-1]), float(squares[-1])
        stakes: Floats = np.sqrt(2.0 * self._logarithm / variance)
        return stakes


class _Floor:
    """The largest mean in [0, 1] that is refuted as too low: ``edge``.

    The capital against m falls as m rises, so what is refuted is everything below some m, and a grid of means finds it
    from below. As it comes closer to the mean, a finer grid replaces the grid, and takes in all records once more:
    that happens each time the distance has halved, so for four times as many records.
    """

    def __init__(self, options: SequenceOptions) -> None:
        self.edge = 0.0
        self._needed = 2.0 / (1.0 - options.confidence)
        self._rates = 1.0 / np.sqrt(np.array(_AIMS) * options.num_target)
        self._history: list[tuple[Floats, Floats]] = []
        self._num, self._sum = 0, 0.0
        self._means: Floats = np.arange(1, _GRID + 1) / _GRID
        self._capital: Floats = np.ones((len(_AIMS), _GRID))
        self._step = 1.0 / _GRID

    def take(self, values: Floats, stakes: Floats) -> None:
        """Bet ``stakes[n]`` on ``values[n]``."""
        while len(values):
            num = _SEGMENT - self._num % _SEGMENT  # however the records arrive, grids are replaced after the same ones
            self._history.append((values[:num], stakes[:num]))
            self._bet(values[:num], stakes[:num])
            self._num += len(values[:num])
            self._sum += float(values[:num].sum())
            while self._num % _SEGMENT == 0 and self._is_coarse():
                self._refine()
            values, stakes = values[num:], stakes[num:]

    def _bet(self, values: Floats, stakes: Floats) -> None:
        from pipeline.stats import kernels  # here: loading numba takes longer than most of what needs no bets

        bets = np.outer(self._rates, stakes)
        num_refuted = kernels.bet_on_means(values, bets, self._means, self._capital, self._needed)
        if num_refuted:
            self.edge = max(self.edge, float(self._means[num_refuted - 1]))
            self._means, self._capital = self._means[num_refuted:], self._capital[:, num_refuted:].copy()

    def _is_coarse(self) -> bool:
        distance = self._sum / self._num - self.edge
        if not len(self._means):
            return self.edge < 1.0 - 1e-9
        return distance > 0.0 and self._step > max(distance / _COARSE, 1e-7)

    def _refine(self) -> None:
        distance = self._sum / self._num - self.edge
        width = min(2.0 * distance, 1.0 - self.edge) if distance > 0.0 and len(self._means) else 1.0 - self.edge
        self._step = width / _GRID
        self._means = self.edge + self._step * np.arange(1.0, _GRID + 1.0)
        self._capital = np.ones((len(_AIMS), _GRID))
        values, stakes = (np.concatenate(parts) for parts in zip(*self._history, strict=True))
        self._history = [(values, stakes)]
        self._bet(values, stakes)


class EstimateSequence:
    """Any figure whose error is asymptotically a mean of one independent term a record.

    ``update(value, spread, num_records)`` takes the figure of all records so far and the standard deviation of those
    terms (its standard error times the root of the number of records).
    """

    method = "asymptotic_sequence"

    def __init__(self, options: SequenceOptions = SEQUENCE_DEFAULTS) -> None:
        self.num_records = 0
        self.is_coherent = True
        self._options = options
        self._low, self._high = -math.inf, math.inf

    def update(self, value: float, spread: float, num_records: int) -> Interval | None:
        """None before ``num_first`` records, and while the spread is 0: equal records say nothing of others to come."""
        self.num_records = num_records
        if num_records < self._options.num_first or spread <= 0.0:
            return None
        half = spread * float(asymptotic_half_width(np.array([num_records]), self._options)[0])
        return self._narrow(value, value - half, value + half)

    def _narrow(self, value: float, low: float, high: float) -> Interval:
        self._low, self._high = max(self._low, low), min(self._high, high)
        self.is_coherent = self.is_coherent and self._low <= self._high
        return self._around(value, self._low, self._high) if self.is_coherent else self._around(value, low, high)

    def _around(self, value: float, low: float, high: float) -> Interval:
        return Interval.around(value, low, high, self._options.confidence, self.method)


class MeanSequence(EstimateSequence):
    """Mean of values without bounds, and with a variance. It has looked after every record, however they arrive.

    A handful of records that differ from all others says little of how many more there are. So it says nothing before
    the value has changed `_NUM_CHANGES` times from one record to the next: before a rare event has occurred ten times.
    """

    def __init__(self, options: SequenceOptions = SEQUENCE_DEFAULTS) -> None:
        super().__init__(options)
        self._origin, self._last = 0.0, math.nan
        self._num_changes = -1  # the first record changes nothing
        self._sums = np.zeros((2, 1))  # of the values and of their squares
        self._interval: Interval | None = None

    def take(self, values: Floats) -> Interval | None:
        """Take in the next records' values [n], in their order. None before ``num_first`` records."""
        if len(values) == 0:
            return self._interval
        values = check_values(values)
        if self.num_records == 0:
            self._origin = float(values[0])  # squares of small numbers cancel less
        count = self.num_records + np.arange(1, len(values) + 1)
        changes = self._num_changes + np.cumsum(np.concatenate([[self._last], values[:-1]]) != values)
        shifted = values - self._origin
        sums = self._sums + np.cumsum([shifted, shifted**2], axis=1)
        self.num_records, self._num_changes, self._sums = int(count[-1]), int(changes[-1]), sums[:, -1:]
        self._last = float(values[-1])
        means, squares = sums / count
        variances = np.maximum(0.0, squares - means**2)
        seen = (count >= self._options.num_first) & (changes >= _NUM_CHANGES)
        half = np.sqrt(variances) * asymptotic_half_width(count, self._options)
        value = self._origin + float(means[-1])
        if seen.any():
            low, high = (means - half)[seen].max(), (means + half)[seen].min()
            self._interval = self._narrow(value, self._origin + float(low), self._origin + float(high))
        if not self.is_coherent:
            self._interval = self._around(value, value - float(half[-1]), value + float(half[-1]))
        if self._interval is not None:
            self._interval = self._around(value, self._interval.low, self._interval.high)
        return self._interval


class MedianSequence(EstimateSequence):
    """Median of any values."""

    method = "order_statistics_sequence"

    def look(self, values: Floats) -> Interval:
        """All values so far [N], in any order. The median of all records is below the least bound with certainty 1."""
        ordered = np.sort(check_values(values))
        num = self.num_records = len(ordered)
        # Being below the median is a coin; a mixture over all its biases bounds how far from half its count gets. Of a
        # coin, the deviation is sub-Gaussian with variance 1/4 a throw.
        alpha, mixture = 1.0 - self._options.confidence, _mixture(self._options) ** -2.0 / 4.0
        variance = num / 4.0 + mixture
        drift = math.sqrt(variance * math.log(variance / (mixture * alpha**2)))
        below = math.ceil(num / 2.0 - drift)  # fewer than this cannot lie at or below the median
        if below < 1:
            return self._around(float(np.median(ordered)), -math.inf, math.inf)
        return self._narrow(float(np.median(ordered)), float(ordered[below - 1]), float(ordered[num - below]))


def asymptotic_half_width(num_records: NDArray[Any], options: SequenceOptions = SEQUENCE_DEFAULTS) -> Floats:
    """Half the width of the asymptotic confidence sequence after each ``num_records[n]``, for a spread of 1: [n]."""
    scaled = num_records * _mixture(options) ** 2 + 1.0
    alpha = 1.0 - options.confidence
    half: Floats = np.sqrt(scaled * np.log(scaled / alpha**2) / (scaled - 1.0) / num_records)
    return half


def _mixture(options: SequenceOptions) -> float:
    """The paper's rho: how wide the mixture is, for the least width at ``num_target`` records (its appendix B.2)."""
    twice = -2.0 * math.log(1.0 - options.confidence)
    return math.sqrt((twice + math.log(twice + 1.0)) / options.num_target)
