"""The gate as a command: what it compares, what it says, and what it refuses."""

import json
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.files import read_all
from pipeline.tasks.detection.rows import PredictedObject
from schemas.gate import Verdict
from tests.conftest import ROOT
from tests.gate.gate_parts import ANOTHER_SEED, EARLY, Gate, load, save, with_wellbeing
from tests.tasks.detection.evaluate.coco_oracle import Kind, generate

WELLBEING = "all/wellbeing/mean/change"


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Gate:
    return Gate(capsys)


def write_gate(path: Path, **keys: Any) -> Path:
    """A gate of gridworld; JSON is YAML."""
    plain = {"schema": "gate_v1", "task": "gridworld", "name": path.stem} | keys
    path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in plain.items()))
    return path


# what passes and what fails


def test_the_same_predictions_pass(gate: Gate) -> None:
    done = gate("--input", ANOTHER_SEED, "--baseline", ANOTHER_SEED)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "PASS gridworld/gate: all 4 checks hold"


def test_a_worse_model_fails_and_the_first_line_says_why(gate: Gate) -> None:
    done = gate("--input", EARLY, "--baseline", ANOTHER_SEED)
    assert done.code == 1
    first, _, heads, *_ = done.out.splitlines()
    assert first.startswith("FAIL gridworld/gate: 3 of 4 checks fail: survived_steps/mean -198 [")
    assert "], 0 allowed; survival_rate -1.0 [" in first
    assert heads.split() == ["metric", "baseline", "now", "change", "allowed", "verdict"]
    assert "\x1b" not in done.out


def test_the_order_of_the_records_does_not_matter(gate: Gate, tmp_path: Path) -> None:
    turned = save(tmp_path / "turned.jsonl", load(EARLY)[::-1])
    straight = gate.verdicts("--input", EARLY, "--baseline", ANOTHER_SEED)
    assert gate.verdicts("--input", turned, "--baseline", ANOTHER_SEED) == straight


def test_pairs_see_what_metrics_cannot(gate: Gate, tmp_path: Path) -> None:
    """Every record lost 1 or 2 of 450: sure, and far below what scenarios differ by."""
    worse = save(tmp_path / "worse.jsonl", with_wellbeing(load(), lambda n, value: value - 1 - n % 2))
    assert gate("--input", worse, "--baseline", ANOTHER_SEED).code == 1
    for name, path in (("old", ANOTHER_SEED), ("new", worse)):
        dispatch_evaluate(path, tmp_path / name)
    done = gate("--input", tmp_path / "new/metrics.jsonl", "--baseline", tmp_path / "old/metrics.jsonl")
    assert done.code == 0
    assert "cannot tell" in done.out and "NOT PAIRED" in done.out


def dispatch_evaluate(path: Path, folder: Path) -> None:
    from stages.__main__ import dispatch

    settings = ["--set", "evaluate.num_resamples=200"]
    assert dispatch(["evaluate", "gridworld", "--input", str(path), "--out", str(folder), *settings]) == 0


def test_metrics_that_fell_far_fail_and_name_their_lines(gate: Gate, tmp_path: Path) -> None:
    for name, path in (("old", ANOTHER_SEED), ("new", EARLY)):
        dispatch_evaluate(path, tmp_path / name)
    new, old = tmp_path / "new/metrics.jsonl", tmp_path / "old/metrics.jsonl"
    found = gate.verdicts("--input", new, "--baseline", old)
    assert found[WELLBEING]["outcome"] == "fails" and not found[WELLBEING]["paired"]
    baseline = tmp_path / "b.json"
    assert gate("--input", old, "--baseline", baseline, "--update").code == 0
    assert gate("--input", new, "--baseline", baseline).code == 1
    assert gate("--input", old, "--baseline", baseline).code == 0


