"""The harness of the benchmarks: who is measured when, what counts as met, and what the results say; and the
tool that tunes the script of gridworld."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import Report, Samples, at_least, at_most, quotients, take_turns
from benchmarks.harness.results import markdown, read_sections, section
from benchmarks.harness.turns import Worker
from benchmarks.tools.tune_script import Search, tune
from pipeline.errors import UserError
from tests.conftest import ROOT


def test_candidates_take_turns_and_each_round_begins_with_the_next() -> None:
    order: list[str] = []

    def candidate(name: str, value: float) -> float:
        order.append(name)
        return value

    kept = take_turns({"a": lambda: candidate("a", 1.0), "b": lambda: candidate("b", 2.0)}, rounds=3, warmups=1)
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]
    assert kept == {"a": [1.0, 1.0, 1.0], "b": [2.0, 2.0, 2.0]}


def test_a_ratio_is_taken_round_by_round() -> None:
    assert quotients([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("values", "met"),
    [((9.0, 10.0, 11.0), True), ((9.0, 9.9, 11.0), False)],
)
def test_a_lower_bound_is_met_by_the_median(values: tuple[float, ...], met: bool) -> None:
    claim = at_least("speed", values, 10.0)
    assert (claim.met, claim.low, claim.high, claim.target) == (met, 9.0, 11.0, ">= 10")


def test_an_upper_bound_is_missed_above_it() -> None:
    assert at_most("time", (1.0,), 1.0).met
    assert not at_most("time", (1.01,), 1.0).met


def test_results_name_what_was_missed_and_what_did_not_run() -> None:
    report = Report(
        title="a title",
        method="What was done.",
        samples=[Samples("ours", "ms", (2000.0, 1.0, 30.0))],
        claims=[at_least("ratio", (3.0, 3.5, 4.0), 10.0)],
        notes=["A note."],
    )
    reports = {"first": report, "second": "no such file"}
    text = markdown({name: section(name, one, ["Processor: one"]) for name, one in reports.items()})
    assert "| first | ratio | 3.5 x (3 to 4) | >= 10 | **no** |" in text
    assert "| second | did not run | - | - | **no** |" in text
    assert "| ours, ms | 30 | 1 | 2,000 | 3 |" in text
    assert "Written by `make bench`" in text
    assert "\n- Processor: one\n" in text
    assert "## second\n\nDid not run: no such file" in text


def test_a_benchmark_that_is_measured_anew_replaces_its_section_alone() -> None:
    def measured(name: str, value: float) -> str:
        report = Report(name, "How.", [Samples("ours", "s", (value,))], [at_most("time", (value,), 5.0)], ["A note."])
        return section(name, report, [f"Load before: {value}"])

    before = markdown({name: measured(name, 9.0) for name in ("first", "second", "third")})
    sections = read_sections(before)
    assert markdown(sections) == before
    after = markdown(sections | {"second": measured("second", 1.0)})
    rows = [line for line in after.splitlines() if line.startswith(("| first", "| second", "| third"))]
    assert [row.split(" | ")[2] for row in rows] == ["9 x", "1 x", "9 x"]
    assert after.count("Load before: 9.0") == 2 and after.count("Load before: 1.0") == 1


WORKER = """
import os, sys
from benchmarks.harness.turns import Turns
turns = Turns()
print("a library prints something")
turns.pause(steps=0)
turns.pause(steps=1)
print("ValueError: it broke", file=sys.stderr)
os._exit(3)
"""


def test_a_worker_works_in_its_turn_and_its_death_is_told(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    with Worker([sys.executable, str(script)], ROOT) as worker:
        assert worker.hello == {"seconds": None, "steps": 0}
        told = worker.turn()
        assert told["steps"] == 1
        assert told["seconds"] >= 0.0
        with pytest.raises(UserError, match="it broke"):
            worker.turn()


def test_a_list_names_every_benchmark() -> None:
    command = [sys.executable, "-m", "benchmarks", "--list"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = {line.split()[0] for line in told.splitlines()}
    everyone = {"environment", "dqn", "tail", "delivery", "model_file", "jsonl", "help", "detection_metrics"}
    serve = {"serve", "serve.batching", "serve.cache", "serve.memory", "serve.reload"}
    pages = {"explore", "explore.behind", "live_page"}
    assert named == everyone | serve | pages | {"evaluate_scale", "parser", "statistics"}


def test_a_search_for_a_script_is_reproduced_by_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    def search(seed: int) -> list[float]:
        small = {"num_scenarios": 2, "num_random": 8, "num_generations": 2, "population": 6, "num_kept": 3}
        found = tune(Search(level="full", seed=seed, multipliers=(1.0,), **small))
        return [float(value) for value in found]

    assert search(3) == search(3) != search(4)
    assert "generation   1" in capsys.readouterr().out
