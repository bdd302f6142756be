"""What is known of a training besides its tail: that it has ended, and how much was played."""

import fcntl
from pathlib import Path

import pytest

from pipeline.follow import training
from pipeline.follow.playback import duration, lateness
from pipeline.follow.training import State, Training
from pipeline.run.folder import LOCK_NAME
from pipeline.run.manifest import write_manifest
from schemas.manifest import Manifest, Provenance, Status

HERE = Provenance(
    command=[], git_commit=None, git_dirty=None, python="", platform="", versions={}, device="cpu", num_threads=1
)


def finish(folder: Path, status: Status, stage: str = "train") -> None:
    """Write the manifest of a stage with that status."""
    facts = {"config": {}, "config_hash": "", "seed": None, "inputs": {}, "started_unix_s": 0.0, "provenance": HERE}
    write_manifest(folder, Manifest(stage=stage, task="toy", status=status, **facts))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOOK_EVERY_S", 0.0)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("started", ""),
        ("ok", "the training has ended"),
        ("error", "the training has failed"),
        ("cancelled", "the training was interrupted"),
    ],
)
def test_the_manifest_says_whether_a_training_has_ended(tmp_path: Path, status: Status, told: str) -> None:
    looking = Training(tmp_path / "episodes.jsonl")
    assert looking.look().ended == ""
    finish(tmp_path, status)
    assert looking.look().ended == told
    assert Training(tmp_path / "a copy.jsonl").look().ended == ""
    finish(tmp_path, "ok", stage="infer")
    assert looking.look().ended == ""


def test_a_training_whose_process_is_gone_was_killed(tmp_path: Path) -> None:
    looking, lock = Training(tmp_path / "episodes.jsonl"), tmp_path / LOCK_NAME
    finish(tmp_path, "started")
    assert looking.look().ended == ""  # a copy, in which nobody ever worked
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert looking.look().ended == ""
    assert looking.look().ended == "the training was killed"
    finish(tmp_path, "ok")
    assert looking.look().ended == "the training has ended"


def test_a_file_that_is_gone_is_told_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    looking = Training(path)
    assert looking.look() == State()
    for _ in range(2):
        path.touch()
        assert looking.look() == State()
        path.unlink()
        assert looking.look().ended == "the file was deleted"


def test_lines_of_progress_are_counted_as_they_come(tmp_path: Path) -> None:
    path, looking = tmp_path / "progress.jsonl", Training(tmp_path / "episodes.jsonl")
    numbers = []
    for text in (b"{}\n{}\n{", b"{}\n{}\n{}\n", b"{}\n{}\n{}\n{}\n", b"{}\n"):
        path.write_bytes(text)
        numbers.append(looking.look().num_progress)
    assert numbers == [2, 3, 4, 1]


def test_it_does_not_look_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOOK_EVERY_S", 1e9)
    looking = Training(tmp_path / "episodes.jsonl")
    looking.look()
    finish(tmp_path, "ok")
    assert looking.look().ended == ""


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.012, "newest arrived 12 ms after its end"),
        (-0.4, "newest arrived 0 ms after its end"),
        (-3600.0, "clocks differ by 1 h"),
        (-3599.9, "clocks differ by 1 h"),
        (-1000.0, "clocks differ by 17 min"),
    ],
)
def test_a_clock_that_is_ahead_says_nothing_about_latency(seconds: float, told: str) -> None:
    assert lateness(seconds) == told


def test_durations_are_told_in_their_own_unit() -> None:
    assert [duration(seconds) for seconds in (0.5, 3.44, 300.0, 7200.0)] == ["500 ms", "3.4 s", "5 min", "2 h"]


def test_a_file_that_others_read_before_it_was_gone_was_there(tmp_path: Path) -> None:
    assert Training(tmp_path / "episodes.jsonl").look(was_read=True).ended == "the file was deleted"
