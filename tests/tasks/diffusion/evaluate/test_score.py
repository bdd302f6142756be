"""Metrics of small literal rows, and of real digits."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.tasks.diffusion.evaluate.glossary import BY_NAME
from pipeline.tasks.diffusion.evaluate.score import evaluate, measure_records, steered_right
from pipeline.tasks.diffusion.recipe import Evaluate
from pipeline.tasks.diffusion.rows import DiffusionPrediction, Steering

OPTIONS = Evaluate(num_resamples=50)


def row(number: int, label: str = "a", judged: str = "a", **facts: Any) -> DiffusionPrediction:
    generator = np.random.default_rng(number)
    made, real = generator.standard_normal((2, 3))
    said = {
        "variant": "main", "model": "m", "seed": number, "label": label, "judged_label": judged,
        "label_probability": 0.5, "features": tuple(made), "nearest_train_distance": 0.3, "num_evaluations": 35,
        "real_label": label, "real_judged_label": label, "real_features": tuple(real),
        "real_nearest_train_distance": 0.2,
    }  # fmt: skip
    return DiffusionPrediction(**({"id": f"r{number}"} | said | facts))


def value(metrics: Any, name: str, subject: str = "model", by: str = "all", of: str = "all") -> float:
    (found,) = [
        one for one in metrics if (one.name, one.subject, one.slice_by, one.slice_value) == (name, subject, by, of)
    ]
    return float(found.value)


def test_accuracy_counts_the_class_that_was_asked_for_and_beside_it_that_of_real_images() -> None:
    rows = [row(k, "ab"[k % 2], "a") for k in range(10)]
    metrics = evaluate(rows, OPTIONS).metrics
    assert value(metrics, "accuracy") == 0.5
    assert value(metrics, "accuracy", "real") == 1.0
    assert value(metrics, "accuracy", by="label", of="b") == 0.0
    assert value(metrics, "nearest_train_distance") == pytest.approx(0.3)
    assert value(metrics, "nearest_train_distance", "real") == pytest.approx(0.2)


def test_what_a_class_says_of_each_factor_is_measured_by_itself() -> None:
    judged = ["disc/red", "disc/blue", "cross/blue", "cross/blue"]
    rows = [row(k, "disc/red" if k < 2 else "cross/blue", seen) for k, seen in enumerate(judged)]
    metrics = evaluate(rows, OPTIONS).metrics
    assert value(metrics, "accuracy") == 0.75
    found = [value(metrics, "accuracy", by="value", of=one) for one in ("disc", "red", "cross", "blue")]
    assert found == [1.0, 0.5, 1.0, 1.0]


def test_steering_is_right_where_only_what_was_to_change_did() -> None:
    steering = Steering(
        references=(), target="disc/blue", layers=("up_0",), num_masked=1, sigma=0.6, label_mode="other"
    )
    judged = ["disc/blue", "disc/red", "cross/blue", "cross/red"]
    rows = [row(k, "disc/red", seen, steering=steering) for k, seen in enumerate(judged)]
    assert [steered_right(one) for one in rows] == [(True, True), (False, True), (True, False), (False, False)]
    untold = msgspec.structs.replace(rows[2], label=None)
    assert steered_right(untold) == (False, None) and steered_right(rows[0]) == (True, True)
    metrics = evaluate(rows[:3], OPTIONS).metrics
    assert value(metrics, "steered_accuracy") == value(metrics, "kept_accuracy") == pytest.approx(2 / 3)


@pytest.mark.parametrize("features", [None, (), (1.0,), (1.0, 2.0, 1e300)])
def test_a_row_without_the_features_of_the_others_is_named(features: Any) -> None:
    with pytest.raises(UserError) as caught:
        evaluate([*(row(k) for k in range(8)), row(9, features=features)], OPTIONS)
    assert caught.value.where == "record 'r9'" and "features" in caught.value.what


def test_other_variants_and_errors_count_in_no_metric_over_all() -> None:
    rows = [row(k) for k in range(8)]
    others = [row(k, judged="b", variant="other") for k in range(10, 14)]
    failed = row(99, error="unknown_class", features=None, judged_label=None)
    metrics = evaluate([*rows, *others, failed], OPTIONS).metrics
    assert value(metrics, "accuracy") == 1.0
    assert value(metrics, "accuracy", by="variant", of="other") == 0.0
    assert value(metrics, "num_errors") == 1.0


def test_images_that_are_the_real_ones_are_at_no_distance() -> None:
    rows = [row(k) for k in range(20)]
    same = [row(k, real_features=row(k).features) for k in range(20)]
    far = [row(k, features=tuple(5.0 + x for x in row(k).features or ())) for k in range(20)]
    frechet = [value(evaluate(one, OPTIONS).metrics, "frechet_distance") for one in (same, rows, far)]
    assert frechet[0] == pytest.approx(0.0, abs=1e-9) and frechet[0] < frechet[1] < frechet[2]
    assert value(evaluate(same, OPTIONS).metrics, "precision") == 1.0
    assert value(evaluate(far, OPTIONS).metrics, "recall") == 0.0
    assert value(evaluate(same, OPTIONS).metrics, "diversity_ratio") == pytest.approx(1.0)


def test_every_metric_of_real_rows_is_in_the_glossary_and_lies_in_its_interval(digits_run: Path) -> None:
    rows = read_all(digits_run / "infer/predictions.jsonl", DiffusionPrediction)
    evaluation = evaluate(rows, OPTIONS)
    assert {one.name for one in evaluation.metrics} <= set(BY_NAME)
    assert all(one.low is None or one.low <= one.value <= (one.high or 0.0) for one in evaluation.metrics)
    assert len({one.id for one in evaluation.metrics}) == len(evaluation.metrics)
    assert value(evaluation.metrics, "frechet_distance") > 0.0
    again = evaluate(rows, OPTIONS)
    assert again.metrics == evaluation.metrics
    # What was learned by heart would be nearer than what is new.
    assert value(evaluation.metrics, "nearest_train_distance") > 0.5 * value(
        evaluation.metrics, "nearest_train_distance", "real"
    )


def test_what_records_measured_adds_up_to_the_metrics(digits_run: Path) -> None:
    rows = read_all(digits_run / "infer/predictions.jsonl", DiffusionPrediction)
    measured = measure_records(rows, OPTIONS)
    metrics = evaluate(rows, OPTIONS).metrics
    assert measured.scored.sum() == 50
    assert measured.values["accuracy"][measured.scored].mean() == pytest.approx(value(metrics, "accuracy"))
    assert measured.pooled is not None
    weights = np.ones((1, len(rows)), np.int32)
    assert measured.pooled(weights)["frechet_distance"][0] == pytest.approx(value(metrics, "frechet_distance"))
    assert np.isnan(measured.pooled(0 * weights)["frechet_distance"][0])


def test_nothing_to_evaluate_is_said() -> None:
    with pytest.raises(UserError, match="no predictions"):
        evaluate([], OPTIONS)
    with pytest.raises(UserError, match="2 models"):
        evaluate([row(0), row(1, model="n")], OPTIONS)
