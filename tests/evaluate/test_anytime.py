"""`baton evaluate --follow`: the metrics of a file that another process writes, and when they decide a question."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart, RecipePart
from pipeline.errors import UserError
from pipeline.evaluate.anytime import Anytime, AnytimeJob
from pipeline.evaluate.watch import Question, parse_question
from pipeline.files import write_all
from pipeline.stats.sequences import SequenceOptions
from stages.common import run_command
from stages.evaluate import app
from tests.conftest import ROOT
from tests.support.terminal import PtyTerminal, wait_for
from tests.support.zygote import Command, Zygote
from tests.tasks.detection.evaluate.coco_oracle import Kind, generate
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions

SOON = SequenceOptions(num_first=20)
TOWNS = fake_predictions(Fake(num_records=20))
IMAGES = generate(Kind(seed=3, num_images=60))


def options(task: str) -> Any:
    recipe = load_part(task, RecipePart).recipe
    return recipe(schema="recipe_v1", name="x", task=task).evaluate


def job(task: str, *metrics: str, path: Path = Path("now.jsonl"), against: Path | None = None) -> AnytimeJob:
    return AnytimeJob(task=task, path=path, options=options(task), metrics=metrics, against=against, sequence=SOON)


def towns(num: int, base: float = 400.0) -> list[Any]:
    """Predictions with a wellbeing that varies about ``base``."""
    values = np.random.default_rng(0).normal(base, 20.0, num)
    return [
        replace(
            TOWNS[n % len(TOWNS)],
            id=f"town-{n}",
            wellbeing=float(value),
            died=n % 4 == 0,
            cause=None if n % 4 else "energy",
        )
        for n, value in enumerate(values)
    ]


def follow(path: Path, *arguments: str) -> int:
    return run_command(app, ["gridworld", "--input", str(path), "--follow", "--idle-exit", "0", *arguments])


# what is followed


def test_metrics_of_all_records_are_those_of_the_values() -> None:
    rows = towns(120)
    anytime = Anytime(job("gridworld", "wellbeing", "wellbeing:iqm", "survival_rate", "wellbeing:median"))
    for start in range(0, 120, 11):
        anytime.take(rows[start : start + 11])
    anytime.finish()
    found = {(r.metric.name, r.metric.statistic): r for r in anytime.readings()}
    wellbeing = np.array([row.wellbeing for row in rows])
    assert found["wellbeing", "mean"].value == pytest.approx(wellbeing.mean())
    assert found["wellbeing", "iqm"].value == pytest.approx(np.sort(wellbeing)[30:90].mean())
    assert found["survival_rate", "rate"].value == pytest.approx(0.75)
    assert {reading.num_records for reading in found.values()} == {120}
    for reading in found.values():
        assert reading.interval is not None
        assert reading.interval.low <= reading.value <= reading.interval.high
        assert reading.is_coherent


def test_it_does_not_matter_how_rows_arrive() -> None:
    for task, rows, metrics in (
        ("gridworld", towns(90), ("wellbeing", "wellbeing:iqm", "survival_rate")),
        ("detection", IMAGES, ("average_precision", "unparsed_rate")),
    ):
        at_once, in_parts = Anytime(job(task, *metrics)), Anytime(job(task, *metrics))
        at_once.take(rows)
        for row in rows:
            in_parts.take([row])
        for one, other in zip(at_once.readings(), in_parts.readings(), strict=True):
            assert one.interval is not None
            assert other.interval is not None
            assert (one.value, one.interval.low) == pytest.approx((other.value, other.interval.low))


def test_average_precision_is_that_of_evaluate() -> None:
    anytime = Anytime(job("detection", "average_precision"))
    anytime.take(IMAGES)
    anytime.finish()
    pooled = load_part("detection", EvaluatePart).measure_records(IMAGES, options("detection")).pooled
    expected = pooled(np.ones((1, len(IMAGES)), np.int32))["average_precision"][0]
    (reading,) = anytime.readings()
    assert reading.value == pytest.approx(expected)
    assert reading.interval is not None
    assert 0.0 < reading.interval.high - reading.interval.low < 1.0


def test_differences_to_a_baseline_are_paired_by_id(tmp_path: Path) -> None:
    rows = towns(100)
    better = [replace(row, wellbeing=row.wellbeing + 5.0 + 0.1 * (n % 7)) for n, row in enumerate(rows)]
    write_all(tmp_path / "base.jsonl", rows[:90][::-1])
    anytime = Anytime(job("gridworld", "wellbeing", "wellbeing:iqm", against=tmp_path / "base.jsonl"))
    anytime.take(better)
    anytime.finish()
    mean, iqm = anytime.readings()
    assert anytime.num_unpaired == 10
    assert mean.num_records == 90
    assert mean.interval is not None
    assert 5.0 < mean.interval.low < mean.interval.high < 5.7  # a fiftieth of what wellbeing itself varies by
    assert iqm.value == pytest.approx(mean.value, abs=0.5)


def test_a_baseline_that_is_as_good_leaves_no_average_precision_to_gain(tmp_path: Path) -> None:
    ours, theirs = ([replace(row, preds=[]) if n % 4 == k else row for n, row in enumerate(IMAGES)] for k in (0, 2))
    write_all(tmp_path / "base.jsonl", theirs)
    anytime = Anytime(job("detection", "average_precision", against=tmp_path / "base.jsonl"))
    anytime.take(ours)
    (reading,) = anytime.readings()
    assert reading.interval is not None
    assert reading.interval.low < 0.0 < reading.interval.high


def test_a_baseline_of_other_records_under_the_same_ids_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = towns(30)
    write_all(tmp_path / "base.jsonl", [replace(row, level="minimal") if n == 7 else row for n, row in enumerate(rows)])
    write_all(tmp_path / "new.jsonl", rows)
    assert follow(tmp_path / "new.jsonl", "--against", str(tmp_path / "base.jsonl")) == 2
    shown = capsys.readouterr()
    assert "1 of 30 records are not the same" in shown.err
    assert "town-7: level full and minimal" in shown.err
    assert f"{tmp_path / 'new.jsonl'}, {tmp_path / 'base.jsonl'}" in shown.err
    assert "over one examples.jsonl" in shown.err


def test_a_baseline_that_was_judged_by_another_truth_is_refused(tmp_path: Path) -> None:
    write_all(tmp_path / "base.jsonl", generate(Kind(seed=4, num_images=60)))
    anytime = Anytime(job("detection", "average_precision", against=tmp_path / "base.jsonl"))
    with pytest.raises(UserError, match=r"(?s)58 of 60 records are not the same .* and 48 more"):
        anytime.take(IMAGES)


def test_a_baseline_with_two_answers_to_a_record_is_refused(tmp_path: Path) -> None:
    rows = towns(3)
    write_all(tmp_path / "base.jsonl", [*rows, rows[1]])
    with pytest.raises(UserError, match="'town-1' stands 2 times"):
        Anytime(job("gridworld", against=tmp_path / "base.jsonl"))


def test_records_with_an_error_are_counted_and_left_out() -> None:
    rows = [replace(row, error="no answer") if n % 2 else row for n, row in enumerate(towns(60))]
    anytime = Anytime(job("gridworld", "wellbeing"))
    anytime.take(rows)
    assert (anytime.num_records, anytime.num_scored) == (60, 30)


@pytest.mark.parametrize(
    ("metric", "said"), [("welbeing", "did you mean 'wellbeing'"), ("wellbeing:mode", "'wellbeing:mean'")]
)
def test_an_unknown_metric_is_refused_with_what_there_is(metric: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        Anytime(job("gridworld", metric)).take(towns(1))
    assert said in (refused.value.remedy or "")


# questions


def test_questions_are_read() -> None:
    assert parse_question("wellbeing > 430") == Question("wellbeing", ">", 430.0)
    assert parse_question("wellbeing:iqm<=-1e3") == Question("wellbeing:iqm", "<=", -1000.0)
    for text in ("wellbeing", "wellbeing = 3", "wellbeing > much", "wellbeing > nan", "> 3"):
        with pytest.raises(UserError, match="not a question"):
            parse_question(text)


@pytest.mark.parametrize(
    ("question", "decided", "exit_code"),
    [
        ("wellbeing > 300", "yes", 0),
        ("wellbeing < 300", "no", 1),
        ("wellbeing > 399", "not decided", 1),
        ("survival_rate >= 0.3", "yes", 0),
        ("survival_rate > 0.95", "no", 1),
    ],
)
def test_the_exit_code_is_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], question: str, decided: str, exit_code: int
) -> None:
    write_all(tmp_path / "predictions.jsonl", towns(200))
    assert follow(tmp_path / "predictions.jsonl", "--stop-when", question, "--json") == exit_code
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["decided"] == decided
    assert last["question"] == question


def test_what_only_following_can_do_needs_follow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app, ["gridworld", "--input", "x.jsonl", "--stop-when", "wellbeing > 1"]) == 2
    assert "add --follow" in capsys.readouterr().err
    assert run_command(app, ["gridworld", "--input", "x.jsonl", "--input", "y.jsonl", "--follow"]) == 2


# real processes

FOLLOW = ("evaluate", "gridworld", "--input", "predictions.jsonl", "--follow")


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that appends predictions in two pieces a line, 20 ms apart, to a file that is not there at first."""
    write_all(tmp_path / "all.jsonl", towns(400))
    code = (
        "import sys, time\n"
        "out = open('predictions.jsonl', 'ab', buffering=0)\n"
        "for n, line in enumerate(open('all.jsonl', 'rb')):\n"
        "    out.write(line[:50])\n"
        "    if n % 20 == 0: time.sleep(0.02)\n"
        "    out.write(line[50:])\n"
        'out.write(b\'{"schema": "prediction_v1", "torn\')\n'
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def start_following(zygote: Zygote, folder: Path, *arguments: str) -> Command:
    return zygote.start(*FOLLOW, *arguments, folder=folder)


def test_a_question_is_decided_while_another_process_writes(
    tmp_path: Path, writing: subprocess.Popen[bytes], zygote: Zygote
) -> None:
    done = start_following(zygote, tmp_path, "--stop-when", "wellbeing > 380").finish()
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "wellbeing > 380: decided: yes"
    assert writing.poll() is None  # nobody waited for its end


def test_the_end_of_a_killed_writer_is_told_by_its_manifest(
    tmp_path: Path, writing: subprocess.Popen[bytes], zygote: Zygote
) -> None:
    following = start_following(zygote, tmp_path, "--json", "--metric", "wellbeing")
    while not (tmp_path / "predictions.jsonl").exists() or b"torn" not in tail(tmp_path / "predictions.jsonl"):
        time.sleep(0.02)
    writing.kill()
    writing.wait()
    write_manifest(tmp_path, "error")
    done = following.finish()
    assert done.code == 0, done.err
    last = json.loads(done.out.splitlines()[-1])
    assert (last["num_records"], last["num_total"], last["ended"]) == (400, 400, "error")
    assert last["readings"][0]["low"] < last["readings"][0]["value"] < last["readings"][0]["high"]


def tail(path: Path) -> bytes:
    return path.read_bytes()[-40:]


def write_manifest(folder: Path, status: str) -> None:
    """The manifest of an inference over all.jsonl, at that point of its life."""
    provenance: dict[str, Any] = dict.fromkeys(("git_commit", "git_dirty"))
    provenance |= {"command": [], "python": "", "platform": "", "versions": {}, "device": "cpu", "num_threads": 1}
    manifest = {
        "schema": "manifest_v1", "stage": "infer", "task": "gridworld", "status": status, "config": {},
        "config_hash": "", "seed": 0, "started_unix_s": 0.0, "provenance": provenance,
        "inputs": {"examples": {"path": "all.jsonl", "sha256": "", "num_bytes": 0}},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_ctrl_c_leaves_the_metrics_and_says_that_it_was_interrupted(
    tmp_path: Path, writing: subprocess.Popen[bytes], zygote: Zygote
) -> None:
    write_manifest(tmp_path, "started")
    following = start_following(zygote, tmp_path, "--stop-when", "wellbeing > 10000")
    (first,) = following.lines(1)
    assert "of 400 records" in first
    following.signal(signal.SIGINT)
    done = following.finish()
    assert done.code == 130
    assert "wellbeing (mean)" in done.out.partition(first)[2]
    assert "interrupted" in done.err


def test_a_terminal_shows_a_table_that_renews_itself(
    tmp_path: Path, writing: subprocess.Popen[bytes], zygote: Zygote
) -> None:
    write_manifest(tmp_path, "started")
    terminal = PtyTerminal(zygote, FOLLOW, size=(110, 20), folder=tmp_path)
    try:
        shown = wait_for(terminal, "400 of 400 records")
        assert "wellbeing (mean)" in shown
        write_manifest(tmp_path, "ok")
        wait_for(terminal, "400 records, 400 scored")
        assert terminal.exit_code() == 0
    finally:
        terminal.close()


def test_following_loads_neither_torch_nor_pandas(tmp_path: Path) -> None:
    write_all(tmp_path / "predictions.jsonl", towns(30))
    code = (
        "import sys; from stages.common import run_command; from stages.evaluate import app;"
        "run_command(app, ['gridworld', '--input', 'predictions.jsonl', '--follow', '--idle-exit', '0']);"
        "print([name for name in ('pandas', 'torch', 'matplotlib') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip().endswith("[]")


def lines(texts: Sequence[str]) -> str:
    return "\n".join(texts)


def test_a_file_that_is_written_anew_is_followed_from_its_beginning(tmp_path: Path) -> None:
    from pipeline.evaluate.watch import State, summary, watch

    path = tmp_path / "predictions.jsonl"
    write_all(path, towns(50, base=100.0))
    state = State(Anytime(job("gridworld", "wellbeing", path=path)), None)
    seen: list[int] = []

    def show(now: State) -> None:
        if not seen:
            path.unlink()
            write_all(path, towns(40, base=900.0))
        seen.append(now.anytime.num_records)

    watch(state, show, idle_s=0.3)
    assert state.anytime.num_records == 40
    assert state.anytime.readings()[0].value > 800.0
    assert "started over" in lines(state.notes)
    assert "40 records, 40 scored" in lines(summary(state))
