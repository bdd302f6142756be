"""train as a command: interrupted, killed, resumed, started anew."""

import signal
from pathlib import Path

import pytest

from pipeline.run.manifest import load_manifest
from tests.conftest import Baton
from tests.support.zygote import Command, Zygote

RUN = "gridworld/tiny/train"
FINAL = ("selected.checkpoint_v1", "progress.jsonl", "monitor.jsonl")
ARGUMENTS = ("train", "gridworld", "--recipe", "tiny")


def start(zygote: Zygote, runs: Path) -> Command:
    return zygote.start(*ARGUMENTS, environment={"BATON_RUNS": str(runs)})


def wait_for(command: Command, path: Path) -> None:
    """Until the training wrote the file."""
    while not path.exists():
        assert command.wait(timeout_s=0.01) is None, command.finish()


def assert_like_uninterrupted(folder: Path, tiny_runs: Path) -> None:
    for name in FINAL:
        assert (folder / name).read_bytes() == (tiny_runs / RUN / name).read_bytes(), name


def test_a_killed_training_resumes_to_the_same_bytes(
    tmp_path: Path, tiny_runs: Path, zygote: Zygote, baton: Baton
) -> None:
    process = start(zygote, tmp_path / "runs")
    folder = tmp_path / "runs" / RUN
    wait_for(process, folder / "resume.checkpoint_v1")
    assert process.kill() == -signal.SIGKILL
    assert load_manifest(folder).status == "started"
    done = baton(*ARGUMENTS)
    assert done.code == 0, done.err
    assert load_manifest(folder).status == "ok"
    assert_like_uninterrupted(folder, tiny_runs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_so_and_resumes_to_the_same_bytes(
    number: signal.Signals, tmp_path: Path, tiny_runs: Path, zygote: Zygote, baton: Baton
) -> None:
    process = start(zygote, tmp_path / "runs")
    folder = tmp_path / "runs" / RUN
    wait_for(process, folder / "progress.jsonl")
    process.signal(number)
    done = process.finish()
    assert done.code == 130
    assert "error: interrupted\n  next:  the same command again goes on from where it stopped" in done.err
    assert load_manifest(folder).status == "cancelled"
    done = baton(*ARGUMENTS)
    assert done.code == 0, done.err
    assert_like_uninterrupted(folder, tiny_runs)


def test_a_fresh_start_takes_nothing_of_the_unfinished_training(
    tmp_path: Path, tiny_runs: Path, zygote: Zygote, baton: Baton
) -> None:
    folder = tmp_path / "runs" / RUN
    process = start(zygote, tmp_path / "runs")
    wait_for(process, folder / "resume.checkpoint_v1")
    assert process.kill() == -signal.SIGKILL
    (folder / "resume.checkpoint_v1").write_bytes(b"damaged")
    resumed = baton(*ARGUMENTS)
    assert resumed.code == 2
    assert "start anew with --fresh" in resumed.err
    done = baton(*ARGUMENTS, "--fresh")
    assert done.code == 0, done.err
    assert_like_uninterrupted(folder, tiny_runs)


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path, zygote: Zygote, baton: Baton) -> None:
    process = start(zygote, tmp_path / "runs")
    wait_for(process, tmp_path / "runs" / RUN / "manifest.json")
    done = baton(*ARGUMENTS)
    assert done.code == 2
    assert f"process {process.pid}" in done.err
    assert "is working in this run folder" in done.err
    assert process.kill() == -signal.SIGKILL


def test_piped_training_reports_in_plain_lines_on_stderr(tmp_path: Path, baton: Baton) -> None:
    done = baton(*ARGUMENTS, "--json")
    assert done.err == ""
    assert done.json["counts"]["steps"] == 4096
    again = baton(*ARGUMENTS, "--force")
    assert again.err.splitlines()[-1].startswith("train: ")
    assert "\x1b" not in again.err


def test_another_seed_is_another_training_and_needs_another_name(tmp_path: Path, baton: Baton) -> None:
    assert baton(*ARGUMENTS).code == 0
    refused = baton(*ARGUMENTS, "--seed", "1")
    assert refused.code == 2
    assert "seed: 0 -> 1" in refused.err
    assert baton(*ARGUMENTS, "--seed", "1", "--set", "name=tiny-1").code == 0
    first, second = (tmp_path / f"runs/gridworld/{name}/train/progress.jsonl" for name in ("tiny", "tiny-1"))
    assert first.read_bytes() != second.read_bytes()
