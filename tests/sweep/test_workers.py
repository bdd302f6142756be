"""Who runs what in a sweep: every part once, whoever dies, sleeps or fails meanwhile. Stages only pretend here."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pipeline.run.folder import LOCK_NAME, is_at_work
from pipeline.sweep.claims import Claims, Heartbeat, this_process
from pipeline.sweep.ledger import Ledger, row_of
from pipeline.sweep.workers import Crew, Work, failures_so_far
from tests.conftest import ROOT
from tests.sweep.sweep_parts import events, grid, lines, part, pretend, worker

PATIENCE_S = 60.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def counts(folder: Path, what: str) -> Counter[str]:
    return Counter(name for kind, name, _ in lines(folder) if kind == what)


# claims


def test_a_claim_is_had_by_one_and_free_after_its_release(tmp_path: Path) -> None:
    mine, yours = (Claims(tmp_path, this_process(name)) for name in ("mine", "yours"))
    claim = mine.take("cell")
    assert claim is not None and claim.attempt == 1
    assert yours.take("cell") is None and mine.take("cell") is None
    claim.release()
    later = yours.take("cell")
    assert later is not None and later.attempt == 2
    assert claim.is_lost() and not later.is_lost()


def test_of_many_that_reach_for_a_claim_exactly_one_gets_it(tmp_path: Path) -> None:
    start, taken = threading.Barrier(8), []

    def reach(number: int) -> None:
        claims = Claims(tmp_path, this_process(f"worker-{number}"))
        for name in ("a", "b", "c", "d", "e"):
            start.wait()
            if claims.take(name):
                taken.append(name)

    threads = [threading.Thread(target=reach, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == ["a", "b", "c", "d", "e"]


def test_a_claim_from_another_machine_is_free_only_after_its_lease(tmp_path: Path) -> None:
    far = msgspec.structs.replace(this_process("far", lease_s=5.0), machine="another", pid=1, process="1")
    claim = Claims(tmp_path, far).take("cell")
    assert claim is not None
    here = Claims(tmp_path, this_process("here"))
    assert here.take("cell") is None
    before = claim.path.stat().st_mtime - 5.5
    os.utime(claim.path, (before, before))
    assert here.take("cell") is not None


def test_a_claim_of_a_process_that_is_gone_is_free_at_once(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        Claims(tmp_path, this_process("child")).take("cell")
        os._exit(0)
    os.waitpid(pid, 0)
    assert Claims(tmp_path, this_process("here")).take("cell") is not None


def test_a_process_id_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    before = msgspec.structs.replace(this_process("before"), process="1")
    assert Claims(tmp_path, before).take("cell") is not None
    assert Claims(tmp_path, this_process("here")).take("cell") is not None


def test_a_heartbeat_keeps_a_claim_beyond_its_lease(tmp_path: Path) -> None:
    lease_s = 2.0  # a busy machine may leave a thread alone for a second
    far = msgspec.structs.replace(this_process("far", lease_s=lease_s), machine="another")
    claim = Claims(tmp_path, far).take("cell")
    assert claim is not None
    here = Claims(tmp_path, this_process("here"))
    with Heartbeat(lease_s).running() as heartbeat:
        with heartbeat.hold(claim):
            renewed = claim.path.stat().st_mtime
            wait_for(lambda: claim.path.stat().st_mtime > renewed + 1.2 * lease_s)
            assert here.take("cell") is None
        assert here.take("cell") is not None


# workers


def test_two_processes_share_the_cells_and_no_cell_twice(tmp_path: Path) -> None:
    workers = [worker(tmp_path, 24, "--workers", "2", "--meet", "2") for _ in range(2)]
    assert [process.wait(PATIENCE_S) for process in workers] == [0, 0]
    plan = grid(24)
    assert len(plan.parts) == 36
    for what in ("begin", "end"):
        assert counts(tmp_path, what) == dict.fromkeys((one.short for one in plan.parts), 1)
    assert len({process for _, _, process in lines(tmp_path)}) == 2, "one worker did it all: nothing was shared"
    assert Counter(row.key for row in events(tmp_path, plan, "finished")) == {one.key: 1 for one in plan.parts}


def test_what_a_killed_worker_had_is_taken_over_at_once(tmp_path: Path) -> None:
    first = worker(tmp_path, 2, "--seconds", "60")
    wait_for(lambda: counts(tmp_path, "begin"))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    second = worker(tmp_path, 2, "--lease", "600")
    assert second.wait(PATIENCE_S) == 0
    assert len(events(tmp_path, grid(2), "finished")) == 3
    taken_over = [row for row in events(tmp_path, grid(2), "finished") if row.attempt == 2]
    assert [row.label for row in taken_over] == ["training 0"]


@pytest.mark.parametrize(("seconds", "last"), [("600", "give up"), ("0.5", "end")], ids=["amid a stage", "at its end"])
def test_a_worker_that_slept_through_its_lease_gives_up(tmp_path: Path, seconds: str, last: str) -> None:
    """Its stage is over by the time it wakes, or is ended: either way the result is the other worker's."""
    sleeper = worker(tmp_path, 1, "--seconds", seconds, "--lease", "1")
    wait_for(lambda: counts(tmp_path, "begin"))
    os.kill(sleeper.pid, signal.SIGSTOP)
    other = worker(tmp_path, 1, "--lease", "1")
    assert other.wait(PATIENCE_S) == 0
    os.kill(sleeper.pid, signal.SIGCONT)
    assert sleeper.wait(PATIENCE_S) == 0
    training = grid(1).parts[0].short
    told = [(what, process == str(sleeper.pid)) for what, name, process in lines(tmp_path) if name == training]
    assert told == [("begin", True), ("begin", False), ("end", False), (last, True)]
    finished = events(tmp_path, grid(1), "finished")
    assert [(row.label, str(other.pid) in row.worker) for row in finished] == [("training 0", True), ("cell 0", True)]


