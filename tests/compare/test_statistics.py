"""Paired intervals and tests of compare against enumeration, known truth, and each other."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.compare.figures import values
from pipeline.compare.judge import Judge, pairs_of
from pipeline.compare.movers import movers
from pipeline.compare.pairs import PairedColumns, Settings, permutation_test, statistic_of
from pipeline.contract.metrics import Measurements, MetricDefinition, RecordMetric
from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.records.join import Joined, Slice
from pipeline.records.measured import POOLED, STATISTICS, choose_metrics
from pipeline.records.read import Records
from pipeline.stats import Floats
from pipeline.stats.intervals import NUM_LINEAR

QUICK = Settings(num_resamples=200, num_permutations=999, num_pooled_permutations=199)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# the same resamples for all files


@pytest.mark.parametrize("strata", [None, np.arange(40) % 3])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_files_that_differ_by_a_constant_differ_by_it_in_every_resample(statistic: str, strata: Any) -> None:
    values = random(0).gamma(3.0, 2.0, 40)
    columns = PairedColumns({"a": {"x": values}, "b": {"x": values + 1.0}}, strata, QUICK)
    difference = columns.resampled("b", "x", statistic) - columns.resampled("a", "x", statistic)
    assert difference == pytest.approx(np.ones(200))
    assert np.ptp(columns.resampled("a", "x", statistic)) > 0.1


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_so_do_files_of_very_many_records(statistic: str) -> None:
    values = random(0).gamma(3.0, 2.0, NUM_LINEAR)
    columns = PairedColumns({"a": {"x": values}, "b": {"x": values + 1.0}}, None, QUICK)
    difference = columns.resampled("b", "x", statistic) - columns.resampled("a", "x", statistic)
    assert difference == pytest.approx(np.ones(200))


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_very_many_records_have_the_interval_of_theory(statistic: str) -> None:
    values = random(1).normal(0.0, 3.0, (2, NUM_LINEAR))
    columns = PairedColumns({"a": {"x": values[0]}, "b": {"x": values[1]}}, None, Settings(num_resamples=1000))
    difference = columns.resampled("b", "x", statistic) - columns.resampled("a", "x", statistic)
    efficiency = {"mean": 1.0, "iqm": 1.0 / 0.837}[statistic]  # asymptotic, at the normal
    assert difference.std() == pytest.approx((efficiency * 18.0 / NUM_LINEAR) ** 0.5, rel=0.08)


# tests


@pytest.mark.parametrize("statistic", ["median", "iqm"])
def test_random_swaps_give_the_p_value_of_all_swaps(statistic: str) -> None:
    ours, theirs = random(2).normal(0.8, 1.0, 9), random(3).normal(0.0, 1.0, 9)
    observed = abs(statistic_of(ours, statistic) - statistic_of(theirs, statistic))
    swaps = np.array(list(product((False, True), repeat=9)))
    first, second = np.where(swaps, theirs, ours), np.where(swaps, ours, theirs)
    every = np.abs(STATISTICS[statistic](first) - STATISTICS[statistic](second))
    exact = float((every >= observed - 1e-12).mean())
    found, how = permutation_test(ours, theirs, statistic, Settings(num_permutations=20_000))
    assert how == "swaps"
    assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 20_000) ** 0.5)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_no_difference_is_rejected_at_the_level_and_a_large_one_always(statistic: str) -> None:
    """300 pairs of 24 records: by chance 10 % fall below 0.1, and 30 +- 16 are within three standard errors."""
    generator = random(4)
    pairs = generator.normal(0.0, 1.0, (300, 1, 24)) + generator.normal(0.0, 1.0, (300, 2, 24))
    settings = Settings(num_permutations=199)
    found = np.array([permutation_test(ours, theirs, statistic, settings)[0] for ours, theirs in pairs])
    assert 14 <= np.count_nonzero(found < 0.1) <= 46
    assert permutation_test(pairs[0, 0] + 9.0, pairs[0, 1], statistic, settings)[0] == 1 / 200


@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_files_have_p_one(statistic: str) -> None:
    values = random(5).normal(size=30)
    assert permutation_test(values, values.copy(), statistic, QUICK)[0] == 1.0


# pooled metrics: a ratio of sums, whose truth is known


class Answer(msgspec.Struct, frozen=True):
    """One record's answer: ``hits`` of ``total`` parts are right."""

    hits: int
    total: int
    model: str = "m"


class Ratio:
    """A task with one pooled metric, hits over total of all records together; and one by record."""

    name, options = "ratio", None

    def measure(self, rows: Any, path: Path) -> Measurements:
        hits, total = (np.array([getattr(row, name) for row in rows], np.float64) for name in ("hits", "total"))
        return Measurements(
            values={},
            scored=np.ones(len(rows), np.bool_),
            metrics=[RecordMetric("ratio", POOLED)],
            pooled=lambda weights: {"ratio": (weights @ hits) / np.maximum(weights @ total, 0.5)},
        )


