"""Two subjects on the same records: by hand, and scipy as the oracle."""

import numpy as np
import pytest
import scipy.stats

from pipeline import stats
from pipeline.stats import pairs

SCORES = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0])


def seeded(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_permutation_test_by_hand() -> None:
    """All 8 sign patterns of (1, 2, 3): only +++ and --- are as far from 0."""
    first, second = np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert stats.paired_permutation_test(first, second, seeded()) == 2 / 8
    assert stats.paired_permutation_test(first, first, seeded()) == 1.0


@pytest.mark.parametrize("by_table", [False, True])
def test_permutation_test_equals_scipy(by_table: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = seeded().normal(0.3, 1.0, size=40), seeded(1).normal(0.0, 1.0, size=40)
    monkeypatch.setattr(pairs, "MIN_TABLE_RECORDS", 40 if by_table else 41)
    ours = stats.paired_permutation_test(first, second, seeded(2), 20_000)
    theirs = scipy.stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=20_000, rng=seeded(3)
    )
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours == stats.paired_permutation_test(first, second, seeded(2), 20_000)
    assert stats.paired_permutation_test(first + 9.0, second, seeded(2), 999) == 1 / 1000


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.9]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_a_win_counts_one_and_a_tie_half() -> None:
    assert stats.paired_win_rate(np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 5.0])) == 0.5
    with pytest.raises(ValueError, match="11 and 3"):
        stats.paired_win_rate(SCORES, SCORES[:3])


def test_the_chance_to_improve_by_hand_and_as_mann_whitney_has_a_seeded_interval() -> None:
    first, second = np.array([1.0, 3.0, 2.0, 2.0]), np.array([1.0, 2.0, 0.0, 5.0])
    interval = stats.paired_probability_of_improvement_interval(first, second, seeded())
    assert interval.value == (1.5 + 3.0 + 2.5 + 2.5) / 16
    assert 0.0 < interval.low < interval.value < interval.high < 1.0
    assert stats.paired_probability_of_improvement_interval(first, second, seeded()) == interval
    statistic = scipy.stats.mannwhitneyu(SCORES, SCORES**1.1).statistic
    value = stats.paired_probability_of_improvement_interval(SCORES, SCORES**1.1, seeded()).value
    assert value == pytest.approx(statistic / 121)


def test_records_that_differ_a_lot_leave_the_chance_to_improve_certain_all_the_same() -> None:
    """Each record is a little better than itself: only what varies between the sides is uncertain."""
    interval = stats.paired_probability_of_improvement_interval(SCORES + 0.01, SCORES, seeded())
    shuffled = stats.paired_probability_of_improvement_interval(SCORES + 0.01, seeded().permutation(SCORES), seeded())
    assert interval.value == shuffled.value
    assert interval.high - interval.low < 0.2 * (shuffled.high - shuffled.low)
    same = stats.paired_probability_of_improvement_interval(SCORES, SCORES, seeded())
    assert (same.low, same.value, same.high) == (0.5, 0.5, 0.5)


def test_many_records_have_the_chance_to_improve_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """By weights instead of counts (`MIN_TABLE_RECORDS`)."""
    first, second = seeded().gamma(2.0, size=600), np.round(seeded(1).gamma(1.8, size=600), 1)
    options = stats.Bootstrap(num_resamples=20_000)
    counted = stats.paired_probability_of_improvement_interval(first, second, seeded(), options)
    monkeypatch.setattr(pairs, "MIN_TABLE_RECORDS", 600)
    weighted = stats.paired_probability_of_improvement_interval(first, second, seeded(), options)
    assert weighted.value == counted.value
    near = 0.05 * (counted.high - counted.low)
    assert (weighted.low, weighted.high) == pytest.approx((counted.low, counted.high), abs=near)


def test_the_chance_to_improve_is_certain_where_all_beat_all() -> None:
    interval = stats.paired_probability_of_improvement_interval(SCORES + 1000.0, SCORES, seeded())
    assert (interval.low, interval.value, interval.high) == (1.0, 1.0, 1.0)


def test_strata_keep_their_sizes_in_the_chance_to_improve() -> None:
    """In each stratum every record has the same two scores: no resample that keeps the strata differs."""
    first, second = np.repeat([3.0, 1.0], 5), np.repeat([2.0, 4.0], 5)
    strata = np.repeat([0, 1], 5)
    interval = stats.paired_probability_of_improvement_interval(first, second, seeded(), strata=strata)
    assert (interval.low, interval.value, interval.high) == pytest.approx((0.25, 0.25, 0.25))
    free = stats.paired_probability_of_improvement_interval(first, second, seeded())
    assert free.high - free.low > 0.1
