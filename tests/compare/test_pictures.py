"""The figures of a comparison: which there are, and what they show of single records."""

from pathlib import Path

import msgspec
import pytest

from pipeline.contract.jobs import PairDrawJob
from pipeline.contract.load import load_part
from pipeline.contract.parts import VisualizePart
from pipeline.files import read_all
from pipeline.run.manifest import load_manifest
from schemas.comparison import Mover
from schemas.rows import Figure
from tests.compare.compare_files import compare, images, lives, with_wellbeing


def figures_of(folder: Path) -> dict[str, Figure]:
    return {figure.id: figure for figure in read_all(folder / "out/figures.jsonl", Figure)}


def test_two_files_of_episodes_are_drawn_with_the_records_that_moved_them(tmp_path: Path) -> None:
    files = {"old": with_wellbeing(range(5)), "new": with_wellbeing([4, 1, 2, 3, 9], "b" * 16)}
    assert compare(tmp_path, "--num-resamples", "20", **files, figures=True) == 0
    found = figures_of(tmp_path)
    assert [*found] == ["differences", "values", "profiles", "sorted_differences", "pair_001", "pair_002"]
    assert all((tmp_path / "out" / figure.path).is_file() for figure in found.values())
    for mover in read_all(tmp_path / "out/movers.jsonl", Mover):
        assert found[mover.figure or ""].record_ids == (mover.record_id,)
    assert "old: retired" in found["pair_001"].caption or "old: died" in found["pair_001"].caption


def test_images_have_no_profiles_and_are_drawn_with_their_errors(tmp_path: Path) -> None:
    files = {"good": images(), "bad": images(worse=0.6)}
    chosen = ("--num-resamples", "10", "--metric", "recall_50", "--num-movers", "2")
    assert compare(tmp_path, *chosen, task="detection", **files, figures=True) == 0
    found = figures_of(tmp_path)
    assert [*found][:3] == ["differences", "values", "pair_001"]
    assert "good: " in found["pair_001"].caption and "not found" in found["pair_001"].caption
    assert any("no performance profiles" in note for note in load_manifest(tmp_path / "out").notes["notes"])


def test_slices_are_drawn_as_a_matrix(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(r, multiplier=1.0 + n % 2) for n, r in enumerate(with_wellbeing(range(6)))]
    chosen = ("--num-resamples", "20", "--num-movers", "0", "--metric", "wellbeing")
    assert compare(tmp_path, *chosen, one=rows, two=rows, three=rows, figures=True) == 0
    assert {"slices", "slice_differences"} <= figures_of(tmp_path).keys()


def test_labels_of_any_kind_can_be_drawn(tmp_path: Path) -> None:
    files = {"$x$ <b>|" + 40 * "long ": with_wellbeing(range(3)), "verdict": with_wellbeing([5, 6, 9])}
    chosen = ("--num-resamples", "20", "--metric", "wellbeing", "--num-movers", "1")
    assert compare(tmp_path, *chosen, **files, figures=True) == 0
    assert "$x$ &lt;b&gt;|" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize("task", ["gridworld", "detection"])
def test_a_record_is_drawn_once_with_all_models(task: str, tmp_path: Path) -> None:
    rows = [*lives(2, 1)] if task == "gridworld" else images()[:2]
    renamed = [msgspec.structs.replace(row, model="z" * 16) for row in rows]
    notes: list[str] = []
    records = [{"one": row, "two": other} for row, other in zip(rows, renamed, strict=True)]
    part = load_part(task, VisualizePart)
    found = list(part.draw_pair(PairDrawJob(records=records, folder=tmp_path, note=notes.append)))
    assert [figure.record_ids for figure in found] == [(row.id,) for row in rows]
    assert len({figure.path for figure in found}) == 2
    assert notes  # half of the episodes have no trace, none of the images is there


@pytest.mark.parametrize("task", ["gridworld", "detection"])
def test_a_model_that_failed_on_a_record_is_left_out_or_told(task: str, tmp_path: Path) -> None:
    row = lives(1)[0] if task == "gridworld" else images()[0]
    failed = msgspec.structs.replace(row, error="it failed")
    part = load_part(task, VisualizePart)
    found = list(part.draw_pair(PairDrawJob(records=[{"whole": row, "failed": failed}], folder=tmp_path)))
    assert len(found) == 1
