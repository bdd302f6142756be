"""The rule of the gate, on numbers that can be checked by hand, and the statistics under it."""

import numpy as np
import pytest

from pipeline.gate.baseline import by_key
from pipeline.gate.change import compare_metrics
from pipeline.gate.report import explain
from pipeline.gate.resample import simultaneous, skewness, studentized, weighted_statistic
from pipeline.gate.rule import Change, Rule, judge, judge_bound
from pipeline.gate.spec import Key, resolve
from pipeline.stats import interquartile_mean, mean, median
from pipeline.stats.intervals import draw_counts
from schemas.gate import BaselineMetric, GateSpec, Verdict

AGGREGATES = {"mean": mean, "rate": mean, "median": median, "iqm": interquartile_mean}


def change(value: float, low: float | None, high: float | None) -> Change:
    """A metric that was 100."""
    return Change(baseline=100.0, now=100.0 + value, low=low, high=high)


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (-5, -6, -4, "fails"),  # all of the interval is worse by more than 3
        (-5, -7, -2, "cannot_tell"),  # it may be within 3
        (-2, -2.9, 1, "passes"),  # worse at most by 2.9
        (-2, -3.1, 1, "cannot_tell"),
        (5, 4, 6, "passes"),  # better
        (0, 0, 0, "passes"),
        (-3, -3, -3, "passes"),  # as much as is allowed, and no more
    ],
)
def test_a_change_fails_when_its_whole_interval_is_beyond_the_tolerance(
    value: float, low: float, high: float, outcome: str
) -> None:
    assert judge(change(value, low, high), Rule(better="higher", tolerance=3.0, min_effect=0.0))[0] == outcome
    mirrored = judge(change(-value, -high, -low), Rule(better="lower", tolerance=3.0, min_effect=0.0))
    assert mirrored[0] == outcome


def test_a_loss_below_the_minimum_effect_is_not_reported() -> None:
    sure = change(-2, -2.5, -1.5)
    assert judge(sure, Rule(better="higher", tolerance=0.0, min_effect=0.0))[0] == "fails"
    assert judge(sure, Rule(better="higher", tolerance=0.0, min_effect=2.2))[0] == "passes"
    assert judge(sure, Rule(better="higher", tolerance=0.0, min_effect=1.9))[0] == "fails"


def test_strict_judges_by_the_value_alone() -> None:
    noisy = change(-5, -9, 1)
    assert judge(noisy, Rule(better="higher", tolerance=3.0, min_effect=0.0))[0] == "cannot_tell"
    assert judge(noisy, Rule(better="higher", tolerance=3.0, min_effect=0.0, strict=True))[0] == "fails"
    assert judge(change(-2, -9, 1), Rule(better="higher", tolerance=3.0, min_effect=0.0, strict=True))[0] == "passes"


def test_undecided_can_be_made_to_fail() -> None:
    rule = Rule(better="higher", tolerance=3.0, min_effect=0.0, undecided_fails=True)
    assert judge(change(-2, -4, 1), rule)[0] == "fails"
    assert judge(change(-1, -2, 1), rule)[0] == "passes"


def test_watched_both_ways_a_gain_fails_too() -> None:
    gain = change(5, 4, 6)
    assert judge(gain, Rule(better="higher", tolerance=3.0, min_effect=0.0))[0] == "passes"
    assert judge(gain, Rule(better="higher", tolerance=3.0, min_effect=0.0, watch="both"))[0] == "fails"
    assert judge(gain, Rule(better="neither", tolerance=3.0, min_effect=0.0))[0] == "fails"


def test_the_last_bits_of_another_machine_are_no_change() -> None:
    rounding = Change(baseline=0.3, now=0.3 - 1e-15, low=-2e-15, high=-0.5e-15)
    assert judge(rounding, Rule(better="higher", tolerance=0.0, min_effect=0.0))[0] == "passes"
    assert judge(rounding, Rule(better="higher", tolerance=0.0, min_effect=0.0, strict=True))[0] == "passes"


def test_what_has_become_undefined_fails() -> None:
    rule = Rule(better="higher", tolerance=1.0, min_effect=0.0)
    assert judge(Change(baseline=0.9, now=None), rule) == ("fails", "undefined now")
    assert judge(Change(baseline=None, now=None), rule)[0] == "passes"
    assert judge(Change(baseline=None, now=0.9), rule)[0] == "passes"


