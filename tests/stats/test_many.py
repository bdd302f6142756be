"""Statistics of many records, and of runs on several tasks: equal to the plain way, to scipy and to rliable."""

import json
from itertools import product

import numpy as np
import pytest
import scipy.stats

from pipeline import stats
from pipeline.stats import intervals, kernels
from pipeline.stats import pairs as comparisons
from tests.conftest import ROOT

RLIABLE = json.loads((ROOT / "tests/rliable_values.json").read_text())
MANY = stats.Bootstrap(num_resamples=20_000)


def seeded(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


# rliable (benchmarks/peers/statistics_reference.py made its values)


@pytest.mark.parametrize("case", RLIABLE["cases"], ids=["10-runs", "5-and-8-runs", "one-task"])
def test_values_and_intervals_are_those_of_rliable(case: dict[str, list[list[float]]]) -> None:
    """Values to 1e-12. Intervals within 5 % of their width: a quantile of 5,000 resamples of theirs is not closer."""
    first, second = np.array(case["first"]), np.array(case["second"])
    tasks = np.tile(np.arange(first.shape[1]), len(first))
    found = {
        "iqm": stats.bootstrap(first.ravel(), stats.interquartile_mean, seeded(), MANY, tasks),
        "probability_of_improvement": stats.mean_probability_of_improvement_interval(first, second, seeded(), MANY),
    }
    for name, ours in found.items():
        theirs = case[name]
        assert ours.value == pytest.approx(theirs["value"], abs=1e-12)
        near = 0.05 * (theirs["high"] - theirs["low"])
        assert (ours.low, ours.high) == pytest.approx((theirs["low"], theirs["high"]), abs=near), name


# probability of improvement


def test_chances_of_two_runs_have_the_probabilities_of_all_draws() -> None:
    first, second = np.array([1.0, 3.0]), np.array([1.0, 2.0, 0.0])
    exact: dict[float, float] = {}
    for ours in product(first, repeat=2):
        for theirs in product(second, repeat=3):
            chance = stats.probability_of_improvement(np.array(ours), np.array(theirs))
            exact[round(chance, 9)] = exact.get(round(chance, 9), 0.0) + 1 / 4 / 27
    ranks = np.unique(np.concatenate([first, second]), return_inverse=True)[1]
    resampled = np.empty(100_000)
    seeds = seeded().integers(2**64, size=len(resampled), dtype=np.uint64)
    kernels.chances_to_beat(ranks[None, :2], ranks[None, 2:], np.array([4]), seeds, resampled)
    for chance, share in exact.items():
        assert np.isclose(resampled, chance, atol=1e-6).mean() == pytest.approx(share, abs=0.007)


def test_a_task_counts_as_much_as_any_other() -> None:
    first, second = np.array([[5.0, 0.0], [6.0, 1.0]]), np.array([[1.0, 2.0], [2.0, 3.0]])
    assert stats.mean_probability_of_improvement_interval(first, second, seeded()).value == 0.5
    with pytest.raises(ValueError, match="as many tasks"):
        stats.mean_probability_of_improvement_interval(first, second[:, :1], seeded())
    with pytest.raises(ValueError, match="not finite"):
        stats.mean_probability_of_improvement_interval(first, second * np.nan, seeded())


def test_the_sum_of_two_means_stands_for_the_chance_of_many_records() -> None:
    first, second = seeded().gamma(2.0, size=400), np.round(seeded(1).gamma(1.8, size=500), 1)
    exact = stats.probability_of_improvement_interval(first, second, seeded(), MANY)
    linear = comparisons._interval_of_many(first, second, seeded(), MANY)
    assert linear.value == pytest.approx(exact.value, abs=1e-12)
    assert exact.value == pytest.approx(scipy.stats.mannwhitneyu(first, second).statistic / 200_000)
    near = 0.05 * (exact.high - exact.low)
    assert (linear.low, linear.high) == pytest.approx((exact.low, exact.high), abs=near)


# many records


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


def test_a_permutation_test_by_tables_equals_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = seeded().normal(0.3, 1.0, size=40), seeded(1).normal(0.0, 1.0, size=40)
    monkeypatch.setattr(comparisons, "MIN_TABLE_RECORDS", 40)
    ours = stats.paired_permutation_test(first, second, seeded(2), 20_000)
    theirs = scipy.stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=20_000, rng=seeded(3)
    )
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours == stats.paired_permutation_test(first, second, seeded(2), 20_000)
    assert stats.paired_permutation_test(first + 9.0, second, seeded(2), 999) == 1 / 1000


