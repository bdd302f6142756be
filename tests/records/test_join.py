"""What compare refuses, and what it does with records that not every file answers."""

from pathlib import Path

import msgspec
import pytest

from pipeline.contract.metrics import Evaluation
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.records import join as joining
from pipeline.records.measured import Task
from pipeline.records.read import read_records, rows_at
from pipeline.run.manifest import load_manifest
from pipeline.tasks.gridworld.evaluate.score import measure_records
from pipeline.tasks.gridworld.recipe import Evaluate
from pipeline.tasks.gridworld.rows import GridworldPrediction
from tests.compare.compare_files import compare, edit, images, lives, movers, whole, with_wellbeing

ONE = ("--metric", "wellbeing", "--num-resamples", "20")
FAILED = "out of memory"


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str | Path, **files: object) -> str:
    """The error of a comparison that must not be made."""
    capsys.readouterr()
    assert compare(folder, *ONE, *arguments, **files) == 2  # type: ignore[arg-type]  # rows by label
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    return error


# which records


def test_records_that_one_file_lacks_are_refused_with_their_number_and_the_first_ten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = with_wellbeing(range(15))
    error = refused(tmp_path, capsys, old=rows, new=rows[:3])
    assert "12 in old and not in new: " in error
    assert rows[3].id in error and rows[12].id in error and rows[13].id not in error
    assert "and 2 more" in error and "--on-missing" in error


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    rows, better = with_wellbeing(range(6)), with_wellbeing([0, 1, 2, 3, 4, 9])
    assert compare(tmp_path, *ONE, old=rows, new=better[::-1]) == 0
    assert whole(tmp_path, "wellbeing").difference == pytest.approx(4 / 6)
    (mover,) = movers(tmp_path, "wellbeing")
    assert (mover.record_id, mover.line, mover.baseline_line) == (rows[5].id, 1, 6)


def test_intersect_compares_the_records_that_all_have(tmp_path: Path) -> None:
    old, new = with_wellbeing(range(6)), with_wellbeing([1, 2, 3, 4, 5, 6])
    assert compare(tmp_path, *ONE, "--on-missing", "intersect", old=old[:5], new=new[2:]) == 0
    row = whole(tmp_path, "wellbeing")
    assert (row.num_records, row.baseline_value, row.difference) == (3, 3.0, 1.0)
    notes = load_manifest(tmp_path / "out").notes["notes"]
    assert any("left out: 2 missing in new" in note for note in notes)


def test_worst_counts_a_missing_record_as_the_worst_that_there_is(tmp_path: Path) -> None:
    old, new = with_wellbeing([4, 5, 6]), with_wellbeing([4, 5, 6])
    assert compare(tmp_path, *ONE, "--on-missing", "worst", old=old, new=new[:2]) == 0
    row = whole(tmp_path, "wellbeing")
    assert (row.num_records, row.value, row.baseline_value) == (3, (4 + 5 + 4) / 3, 5.0)
    (mover,) = movers(tmp_path, "wellbeing")
    assert (mover.record_id, mover.line, mover.baseline_line) == (old[2].id, None, 3)


def test_worst_of_a_rate_is_its_bound(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(row, died=False) for row in with_wellbeing([4, 5, 6])]
    chosen = ("--metric", "survival_rate", "--on-missing", "worst")
    assert compare(tmp_path, *chosen, old=rows, new=rows[:2]) == 0
    assert whole(tmp_path, "survival_rate", "rate").value == pytest.approx(2 / 3)


def test_pooled_figures_have_no_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(tmp_path, "--on-missing", "worst", task="detection", old=images(), new=images()[:9]) == 2
    assert "intersect" in capsys.readouterr().err


def test_a_record_that_failed_in_one_file_is_refused_or_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = with_wellbeing([1, 2, 3]), with_wellbeing([2, 3, 4])
    new[1] = msgspec.structs.replace(new[1], error=FAILED)
    assert f"1 failed in new: {new[1].id}" in refused(tmp_path, capsys, old=old, new=new)
    assert compare(tmp_path, *ONE, "--on-missing", "intersect", "--force", old=old, new=new) == 0
    assert whole(tmp_path, "wellbeing").num_records == 2