def test_tolerances_and_minimum_effects_come_by_flag_absolute_or_as_a_share(gate: Gate, tmp_path: Path) -> None:
    worse = save(tmp_path / "worse.jsonl", with_wellbeing(load(), lambda n, value: value - 8 - n % 2))
    given = ("--input", worse, "--baseline", ANOTHER_SEED)
    assert gate.verdicts(*given)[WELLBEING]["outcome"] == "fails"
    found = gate.verdicts(*given, "--tolerance", "wellbeing=2 %")[WELLBEING]
    assert found["outcome"] == "passes" and found["tolerance"] == pytest.approx(0.02 * found["baseline"])
    assert gate.verdicts(*given, "--tolerance", "wellbeing=8.2")[WELLBEING]["outcome"] == "fails"
    assert gate.verdicts(*given, "--min-effect", "wellbeing=9")[WELLBEING]["outcome"] == "passes"
    assert gate.verdicts(*given, "--min-effect", "wellbeing=8")[WELLBEING]["outcome"] == "fails"


def test_a_metric_without_a_direction_is_watched_both_ways_once_asked_for(gate: Gate, tmp_path: Path) -> None:
    more = [
        msgspec.structs.replace(row, place_uses={k: v + 3 * (k == "bed") for k, v in row.place_uses.items()})
        for row in load()
    ]
    path = save(tmp_path / "more.jsonl", more)
    given = ("--input", path, "--baseline", ANOTHER_SEED)
    assert gate(*given).code == 0
    assert gate(*given, "--tolerance", "uses_of_bed=2").code == 1
    assert gate(*given, "--tolerance", "uses_of_bed=4").code == 0
    done = gate(*given, "--gate", write_gate(tmp_path / "g.yaml", checks=[{"metric": "uses_of_bed"}]))
    assert done.code == 2 and "watch: both" in done.err


def test_slices_are_checked_by_themselves(gate: Gate, tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(row, stage=n % 2) for n, row in enumerate(load())]
    worse = with_wellbeing(rows, lambda n, value: value - 30 * (n % 2))
    old, new = save(tmp_path / "old.jsonl", rows), save(tmp_path / "new.jsonl", worse)
    checks = [{"metric": "wellbeing", "slice_by": "stage", "tolerance": "1 %"}]
    found = gate.verdicts("--input", new, "--baseline", old, "--gate", write_gate(tmp_path / "g.yaml", checks=checks))
    assert {id: one["outcome"] for id, one in found.items()} == {
        "stage=0/wellbeing/mean/change": "passes",
        "stage=1/wellbeing/mean/change": "fails",
    }


def test_floors_and_ceilings_hold_whatever_the_baseline(gate: Gate, tmp_path: Path) -> None:
    checks = [{"metric": "wellbeing", "tolerance": "50 %", "at_least": 440, "at_most": 450}]
    found = gate.verdicts(
        "--input", ANOTHER_SEED, "--baseline", ANOTHER_SEED, "--gate", write_gate(tmp_path / "g.yaml", checks=checks)
    )
    outcomes = {one["kind"]: (one["outcome"], one["tolerance"]) for one in found.values()}
    assert outcomes["at_least"] == ("passes", 440) and outcomes["at_most"] == ("fails", 450)


def test_strict_and_undecided_are_keys_of_the_gate(gate: Gate, tmp_path: Path) -> None:
    noisy = save(tmp_path / "noisy.jsonl", with_wellbeing(load(), lambda n, value: value + (9 if n % 2 else -10)))
    given = ("--input", noisy, "--baseline", ANOTHER_SEED, "--gate")
    checks = [{"metric": "wellbeing"}]
    done = gate(*given, write_gate(tmp_path / "g.yaml", checks=checks))
    assert done.code == 0 and "warning: 1 cannot tell" in done.out.splitlines()[0]
    assert gate(*given, write_gate(tmp_path / "g.yaml", checks=checks, undecided="fail")).code == 1
    assert gate(*given, write_gate(tmp_path / "g.yaml", checks=checks, strict=True)).code == 1
    assert gate(*given, write_gate(tmp_path / "g.yaml", checks=[{"metric": "wellbeing", "strict": True}])).code == 1


def test_records_that_fail_anew_are_seen_though_they_count_in_no_metric(gate: Gate, tmp_path: Path) -> None:
    rows = load()
    failing = [msgspec.structs.replace(row, error="broken") if n < 3 else row for n, row in enumerate(rows)]
    path = save(tmp_path / "failing.jsonl", failing)
    done = gate("--input", path, "--baseline", ANOTHER_SEED)
    assert done.code == 1 and "records_left_out +3, 0 allowed" in done.out
    assert gate("--input", ANOTHER_SEED, "--baseline", path).code == 0


