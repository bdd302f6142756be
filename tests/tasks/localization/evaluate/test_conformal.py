from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.tasks.localization.evaluate.conformal import LEAST_RECORDS, calibrate
from pipeline.tasks.localization.evaluate.score import evaluate
from pipeline.tasks.localization.recipe import Evaluate
from stages.common import run_command
from stages.evaluate import app
from tests.tasks.localization.evaluate.literal import drawn, predictions

PROBABILITIES = (0.5, 0.68, 0.9, 0.95)


def test_ellipses_that_are_too_small_are_made_right(tmp_path: Path) -> None:
    """The model says 1 km, errors are of 3 km: every ellipse has to grow threefold."""
    write_all(tmp_path / "calibration.jsonl", predictions(drawn(2000, 3000, 1), 1000, "calibration"))
    options = Evaluate(conformal=str(tmp_path / "calibration.jsonl"), num_resamples=50)
    evaluation = evaluate(predictions(drawn(4000, 3000, 2), 1000), options)
    metrics = {(m.subject, m.name): m.value for m in evaluation.metrics if m.slice_by == "all"}
    for p in PROBABILITIES:
        percent = round(100 * p)
        assert metrics["conformal", f"ellipse_factor_{percent}"] == pytest.approx(3, rel=0.07)
        assert metrics["conformal", f"coverage_{percent}"] == pytest.approx(p, abs=0.03)
        assert metrics["conformal", f"ellipse_coverage_{percent}"] == pytest.approx(p, abs=0.03)
        assert metrics["model", f"ellipse_coverage_{percent}"] < p - 0.3
    assert metrics["conformal", "area_90_km2"] == pytest.approx(9 * metrics["model", "area_90_km2"], rel=0.1)
    assert metrics["conformal", "error_m"] == metrics["model", "error_m"]
    assert ("conformal", "negative_log_likelihood") not in metrics
    (remark,) = evaluation.remarks
    assert remark.startswith("Ellipses rescaled by 2,000 records of ") and "95 % x 3.04 (28.4 -> 95.7 %)" in remark


def test_a_model_that_is_sure_beyond_all_digits_is_calibrated_too(tmp_path: Path) -> None:
    """Errors of 30 standard deviations: the probability of every region is 1 but for rounding."""
    write_all(tmp_path / "calibration.jsonl", predictions(drawn(1000, 3000, 1), 100, "calibration"))
    options = Evaluate(conformal=str(tmp_path / "calibration.jsonl"), num_resamples=50)
    evaluation = evaluate(predictions(drawn(1000, 3000, 2), 100), options)
    found = {m.name: m.value for m in evaluation.metrics if (m.subject, m.slice_by) == ("conformal", "all")}
    assert found["coverage_95"] == pytest.approx(0.95, abs=0.03)
    assert found["coverage_95"] == found["ellipse_coverage_95"]


def test_ellipses_that_are_right_stay(tmp_path: Path) -> None:
    write_all(tmp_path / "calibration.jsonl", predictions(drawn(2000, 1000, 1), 1000, "calibration"))
    found = calibrate(tmp_path / "calibration.jsonl", predictions(drawn(1, 1000, 2), 1000))
    np.testing.assert_allclose(found.factors, 1, rtol=0.06)


def test_the_rank_is_that_of_split_conformal_prediction(tmp_path: Path) -> None:
    """Of 19 records the ellipse of 95 % has to hold all: k = ceil(20 * .95) = 19."""
    offsets = np.stack([np.arange(1.0, 20.0) * 1000, np.zeros(19)], axis=1)
    write_all(tmp_path / "calibration.jsonl", predictions(offsets, 1000, "calibration"))
    found = calibrate(tmp_path / "calibration.jsonl", predictions(drawn(1, 1000, 2), 1000))
    assert LEAST_RECORDS == 19
    assert found.factors[3] == pytest.approx(19 / 2.448, rel=1e-3)
    assert found.factors[0] == pytest.approx(10 / 1.177, rel=1e-3)


def test_what_cannot_calibrate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.jsonl"
    judged = predictions(drawn(30, 1000, 1), 1000)
    for rows, message in (
        (judged[:5], "5 calibration records"),
        (judged, "are among those that are judged"),
        ([replace(row, id=f"c{row.id}", model="other") for row in judged], "were answered by other"),
    ):
        write_all(path, rows)
        with pytest.raises(UserError, match=message):
            calibrate(path, judged)


def test_the_command_takes_the_file_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_CACHE", str(tmp_path / "cache"))
    write_all(tmp_path / "calibration.jsonl", predictions(drawn(100, 3000, 1), 1000, "calibration"))
    write_all(tmp_path / "predictions.jsonl", predictions(drawn(100, 3000, 2), 1000))
    arguments = ["localization", "--input", str(tmp_path / "predictions.jsonl"), "--out", str(tmp_path / "out")]
    arguments += ["--conformal", str(tmp_path / "calibration.jsonl")]
    assert run_command(app, arguments) == 0
    assert "Ellipses rescaled by 100 records" in capsys.readouterr().out
    assert "Ellipses rescaled by 100 records" in (tmp_path / "out" / "table.md").read_text()
    write_all(tmp_path / "calibration.jsonl", predictions(drawn(100, 2000, 1), 1000, "calibration"))
    assert run_command(app, arguments) == 2  # the calibration is an input like the predictions
    assert "calibration.jsonl" in capsys.readouterr().err