@pytest.mark.parametrize("metric", [stats.mean, stats.interquartile_mean])
@pytest.mark.parametrize("strata", [None, np.arange(600) % 3], ids=["pooled", "strata"])
def test_weights_resample_many_records_as_counts_do(metric: stats.Metric, strata: np.ndarray | None) -> None:
    values = seeded().gamma(2.0, size=600) + (0.0 if strata is None else 2.0 * strata)
    counted = stats.resample(values, metric, seeded(), 20_000, strata)
    terms = intervals.linear_terms(values, metric)
    weighted = intervals.resample_linear(float(metric(values)), terms, seeded(), 20_000, strata)
    near = 0.2 * counted.std()  # the interquartile mean's remainder at 600 records is a tenth
    for quantile in (0.025, 0.5, 0.975):
        assert np.quantile(weighted, quantile) == pytest.approx(np.quantile(counted, quantile), abs=near)


def test_many_records_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    values = seeded().gamma(2.0, size=1000)
    plain = stats.paired_difference(values, values[::-1].copy(), seeded(), metric=stats.interquartile_mean)
    for module in (intervals, comparisons):
        monkeypatch.setattr(module, "NUM_LINEAR", 1000)
    for metric in (stats.mean, stats.interquartile_mean):
        interval = stats.bootstrap(values, metric, seeded())
        assert interval.low < interval.value < interval.high
    quick = stats.paired_difference(values, values[::-1].copy(), seeded(), metric=stats.interquartile_mean)
    assert quick.value == plain.value
    assert quick != plain
    assert (quick.low, quick.high) == pytest.approx((plain.low, plain.high), abs=0.1 * (plain.high - plain.low))


# paired trimmed means, studentized intervals


@pytest.mark.parametrize("metric", [stats.interquartile_mean, stats.median])
@pytest.mark.parametrize("strata", [None, np.arange(40) % 2], ids=["pooled", "strata"])
def test_paired_trimmed_means_have_the_distribution_of_drawing_records(
    metric: stats.Metric, strata: np.ndarray | None
) -> None:
    def generic(values: np.ndarray) -> np.ndarray:  # not known to the bootstrap, so it draws and sorts records
        return np.asarray(metric(values))

    first = seeded().gamma(2.0, size=40)
    second = 0.7 * first + seeded(1).normal(size=40)
    quick = stats.paired_difference(first, second, seeded(), MANY, metric, strata)
    plain = stats.paired_difference(first, second, seeded(), MANY, generic, strata)
    assert quick.value == plain.value
    assert (quick.low, quick.high) == pytest.approx((plain.low, plain.high), abs=0.05 * (plain.high - plain.low))


def test_the_studentized_interval_of_normal_records_is_students() -> None:
    """Bootstrap-t approaches the t distribution's interval, wider than the percentile interval."""
    values = seeded(2).normal(3.0, 2.0, size=40)
    options = stats.Bootstrap(num_resamples=20_000, method="studentized")
    ours = stats.bootstrap(values, stats.mean, seeded(), options)
    student = scipy.stats.t.interval(0.95, 39, values.mean(), values.std(ddof=1) / 40**0.5)
    assert (ours.low, ours.high) == pytest.approx(student, abs=0.1)
    assert ours.method == "bootstrap_studentized"
    percentile = stats.bootstrap(values, stats.mean, seeded(), MANY)
    assert ours.high - ours.low > percentile.high - percentile.low
    with pytest.raises(ValueError, match="median"):
        stats.bootstrap(values, stats.median, seeded(), options)
    with pytest.raises(ValueError, match="unstratified"):
        stats.bootstrap(values, stats.mean, seeded(), options, strata=np.arange(40) % 2)
    for few in (np.array([2.0]), np.full(5, 2.0)):
        assert stats.bootstrap(few, stats.mean, seeded(), options).high == 2.0


# means of many records


@pytest.mark.parametrize("strata", [None, np.arange(70_000) % 3], ids=["all", "strata"])
@pytest.mark.parametrize("kinds", ["whole", "rounded", "both", "one of each", "equal"])
def test_means_of_many_records_are_those_of_one_product(kinds: str, strata: np.ndarray | None) -> None:
    """To the last bit, though equal columns and whole numbers are added up by themselves, and in threads. (58 resamples
    are two whole chunks: the last digits of products of two or three rows depend on the number of columns.)"""
    generator = seeded()
    whole = [generator.integers(0, most, 70_000).astype(np.uint16) for most in (2, 500, 60_000)]
    rounded = [np.round(generator.random(70_000) * 500, 6) for _ in range(3)]
    columns = {
        "whole": whole,
        "rounded": rounded,
        "both": [*whole, *rounded, rounded[0], whole[1]],
        "one of each": [whole[0], rounded[0]],
        "equal": [rounded[0], rounded[0].copy()],
    }[kinds]
    matrix = np.stack(columns, axis=1).astype(np.float64)
    counts = intervals.draw_counts(70_000, seeded(3), 58, strata, intervals.PRODUCT_ELEMENTS)
    plain = np.concatenate([drawn.astype(np.float64) @ matrix for drawn in counts]) / 70_000
    assert np.array_equal(stats.resample_columns(columns, seeded(3), 58, strata), plain)