def test_pooled_metrics_are_gated_by_pairs_too(gate: Gate, tmp_path: Path) -> None:
    rows = generate(Kind(seed=3, num_images=60))
    broken = [msgspec.structs.replace(row, preds=[]) if n % 2 else row for n, row in enumerate(rows)]
    old, new = save(tmp_path / "old.jsonl", rows), save(tmp_path / "new.jsonl", broken)
    gate.task = "detection"
    spec = write_gate(tmp_path / "b.yaml", task="detection", num_resamples=400, checks=[{"metric": "recall_50"}])
    baseline = tmp_path / "b.json"
    assert gate("--gate", spec, "--input", old, "--baseline", baseline, "--update").code == 0
    assert gate("--gate", spec, "--input", old, "--baseline", baseline).code == 0
    found = gate.verdicts("--gate", spec, "--input", new, "--baseline", baseline)
    assert found["all/recall_50/pooled/change"]["outcome"] == "fails"
    (kept,) = tmp_path.glob("b-*.jsonl.zst")
    kept.write_bytes(kept.read_bytes()[:-1])
    done = gate("--input", new, "--baseline", baseline)
    assert done.code == 2 and "not the predictions that the baseline names" in done.err
    kept.unlink()
    assert "are gone" in gate("--input", new, "--baseline", baseline).err


# what it writes


def test_junit_is_xml_with_a_case_for_each_check(gate: Gate, tmp_path: Path) -> None:
    report, rows = tmp_path / "junit.xml", tmp_path / "verdicts.jsonl"
    given = ("--input", EARLY, "--baseline", ANOTHER_SEED, "--junit", report, "--verdicts", rows)
    assert gate(*given).code == 1
    suite = ElementTree.parse(report).getroot()[0]
    verdicts = read_all(rows, Verdict)
    assert [case.get("name") for case in suite] == [verdict.id for verdict in verdicts]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "3", "0")
    failure = suite[0].find("failure")
    assert failure is not None and "survived_steps/mean -198" in str(failure.get("message"))


def test_junit_escapes_what_xml_cannot_hold(tmp_path: Path) -> None:
    from pipeline.gate.report import to_xml
    from pipeline.gate.run import GateReport
    from schemas.gate import GateSpec

    text = "<&\"'>]]>\x00\x1b\ud800 é"
    verdicts = [
        example_verdict(outcome, slice_value=text, reason=text) for outcome in ("passes", "fails", "cannot_tell")
    ]
    report = GateReport(GateSpec(schema="gate_v1", task="t", name="n"), verdicts, True, 9)
    root = ElementTree.fromstring(to_xml(report).encode())
    cases = list(root.iter("testcase"))
    assert [case.get("name") for case in cases] == ["<&\"'>]]>??? é"] * 3
    assert [child.tag for case in cases for child in case] == ["failure", "skipped"]


def example_verdict(outcome: Any, **changes: Any) -> Verdict:
    plain: dict[str, Any] = dict.fromkeys(("baseline", "now", "low", "high", "confidence"), 0.5)
    plain |= {"task": "t", "id": changes["slice_value"], "kind": "change", "metric": "m", "statistic": "mean"}
    plain |= {"slice_by": "s", "unit": "", "better": "higher", "watch": "worse", "change": 0.1, "paired": True}
    plain |= {"tolerance": 0.0, "min_effect": 0.0, "num_records": 9, "outcome": outcome}
    return Verdict(**plain | changes)


def test_json_says_all_of_it_in_one_line(gate: Gate) -> None:
    done = gate("--input", EARLY, "--baseline", ANOTHER_SEED, "--json")
    assert done.code == 1 and done.json["status"] == "failed"
    assert (done.json["num_checks"], done.json["num_failed"], done.json["num_records"]) == (4, 3, 64)
    found = {verdict["id"]: verdict for verdict in done.json["verdicts"]}[WELLBEING]
    assert found["change"] == pytest.approx(found["now"] - found["baseline"])
    assert found["low"] < found["change"] < found["high"] < 0