def test_a_result_is_published_once_even_when_both_believe_to_have_the_part(tmp_path: Path) -> None:
    one, ledger = part("training"), Ledger(tmp_path)
    holders = [this_process(name) for name in ("a", "b")]
    claims = [Claims(tmp_path / holder.worker, holder).take(one.short) for holder in holders]
    rows = [row_of(one, claim, "finished", who) for claim, who in zip(claims, holders, strict=True) if claim]
    assert [ledger.settle(one, row) for row in rows] == [True, False]
    assert [row.worker for row in ledger.rows()] == ["a"]


def test_a_worker_killed_between_result_and_ledger_leaves_nothing_undone(tmp_path: Path) -> None:
    plan = grid(2)
    run = pretend(tmp_path / "log", 0.0)
    Crew(Work(plan=plan, folder=tmp_path, run_stage=run)).run(1)
    path = tmp_path / "ledger.jsonl"
    whole = path.read_bytes()
    rows = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:-1]) + rows[-1][:40])  # torn in the middle of its last row
    Crew(Work(plan=plan, folder=tmp_path, run_stage=run)).run(1)
    assert path.read_bytes() == whole
    assert counts(tmp_path, "begin").total() == 3


def test_a_failed_cell_is_kept_and_does_not_stop_the_others(tmp_path: Path) -> None:
    plan = grid(4)
    failing = plan.cells[1]
    work = Work(plan=plan, folder=tmp_path, run_stage=pretend(tmp_path / "log", 0.0, failing.short))
    state = Crew(work).run(2)
    assert set(state.failures) == {failing.key}
    assert len(state.results) == 5
    failure = "train: error: it does not converge\n  next:  a lower learning rate\n(exit code 2)"
    assert state.failures[failing.key].error == failure
    Crew(work).run(1)
    assert counts(tmp_path, "begin")[failing.short] == 1, "a failed cell is tried again only when asked for"


def test_what_needs_a_failed_training_is_not_begun_and_named_failed(tmp_path: Path) -> None:
    plan = grid(4)
    training = plan.cells[0].needs[0]
    state = Crew(Work(plan=plan, folder=tmp_path, run_stage=pretend(tmp_path / "log", 0.0, training.short))).run(1)
    assert counts(tmp_path, "begin").keys() == {one.short for one in plan.parts} - {c.short for c in plan.cells[:2]}
    assert [state.failed_need(cell) is not None for cell in plan.cells] == [True, True, False, False]


