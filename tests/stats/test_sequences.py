"""Confidence sequences: cases that can be checked by hand, and that it does not matter how the records arrive."""

import math

import numpy as np
import pytest

from pipeline.stats import interquartile_mean, interquartile_mean_terms
from pipeline.stats.sequences import (
    BoundedMean,
    EstimateSequence,
    MeanSequence,
    MedianSequence,
    SequenceOptions,
    asymptotic_half_width,
)

COINS = (np.random.default_rng(3).random(900) < 0.7).astype(float)
HEIGHTS = np.random.default_rng(3).normal(170.0, 8.0, 900)


def test_without_records_nothing_is_refuted() -> None:
    interval = BoundedMean(-2.0, 2.0).take(np.empty(0))
    assert (interval.low, interval.high) == (-2.0, 2.0)
    assert MeanSequence().take(np.empty(0)) is None


def test_one_bet_by_hand() -> None:
    """Every capital bets at most half against m: a 1 multiplies it by 1 + (1 - m) / (2 m), so 80 needs small m.

    The largest stake for one record comes from a variance of 1/4 and the aim of an eighth of 1,000 records.
    """
    stake = math.sqrt(2.0 * math.log(4 * 2 / 0.05) / 0.25 / 125)
    smallest = 1 / 128  # the grid's first mean
    assert 1.0 + min(stake, 0.5 / smallest) * (1.0 - smallest) < 40.0  # too little to refute it
    assert BoundedMean(0.0, 1.0).take(np.array([1.0])).low == 0.0


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_it_does_not_matter_how_records_arrive(batch: int) -> None:
    for make, values in ((lambda: BoundedMean(0.0, 1.0), COINS), (MeanSequence, HEIGHTS)):
        at_once, in_parts = make(), make()
        expected = at_once.take(values)
        for start in range(0, len(values), batch):
            found = in_parts.take(values[start : start + batch])
        assert found is not None
        assert expected is not None
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_sequences_only_narrow_and_hold_their_value() -> None:
    for sequence, values in ((BoundedMean(0.0, 1.0), COINS), (MeanSequence(), HEIGHTS)):
        width = math.inf
        for start in range(0, 900, 50):
            interval = sequence.take(values[start : start + 50])
            if interval is not None:
                assert interval.low <= interval.value <= interval.high
                assert interval.high - interval.low <= width
                width = interval.high - interval.low
        assert width < math.inf


def test_bounds_are_a_matter_of_scale() -> None:
    unit, scaled = BoundedMean(0.0, 1.0).take(COINS), BoundedMean(-5.0, 15.0).take(20.0 * COINS - 5.0)
    assert (scaled.low, scaled.high) == pytest.approx((20.0 * unit.low - 5.0, 20.0 * unit.high - 5.0))


def test_a_bounded_sequence_is_not_much_wider_than_an_interval_for_one_moment() -> None:
    interval = BoundedMean(0.0, 1.0).take(COINS)
    usual = 2 * 1.96 * math.sqrt(0.7 * 0.3 / 900)
    assert interval.high - interval.low < 2.0 * usual


def test_a_value_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="not within 0"):
        BoundedMean(0.0, 1.0).take(np.array([0.5, 1.5]))
    with pytest.raises(ValueError, match="must rise"):
        BoundedMean(1.0, 1.0)
    with pytest.raises(ValueError, match="confidence"):
        SequenceOptions(confidence=95.0)


def test_records_that_drift_are_noticed() -> None:
    bounded = BoundedMean(0.0, 1.0)
    bounded.take(np.zeros(400))
    assert bounded.is_coherent
    bounded.take(np.ones(4000))
    assert not bounded.is_coherent
    mean = MeanSequence()
    mean.take(HEIGHTS)
    mean.take(HEIGHTS + 30.0)
    assert not mean.is_coherent


def test_the_asymptotic_width_by_hand_and_its_least_place() -> None:
    """Waudby-Smith et al., with rho such that the least width relative to 1 / sqrt(n) is at num_target."""
    options = SequenceOptions(num_target=400)
    rho = math.sqrt((2 * math.log(20) + math.log(2 * math.log(20) + 1)) / 400)
    by_hand = math.sqrt(2 * (50 * rho**2 + 1) / (50**2 * rho**2) * math.log(math.sqrt(50 * rho**2 + 1) / 0.05))
    assert asymptotic_half_width(np.array([50]), options)[0] == pytest.approx(by_hand)
    counts = np.arange(1, 5000)
    least = counts[np.argmin(asymptotic_half_width(counts, options) * np.sqrt(counts))]
    assert 200 < least < 800


def test_nothing_is_said_of_few_records_or_of_a_rare_event() -> None:
    assert MeanSequence().take(HEIGHTS[:99]) is None
    assert MeanSequence().take(HEIGHTS[:100]) is not None
    assert MeanSequence().take(np.full(1000, 500.0)) is None
    rare = np.zeros(1000)
    rare[::150] = 1.0
    assert MeanSequence().take(rare) is None
    assert EstimateSequence().update(1.0, 0.0, 1000) is None


def test_the_median_by_hand() -> None:
    """Of 1,000 records, a fair coin's mixture reaches so far from the middle, in order statistics."""
    interval = MedianSequence().look(np.arange(1.0, 1001.0)[::-1])
    mixture = 1000 / (2 * math.log(20) + math.log(2 * math.log(20) + 1)) / 4
    drift = math.sqrt((250 + mixture) * math.log((250 + mixture) / (mixture * 0.05**2)))
    assert interval.value == 500.5
    assert interval.low == math.ceil(500 - drift)
    assert interval.high == 1001 - math.ceil(500 - drift)
    assert MedianSequence().look(np.arange(5.0)).low == -math.inf


def test_terms_of_the_interquartile_mean_give_its_standard_error() -> None:
    generator = np.random.default_rng(0)
    samples = generator.exponential(size=(4000, 200))
    spread = interquartile_mean(samples).std()
    assert interquartile_mean_terms(samples).std(axis=-1).mean() / 200**0.5 == pytest.approx(spread, rel=0.05)
    assert interquartile_mean_terms(np.array([0.0, 1.0, 2.0, 9.0])).tolist() == [-1.0, -1.0, 1.0, 1.0]