def test_without_an_interval_only_what_is_no_worse_passes() -> None:
    rule = Rule(better="higher", tolerance=1.0, min_effect=0.0)
    assert judge(change(-3, None, None), rule)[0] == "cannot_tell"
    assert judge(change(0, None, None), rule)[0] == "passes"
    exact = Change(baseline=2.0, now=4.0, exact=True)
    assert judge(exact, Rule(better="lower", tolerance=1.0, min_effect=0.0))[0] == "fails"


@pytest.mark.parametrize(
    ("value", "kind", "outcome"),
    [
        (0.85, "at_least", "passes"),
        (0.8499, "at_least", "fails"),
        (0.86, "at_most", "fails"),
        (None, "at_most", "fails"),
    ],
)
def test_a_bound_is_hard(value: float | None, kind: str, outcome: str) -> None:
    assert judge_bound(value, kind, 0.85)[0] == outcome


# resampling


@pytest.mark.parametrize("statistic", AGGREGATES)
def test_a_weighted_statistic_is_that_of_the_repeated_records(statistic: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=11)
    weights = rng.integers(0, 4, size=(50, 11)).astype(np.int32)
    found = weighted_statistic(values, weights, statistic)
    expected = [AGGREGATES[statistic](np.repeat(values, row)) for row in weights]
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_resample_without_records_is_undefined() -> None:
    assert np.isnan(weighted_statistic(np.ones(3), np.zeros((1, 3), np.int32), "mean")).all()


def test_resamples_keep_the_size_of_each_stratum() -> None:
    strata = np.array([0, 0, 0, 1, 1])
    weights = np.concatenate(list(draw_counts(5, np.random.default_rng(0), 40, strata)))
    assert weights.shape == (40, 5)
    assert {*weights[:, :3].sum(axis=1)} == {3} and {*weights[:, 3:].sum(axis=1)} == {2}


def test_ten_equal_checks_cost_no_more_than_one_and_ten_different_ones_do() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(4000, 1))
    ten = rng.normal(size=(4000, 10))
    sizes = [1_000_000] * 10

    def length(resampled: np.ndarray) -> float:
        _, high = simultaneous(np.zeros(resampled.shape[1]), resampled, sizes[: resampled.shape[1]], 0.95)
        return float(high[0])

    assert length(one) == pytest.approx(1.96, abs=0.06)
    assert length(np.repeat(one, 10, axis=1)) == pytest.approx(length(one), rel=1e-12)
    assert length(ten) == pytest.approx(2.80, abs=0.08)  # 0.95 ** 0.1 of a normal variate, two-sided


def test_few_records_have_no_interval_and_a_column_that_never_varies_has_one_of_no_length() -> None:
    resampled = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 0.0, 1.0]
    resampled[:300, 2] = np.nan
    low, high = simultaneous(np.zeros(3), resampled, [4, 50, 50], 0.95)
    assert np.isnan(low[[0, 2]]).all()
    assert low[1] == high[1] == 0.0


# metrics


def metric(value: float, low: float | None, high: float | None, confidence: float | None = 0.95) -> BaselineMetric:
    return BaselineMetric(
        metric="wellbeing", statistic="mean", value=value, low=low, high=high, confidence=confidence, num_records=9
    )


def test_two_intervals_make_one_of_the_change() -> None:
    spec = GateSpec(schema="gate_v1", task="gridworld", name="x")
    checks = resolve(spec, [Key("wellbeing", "mean")], "here")
    now, before = by_key([metric(90, 87, 94)]), by_key([metric(100, 94, 104)])
    (found,) = compare_metrics(now, before, checks, 0.95, "here")
    assert (found.low, found.high) == (pytest.approx(-15.0), pytest.approx(-10 + np.hypot(4, 6)))
    (wider,) = compare_metrics(by_key([metric(90, 87, 94, 0.5)]), before, checks, 0.95, "here")
    assert wider.low is not None and wider.low < -15.0  # an interval of 50 % says less
    (exact,) = compare_metrics(by_key([metric(90, None, None, None)]), before, checks, 0.95, "here")
    assert exact.exact


def test_errors_in_own_standard_errors_are_those_of_each_resample() -> None:
    differences = np.array([[1.0], [2.0], [6.0], [99.0]])
    members = np.array([[True], [True], [True], [False]])
    weights = np.array([[1, 1, 1, 5], [0, 3, 0, 0], [2, 0, 1, 0]], np.int32)
    found = studentized(differences, members, weights)[:, 0]
    least = 0.25 * np.std([1, 2, 6]) / np.sqrt(3)
    assert found[0] == 0.0
    assert found[1] == pytest.approx((2 - 3) / least)  # all equal: never surer than a quarter of all records
    assert found[2] == pytest.approx((8 / 3 - 3) / (np.std([1, 1, 6]) / np.sqrt(3)))