def test_it_starts_without_torch_and_pandas() -> None:
    blocked = ("torch", "safetensors", "pandas", "matplotlib")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
    code += "from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"
    given = ["gate", "gridworld", "--input", str(EARLY), "--baseline", str(ANOTHER_SEED)]
    done = subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")


# the baseline


def test_update_writes_a_small_baseline_that_reads_line_by_line(gate: Gate, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    assert gate("--input", ANOTHER_SEED, "--baseline", path, "--update").code == 0
    assert path.stat().st_size < 10_000
    lines = path.read_text().splitlines()
    assert sum('"truth"' in line for line in lines) == 64
    assert gate("--input", ANOTHER_SEED, "--baseline", path).code == 0
    again = tmp_path / "again.json"
    gate("--input", ANOTHER_SEED, "--baseline", again, "--update")
    assert again.read_bytes() == path.read_bytes()
    worse = gate.verdicts("--input", EARLY, "--baseline", path)
    assert worse == gate.verdicts("--input", EARLY, "--baseline", ANOTHER_SEED)


def test_update_shows_the_difference_and_replaces_nothing_unasked(gate: Gate, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    gate("--input", ANOTHER_SEED, "--baseline", path, "--update")
    before = path.read_bytes()
    done = gate("--input", EARLY, "--baseline", path, "--update")
    assert done.code == 2 and path.read_bytes() == before
    assert done.out.startswith("FAIL gridworld/gate") and "--yes" in done.err
    done = gate("--input", EARLY, "--baseline", path, "--update", "--yes")
    assert done.code == 0 and path.read_bytes() != before
    assert done.out.startswith("FAIL gridworld/gate") and "baseline written" in done.out
    assert gate("--input", EARLY, "--baseline", path).code == 0


@pytest.mark.parametrize(("answer", "code", "replaced"), [("y\n", 0, True), ("n\n", 2, False)])
def test_update_asks_on_a_terminal(answer: str, code: int, replaced: bool, gate: Gate, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    gate("--input", ANOTHER_SEED, "--baseline", path, "--update")
    before = path.read_bytes()
    command = [sys.executable, "-m", "stages", "gate", "gridworld", "--input", EARLY, "--baseline", path, "--update"]
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, stdin=terminal, stdout=-1, stderr=-1) as process:
        os.write(keyboard, answer.encode())
        out, _ = process.communicate(timeout=120)
    os.close(keyboard), os.close(terminal)
    assert b"3 checks fail; make this the baseline all the same?" in out
    assert (process.returncode, path.read_bytes() != before) == (code, replaced)


def test_update_removes_the_predictions_that_only_the_former_baseline_named(gate: Gate, tmp_path: Path) -> None:
    gate.task = "detection"
    path, files = tmp_path / "b.json", []
    spec = write_gate(tmp_path / "b.yaml", task="detection", num_resamples=100)
    for seed in (3, 4):
        rows = save(tmp_path / f"{seed}.jsonl", generate(Kind(seed=seed)))
        assert gate("--gate", spec, "--input", rows, "--baseline", path, "--update", "--yes").code == 0
        files += [*tmp_path.glob("b-*.jsonl.zst")]
    assert len(files) == 2 and [file.exists() for file in files] == [False, True]


def test_update_replaces_a_baseline_that_cannot_be_read(gate: Gate, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text('{"schema": "baseline_v1", "task"')
    done = gate("--input", ANOTHER_SEED, "--baseline", path, "--update", "--yes")
    assert done.code == 0 and "cannot be compared with" in done.out
    assert gate("--input", ANOTHER_SEED, "--baseline", path).code == 0


# what it refuses


@pytest.fixture
def baseline(gate: Gate, tmp_path: Path) -> Path:
    path = tmp_path / "b.json"
    gate("--input", ANOTHER_SEED, "--baseline", path, "--update")
    return path


def edited(path: Path, edit: Any) -> Path:
    """A baseline, edited by hand."""
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))
    return path


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_baseline_is_refused(share: float, gate: Gate, baseline: Path) -> None:
    whole = baseline.read_bytes()
    baseline.write_bytes(whole[: int(share * len(whole))])
    done = gate("--input", ANOTHER_SEED, "--baseline", baseline)
    assert done.code == 2 and "damaged or cut short" in done.err and "--update" in done.err


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda b: b.update(task="detection"), "this is a baseline of task 'detection', not of 'gridworld'"),
        (lambda b: b.update(schema="baseline_v9"), "its schema is 'baseline_v9'"),
        (lambda b: b["records"].append(b["records"][0]), "stands 2 times in the baseline"),
        (lambda b: b["metrics"].append(b["metrics"][0]), "stands 2 times in the baseline"),
        (lambda b: b["records"].pop(), "says 64 records and holds 63"),
        (lambda b: b["records"][5]["values"].pop(), "does not have 4 values"),
        (lambda b: b["records"][5]["values"].__setitem__(0, "high"), "records[5].values[0]"),
        (
            lambda b: b["records"][5].update(truth="0"),
            "not the same in the predictions and the baseline:     full-x1-00000005",
        ),
        (lambda b: b["records"][5].update(id="x"), "in the baseline and not in the predictions: x"),
        (
            lambda b: b.update(options={"use_salvaged": True}),
            "evaluated with other options: evaluate.use_salvaged True",
        ),
        (lambda b: b.update(columns=["a", "b", "c", "d"]), "the baseline does not hold survived_steps"),
    ],
)
def test_a_baseline_that_does_not_fit_is_refused(edit: Any, said: str, gate: Gate, baseline: Path) -> None:
    done = gate("--input", ANOTHER_SEED, "--baseline", edited(baseline, edit))
    assert done.code == 2, done.out
    assert said in done.err.replace("\n", " ")


