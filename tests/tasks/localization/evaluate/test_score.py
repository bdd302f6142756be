from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.tasks.localization.evaluate.glossary import BY_NAME, SUBJECTS
from pipeline.tasks.localization.evaluate.score import evaluate, files, measure_records
from pipeline.tasks.localization.evaluate.subjects import score_solvers
from pipeline.tasks.localization.recipe import Evaluate
from pipeline.tasks.localization.rows import Measurement, Prediction
from schemas.rows import Metric
from tests.tasks.localization.evaluate.literal import drawn, heard_levels, predictions

OPTIONS = Evaluate(num_resamples=50, posterior_records=5)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATON_CACHE", str(tmp_path / "cache"))


def values(metrics: Sequence[Metric], slice_by: str = "all", subject: str = "model") -> dict[tuple[str, str], float]:
    return {(m.name, m.slice_value): m.value for m in metrics if (m.slice_by, m.subject) == (slice_by, subject)}


def heard(row: Prediction) -> Prediction:
    """The prediction with levels of the world's receivers, as if from its truth."""
    assert row.latitude is not None and row.longitude is not None
    example = heard_levels((row.latitude, row.longitude))
    return replace(row, measurements=example.measurements, frequency_mhz=145.0, altitude_m=10.0)


def test_errors_are_geodesic_and_quantiles_are_records() -> None:
    offsets = np.stack([np.arange(1.0, 101.0), np.zeros(100)], axis=1)
    found = values(evaluate(predictions(offsets, 50), OPTIONS).metrics)
    assert found["error_m", "all"] == pytest.approx(50.5)
    assert found["error_68_m", "all"] == pytest.approx(68)
    assert found["error_95_m", "all"] == pytest.approx(95)


def test_likelihood_is_of_a_density_per_square_kilometre() -> None:
    found = values(evaluate(predictions(np.zeros((3, 2)), 1000), OPTIONS).metrics)
    assert found["negative_log_likelihood", "all"] == pytest.approx(np.log(2 * np.pi))
    assert found["area_90_km2", "all"] == pytest.approx(np.pi * 2.146**2, rel=1e-3)


def test_honest_answers_are_covered_as_they_say() -> None:
    evaluation = evaluate(predictions(drawn(4000, 1000, 1), 1000), OPTIONS)
    found, curve = values(evaluation.metrics), values(evaluation.metrics, "probability")
    for p in (0.5, 0.68, 0.9, 0.95):
        assert found[f"coverage_{round(100 * p)}", "all"] == pytest.approx(p, abs=0.025)
        assert found[f"ellipse_coverage_{round(100 * p)}", "all"] == pytest.approx(p, abs=0.025)
    assert found["calibration_error", "all"] < 0.02
    assert len(curve) == 19 and curve["coverage", "0.25"] == pytest.approx(0.25, abs=0.025)


def test_every_subject_is_scored_on_the_same_records() -> None:
    rows = [heard(row) for row in predictions(drawn(6, 20e3, 1), 20e3)]
    evaluation = evaluate(rows, OPTIONS)
    scores = list(evaluation.scores)
    subjects = {score.subject for score in scores}
    assert subjects == {"model", "centroid", "weighted_centroid", "level_likelihood", "posterior"}
    assert subjects < {*SUBJECTS}
    assert [s.id for s in scores if s.subject == "posterior"] == [f"r{n}/posterior" for n in range(5)]
    assert values(evaluation.metrics)["num_posterior", "all"] == 5
    assert values(evaluation.metrics, subject="level_likelihood")["error_m", "all"] < 3000
    assert {m.name for m in evaluation.metrics} <= {*BY_NAME}


def test_slices_are_by_receivers_band_and_geometry() -> None:
    rows = [heard(row) for row in predictions(drawn(8, 20e3, 1), 20e3)]
    fewer = [replace(row, measurements=row.measurements[:3], frequency_mhz=435.0) for row in rows[:4]]
    metrics = evaluate([*fewer, *rows[4:]], OPTIONS).metrics
    assert {value for name, value in values(metrics, "receivers") if name == "error_m"} == {"3", "7"}
    assert {value for name, value in values(metrics, "band") if name == "error_m"} == {"VHF", "UHF"}
    assert values(metrics, "dilution")
    assert ("error_95_m", "3") in values(metrics, "receivers", "centroid")
    assert not values(metrics, "kind")