def test_a_few_great_gains_make_the_interval_of_many_small_losses_longer() -> None:
    """Sure of a loss is only who has seen enough records to have met the gains."""
    random = np.random.default_rng(0)
    changes = np.where(np.arange(40) < 2, 15.0, -1.0)[:, None]  # mean -0.2
    weights = np.concatenate(list(draw_counts(40, random, 2000)))
    resampled = weights @ changes / 40.0
    point, sizes = changes.mean(axis=0), [40]
    low, high = simultaneous(point, resampled, sizes, 0.95)
    errors = studentized(changes, np.ones((40, 1), np.bool_), weights)
    skewed_low, skewed_high = simultaneous(point, resampled, sizes, 0.95, errors)
    assert skewed_high[0] > high[0] + 0.5
    assert skewed_low[0] == pytest.approx(low[0])


def test_the_longer_end_is_longer_than_the_sample_says_for_it_holds_too_few_of_the_gains() -> None:
    random = np.random.default_rng(0)
    changes, members = random.lognormal(size=(40, 1)), np.ones((40, 1), np.bool_)
    weights = np.concatenate(list(draw_counts(40, random, 2000)))
    point, resampled, errors = changes.mean(axis=0), weights @ changes / 40.0, studentized(changes, members, weights)
    plain_low, plain_high = simultaneous(point, resampled, [40], 0.95, errors)
    low, high = simultaneous(point, resampled, [40], 0.95, errors, skewness(changes, members))
    assert high[0] - point[0] > 1.2 * (plain_high[0] - point[0])
    assert low[0] == pytest.approx(plain_low[0])
    mirrored = simultaneous(-point, -resampled, [40], 0.95, -errors, -skewness(changes, members))
    assert [end[0] for end in mirrored] == [pytest.approx(-high[0]), pytest.approx(-low[0])]


def test_skewness_is_that_of_the_records_that_count() -> None:
    differences = np.array([[1.0, 5.0, 0.0], [1.0, 5.0, 1.0], [4.0, 5.0, 2.0], [99.0, 5.0, 3.0]])
    members = np.array([[True] * 3, [True] * 3, [True] * 3, [False, True, True]])
    # 1, 1, 4: deviations -1, -1, 2, third moment 2, second 2; the others: no spread, and symmetric
    assert skewness(differences, members) == pytest.approx([2 / 2**1.5, 0.0, 0.0])


def test_a_check_whose_changes_are_not_skewed_is_left_alone_by_one_whose_are() -> None:
    random = np.random.default_rng(0)
    even, few, fewer = np.tile([-1.0, 1.0], 20), random.lognormal(size=40), random.exponential(size=40)
    weights = np.concatenate(list(draw_counts(40, random, 2000)))

    def high(*columns: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
        changes = np.stack(columns, axis=1)
        members = np.ones(changes.shape, np.bool_)
        resampled, errors = weights @ changes / 40.0, studentized(changes, members, weights)
        sizes = [40] * len(columns)
        _, ends = simultaneous(changes.mean(axis=0), resampled, sizes, 0.95, errors, skewness(changes, members))
        return [float(end) for end in ends]

    assert high(even, few)[0] == pytest.approx(high(even, -few)[0], rel=0.02)
    assert high(fewer, few)[0] > high(fewer, -few)[0] + 0.02  # skewed itself, it goes some of the way with the other


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ((-0.30, -0.53, -0.05), "-0.30 [-0.53, -0.05]"),  # half length .24: two digits
        ((-0.30, -0.80, 0.01), "-0.3 [-0.8, +0.0]"),  # .405: one
        ((-4.0e-6, -6.0e-6, -2.0e-6), "-0.0000040 [-0.0000060, -0.0000020]"),
    ],
)
def test_a_change_is_shown_with_the_digits_that_its_interval_supports(
    interval: tuple[float, float, float], shown: str
) -> None:
    change, low, high = interval
    verdict = Verdict(
        task="t", id="v", kind="change", metric="x", statistic="mean", slice_by="all", slice_value="all", unit="1",
        better="higher", watch="worse", baseline=1.0, now=1.0 + change, change=change, low=low, high=high,
        confidence=0.95, paired=True, tolerance=0.0, min_effect=0.0, num_records=9, outcome="fails", reason="worse",
    )  # fmt: skip
    assert explain(verdict) == f"x/mean {shown}, 0 allowed"
