"""Statistics: values that can be checked by hand, properties of every interval, and scipy as the oracle."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import stats
from pipeline.stats import intervals

BCA = stats.Bootstrap(method="bca")
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
    assert stats.rate(np.array([True, False, False, True])) == 0.5


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


def spread(values: np.ndarray) -> np.ndarray:
    """A metric that the bootstrap has no quick way for."""
    return np.asarray(values.std(axis=-1))


@pytest.mark.parametrize("metric", [*METRICS, spread])
@pytest.mark.parametrize("strata", [None, np.arange(11) % 2])
def test_the_same_generator_state_gives_the_same_interval(metric: stats.Metric, strata: np.ndarray | None) -> None:
    first = stats.bootstrap(SCORES, metric, seeded(), strata=strata)
    assert stats.bootstrap(SCORES, metric, seeded(), strata=strata) == first
    resampled = stats.resample(SCORES, metric, seeded(), 2000, strata)
    assert np.any(stats.resample(SCORES, metric, seeded(8), 2000, strata) != resampled)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("strata", [None, np.array([0, 1, 1, 0, 2, 2, 2, 1, 2, 2, 2])], ids=["pooled", "strata"])
def test_quick_draws_have_the_distribution_of_drawing_records(metric: stats.Metric, strata: np.ndarray | None) -> None:
    """Trimmed means never draw what they cut, or never sort; the generic way, drawing every record, is the oracle."""

    def generic(values: np.ndarray) -> np.ndarray:  # not known to the bootstrap, so it draws records
        return np.asarray(metric(values))

    quick = stats.resample(SCORES, metric, seeded(), 100_000, strata)
    plain = stats.resample(SCORES, generic, seeded(), 100_000, strata)
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
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_intervals_equal_scipy(metric: stats.Metric, oracle: Callable[..., float], method: str) -> None:
    values = seeded().gamma(2.0, size=60)  # skewed, so that the bias correction has something to correct
    options = stats.Bootstrap(num_resamples=40_000, method="bca" if method == "bca" else "percentile")
    ours = stats.bootstrap(values, metric, seeded(), options)
    theirs = scipy.stats.bootstrap((values,), oracle, n_resamples=40_000, method=method, rng=seeded(1))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.012)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.012)
    assert ours.method == f"bootstrap_{method}"


@pytest.mark.parametrize("num_records", [2, 4, 5, 8, 9, 12])
@pytest.mark.parametrize("metric", [stats.mean, stats.interquartile_mean])
def test_the_jackknife_leaves_out_one_record_after_the_other(metric: stats.Metric, num_records: int) -> None:
    values = np.sort(seeded().normal(size=num_records))
    plain = [metric(np.delete(values, record)) for record in range(num_records)]
    assert intervals._jackknife(values, metric) == pytest.approx(plain)


def test_bca_is_refused_where_it_is_not_defined() -> None:
    with pytest.raises(ValueError, match="median"):
        stats.bootstrap(SCORES, stats.median, seeded(), BCA)
    with pytest.raises(ValueError, match="unstratified"):
        stats.bootstrap(SCORES, stats.mean, seeded(), BCA, strata=np.arange(11) % 2)


def test_bca_does_not_depend_on_the_unit_however_small_the_numbers_are() -> None:
    unit = 2.0**-400  # a power of two: scaling rounds nothing
    tiny = stats.bootstrap(SCORES * unit, stats.mean, seeded(), BCA)
    usual = stats.bootstrap(SCORES, stats.mean, seeded(), BCA)
    assert [tiny.low, tiny.high] == [usual.low * unit, usual.high * unit]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    metric=st.sampled_from(METRICS),
    method=st.sampled_from(["percentile", "bca"]),
)
def test_the_value_lies_inside_its_interval(values: list[float], metric: stats.Metric, method: str) -> None:
    if metric is stats.median or len(values) == 1:
        method = "percentile"
    options = stats.Bootstrap(num_resamples=200, method="bca" if method == "bca" else "percentile")
    interval = stats.bootstrap(np.array(values), metric, seeded(), options)
    assert interval.low <= interval.value <= interval.high
    assert min(values) - 1e-6 <= interval.low
    assert interval.high <= max(values) + 1e-6


@pytest.mark.parametrize("metric", [stats.mean, stats.interquartile_mean])
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(metric: stats.Metric, method: str) -> None:
    options = stats.Bootstrap(num_resamples=400, confidence=0.9, method="bca" if method == "bca" else "percentile")
    generator = seeded()
    covered = 0
    for _ in range(600):
        interval = stats.bootstrap(generator.normal(3.0, 2.0, size=60), metric, generator, options)
        covered += interval.low <= 3.0 <= interval.high  # mean and interquartile mean of a symmetric law
    assert 0.86 <= covered / 600 <= 0.94


def test_a_single_record_and_equal_records_have_an_interval_of_no_length() -> None:
    for values in (np.array([0.1]), np.full(9, 0.1)):
        for metric in METRICS:
            interval = stats.bootstrap(values, metric, seeded())
            assert interval.low == pytest.approx(0.1, abs=1e-15)
            assert interval.high == pytest.approx(0.1, abs=1e-15)
    assert stats.bootstrap(np.full(9, 0.1), stats.mean, seeded(), BCA).high == pytest.approx(0.1)


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
    means = stats.resample_means(columns, seeded(), 500)
    assert means.shape == (500, 3)
    assert means[:, 1] - means[:, 0] == pytest.approx(np.ones(500))
    assert means[:, 2] == pytest.approx(2.0 * means[:, 0])
    assert means[:, 0].std() == pytest.approx(SCORES.std() / 11**0.5, rel=0.1)


def test_chunks_do_not_change_how_many_resamples_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "CHUNK_ELEMENTS", 25)
    monkeypatch.setattr(intervals, "PRODUCT_ELEMENTS", 25)
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


# comparisons


def test_pairing_removes_what_both_subjects_share() -> None:
    difficulty = seeded().normal(0.0, 100.0, size=50)
    gain = seeded(1).normal(1.0, 0.1, size=50)
    for metric in (stats.mean, stats.interquartile_mean):
        paired = stats.paired_difference(difficulty + gain, difficulty, seeded(), metric=metric)
        assert 0.8 < paired.low <= paired.value <= paired.high < 1.2


def test_paired_difference_of_means_is_the_bootstrap_of_the_differences() -> None:
    other = SCORES[::-1].copy()
    expected = stats.bootstrap(SCORES - other, stats.mean, seeded())
    assert stats.paired_difference(SCORES, other, seeded()) == expected
    with pytest.raises(ValueError, match="11 and 3"):
        stats.paired_difference(SCORES, SCORES[:3], seeded())


def test_ratio_of_means_of_a_fixed_share_has_no_uncertainty() -> None:
    ratio = stats.paired_ratio_of_means(0.25 * SCORES, SCORES, seeded())
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.25, 0.25, 0.25))
    with pytest.raises(ValueError, match="positive"):
        stats.paired_ratio_of_means(SCORES, SCORES - 1.0, seeded())


def test_permutation_test_by_hand() -> None:
    """All 8 sign patterns of (1, 2, 3): only +++ and --- are as far from 0."""
    first, second = np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert stats.paired_permutation_test(first, second, seeded()) == 2 / 8
    assert stats.paired_permutation_test(first, first, seeded()) == 1.0


def test_permutation_test_equals_scipy() -> None:
    first = seeded().normal(0.3, 1.0, size=40)
    second = seeded(1).normal(0.0, 1.0, size=40)
    ours = stats.paired_permutation_test(first, second, seeded(2), 20_000)
    theirs = scipy.stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=20_000, rng=seeded(3)
    )
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours == stats.paired_permutation_test(first, second, seeded(2), 20_000)


def test_permutation_p_value_is_never_zero() -> None:
    assert stats.paired_permutation_test(np.arange(1.0, 101.0), np.zeros(100), seeded(), 999) == 1 / 1000


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.9]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_effect_size_by_hand() -> None:
    first, second = np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert stats.paired_effect_size(first, second) == 2.0  # differences 1, 2, 3: mean 2, standard deviation 1
    with pytest.raises(ValueError, match="same difference"):
        stats.paired_effect_size(first, first - 1.0)


def test_probability_of_improvement_by_hand_and_as_mann_whitney() -> None:
    first, second = np.array([1.0, 3.0]), np.array([1.0, 2.0, 0.0])
    assert stats.probability_of_improvement(first, second) == (1 + 0.5 + 3) / 6
    statistic = scipy.stats.mannwhitneyu(SCORES, SCORES**1.1).statistic
    assert stats.probability_of_improvement(SCORES, SCORES**1.1) == pytest.approx(statistic / 121)
    assert stats.paired_win_rate(np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 5.0])) == 0.5


def test_probability_of_improvement_has_a_seeded_interval() -> None:
    better = SCORES + 2.0
    interval = stats.probability_of_improvement_interval(better, SCORES, seeded())
    assert 0.5 <= interval.low < interval.value < interval.high <= 1.0
    assert stats.probability_of_improvement_interval(better, SCORES, seeded()) == interval


def test_the_paired_chance_to_improve_has_the_value_of_the_unpaired_one_and_a_seeded_interval() -> None:
    first, second = np.array([1.0, 3.0, 2.0, 2.0]), np.array([1.0, 2.0, 0.0, 5.0])
    interval = stats.paired_probability_of_improvement_interval(first, second, seeded())
    assert interval.value == stats.probability_of_improvement(first, second) == (1.5 + 3.0 + 2.5 + 2.5) / 16
    assert 0.0 < interval.low < interval.value < interval.high < 1.0
    assert stats.paired_probability_of_improvement_interval(first, second, seeded()) == interval


def test_records_that_differ_a_lot_leave_the_paired_chance_to_improve_certain_all_the_same() -> None:
    """Each record is a little better than itself: only what varies between the sides is uncertain."""
    first, second = SCORES + 0.01, SCORES
    paired = stats.paired_probability_of_improvement_interval(first, second, seeded())
    apart = stats.probability_of_improvement_interval(first, second, seeded())
    assert paired.value == apart.value
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)
    same = stats.paired_probability_of_improvement_interval(second, second, seeded())
    assert (same.low, same.value, same.high) == (0.5, 0.5, 0.5)


def test_the_paired_chance_to_improve_is_certain_where_all_beat_all() -> None:
    interval = stats.paired_probability_of_improvement_interval(SCORES + 1000.0, SCORES, seeded())
    assert (interval.low, interval.value, interval.high) == (1.0, 1.0, 1.0)


def test_strata_keep_their_sizes_in_the_paired_chance_to_improve() -> None:
    """In each stratum every record has the same two scores: no resample that keeps the strata differs."""
    first, second = np.repeat([3.0, 1.0], 5), np.repeat([2.0, 4.0], 5)
    strata = np.repeat([0, 1], 5)
    interval = stats.paired_probability_of_improvement_interval(first, second, seeded(), strata=strata)
    assert (interval.low, interval.value, interval.high) == pytest.approx((0.25, 0.25, 0.25))
    free = stats.paired_probability_of_improvement_interval(first, second, seeded())
    assert free.high - free.low > 0.1


# curves


def test_performance_profile_by_hand() -> None:
    profile = stats.performance_profile(np.array([1.0, 2.0, 2.0, 4.0]), [0.0, 1.0, 2.0, 3.0, 4.0], seeded())
    assert profile.share.tolist() == [1.0, 0.75, 0.25, 0.25, 0.0]
    assert np.all((profile.low <= profile.share) & (profile.share <= profile.high))
    assert (profile.low[0], profile.high[0], profile.low[-1], profile.high[-1]) == (1.0, 1.0, 0.0, 0.0)


def test_performance_profile_bands_are_those_of_resampled_records() -> None:
    scores = seeded().normal(size=80)
    options = stats.Bootstrap(num_resamples=20_000)
    profile = stats.performance_profile(scores, [0.3], seeded(), options)
    plain = stats.bootstrap(scores, lambda values: (values > 0.3).mean(axis=-1), seeded(), options)
    assert (profile.low[0], profile.high[0]) == pytest.approx((plain.low, plain.high), abs=0.013)  # steps of 1/80
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
