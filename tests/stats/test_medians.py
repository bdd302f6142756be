"""Medians of many records from those near the middle: the same resamples and permutations as from all of them."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

from pipeline import stats
from pipeline.compare import pairs as paired
from pipeline.compare.pairs import PairedColumns, Settings, permutation_test
from pipeline.stats import intervals
from pipeline.stats.intervals import NUM_WINDOW, resample_medians

NUM = 3000  # resamples; two samples of so many of one law differ by p < 1e-4 in one case of 10,000


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(num: int, ties: bool = False) -> Any:
    """Skewed scores of two subjects on the same records: [2, num]."""
    generator = random(1)
    both = generator.gamma(2.0, 2.0, num) + generator.normal(0.0, 0.6, (2, num))
    return np.round(20.0 * both) / 20.0 if ties else both


def same_law(one: Any, other: Any) -> bool:
    return bool(scipy.stats.ks_2samp(one, other).pvalue > 1e-4)


@pytest.mark.parametrize("num", [NUM_WINDOW, NUM_WINDOW + 1])
@pytest.mark.parametrize("strata", [None, np.arange(NUM_WINDOW + 1) // 2000])
def test_the_window_gives_the_resamples_of_all_records(num: int, strata: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    columns, chosen = pairs(num).T, None if strata is None else strata[:num]
    found = resample_medians(columns, random(2), NUM, chosen)
    monkeypatch.setattr(intervals, "NUM_ERRORS", 1e9)
    every = resample_medians(columns, random(3), NUM, chosen)
    for column in range(2):
        assert same_law(found[:, column], every[:, column])
    assert same_law(found[:, 0] - found[:, 1], every[:, 0] - every[:, 1])
    monkeypatch.setattr(intervals, "NUM_WINDOW", num + 1)
    labels = np.zeros(num, np.int64) if chosen is None else chosen
    assert same_law(found[:, 0], stats.resample(columns[:, 0], stats.median, random(4), NUM, labels))


def test_columns_share_their_resamples() -> None:
    values = pairs(NUM_WINDOW)[0]
    found = resample_medians(np.stack([values, values + 1.0, values[::-1]], axis=1), random(0), 200)
    assert found[:, 1] == pytest.approx(found[:, 0] + 1.0)
    assert np.ptp(found[:, 0]) > 0.0
    assert not np.array_equal(found[:, 0], found[:, 2])  # the same values of other records


def test_each_stratum_keeps_its_size() -> None:
    """6 of 10 records are of the lower stratum: whatever is drawn, the median is its value."""
    strata = np.arange(5000) % 10 >= 6
    values = np.where(strata, 7.0, 3.0)
    assert {*resample_medians(values[:, None], random(0), 500, strata)[:, 0]} == {3.0}
    nearly = np.arange(5000) >= 2520  # 50.4 %: without strata more of the others are drawn now and then
    free = resample_medians(np.where(nearly, 7.0, 3.0)[:, None], random(0), 500)
    assert {*free[:, 0]} >= {3.0, 7.0}


def test_equal_values_have_a_median_that_never_moves() -> None:
    assert {*resample_medians(np.full((5000, 2), 4.0), random(0), 50).ravel()} == {4.0}


@pytest.mark.parametrize("ties", [False, True])
def test_intervals_of_paired_medians_are_those_of_all_records(ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pairs(NUM_WINDOW, ties)
    options = Settings(num_resamples=NUM)

    def edges() -> Any:
        columns = PairedColumns({"a": {"x": first}, "b": {"x": second}}, None, options)
        return np.quantile(
            columns.resampled("a", "x", "median") - columns.resampled("b", "x", "median"), (0.025, 0.975)
        )

    found = edges()
    for module in (intervals, paired):
        monkeypatch.setattr(module, "NUM_WINDOW", NUM_WINDOW + 1)
    every = edges()
    assert found == pytest.approx(every, abs=max(0.08 * np.ptp(every), 1e-12))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num", [NUM_WINDOW, NUM_WINDOW + 1])
def test_the_window_gives_the_swaps_of_all_records(num: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pairs(num, ties)
    found = paired._swapped(ours, theirs, "median", random(7), NUM)
    monkeypatch.setattr(paired, "NUM_WINDOW", num + 1)
    every = paired._swapped(ours, theirs, "median", random(8), NUM)
    assert np.ptp(every) > 0.0
    assert same_law(found, every)


def test_a_difference_of_many_medians_is_found_and_none_is_not() -> None:
    ours, theirs = pairs(NUM_WINDOW)
    settings = Settings(num_permutations=499)
    assert permutation_test(ours + 0.5, theirs, "median", settings) == (1 / 500, "swaps")
    assert permutation_test(ours, theirs, "median", settings)[0] > 0.05
