"""Against known truth, by simulation: intervals cover, tests keep their level, sequences hold at every moment.

Each bound is the nominal figure and four binomial standard errors of the number of simulations
(`tests.stats.coverage.error_of_share`), so that a right method fails one time in 16,000;
`python -m tests.stats.coverage` measures the same more closely.
"""

import pytest

from tests.stats import coverage as simulated
from tests.stats.coverage import TRUTHS, error_of_share


@pytest.mark.parametrize(
    ("law", "metric", "num_records"),
    [("normal", "mean", 100), ("exponential", "mean", 100), ("exponential", "iqm", 100)],
)
def test_intervals_cover_at_their_nominal_rate(law: str, metric: str, num_records: int) -> None:
    share = simulated.coverage_of_interval(TRUTHS[law], metric, num_records, 300)
    assert share == pytest.approx(0.95, abs=error_of_share(0.95, 300))


def test_of_few_records_they_cover_less() -> None:
    """What docs/statistics.md warns of."""
    assert 0.8 < simulated.coverage_of_interval(TRUTHS["normal"], "mean", 8, 600) < 0.93


def test_intervals_of_paired_differences_of_interquartile_means_cover() -> None:
    assert simulated.coverage_of_paired_iqm(80, 300) == pytest.approx(0.95, abs=error_of_share(0.95, 300))


@pytest.mark.parametrize(("num_records", "shift", "shared"), [(15, 0.5, 0.0), (15, 1.5, 0.8), (80, 1.0, 0.95)])
def test_intervals_of_the_paired_probability_of_improvement_cover(
    num_records: int, shift: float, shared: float
) -> None:
    share = simulated.coverage_of_paired_chance(num_records, 300, shift, shared)
    assert share == pytest.approx(0.95, abs=error_of_share(0.95, 300))


@pytest.mark.parametrize(("num", "other"), [(3, 3), (5, 5), (3, 8)])
def test_intervals_of_groups_of_trainings_hold_for_trainings_to_come(num: int, other: int) -> None:
    case = simulated.Trainings(num, other, num_records=40, scatter=1.0, other_scatter=1.0)
    assert simulated.coverage_of_trainings(case, 300) == pytest.approx(0.95, abs=error_of_share(0.95, 300))


def test_trainings_drawn_like_records_promise_too_much() -> None:
    """Why they are not; and the simulation can tell."""
    case = simulated.Trainings(3, 3, num_records=40, scatter=1.0, other_scatter=1.0)
    assert simulated.coverage_of_trainings(case, 300, drawn=True) < 0.85


def test_intervals_of_differences_of_average_precision_cover() -> None:
    detectors = simulated.make_detectors(120)
    assert detectors.truth > 0.03  # there is something to find
    share = simulated.coverage_of_ap_difference(detectors, 120, 80, num_resamples=200)
    assert share == pytest.approx(0.95, abs=error_of_share(0.95, 80))


@pytest.mark.parametrize("num_records", [8, 30])  # all sign patterns; random ones
def test_the_permutation_test_rejects_at_its_level_under_no_difference(num_records: int) -> None:
    share = simulated.rejections_of_no_difference(num_records, 600)
    assert share == pytest.approx(0.05, abs=error_of_share(0.05, 600))


def test_the_permutation_test_of_many_records_rejects_at_its_level_too() -> None:
    share = simulated.rejections_of_no_difference(4200, 300)  # from 4,096 on by tables of subsets
    assert share == pytest.approx(0.05, abs=error_of_share(0.05, 300))


def test_holm_keeps_the_chance_of_any_false_finding_that_single_tests_do_not_keep() -> None:
    corrected, plain = simulated.false_findings_of_family(10, 2000)
    assert corrected == pytest.approx(1.0 - (1.0 - 0.005) ** 10, abs=error_of_share(0.05, 2000))
    assert plain == pytest.approx(1.0 - 0.95**10, abs=error_of_share(0.4, 2000))


@pytest.mark.parametrize(
    ("kind", "law"),
    [("bounded", "coin of 0.3"), ("bounded", "coin of 0.02"), ("unbounded", "normal"), ("median", "exponential")],
)
def test_sequences_hold_at_every_moment(kind: str, law: str) -> None:
    missed = simulated.misses_of_sequence(TRUTHS[law], kind, 2000, 200, batch=100)
    assert missed <= 0.05 + error_of_share(0.05, 200)


def test_an_interval_for_one_moment_does_not_hold_at_every_moment() -> None:
    """What sequences are for; and the simulation can tell."""
    assert simulated.misses_of_intervals(TRUTHS["normal"], 2000, 200, batch=100) > 0.15
