"""Several trainings of one recipe as one subject: the difference of recipes, with trainings as what is repeated."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.files import read_all, write_all
from pipeline.records.inputs import label_groups
from pipeline.run.manifest import load_manifest
from schemas.comparison import Comparison, Mover
from stages.common import run_command
from stages.compare import app
from tests.compare.compare_files import FILES, images, with_wellbeing


def wellbeing(shifts: list[float], num: int = 60) -> np.ndarray:
    """Scores [S, num] of trainings that differ by ``shifts`` on the same records."""
    records = np.random.default_rng(0).normal(100.0, 20.0, num)
    return records + np.array(shifts)[:, None]


def compare(folder: Path, *arguments: str, figures: bool = False, **groups: list[float]) -> int:
    """A file for each training; the output is in ``folder / "out"``."""
    texts = []
    for label, shifts in groups.items():
        paths = [folder / f"{label}{number}.jsonl" for number in range(len(shifts))]
        for number, (path, values) in enumerate(zip(paths, wellbeing(shifts), strict=True)):
            write_all(path, with_wellbeing(list(values), model=f"{label}{number}".ljust(16, "0")))
        texts.append(f"{label}={','.join(map(str, paths))}")
    chosen = ["--metric", "wellbeing:mean", *arguments, "--out", str(folder / "out")]
    return run_command(app, ["gridworld", *texts, *chosen, *([] if figures else ["--no-figures"])])


def the_row(folder: Path) -> Comparison:
    (row,) = (r for r in read_all(folder / "out/comparisons.jsonl", Comparison) if r.slice_by == "all")
    return row


def notes(folder: Path) -> str:
    return " ".join(load_manifest(folder / "out").notes["notes"])


def test_the_interval_of_two_groups_is_that_of_students_t_over_trainings(tmp_path: Path) -> None:
    """Records are equally hard for all, so that all that scatters are the trainings: 0, 3, 6 and 10, 14, 18."""
    assert compare(tmp_path, old=[0.0, 3.0, 6.0], new=[10.0, 14.0, 18.0]) == 0
    row = the_row(tmp_path)
    assert (row.difference, row.num_trainings, row.baseline_num_trainings) == (pytest.approx(11.0), 3, 3)
    assert row.low is not None and row.high is not None
    # variances 9 and 16 of 3 each: 3.75 degrees of freedom, of which Student's t reaches 2.85 standard errors
    assert (row.high - row.low) / 2.0 == pytest.approx(2.85 * (9 / 3 + 16 / 3) ** 0.5, rel=0.1)


def test_trainings_that_scatter_more_than_they_differ_show_nothing_however_many_records(tmp_path: Path) -> None:
    assert compare(tmp_path, old=[0.0, 10.0, 20.0], new=[9.0, 19.0, 29.0]) == 0
    assert the_row(tmp_path).verdict == "no_difference_shown"


def test_trainings_that_agree_show_the_difference_of_the_recipes(tmp_path: Path) -> None:
    assert compare(tmp_path, old=[0.0, 0.1, 0.2, 0.1], new=[9.0, 9.1, 9.0, 9.2]) == 0
    assert the_row(tmp_path).verdict == "better"
    assert "4 trainings against 4" in notes(tmp_path) and "no p below" not in notes(tmp_path)


def test_it_says_in_words_what_few_trainings_can_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(tmp_path, old=[0.0], new=[9.0, 9.5, 9.2]) == 0
    assert "new against old: 3 trainings against 1." in notes(tmp_path)
    assert "old is one training: what is shown holds for that model" in notes(tmp_path)
    assert compare(tmp_path, "--force", old=[0.0, 0.4, 0.2], new=[9.0, 9.5, 9.2]) == 0
    assert "no p below 0.1" in notes(tmp_path)  # of 20 ways to exchange them, 2 are as extreme
    text = capsys.readouterr().out
    assert "new against old, 60 records, 3 trainings against 3" in " ".join(text.split())
    assert "another training of the recipe of old and new" in " ".join(text.split())


def test_a_record_moves_the_difference_by_its_mean_over_the_trainings(tmp_path: Path) -> None:
    assert compare(tmp_path, old=[0.0, 2.0], new=[6.0, 10.0]) == 0
    first = read_all(tmp_path / "out/movers.jsonl", Mover)[0]
    assert (first.change, first.line, first.baseline_line) == (pytest.approx(7.0 / 60), None, None)


def test_one_model_twice_is_no_second_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(tmp_path / "a.jsonl", with_wellbeing([1.0, 2.0]))
    write_all(tmp_path / "b.jsonl", with_wellbeing([1.0, 3.0], "b" * 16))
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    assert run_command(app, ["gridworld", f"x={a},{a}", f"y={b}", "--out", str(tmp_path / "out")]) == 2
    assert "they are not two trainings" in capsys.readouterr().err


def test_figures_over_all_records_are_compared_by_group_too(tmp_path: Path) -> None:
    for name, worse in (("a", 0.0), ("b", 0.1), ("c", 0.4), ("d", 0.5)):
        rows = [msgspec.structs.replace(row, model=name * 16) for row in images(worse=worse)]
        write_all(tmp_path / f"{name}.jsonl", rows)
    a, b, c, d = (tmp_path / f"{name}.jsonl" for name in "abcd")
    arguments = ["--num-resamples", "50", "--no-figures", "--out", str(tmp_path / "out")]
    assert run_command(app, ["detection", f"many={a},{b}", f"few={c},{d}", *arguments]) == 0
    row = next(r for r in read_all(tmp_path / "out/comparisons.jsonl", Comparison) if r.statistic == "pooled")
    assert row.difference < 0 and row.num_trainings == 2


def test_groups_are_drawn_and_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        assert compare(tmp_path, "--force", figures=True, old=[0.0, 3.0, 6.0], new=[10.0, 14.0, 18.0]) == 0
        found.append([(tmp_path / "out" / name).read_bytes() for name in FILES])
    assert found[0] == found[1]
    assert "differences" in (tmp_path / "out/figures.jsonl").read_text()


def test_files_of_a_group_have_labels_of_their_own(tmp_path: Path) -> None:
    odd = tmp_path / "with,comma.jsonl"
    odd.touch()
    assert label_groups(["a=x.jsonl,y.jsonl", f"b={odd}"]) == {
        "a": {"a/1": Path("x.jsonl"), "a/2": Path("y.jsonl")},
        "b": {"b": odd},
    }