def test_a_record_that_failed_everywhere_is_noted_and_left_out(tmp_path: Path) -> None:
    files = {}
    for label, values in (("old", [1, 2, 3]), ("new", [2, 3, 4])):
        rows = with_wellbeing(values)
        files[label] = [*rows[:2], msgspec.structs.replace(rows[2], error=FAILED)]
    assert compare(tmp_path, *ONE, **files) == 0
    assert whole(tmp_path, "wellbeing").num_records == 2
    assert any("failed in every file" in note for note in load_manifest(tmp_path / "out").notes["notes"])


def test_files_without_a_common_record_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = with_wellbeing(range(4))
    assert "no record" in refused(tmp_path, capsys, "--on-missing", "intersect", old=rows[:2], new=rows[2:])
    assert "they share no record: run `baton infer`" in refused(tmp_path, capsys, "--force", old=rows[:2], new=rows[2:])


# the same truth


def test_another_scenario_under_the_same_id_is_refused_with_both_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = with_wellbeing(range(4))
    other = [*rows[:2], msgspec.structs.replace(rows[2], multiplier=2.0), rows[3]]
    error = refused(tmp_path, capsys, old=rows, new=other)
    assert "1 of 4 records are not the same in old and new" in error
    assert f"{rows[2].id} (lines 3 and 3): multiplier 1.0 and 2.0" in error


def test_another_ground_truth_of_an_image_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = images()
    place = next(n for n, row in enumerate(rows) if row.gt)
    other = [*rows]
    other[place] = msgspec.structs.replace(rows[place], gt=[])
    assert compare(tmp_path, task="detection", old=rows, new=other) == 2
    assert f"{rows[place].id} (lines {place + 1} and {place + 1}): gt" in capsys.readouterr().err


def test_answers_in_other_coordinates_are_no_other_truth() -> None:
    assert "coord_mode" not in Task("detection", None).truth_fields
    assert Task("gridworld", None).truth_fields == ("level", "seed", "multiplier")


def test_a_key_that_models_disagree_about_is_no_slice(tmp_path: Path) -> None:
    """The curriculum stage is the model's, not the record's."""
    old = [msgspec.structs.replace(row, stage=n % 2) for n, row in enumerate(with_wellbeing(range(4)))]
    assert compare(tmp_path, *ONE, old=old, new=with_wellbeing(range(4))) == 0
    assert any(note.startswith("stage is not the same") for note in load_manifest(tmp_path / "out").notes["notes"])


# hostile files


def test_a_torn_file_is_refused_at_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = with_wellbeing(range(3))
    write_all(tmp_path / "torn.jsonl", rows)
    data = (tmp_path / "torn.jsonl").read_bytes()
    (tmp_path / "torn.jsonl").write_bytes(data[:-40])
    error = refused(tmp_path, capsys, tmp_path / "torn.jsonl", whole=rows)
    assert "torn" in error and "torn.jsonl:3" in error


def test_an_id_that_stands_twice_is_refused_with_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = with_wellbeing(range(3))
    error = refused(tmp_path, capsys, old=rows, new=[*rows, rows[1]])
    assert f"the id {rows[1].id!r} stands 2 times" in error and "lines 2, 4" in error