def test_errors_and_records_without_a_truth_are_counted_and_not_scored() -> None:
    good, failed, unknown = predictions(np.array([(10.0, 0.0)] * 3), 50)
    failed = replace(failed, error="no level", fix_latitude=None, fix_longitude=None, covariance_m2=None, ellipses=())
    rows = [failed, replace(unknown, latitude=None, longitude=None), good]
    evaluation = evaluate(rows, OPTIONS)
    found = values(evaluation.metrics)
    assert [score.id for score in evaluation.scores] == ["r0/model"]
    assert [found[name, "all"] for name in ("num_records", "num_errors", "num_without_truth")] == [3, 1, 1]
    measured = measure_records(rows, OPTIONS)
    assert measured.scored.tolist() == [False, False, True]
    assert measured.values["error_m"].tolist() == pytest.approx([0, 0, 10])


def test_what_compare_resamples_is_what_evaluate_says() -> None:
    rows = predictions(drawn(200, 1000, 1), 1000)
    found, measured = values(evaluate(rows, OPTIONS).metrics), measure_records(rows, OPTIONS)
    assert measured.pooled is not None
    pooled = measured.pooled(np.ones((2, 200), np.int32))
    for name in ("error_68_m", "error_95_m"):
        assert pooled[name].tolist() == [found[name, "all"]] * 2
    for name in ("coverage_90", "ellipse_coverage_50"):
        assert measured.values[name].mean() == pytest.approx(found[name, "all"])
    assert np.isnan(measured.pooled(np.zeros((1, 200), np.int32))["error_68_m"]).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are no predictions"),
        (predictions(np.zeros((1, 2)), 50) * 2, "stands 2 times"),
        ([replace(predictions(np.zeros((1, 2)), 50)[0], error="broken")], "all 1 predictions are errors"),
        ([replace(predictions(np.zeros((1, 2)), 50)[0], latitude=None)], "no record has a true place"),
        ([replace(predictions(np.zeros((1, 2)), 50)[0], ellipses=())], "has other ellipses"),
    ],
)
def test_what_cannot_be_scored_is_refused(rows: list[Prediction], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(rows, OPTIONS)


def test_neighbours_come_from_the_training_examples_and_never_from_the_records_themselves(tmp_path: Path) -> None:
    rows = [heard(row) for row in predictions(drawn(3, 20e3, 1), 20e3)]
    training = [replace(heard_levels((45.0 + n / 50, 8.0)), id=f"train{n}") for n in range(-10, 11)]
    path = tmp_path / "training.jsonl"
    write_all(path, training)
    options = replace(OPTIONS, training=str(path), posterior_records=0)
    truths = np.array([(row.latitude, row.longitude) for row in rows], np.float64)
    assert "nearest_neighbours" in score_solvers(rows, truths, options)
    assert files(options) == {"training": str(path)}
    write_all(path, [replace(training[0], id=rows[0].id)])
    with pytest.raises(UserError, match="are in the training examples"):
        score_solvers(rows, truths, options)


def test_solvers_are_kept_between_runs_and_asked_anew_for_other_records() -> None:
    rows = [heard(row) for row in predictions(drawn(3, 20e3, 1), 20e3)]
    truths = np.array([(row.latitude, row.longitude) for row in rows], np.float64)
    first, again = (score_solvers(rows, truths, OPTIONS) for _ in range(2))
    for name, one in first.items():
        for column, other in zip(vars(one).values(), vars(again[name]).values(), strict=True):
            np.testing.assert_array_equal(column, other)
    other = score_solvers([replace(rows[0], measurements=rows[0].measurements[:4])], truths[:1], OPTIONS)
    assert len(other["centroid"].error_m) == 1


def test_the_bound_of_times_is_the_error_that_they_allow() -> None:
    """Four receivers in a square about the transmitter: sigma of a range in each direction, so sigma a coordinate."""
    from pipeline.tasks.localization import geo
    from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

    sites = geo.to_degrees([(30e3, 0.0), (-30e3, 0.0), (0.0, 30e3), (0.0, -30e3)], (45.0, 8.0))
    measurements = tuple(
        Measurement(
            receiver=f"{n}", latitude=float(a), longitude=float(b), altitude_m=0.0, arrival_ns=0.0, sigma_ns=100.0
        )
        for n, (a, b) in enumerate(sites)
    )
    rows = [
        Prediction(id=f"r{n}", model="m", measurements=measurements, altitude_m=0.0, latitude=45.0, longitude=8.0)
        for n in range(2000)
    ]
    truths = np.tile([45.0, 8.0], (2000, 1))
    bound = score_solvers(rows, truths, OPTIONS)["bound"]
    sigma_m = 100 * SPEED_M_PER_NS / np.sqrt(2)
    assert np.median(bound.error_m) == pytest.approx(1.177 * sigma_m, rel=0.05)
    assert bound.region.mean() == pytest.approx(0.5, abs=0.03)
