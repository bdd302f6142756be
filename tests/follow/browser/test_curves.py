"""Curves of a training in few points."""

import json
from pathlib import Path

from pipeline.follow.browser.curves import MAX_POINTS, Beside, Curve, Told


def test_a_short_curve_is_every_value_and_a_long_one_means_of_neighbours() -> None:
    curve = Curve()
    for step in range(MAX_POINTS):
        curve.add(step, step)
    assert curve.points == [(step, step) for step in range(MAX_POINTS)]
    for step in range(MAX_POINTS, 100_000):
        curve.add(step, step)
    assert MAX_POINTS / 2 <= len(curve.points) <= MAX_POINTS
    width = curve.points[0][0] + 1
    assert curve.points == [((n + 1) * width - 1, n * width + (width - 1) / 2) for n in range(len(curve.points))]


def test_a_file_that_starts_over_is_another_generation(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    beside = Beside(tmp_path / "episodes.jsonl")
    assert beside.look() is None
    path.write_text('{"step":1,"loss":4.0}\n{"step":2,"loss":3.0}\nnot json\n{"loss":7}\n')
    assert beside.look() == {"progress": {"loss": [(1, 4.0), (2, 3.0)]}, "monitor": {}}
    assert (beside.look(), beside.generation) == (None, 0)
    path.write_text('{"step":1,"loss":5}\n')
    assert beside.look() == {"progress": {"loss": [(1, 5.0)]}, "monitor": {}}
    assert beside.generation == 1
    beside.close()


def test_a_file_of_another_name_has_none(tmp_path: Path) -> None:
    (tmp_path / "progress.jsonl").write_text('{"step":1,"loss":4.0}\n')
    assert Beside(tmp_path / "predictions.jsonl").look() is None


def test_what_is_new_is_behind_a_step() -> None:
    curves = {"progress": {"loss": [(1, 4.0), (2, 3.0)], "old": [(1, 0.0)]}, "monitor": {"score": [(2, 1.0)]}}
    told = Told(curves, 7)
    message, mark = told.since(None)
    whole = {"progress": {"loss": [[1, 4.0], [2, 3.0]], "old": [[1, 0.0]]}, "monitor": {"score": [[2, 1.0]]}}
    assert (json.loads(message), mark) == ({"type": "curves", "whole": True, **whole}, (7, 2, 2))
    message, mark = told.since((7, 1, 2))
    new = {"progress": {"loss": [[2, 3.0]]}, "monitor": {}}
    assert (json.loads(message), mark) == ({"type": "curves", "whole": False, **new}, (7, 2, 2))
    assert told.since(mark) == ("", mark)
    assert told.since((6, 2, 2)) == told.since(None)  # of a file that has started over since