def test_a_figure_that_only_the_new_predictions_have_is_asked_of_no_baseline(gate: Gate, tmp_path: Path) -> None:
    """Masks are compared where predictions have some: a model that now writes polygons has figures of its own."""
    gate.task = "detection"
    shape = [100.0, 100.0, 500.0, 100.0, 500.0, 500.0]
    rows = generate(Kind(seed=3, num_images=6, masks=True))
    answers = {
        "before": [{"bbox_2d": (100.0, 100.0, 500.0, 500.0)}] * len(rows),
        "now": [{"poly": shape}] * len(rows),
    }
    paths = {}
    for name, geometries in answers.items():
        preds = [[PredictedObject(desc="0", **geometry)] for geometry in geometries]
        changed = [msgspec.structs.replace(row, preds=one) for row, one in zip(rows, preds, strict=True)]
        paths[name] = save(tmp_path / f"{name}.jsonl", changed)
    spec = write_gate(tmp_path / "g.yaml", task="detection", checks=[{"metric": "mask_average_precision"}])
    done = gate("--gate", spec, "--input", paths["now"], "--baseline", paths["before"])
    assert done.code == 2
    assert "the baseline does not hold mask_average_precision" in done.err


def test_not_a_number_is_refused(gate: Gate, baseline: Path) -> None:
    baseline.write_text(baseline.read_text().replace('"values":[500.0', '"values":[NaN', 1))
    assert "damaged" in gate("--input", ANOTHER_SEED, "--baseline", baseline).err
    baseline.write_text(baseline.read_text().replace("NaN", "1e999"))
    assert gate("--input", ANOTHER_SEED, "--baseline", baseline).code == 2


def test_other_examples_are_refused_with_the_list(gate: Gate, tmp_path: Path) -> None:
    rows = load()
    changed = [*rows[:61], msgspec.structs.replace(rows[61], id="new")]
    done = gate("--input", save(tmp_path / "p.jsonl", changed), "--baseline", ANOTHER_SEED)
    assert done.code == 2
    for line in (
        f"3 in the baseline and not in the predictions: {rows[61].id}, {rows[62].id}, {rows[63].id}",
        "1 in the predictions and not in the baseline: new",
    ):
        assert line in done.err


def test_another_input_under_the_same_id_is_refused_with_both_values(gate: Gate, tmp_path: Path) -> None:
    rows = load()
    path = save(tmp_path / "p.jsonl", [*rows[:60], msgspec.structs.replace(rows[60], seed=1), *rows[61:]][::-1])
    done = gate("--input", path, "--baseline", ANOTHER_SEED)
    assert done.code == 2 and "1 of 64 records are not the same in the predictions and the baseline" in done.err
    assert f"{rows[60].id} (lines 4 and 61): seed 1 and {rows[60].seed}" in done.err


