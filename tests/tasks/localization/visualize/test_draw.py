"""What visualize draws of predictions, what it leaves out and says so, and the file for maps beside it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.contract.jobs import DrawJob
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.tasks.localization.recipe import Evaluate, Visualize
from pipeline.tasks.localization.rows import Monitor, Prediction, Progress
from pipeline.tasks.localization.visualize.curves import length
from pipeline.tasks.localization.visualize.draw import draw
from pipeline.tasks.localization.visualize.judged import judge
from schemas.rows import Figure
from tests.conftest import Baton
from tests.tasks.localization.visualize.drawing import row, rows, two_branches

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