@pytest.mark.parametrize("number", ["NaN", "1e999", '"7"', "null"])
def test_a_value_that_is_no_number_is_refused_at_its_field(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = with_wellbeing([1.0, 7.25, 3.0])
    write_all(tmp_path / "bad.jsonl", rows)
    text = (tmp_path / "bad.jsonl").read_text()
    (tmp_path / "bad.jsonl").write_text(text.replace('"wellbeing":7.25', f'"wellbeing":{number}'))
    assert "bad.jsonl:2" in refused(tmp_path, capsys, tmp_path / "bad.jsonl", whole=rows)


def test_an_unknown_field_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(tmp_path / "odd.jsonl", with_wellbeing([1, 2]))
    edit(tmp_path / "odd.jsonl", 2, mood=3)
    assert "odd.jsonl:2" in refused(tmp_path, capsys, tmp_path / "odd.jsonl", whole=with_wellbeing([1, 2]))


def test_predictions_of_another_task_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "task" in refused(tmp_path, capsys, old=with_wellbeing([1]), new=images())


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no predictions" in refused(tmp_path, capsys, old=with_wellbeing([1]), new=[])
    assert "absent.jsonl" in refused(tmp_path, capsys, tmp_path / "absent.jsonl", old=with_wellbeing([1]))


def test_one_file_is_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "two files" in refused(tmp_path, capsys, only=with_wellbeing([1]))


def test_names_that_do_not_exist_are_refused_with_those_that_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"old": with_wellbeing([1, 2]), "new": with_wellbeing([1, 2])}
    assert "labels are old, new" in refused(tmp_path, capsys, "--baseline", "odl", **files)
    assert "did you mean 'wellbeing'" in refused(tmp_path, capsys, "--metric", "welbeing", "--force", **files)
    given = f"other={tmp_path / 'old.jsonl'}"
    assert "labels are old, new" in refused(tmp_path, capsys, "--train-predictions", given, "--force", **files)


def test_a_task_that_measures_nothing_says_what_is_missing() -> None:
    part = EvaluatePart(glossary=(), evaluate=lambda predictions, options: Evaluation([], []))
    with pytest.raises(UserError, match="does not say what its records measured"):
        part.measure_records([], None)


# reading in blocks


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[GridworldPrediction]]:
    """More than one block (1 MiB) of lines, the strata one after the other, a blank line and one compressed twin."""
    (row,) = lives(1)
    rows = [
        msgspec.structs.replace(row, id=f"r{n}", multiplier=1.0 + n // 1000, wellbeing=float(n % 97), stage=n % 3)
        for n in range(3000)
    ]
    path = tmp_path_factory.mktemp("long") / "long.jsonl"
    write_all(path, rows)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\n", *lines[1:]]))
    assert path.stat().st_size > 2 * 2**20
    return path, rows


def test_a_file_read_in_blocks_measures_what_it_does_as_a_whole(
    long_file: tuple[Path, list[GridworldPrediction]],
) -> None:
    path, rows = long_file
    found = read_records(Task("gridworld", Evaluate()), "x", path, ["wellbeing", "survival_rate"])
    at_once = measure_records(rows, Evaluate())
    assert found.rows is None
    assert found.measured.values.keys() == {"wellbeing", "survival_rate"}
    assert found.measured.values["wellbeing"].tolist() == at_once.values["wellbeing"].tolist()
    assert found.strata is not None and found.strata.tolist() == [n // 1000 for n in range(3000)]
    assert found.measured.strata == at_once.strata
    assert found.measured.slices == at_once.slices


def test_lines_are_those_of_the_file_blank_ones_counted(long_file: tuple[Path, list[GridworldPrediction]]) -> None:
    path, _ = long_file
    found = read_records(Task("gridworld", Evaluate()), "x", path, [])
    assert found.lines[:3].tolist() == [1, 3, 4] and found.lines[-1] == 3001
    again = rows_at(path, GridworldPrediction, [1, 3, 1700, 3001])
    assert [again[line].id for line in (1, 3, 1700, 3001)] == ["r0", "r1", "r1698", "r2999"]


def test_keys_that_name_single_records_are_no_slices(tmp_path: Path) -> None:
    rows = [
        msgspec.structs.replace(row, metadata={"name": str(n), "kind": str(n % 2)}) for n, row in enumerate(images())
    ]
    limited = ("--set", 'evaluate.slice_by=["name","kind"]', "--num-resamples", "5", "--metric", "unparsed_rate")
    assert joining.MAX_SLICES > 30 == len(rows)
    many = [
        msgspec.structs.replace(row, id=f"{k}-{row.id}", metadata={"name": f"{k}-{row.id}", "kind": str(k)})
        for k in range(2)
        for row in rows
    ]
    assert compare(tmp_path, *limited, task="detection", one=many, two=many) == 0
    notes = load_manifest(tmp_path / "out").notes["notes"]
    assert any(note.startswith("name has 60 values") for note in notes)