def test_an_id_twice_is_refused(gate: Gate, tmp_path: Path) -> None:
    rows = load()
    path = save(tmp_path / "twice.jsonl", [*rows, rows[7]])
    done = gate("--input", path, "--baseline", ANOTHER_SEED)
    assert done.code == 2 and "stands 2 times" in done.err and "lines 8, 65" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tolerance", "welbeing=1"], "did you mean 'wellbeing'?"),
        (["--tolerance", "wellbeing=lots"], "a limit is a number of at least 0"),
        (["--tolerance", "wellbeing=-1"], "a limit is a number of at least 0"),
        (["--tolerance", "wellbeing=nan"], "a limit is a number of at least 0"),
        (["--tolerance", "wellbeing"], "takes metric=limit"),
        (["--gate", "ful"], "did you mean 'full'?"),
        (["--gate", "no/such.yaml"], "no such gate"),
    ],
)
def test_wrong_flags_are_told_with_the_nearest(arguments: list[str], said: str, gate: Gate) -> None:
    done = gate("--input", ANOTHER_SEED, "--baseline", ANOTHER_SEED, *arguments)
    assert done.code == 2 and said in done.err


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"checks": [{"metric": "welbeing"}]}, "did you mean 'wellbeing'?"),
        ({"checks": [{"metric": "wellbeing", "statistic": "men"}]}, "did you mean 'mean'?"),
        ({"checks": [{"metric": "wellbeing", "slice_by": "levl"}]}, "did you mean 'level'?"),
        ({"checks": [{"metric": "wellbeing", "slice_by": "level", "slice_value": "ful"}]}, "did you mean 'full'?"),
        ({"checks": [{"metric": "wellbeing", "tolerance": "2 percent"}]}, "g.yaml:4:checks[0].tolerance"),
        ({"checks": [{"metric": "wellbeing", "tolerence": 2}]}, "did you mean 'tolerance'?"),
        ({"checks": [{"metric": "wellbeing"}, {"metric": "wellbeing"}]}, "is checked twice"),
        ({"checks": [{"metric": "num_records", "watch": "both"}]}, "num_records was not measured there"),
        ({"task": "detection"}, "this gate is for task 'detection', not 'gridworld'"),
        ({"confidence": 1.0}, "g.yaml:4:confidence"),
        ({"evaluate": {"seeed": 1}}, "did you mean 'seed'?"),
    ],
)
def test_a_wrong_gate_is_told_with_its_place(keys: dict[str, Any], said: str, gate: Gate, tmp_path: Path) -> None:
    path = write_gate(tmp_path / "g.yaml", **keys)
    done = gate("--input", ANOTHER_SEED, "--baseline", ANOTHER_SEED, "--gate", path)
    assert done.code == 2 and said in done.err, done.err


def test_files_of_another_kind_are_refused(gate: Gate, tmp_path: Path) -> None:
    examples = ROOT / "runs/gates/gridworld/full.examples.jsonl"
    assert "a file of example_v1 rows" in gate("--input", examples, "--baseline", ANOTHER_SEED).err
    detection = save(tmp_path / "d.jsonl", generate(Kind(seed=3)))
    said = gate("--input", detection, "--baseline", ANOTHER_SEED).err
    assert "of task 'detection', not of 'gridworld'" in said and "name detection as the task" in said
    assert "name a file in it" in gate("--input", ANOTHER_SEED, "--baseline", tmp_path).err
    assert "there is no baseline yet" in gate("--input", ANOTHER_SEED, "--baseline", tmp_path / "none.json").err
    assert "needs a baseline" in gate("--input", ANOTHER_SEED).err
    dispatch_evaluate(ANOTHER_SEED, tmp_path / "m")
    metrics = tmp_path / "m/metrics.jsonl"
    assert "give metrics.jsonl as the input" in gate("--input", ANOTHER_SEED, "--baseline", metrics).err
    assert "give the predictions behind" in gate("--input", metrics, "--baseline", ANOTHER_SEED).err
    assert "a file of rows" in gate("--input", ANOTHER_SEED, "--baseline", ANOTHER_SEED, "--update").err
