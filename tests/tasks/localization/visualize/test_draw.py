"""What visualize draws of predictions, what it leaves out and says so, and the file for maps beside it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.tools.iq_signals import Signal, receive, transmit
from pipeline.contract.jobs import DrawJob
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.tasks.localization.recipe import Evaluate, Visualize
from pipeline.tasks.localization.rows import Example, Measurement, Monitor, Prediction, Progress
from pipeline.tasks.localization.signal.recording import with_measurements
from pipeline.tasks.localization.visualize.curves import length
from pipeline.tasks.localization.visualize.draw import draw, hash_shown
from pipeline.tasks.localization.visualize.judged import judge
from pipeline.tasks.localization.visualize.waterfall import spectrogram
from schemas.rows import Figure
from tests.conftest import Baton
from tests.tasks.localization.signal.recordings import write_numbers, write_recording
from tests.tasks.localization.visualize.drawing import measurements, row, rows, two_branches

FAILED: dict[str, Any] = {"error": "x", "covariance_m2": None, "ellipses": (), "fix_latitude": None}
CHEAP = Evaluate(posterior_records=0)


def drawn(folder: Path, predictions: dict[str, Sequence[Prediction]], **job: Any) -> tuple[list[Figure], list[str]]:
    notes: list[str] = []
    asked = DrawJob(predictions, folder, note=notes.append, score_options=CHEAP, **job)
    return list(draw(asked)), notes


def test_every_figure_is_there_and_the_records_come_farthest_off_first(tmp_path: Path) -> None:
    kept: dict[str, Path] = {}
    made = [*rows(20), two_branches("two"), row("far", (45.0, 7.5), (45.0, 7.9)), row("gone", None, (0, 0), **FAILED)]
    found, notes = drawn(tmp_path, {"a": made}, options=Visualize(num_records=2), keep=kept.__setitem__)
    assert [one.id for one in found] == ["errors", "calibration", "groups", "map", "record_001", "record_002"]
    assert [one.record_ids for one in found[-2:]] == [("far",), ("two",)]
    facts: dict[str, Any] = dict(found[-2].facts)
    assert (facts["kind"], facts["receivers"], facts["error m"]) == ("clean", 3, pytest.approx(31_540, abs=20))
    assert "centroid m" in found[-2].facts and "of 2 Gaussians" in found[-1].caption
    assert all(Image.open(tmp_path / one.path).width == 1500 for one in found)
    assert any("2 of 22 records have a map" in note for note in notes)
    features = json.loads(kept["map"].read_text())["features"]
    assert [one["properties"]["role"] for one in features].count("fix") == 22


def test_without_a_truth_there_is_a_map_and_it_is_said(tmp_path: Path) -> None:
    found, notes = drawn(tmp_path, {"a": [row("b", None, (45.0, 7.7))]})
    assert [one.id for one in found] == ["map"]
    assert notes == ["No record says where its transmitter was: errors and calibration are left out."]
    with pytest.raises(UserError, match="all 1 predictions are errors"):
        drawn(tmp_path, {"a": [row("gone", None, (0, 0), **FAILED)]})


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        drawn(tmp_path / name, {"x": rows(8), "y": rows(8, seed=1)}, options=Visualize(num_records=1))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 5
    assert all((tmp_path / "a" / one).read_bytes() == (tmp_path / "b" / one).read_bytes() for one in files)


@pytest.mark.parametrize("centre", [(-16.8, 179.95), (89.5, 0.0)])
def test_maps_may_lie_across_the_antimeridian_and_about_a_pole(tmp_path: Path, centre: tuple[float, float]) -> None:
    made = [row(f"r{n}", (centre[0], centre[1]), (centre[0], -179.95 + n / 100), measurements=()) for n in range(3)]
    found, _ = drawn(tmp_path, {"a": made}, options=Visualize(num_records=1))
    assert [one.id for one in found][-2:] == ["map", "record_001"]
    assert judge(made, CHEAP).worst()[0].error_m < 200_000


def test_a_recording_is_shown_and_a_missing_one_is_told(tmp_path: Path) -> None:
    tone = np.exp(2j * np.pi * 0.25 * np.arange(2000)) * 0.5
    write_recording(tmp_path / "rec.sigmf-meta", np.array([tone, tone, tone]), {})
    with_it = row("a", (45.0, 7.7), (45.0, 7.71), recording="rec.sigmf-meta")
    without = row("a", (45.0, 7.7), (45.0, 7.71))
    heights = []
    for one in (with_it, without):
        found, notes = drawn(tmp_path / "out", {"a": [one]}, image_root=tmp_path)
        heights.append(Image.open(tmp_path / "out" / found[-1].path).height)
        assert notes == [] and ("Below: the power" in found[-1].caption) == (one is with_it)
    assert heights[0] > heights[1]
    before = hash_shown([with_it], tmp_path)
    (tmp_path / "rec.sigmf-data").unlink()
    assert hash_shown([with_it], tmp_path) != before
    _, notes = drawn(tmp_path / "out", {"a": [with_it]}, image_root=tmp_path)
    assert "is not shown: cannot read the samples" in notes[0]


@pytest.mark.parametrize(("third_snr_db", "is_shown"), [(20.0, True), (-60.0, False)])
def test_numbers_alone_are_shown_where_every_receiver_heard(
    tmp_path: Path, third_snr_db: float, is_shown: bool
) -> None:
    chance = np.random.default_rng(0)
    heard = receive(transmit(Signal("qpsk", 0.004, 1e5), chance), [0.0, 3e-5, 0.0], [30, 20, third_snr_db], chance)
    write_numbers(tmp_path / "rec.cf32", heard / 200, "<f4")
    receivers = tuple(Measurement(receiver=one.receiver) for one in measurements(3))
    said = with_measurements(Example(id="a", measurements=receivers, recording="rec.cf32"), tmp_path)
    one = row("a", (45.0, 7.7), (45.0, 7.71), recording="rec.cf32", measurements=said.measurements)
    found, notes = drawn(tmp_path / "out", {"a": [one]}, image_root=tmp_path)
    assert ("Below" in found[-1].caption) == is_shown
    assert any("they are not 2" in note for note in notes) != is_shown


def test_a_waterfall_has_the_power_where_the_tone_is() -> None:
    found = spectrogram(np.exp(2j * np.pi * 0.25 * np.arange(640)), 64)
    assert found.shape == (19, 64) and (found.argmax(axis=1) == 48).all()


def test_the_course_of_a_training_is_drawn(tmp_path: Path) -> None:
    progress = [Progress(id=f"s{n}", step=n, loss=5.0 - n) for n in range(4)]
    facts: dict[str, Any] = {"checkpoint": "c", "selected_by": 1.0, "median_error_m": 9.0}
    write_all(tmp_path / "train/progress.jsonl", progress)
    write_all(tmp_path / "train/monitor.jsonl", [Monitor(id="m", step=3, negative_log_likelihood=2.0, **facts)])
    found, _ = drawn(tmp_path / "out", {"a": rows(3)}, train_folder=tmp_path / "train")
    assert found[-1].id == "training"


def test_the_stage_writes_the_map_beside_its_report(baton: Baton, tmp_path: Path) -> None:
    write_all(tmp_path / "predictions.jsonl", rows(6))
    asked = ("visualize", "localization", "--input", str(tmp_path / "predictions.jsonl"))
    done = baton(*asked, "--out", str(tmp_path / "out"), "--set", "visualize.num_records=1")
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["outputs"]["map"]["path"] == "map.geojson"
    assert "map.geojson beside this page" in (tmp_path / "out/report.html").read_text()


def test_lengths_have_three_digits() -> None:
    assert [length(one) for one in (0.0123, 50.4, 999.6, 31546.0, 2.5e6)] == [
        "0.0123 m", "50.4 m", "1 km", "31.5 km", "2,500 km",
    ]  # fmt: skip
