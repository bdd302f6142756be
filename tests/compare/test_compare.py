"""The compare command on files whose answer can be worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.files import read_all, write_all
from pipeline.run.manifest import load_manifest
from pipeline.tasks.detection.evaluate.score import evaluate as evaluate_detection
from pipeline.tasks.detection.recipe import Evaluate
from schemas.comparison import Comparison
from tests.compare.compare_files import FILES, compare, comparisons, images, lives, movers, whole, with_wellbeing
from tests.conftest import ROOT

OLD, NEW = (10.0, 20.0, 30.0, 40.0), (12.0, 19.0, 33.0, 46.0)
SHIFTS = {"a": 0, "b": 2, "c": 5}
ONE_METRIC = ("--metric", "wellbeing:mean", "--num-resamples", "200")


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """Differences +2, -1, +3, +6."""
    assert compare(tmp_path, *ONE_METRIC, old=with_wellbeing(OLD), new=with_wellbeing(NEW, "b" * 16)) == 0
    return tmp_path


def test_a_mean_is_compared_as_by_hand(by_hand: Path) -> None:
    row = whole(by_hand, "wellbeing")
    assert (row.label, row.baseline, row.value, row.baseline_value, row.difference) == ("new", "old", 27.5, 25.0, 2.5)
    assert row.p_value == 4 / 16  # of the 16 patterns of signs, 2 give a sum of 10 or more and 2 one of -10 or less
    assert row.effect_size == pytest.approx(2.5 / (25 / 3) ** 0.5)
    assert (row.num_better, row.num_worse, row.num_equal, row.win_rate) == (3, 1, 0, 0.75)
    assert row.probability_of_improvement == 9 / 16
    low, high = row.probability_of_improvement_low, row.probability_of_improvement_high
    assert low is not None and high is not None
    assert 0.0 < low < 9 / 16 < high < 1.0
    assert row.low is not None and row.high is not None
    assert -1.0 <= row.low < 2.5 < row.high <= 6.0
    assert (row.verdict, row.p_adjusted, row.num_in_family) == ("no_difference_shown", 0.25, 1)


def test_the_records_that_moved_it_come_in_order_with_their_lines(by_hand: Path) -> None:
    found = movers(by_hand, "wellbeing")
    assert [(m.place, m.change, m.baseline_value, m.value, m.line) for m in found] == [
        (1, 6 / 4, 40.0, 46.0, 4),
        (2, 3 / 4, 30.0, 33.0, 3),
        (3, 2 / 4, 10.0, 12.0, 1),
        (4, -1 / 4, 20.0, 19.0, 2),
    ]
    for mover in found:
        line = (by_hand / "new.jsonl").read_text().splitlines()[(mover.line or 0) - 1]
        assert (json.loads(line)["id"], json.loads(line)["wellbeing"]) == (mover.record_id, mover.value)


def test_the_folder_holds_rows_table_figures_report_and_manifest(by_hand: Path) -> None:
    out = by_hand / "out"
    manifest = load_manifest(out)
    assert manifest.status == "ok"
    assert {*FILES} <= {record.path for record in manifest.outputs.values()}
    assert manifest.counts["num_records"] == 4
    assert manifest.inputs.keys() == {"old", "new"}
    assert "| wellbeing, mean | 25" in (out / "table.md").read_text()
    page = (out / "report.html").read_text()
    assert "new against old" in page and "no difference shown" in page


def test_identical_files_differ_by_exactly_nothing(tmp_path: Path) -> None:
    rows = with_wellbeing(range(20, 0, -1))
    assert compare(tmp_path, "--num-resamples", "50", one=rows, other=rows) == 0
    for row in comparisons(tmp_path).values():
        assert (row.difference, row.low, row.high, row.p_value, row.p_adjusted) == (0.0, 0.0, 0.0, 1.0, 1.0)
        assert (row.verdict, row.effect_size, row.win_rate) == ("equal", None, 0.5)
    assert read_all(tmp_path / "out/movers.jsonl", dict) == []
    assert any("same model" in note for note in load_manifest(tmp_path / "out").notes["notes"])


def test_identical_images_differ_by_exactly_nothing(tmp_path: Path) -> None:
    assert compare(tmp_path, "--num-resamples", "20", task="detection", one=images(), other=images()) == 0
    for row in comparisons(tmp_path).values():
        assert (row.difference, row.low, row.high, row.p_value, row.verdict) == (0.0, 0.0, 0.0, 1.0, "equal")


@pytest.mark.parametrize(("sign", "verdict", "won"), [(1.0, "better", 1.0), (-1.0, "worse", 0.0)])
def test_a_difference_on_every_record_is_a_verdict(tmp_path: Path, sign: float, verdict: str, won: float) -> None:
    values = range(10, 22)
    other = with_wellbeing([v + sign * (2 + v % 3) for v in values])
    assert compare(tmp_path, *ONE_METRIC, old=with_wellbeing(values), new=other) == 0
    row = whole(tmp_path, "wellbeing")
    assert (row.p_value, row.verdict, row.win_rate) == (2 / 2**12, verdict, won)


def test_less_of_what_should_be_low_is_better(tmp_path: Path) -> None:
    rows = images()
    repeated = [msgspec.structs.replace(row, preds=[*row.preds, *row.preds]) for row in rows]
    chosen = ("--metric", "duplicate_rate", "--num-resamples", "20")
    assert compare(tmp_path, *chosen, task="detection", old=repeated, new=rows) == 0
    row = whole(tmp_path, "duplicate_rate", "pooled")
    assert row.difference < 0.0 and (row.better, row.verdict) == ("lower", "better")


def test_of_what_should_be_low_the_lower_one_is_likely_the_better(tmp_path: Path) -> None:
    rows = lives(8)

    def deaths(num: int) -> list[object]:
        return [
            msgspec.structs.replace(row, died=n < num, cause="energy" if n < num else None)
            for n, row in enumerate(rows)
        ]

    assert compare(tmp_path, "--metric", "death_by_energy", "--num-resamples", "200", old=deaths(6), new=deaths(2)) == 0
    row = whole(tmp_path, "death_by_energy", "rate")
    low, high = row.probability_of_improvement_low, row.probability_of_improvement_high
    assert (row.better, row.probability_of_improvement) == ("lower", 0.5 + (6 / 8 - 2 / 8) / 2)
    assert low is not None and high is not None and 0.5 < low < 0.75 < high < 1.0


def test_average_precision_differs_as_evaluate_says(tmp_path: Path) -> None:
    files = {"good": images(), "bad": images(worse=0.6)}
    assert compare(tmp_path, "--num-resamples", "50", task="detection", **files) == 0
    row = whole(tmp_path, "average_precision", "pooled")
    alone = {
        label: next(
            m.value
            for m in evaluate_detection(rows, Evaluate(num_resamples=1)).metrics
            if (m.name, m.slice_by) == ("average_precision", "all")
        )
        for label, rows in files.items()
    }
    assert row.value == pytest.approx(alone["bad"], abs=1e-12)
    assert row.difference == pytest.approx(alone["bad"] - alone["good"], abs=1e-12)
    assert row.low is not None and row.high is not None and row.low < row.difference < row.high < 0.0
    assert (row.verdict, row.num_better, row.effect_size) == ("worse", None, None)


def test_a_pooled_mover_is_the_change_when_one_answer_is_swapped(tmp_path: Path) -> None:
    good, bad = images(), images(worse=0.6)
    assert compare(tmp_path, "--num-resamples", "10", task="detection", good=good, bad=bad) == 0

    def precision(rows: list[object]) -> float:
        found = evaluate_detection(rows, Evaluate(num_resamples=1)).metrics  # type: ignore[arg-type]  # of one type
        return next(m.value for m in found if (m.name, m.slice_by) == ("average_precision", "all"))

    found = movers(tmp_path, "average_precision")
    assert len(found) > 3
    assert [abs(m.change) for m in found] == sorted((abs(m.change) for m in found), reverse=True)
    for mover in found[:3]:
        mixed = [g if g.id == mover.record_id else b for g, b in zip(good, bad, strict=True)]
        mixed = [msgspec.structs.replace(row, model="m") for row in mixed]
        assert mover.change == pytest.approx(precision([*bad]) - precision([*mixed]), abs=1e-12)


def test_slices_are_compared_each_by_itself(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(r, multiplier=1.0 + n % 2) for n, r in enumerate(with_wellbeing(range(12)))]
    better = [msgspec.structs.replace(r, wellbeing=r.wellbeing + (4.0 if r.multiplier == 2.0 else 0.0)) for r in rows]
    assert compare(tmp_path, *ONE_METRIC, old=rows, new=better) == 0
    found = comparisons(tmp_path)
    ones, twos = (found["new", "old", "wellbeing", "mean", "multiplier", value] for value in "12")
    assert (ones.difference, ones.verdict, ones.num_records) == (0.0, "equal", 6)
    assert (twos.difference, twos.p_value) == (4.0, 2 / 2**6)
    assert (twos.low, twos.high) == (pytest.approx(4.0), pytest.approx(4.0))
    assert twos.num_in_family == 2 and twos.p_adjusted == 2 * 2 / 2**6


def test_all_pairs_are_one_family(tmp_path: Path) -> None:
    files = {
        label: with_wellbeing([v + shift for v in range(6)]) for label, shift in zip("abc", (0, 2, 5), strict=True)
    }
    assert compare(tmp_path, "--all-pairs", *ONE_METRIC, **files) == 0
    found = comparisons(tmp_path)
    assert [key[:2] for key in found] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert {row.p_value for row in found.values()} == {2 / 2**6}
    assert {row.p_adjusted for row in found.values()} == {3 * 2 / 2**6}


def test_the_baseline_is_the_first_unless_named(tmp_path: Path) -> None:
    files = {
        label: with_wellbeing([v + shift for v in range(4)]) for label, shift in zip("abc", (0, 2, 5), strict=True)
    }
    assert compare(tmp_path, "--baseline", "b", *ONE_METRIC, **files) == 0
    assert [(key[:2], row.difference) for key, row in comparisons(tmp_path).items()] == [
        (("a", "b"), -2.0),
        (("c", "b"), 3.0),
    ]


def test_forgetting_is_the_last_file_against_the_best_earlier_one(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(r, multiplier=1.0 + n % 2) for n, r in enumerate(with_wellbeing([9.0] * 20))]

    def file(one: float, two: float) -> list[object]:
        return [msgspec.structs.replace(r, wellbeing=one if r.multiplier == 1.0 else two) for r in rows]

    files = {"first": file(5, 8), "second": file(7, 3), "third": file(9, 6)}
    assert compare(tmp_path, *ONE_METRIC, "--num-movers", "0", **files, figures=True) == 0
    found = [r for r in read_all(tmp_path / "out/comparisons.jsonl", Comparison) if r.kind == "forgetting"]
    assert [(r.slice_value, r.label, r.baseline, r.difference, r.verdict) for r in found] == [
        ("1", "third", "second", 2.0, "better"),
        ("2", "third", "first", -2.0, "worse"),
    ]
    assert "forgotten" in (tmp_path / "out/report.html").read_text()


def test_overfitting_is_held_out_less_learned(tmp_path: Path) -> None:
    write_all(tmp_path / "learned.jsonl", with_wellbeing([50.0, 52.0, 54.0, 56.0, 58.0]))
    files = {"a": with_wellbeing(OLD), "b": with_wellbeing(NEW)}
    given = ("--train-predictions", f"b={tmp_path / 'learned.jsonl'}")
    assert compare(tmp_path, *ONE_METRIC, *given, **files) == 0
    (gap,) = (r for r in read_all(tmp_path / "out/comparisons.jsonl", Comparison) if r.kind == "train_gap")
    assert (gap.label, gap.value, gap.baseline_value, gap.difference) == ("b", 27.5, 54.0, -26.5)
    assert gap.low is not None and gap.high is not None and gap.low < -26.5 < gap.high < 0.0
    assert (gap.verdict, gap.p_value) == ("worse", None)
    assert "learned by b" in load_manifest(tmp_path / "out").inputs


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    files = {"old": lives(8), "new": with_wellbeing(range(8), "b" * 16)}
    for name in ("one", "two"):
        chosen = ("--num-resamples", "50", "--num-movers", "1")
        assert compare(tmp_path, *chosen, "--out", tmp_path / name, **files, figures=True) == 0
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in ("one", "two"))
    assert {name for name in one if one[name] != two[name]} <= {"manifest.json", ".lock"}
    assert {*FILES} <= one.keys() == two.keys()


def test_another_seed_draws_other_resamples(tmp_path: Path) -> None:
    lows = []
    for seed in ("1", "2"):
        compare(tmp_path, *ONE_METRIC, "--seed", seed, "--force", old=with_wellbeing(OLD), new=with_wellbeing(NEW))
        lows.append(whole(tmp_path, "wellbeing").low)
    assert load_manifest(tmp_path / "out").config["compare"]["settings"]["seed"] == 2
    assert lows[0] != lows[1]


def test_a_second_run_does_nothing_and_another_question_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"old": with_wellbeing(OLD), "new": with_wellbeing(NEW)}
    assert compare(tmp_path, *ONE_METRIC, **files) == 0
    first, before = capsys.readouterr().out, (tmp_path / "out/comparisons.jsonl").stat().st_mtime_ns
    assert compare(tmp_path, *ONE_METRIC, **files) == 0
    assert capsys.readouterr().out == first.replace("compare: done", "compare: up to date")
    assert (tmp_path / "out/comparisons.jsonl").stat().st_mtime_ns == before
    assert compare(tmp_path, "--metric", "survival_rate", **files) == 2
    assert "compare.metrics" in capsys.readouterr().err


def test_the_terminal_shows_differences_verdicts_and_movers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(tmp_path, *ONE_METRIC, old=with_wellbeing(OLD), new=with_wellbeing(NEW))
    shown = capsys.readouterr().out
    assert "new against old, 4 records" in shown
    assert "+2.5" in shown and "no difference shown" in shown
    assert "what moved wellbeing, mean most" in shown
    assert "permutation test" in shown
    assert "P(better)" in shown and "56 % [" in shown
    assert max(map(len, shown.replace(str(tmp_path), "").splitlines())) <= 120


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_no_line_of_a_table_is_wider_than_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    labels = [f"curriculum-with-random-starts-seed{seed}-step-00120000" for seed in (0, 1)]
    compare(
        tmp_path, "--num-resamples", "20", **dict(zip(labels, (lives(6), with_wellbeing(NEW + OLD[:2])), strict=True))
    )
    shown = capsys.readouterr().out
    legend, tables = shown[shown.index("\n") + 1 : shown.index("[low, high]")].split("\n\n", 1)
    short = [line.partition(": ")[0] for line in legend.splitlines()]
    assert [line.partition(": ")[2] for line in legend.splitlines()] == labels
    assert len({*short}) == 2
    assert all(name in tables and len(name) <= columns // 8 for name in short)
    assert max(map(len, tables.splitlines())) <= columns
    assert tables.count("P(better)") == 1  # no column is left out
    assert labels[0] in (tmp_path / "out/table.md").read_text()


def test_json_holds_the_rows_over_all_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(tmp_path, *ONE_METRIC, "--json", old=with_wellbeing(OLD), new=with_wellbeing(NEW))
    (row,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (row["name"], row["difference"], row["verdict"]) == ("wellbeing", 2.5, "no_difference_shown")


def test_without_a_recipe_or_out_the_folder_is_named_after_the_files(tmp_path: Path) -> None:
    write_all(tmp_path / "a.jsonl", with_wellbeing(OLD))
    write_all(tmp_path / "b.jsonl", with_wellbeing(NEW))
    command = [
        "compare",
        "gridworld",
        "a.jsonl",
        "b.jsonl",
        "--runs-dir",
        str(tmp_path / "runs"),
        *ONE_METRIC,
        "--no-figures",
    ]
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'safetensors', 'onnx')));"
        f"sys.path.insert(0, {str(ROOT)!r});"
        f"from stages.__main__ import dispatch; sys.exit(dispatch({command!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/gridworld/a-vs-b/compare/report.html").is_file()