def test_retrying_tries_each_failure_once_more(tmp_path: Path) -> None:
    plan = grid(2)
    failing = plan.cells[1]
    broken = Work(plan=plan, folder=tmp_path, run_stage=pretend(tmp_path / "log", 0.0, failing.short))
    Crew(broken).run(1)
    state = Crew(replace(broken, retries=failures_so_far(plan, tmp_path))).run(2)
    assert counts(tmp_path, "begin")[failing.short] == 2
    assert state.failures[failing.key].attempt == 2
    retries = failures_so_far(plan, tmp_path)
    mended = Work(plan=plan, folder=tmp_path, run_stage=pretend(tmp_path / "log", 0.0), retries=retries)
    assert not Crew(mended).run(1).failures
    assert counts(tmp_path, "end")[failing.short] == 1


def test_a_sweep_that_grew_begins_what_is_new_alone(tmp_path: Path) -> None:
    run = pretend(tmp_path / "log", 0.0)
    Crew(Work(plan=grid(2), folder=tmp_path, run_stage=run)).run(1)
    before = counts(tmp_path, "begin")
    Crew(Work(plan=grid(3), folder=tmp_path, run_stage=run)).run(1)
    new = {part.short for part in grid(3).parts} - {part.short for part in grid(2).parts}
    assert (counts(tmp_path, "begin") - before).keys() == new and len(new) == 2


def test_an_interrupted_worker_releases_its_part_and_says_so(tmp_path: Path) -> None:
    plan = grid(1)
    crew = Crew(Work(plan=plan, folder=tmp_path, run_stage=pretend(tmp_path / "log", 60.0)))
    running = threading.Thread(target=crew.run, args=(1,))
    running.start()
    wait_for(lambda: counts(tmp_path, "begin"))
    crew.ending.set()
    running.join()
    assert [row.label for row in events(tmp_path, plan, "interrupted")] == ["training 0"]
    assert Claims(tmp_path / "claims", this_process("next")).take(plan.parts[0].short) is not None


FORKS = """\
import multiprocessing, sys
from pathlib import Path
from pipeline.sweep.forks import _Forks

if __name__ == "__main__":
    command = ["examples", "gridworld", "--recipe", "full", "--set", "examples.num_scenarios=3000000"]
    run = _Forks(multiprocessing.get_context("forkserver")).run
    run([*command, "--out", sys.argv[1] + "/examples"], Path(sys.argv[1]) / "examples.log", lambda: False)
"""


def test_a_stage_ends_when_its_sweep_is_killed_alone(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(FORKS)
    command = [sys.executable, str(tmp_path / "forks.py"), str(tmp_path)]
    sweep = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    wait_for(lambda: is_at_work(tmp_path / "examples"))
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    wait_for(lambda: not is_at_work(tmp_path / "examples"))
    assert not (tmp_path / "examples/examples.jsonl").exists(), "it came to its own end"
    assert "interrupted" in (tmp_path / "examples.log").read_text()


def test_a_folder_that_is_not_left_is_left_to_whoever_holds_it(tmp_path: Path) -> None:
    """As by a stage that is stopped: it may go on at any time."""
    plan = grid(1)
    held = tmp_path / plan.parts[0].folder / "train"
    held.mkdir(parents=True)
    with open(held / LOCK_NAME, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = Work(plan=plan, folder=tmp_path, lease_s=0.2, run_stage=pretend(tmp_path / "log", 0.0))
        state = Crew(work).run(1)
    assert state.results[plan.parts[0].key].folder == f"{plan.parts[0].folder}-1"
    assert (tmp_path / f"{plan.parts[0].folder}-1/train/out").exists() and not (held / "out").exists()


def test_a_worker_that_meets_a_bug_ends_the_crew_with_it(tmp_path: Path) -> None:
    def broken(*_: object) -> int:
        raise KeyError("meters")

    with pytest.raises(KeyError, match="meters"):
        Crew(Work(plan=grid(4), folder=tmp_path, run_stage=broken)).run(2)
