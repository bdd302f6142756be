"""Intervals: values that can be checked by hand, properties of every one, and scipy and rliable as the oracles."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import stats
from pipeline.stats import intervals, kernels, means
from pipeline.stats.intervals import Metric, draw_records
from tests.conftest import ROOT

RLIABLE = json.loads((ROOT / "tests/rliable_values.json").read_text())
SCORES = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0])
METRICS = (stats.mean, stats.median, stats.interquartile_mean)


def seeded(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


# metrics


def test_metrics_of_a_sample_checked_by_hand() -> None:
    values = np.array([8.0, 1.0, 2.0, 100.0, 3.0, 4.0, 0.0, 5.0])
    assert stats.mean(values) == 123 / 8
    assert stats.median(values) == 3.5
    assert stats.interquartile_mean(values) == (2 + 3 + 4 + 5) / 4  # two cut on either side


def test_metrics_reduce_the_last_axis_only() -> None:
    samples = np.array([[1.0, 2.0, 9.0], [4.0, 4.0, 7.0]])
    assert stats.mean(samples).tolist() == [4.0, 5.0]
    assert stats.median(samples).tolist() == [2.0, 4.0]
    assert stats.interquartile_mean(samples).tolist() == [4.0, 5.0]  # a quarter of three is none


@pytest.mark.parametrize("num_records", [1, 2, 3, 4, 5, 7, 8, 101])
def test_interquartile_mean_and_median_equal_scipy_and_numpy(num_records: int) -> None:
    values = seeded().normal(size=num_records)
    assert stats.interquartile_mean(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25))
    assert stats.median(values) == pytest.approx(np.median(values))


# bootstrap


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("strata", [None, np.arange(11) % 2])
def test_the_same_generator_state_gives_the_same_interval(metric: Metric, strata: np.ndarray | None) -> None:
    first = stats.bootstrap(SCORES, metric, seeded(), strata=strata)
    assert stats.bootstrap(SCORES, metric, seeded(), strata=strata) == first
    resampled = stats.resample(SCORES, metric, seeded(), 2000, strata)
    assert np.any(stats.resample(SCORES, metric, seeded(8), 2000, strata) != resampled)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("strata", [None, np.array([0, 1, 1, 0, 2, 2, 2, 1, 2, 2, 2])], ids=["pooled", "strata"])
def test_quick_draws_have_the_distribution_of_drawing_records(metric: Metric, strata: np.ndarray | None) -> None:
    """Trimmed means never draw what they cut, or never sort; drawing every record is the oracle."""
    quick = stats.resample(SCORES, metric, seeded(), 100_000, strata)
    plain = np.concatenate([metric(SCORES[drawn]) for drawn in draw_records(11, seeded(), 100_000, strata)])
    assert quick.mean() == pytest.approx(plain.mean(), abs=0.02)
    assert quick.std() == pytest.approx(plain.std(), abs=0.02)
    share_below = [(np.mean(quick <= limit), np.mean(plain <= limit)) for limit in (1.5, 2.9, 3.0, 4.0, 4.5, 5.0)]
    assert np.abs(np.diff(share_below)).max() < 0.01  # 4.5 standard errors of the difference


def test_the_median_of_three_is_resampled_with_the_probabilities_of_all_27_draws() -> None:
    values = np.array([0.0, 1.0, 2.0])
    exact = np.bincount([sorted(draw)[1] for draw in product(range(3), repeat=3)]) / 27
    resampled = stats.resample(values, stats.median, seeded(), 200_000)
    assert np.bincount(resampled.astype(int)) / 200_000 == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        (stats.mean, np.mean),
        (stats.interquartile_mean, lambda values, axis: scipy.stats.trim_mean(values, 0.25, axis=axis)),
    ],
)
def test_bootstrap_intervals_equal_scipy(metric: Metric, oracle: Callable[..., float]) -> None:
    values = seeded().gamma(2.0, size=60)
    ours = stats.bootstrap(values, metric, seeded(), stats.Bootstrap(num_resamples=40_000))
    theirs = scipy.stats.bootstrap((values,), oracle, n_resamples=40_000, method="percentile", rng=seeded(1))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.012)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.012)
    assert ours.method == "bootstrap_percentile"


@pytest.mark.parametrize("case", RLIABLE["cases"], ids=["10-runs", "5-runs", "one-task"])
def test_interquartile_means_of_runs_and_their_intervals_are_those_of_rliable(case: dict[str, Any]) -> None:
    """Values to 1e-12. Intervals within 5 % of their width: a quantile of 5,000 resamples of theirs is not closer.

    `benchmarks/peers/statistics_reference.py` made rliable's values.
    """
    scores, theirs = np.array(case["scores"]), case["iqm"]
    tasks = np.tile(np.arange(scores.shape[1]), len(scores))
    options = stats.Bootstrap(num_resamples=20_000)
    ours = stats.bootstrap(scores.ravel(), stats.interquartile_mean, seeded(), options, tasks)
    assert ours.value == pytest.approx(theirs["value"], abs=1e-12)
    near = 0.05 * (theirs["high"] - theirs["low"])
    assert (ours.low, ours.high) == pytest.approx((theirs["low"], theirs["high"]), abs=near)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), metric=st.sampled_from(METRICS))
def test_the_value_lies_inside_its_interval(values: list[float], metric: Metric) -> None:
    interval = stats.bootstrap(np.array(values), metric, seeded(), stats.Bootstrap(num_resamples=200))
    assert interval.low <= interval.value <= interval.high
    assert min(values) - 1e-6 <= interval.low
    assert interval.high <= max(values) + 1e-6


def test_a_single_record_and_equal_records_have_an_interval_of_no_length() -> None:
    for values in (np.array([0.1]), np.full(9, 0.1)):
        for metric in METRICS:
            interval = stats.bootstrap(values, metric, seeded())
            assert interval.low == pytest.approx(0.1, abs=1e-15)
            assert interval.high == pytest.approx(0.1, abs=1e-15)


def test_strata_keep_their_sizes() -> None:
    """Two strata without any spread inside: stratified, nothing is left to chance; pooled, the mix is."""
    values = np.array([0.0] * 5 + [10.0] * 15)
    strata = np.array([1] * 5 + [4] * 15)
    for metric in METRICS:
        stratified = stats.bootstrap(values, metric, seeded(), strata=strata)
        assert stratified.low == stratified.high == stratified.value
    assert stats.bootstrap(values, stats.mean, seeded()).low < 7.5
    columns = np.stack([values, -values], axis=1)
    assert np.all(stats.resample_means(columns, seeded(), 50, strata) == [7.5, -7.5])


def test_means_of_columns_share_their_resamples() -> None:
    columns = np.stack([SCORES, SCORES + 1.0, 2.0 * SCORES], axis=1)
    found = stats.resample_means(columns, seeded(), 500)
    assert found.shape == (500, 3)
    assert found[:, 1] - found[:, 0] == pytest.approx(np.ones(500))
    assert found[:, 2] == pytest.approx(2.0 * found[:, 0])
    assert found[:, 0].std() == pytest.approx(SCORES.std() / 11**0.5, rel=0.1)


def test_chunks_do_not_change_how_many_resamples_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "CHUNK_ELEMENTS", 25)
    monkeypatch.setattr(means, "PRODUCT_ELEMENTS", 25)
    strata = np.arange(11) % 3
    for metric in METRICS:
        assert stats.resample(SCORES, metric, seeded(), 101).shape == (101,)
        assert stats.resample(SCORES, metric, seeded(), 101, strata).shape == (101,)
    assert stats.resample_means(SCORES[:, None], seeded(), 101).shape == (101, 1)


def test_what_cannot_have_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        stats.bootstrap(np.array([]), stats.mean, seeded())
    with pytest.raises(ValueError, match="record 1 is not finite"):
        stats.bootstrap(np.array([1.0, np.nan]), stats.mean, seeded())
    with pytest.raises(ValueError, match="confidence"):
        stats.Bootstrap(confidence=95.0)
    with pytest.raises(ValueError, match="num_resamples"):
        stats.Bootstrap(num_resamples=0)


# many records


@pytest.mark.parametrize("metric", [stats.mean, stats.interquartile_mean])
@pytest.mark.parametrize("strata", [None, np.arange(600) % 3], ids=["pooled", "strata"])
def test_weights_resample_many_records_as_counts_do(
    metric: Metric, strata: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = seeded().gamma(2.0, size=600) + (0.0 if strata is None else 2.0 * strata)
    counted = stats.resample(values, metric, seeded(), 20_000, strata)
    monkeypatch.setattr(intervals, "NUM_LINEAR", 600)
    weighted = stats.resample(values, metric, seeded(), 20_000, strata)
    assert np.any(weighted != counted)
    near = 0.2 * counted.std()  # the interquartile mean's remainder at 600 records is a tenth
    for quantile in (0.025, 0.5, 0.975):
        assert np.quantile(weighted, quantile) == pytest.approx(np.quantile(counted, quantile), abs=near)


def test_sums_of_random_subsets_take_each_value_with_the_same_probability() -> None:
    values = np.array([1.0, 10.0, 100.0] + [0.0] * 70 + [1000.0])  # in two blocks of 64, the last not full
    for digits, chance in (([True], 1 / 2), ([False, True], 1 / 4), ([True, True], 3 / 4)):
        sums = np.zeros(40_000)
        kernels.sums_of_random_subsets(
            values, np.array(digits), seeded().integers(2**64, size=40_000, dtype=np.uint64), sums
        )
        for place in (1, 10, 100, 1000):
            assert (np.round(sums) // place % 10).mean() == pytest.approx(chance, abs=0.012)
        taken = np.stack([np.round(sums) // place % 10 for place in (1, 10, 1000)])
        assert np.abs(np.corrcoef(taken)[np.triu_indices(3, 1)]).max() < 0.03  # each by itself


# rates


@pytest.mark.parametrize(("num_events", "num_records"), [(0, 10), (1, 10), (5, 10), (10, 10), (991, 1000), (1, 1)])
def test_wilson_equals_scipy(num_events: int, num_records: int) -> None:
    theirs = scipy.stats.binomtest(num_events, num_records).proportion_ci(0.95, "wilson")
    ours = stats.wilson(num_events, num_records)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low <= ours.value == num_events / num_records <= ours.high


def test_a_rate_without_records_is_refused() -> None:
    with pytest.raises(ValueError, match="no rate"):
        stats.wilson(0, 0)


def test_a_quantile_is_the_least_value_that_its_share_does_not_exceed() -> None:
    values = np.arange(1.0, 101.0)[::-1].copy()
    found = stats.quantile(values, 0.95)
    assert (found.value, found.low, found.high) == (95.0, 91.0, 100.0)
    assert found.value == np.quantile(values, 0.95, method="inverted_cdf")
    assert stats.quantile(np.array([3.0]), 0.95).high == 3.0
    with pytest.raises(ValueError, match="at least one record"):
        stats.quantile(np.array([]), 0.5)


@pytest.mark.parametrize("share", [0.5, 0.68, 0.95])
def test_intervals_of_quantiles_hold_the_truth_as_often_as_they_say(share: float) -> None:
    generator, truth = np.random.default_rng(1), -np.log1p(-share)
    found = [stats.quantile(generator.exponential(1.0, 400), share) for _ in range(1000)]
    assert np.mean([one.low <= truth <= one.high for one in found]) == pytest.approx(0.95, abs=0.025)