def judge(ours: list[Answer], theirs: list[Answer], settings: Settings) -> Judge:
    task: Any = Ratio()
    count = len(ours)
    files = {
        label: Records(
            label=label,
            path=Path(label),
            ids=[str(n) for n in range(count)],
            lines=np.arange(1, count + 1),
            truth=np.zeros(count, np.int64),
            models=("m",),
            rows=rows,
            measured=task.measure(rows, Path(label)),
        )
        for label, rows in (("old", theirs), ("new", ours))
    }
    joined = Joined(
        files=files,
        ids=files["old"].ids,
        positions={label: np.arange(count) for label in files},
        values={label: {} for label in files},
        slices=[Slice("all", "all", None), Slice("half", "first", np.arange(count // 2))],
        strata=None,
    )
    definition = MetricDefinition("ratio", "share", "higher", "hits over total")
    return Judge(task, joined, joined.metrics, {"ratio": definition}, settings)


def answers(generator: np.random.Generator, count: int, chance: Floats) -> list[Answer]:
    total = generator.integers(1, 8, count)
    return [Answer(int(generator.binomial(n, p)), int(n)) for n, p in zip(total, chance, strict=True)]


def test_intervals_of_pooled_differences_cover_the_truth_at_their_rate() -> None:
    """200 comparisons of 80 records; 95 % +- three standard errors, and two points for the percentile method."""
    generator, covered = random(6), 0
    for _ in range(200):
        chance = generator.uniform(0.3, 0.9, 80)
        compared = judge(answers(generator, 80, chance), answers(generator, 80, chance - 0.2), QUICK)
        row = compared.compare(("new", "old"), compared.metrics[0], compared.joined.slices[0])
        assert row is not None and row.low is not None and row.high is not None
        covered += row.low <= 0.2 <= row.high
    assert 177 <= covered <= 199


def test_pooled_tests_reject_no_difference_at_the_level() -> None:
    generator, rejected = random(7), 0
    for _ in range(200):
        chance = generator.uniform(0.3, 0.9, 30)
        compared = judge(answers(generator, 30, chance), answers(generator, 30, chance), QUICK)
        row = compared.compare(("new", "old"), compared.metrics[0], compared.joined.slices[0])
        assert row is not None and row.p_value is not None
        rejected += row.p_value <= 0.1
    assert 7 <= rejected <= 33  # 20 +- three standard errors


def test_a_pooled_slice_counts_its_records_alone() -> None:
    ours, theirs = [Answer(2, 2), Answer(0, 4), Answer(5, 5)], [Answer(1, 2), Answer(1, 4), Answer(0, 5)]
    compared = judge(ours, theirs, QUICK)
    row = compared.compare(("new", "old"), compared.metrics[0], compared.joined.slices[1])
    assert row is not None
    assert (row.value, row.baseline_value, row.num_records) == (1.0, 0.5, 1)


def test_pooled_movers_are_the_changes_of_the_figure_and_equal_answers_move_nothing() -> None:
    ours, theirs = [Answer(2, 2), Answer(0, 4), Answer(5, 5)], [Answer(1, 2), Answer(0, 4), Answer(0, 5)]
    found = movers(judge(ours, theirs, QUICK), ("new", "old"), RecordMetric("ratio", POOLED), 10)
    assert [(m.record_id, m.change, m.value) for m in found] == [
        ("2", pytest.approx(5 / 11), None),
        ("0", pytest.approx(1 / 11), None),
    ]


def test_only_checkpoints_of_one_training_are_joined_by_a_line() -> None:
    compared = judge([Answer(1, 2), Answer(3, 4)], [Answer(0, 2), Answer(1, 4)], QUICK)
    with plotting.style():
        by_step = replace(compared, steps={"old": 1000, "new": 2000})
        curve, apart = (values(files, {}) for files in (by_step, compared))
    assert curve.title == "Learning curve" and "over the steps of one training" in curve.caption
    assert curve.canvas.axes[0].get_xlabel() == "training step"
    assert apart.title == "The files beside each other" and "in the order given" in apart.caption
    (joined, *_), (points, *_) = (picture.canvas.axes[0].get_lines() for picture in (curve, apart))
    assert (joined.get_linestyle(), points.get_linestyle()) == ("-", "None")
    (new, old) = (100 * 4 / 6, 100 * 1 / 6)
    assert np.array(joined.get_xydata()) == pytest.approx(np.array([[1000, old], [2000, new]]))
    assert np.array(points.get_xydata()) == pytest.approx(np.array([[0, old], [1, new]]))


# families and names


def test_pairs_are_each_file_with_the_baseline_or_with_all_before_it() -> None:
    assert pairs_of(["a", "b", "c"], "b", all_pairs=False) == [("a", "b"), ("c", "b")]
    assert pairs_of(["a", "b", "c"], "a", all_pairs=True) == [("b", "a"), ("c", "a"), ("c", "b")]


def test_a_metric_is_asked_for_by_name_or_with_its_statistic() -> None:
    known = [RecordMetric("x", "mean"), RecordMetric("x", "iqm"), RecordMetric("y", "rate")]
    assert choose_metrics(known, [], 2) == tuple(known[:2])
    assert choose_metrics(known, ["y", "x", "x:mean"], 2) == (known[2], known[0])
    assert choose_metrics(known, ["x:iqm"], 2) == (known[1],)
    with pytest.raises(UserError) as refusal:
        choose_metrics(known, ["x:median"], 2)
    assert "did you mean 'x:mean'" in str(refusal.value)


def test_a_single_record_has_an_interval_of_no_length() -> None:
    columns = PairedColumns({"a": {"x": np.array([3.0])}, "b": {"x": np.array([5.0])}}, None, QUICK)
    assert {*columns.resampled("a", "x", "mean")} == {3.0}
