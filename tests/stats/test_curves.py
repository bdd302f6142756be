"""Curves over all records: by hand, against resampled records, and scipy as the oracle."""

import numpy as np
import pytest
import scipy.stats

from pipeline import stats
from pipeline.stats.intervals import draw_records


def seeded(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_performance_profile_by_hand() -> None:
    profile = stats.performance_profile(np.array([1.0, 2.0, 2.0, 4.0]), [0.0, 1.0, 2.0, 3.0, 4.0], seeded())
    assert profile.share.tolist() == [1.0, 0.75, 0.25, 0.25, 0.0]
    assert np.all((profile.low <= profile.share) & (profile.share <= profile.high))
    assert (profile.low[0], profile.high[0], profile.low[-1], profile.high[-1]) == (1.0, 1.0, 0.0, 0.0)


def test_performance_profile_bands_are_those_of_resampled_records() -> None:
    scores = seeded().normal(size=80)
    options = stats.Bootstrap(num_resamples=20_000)
    profile = stats.performance_profile(scores, [0.3], seeded(), options)
    shares = np.concatenate([(scores[drawn] > 0.3).mean(axis=1) for drawn in draw_records(80, seeded(), 20_000)])
    low, high = np.quantile(shares, (0.025, 0.975))
    assert (profile.low[0], profile.high[0]) == pytest.approx((low, high), abs=0.013)  # steps of 1/80
    stratified = stats.performance_profile(scores, [0.3], seeded(), options, strata=scores > 0.3)
    assert stratified.low[0] == stratified.high[0] == stratified.share[0]


def test_survival_curve_by_hand() -> None:
    """Deaths at 2 and 4; one leaves alive at 3, two stay to the end at 5."""
    durations = np.array([2.0, 3.0, 4.0, 5.0, 5.0])
    curve = stats.survival_curve(durations, np.array([True, False, True, False, False]))
    assert curve.times.tolist() == [0.0, 2.0, 4.0, 5.0]
    assert curve.num_at_risk.tolist() == [5, 5, 3, 2]
    assert curve.share == pytest.approx([1.0, 4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3])
    assert np.all((curve.low <= curve.share) & (curve.share <= curve.high))


def test_survival_curve_equals_scipy() -> None:
    generator = seeded()
    lifetimes = np.ceil(generator.exponential(300.0, size=200))
    died = lifetimes < 500
    durations = np.minimum(lifetimes, 500)
    curve = stats.survival_curve(durations, died)
    theirs = scipy.stats.ecdf(scipy.stats.CensoredData.right_censored(durations, ~died)).sf
    band = theirs.confidence_interval(0.95, method="log-log")
    at = np.searchsorted(theirs.quantiles, curve.times[1:-1])
    assert curve.share[1:-1] == pytest.approx(theirs.probabilities[at])
    assert curve.low[1:-1] == pytest.approx(band.low.probabilities[at])
    assert curve.high[1:-1] == pytest.approx(band.high.probabilities[at])


def test_survival_curve_without_deaths_and_without_survivors() -> None:
    alive = stats.survival_curve(np.array([5.0, 5.0]), np.array([False, False]))
    assert alive.share.tolist() == alive.low.tolist() == alive.high.tolist() == [1.0, 1.0]
    dead = stats.survival_curve(np.array([1.0, 2.0]), np.array([True, True]))
    assert dead.share.tolist() == [1.0, 0.5, 0.0]
    assert np.isfinite(dead.low).all()
    assert np.isfinite(dead.high).all()
    with pytest.raises(ValueError, match="died or not"):
        stats.survival_curve(np.array([1.0]), np.array([True, False]))
