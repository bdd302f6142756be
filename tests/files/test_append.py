"""Writing JSONL: whole lines, resumable; a full disk and kill -9 lose nothing that was written."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from pipeline import files as jsonl
from pipeline.errors import UserError
from tests.support.toy_rows import FIVE, Fix, fix, run_python


@pytest.fixture
def five(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.jsonl"
    jsonl.write_all(path, FIVE)
    return path


def test_appended_rows_reach_the_file_as_whole_lines_at_flush(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    with jsonl.Appender(path) as appender:
        appender.append(fix(0))
        assert path.read_bytes() == b"" and appender.offset == 0
        appender.flush()
        assert path.read_bytes() == jsonl.encode(fix(0)) and appender.offset == path.stat().st_size
        appender.append(fix(1))
    assert jsonl.read_all(path, Fix) == [fix(0), fix(1)] and appender.num_rows == 2
    with pytest.raises(ValueError, match="closed"):
        appender.append(fix(2))


def test_without_a_buffer_every_row_is_there_at_once(tmp_path: Path) -> None:
    with jsonl.Appender(tmp_path / "rows.jsonl", buffer_bytes=0) as appender:
        for index in range(3):
            appender.append(fix(index))
            assert len(jsonl.read_all(appender.path, Fix)) == index + 1


def test_an_appender_goes_on_at_a_remembered_offset(five: Path) -> None:
    second = len(jsonl.encode(FIVE[0])) + len(jsonl.encode(FIVE[1]))
    with jsonl.Appender(five, at=second) as appender:
        appender.append(fix(9))
    assert jsonl.read_all(five, Fix) == [*FIVE[:2], fix(9)]


@pytest.mark.parametrize("at", [3, 10**6, -1])
def test_an_offset_that_ends_no_line_is_refused_and_changes_nothing(five: Path, at: int) -> None:
    before = five.read_bytes()
    with pytest.raises(UserError, match="does not have a line that ends at byte"):
        jsonl.Appender(five, at=at)
    assert five.read_bytes() == before


def test_rows_before_a_failure_in_the_body_are_kept_and_a_refused_row_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(UserError, match="NaN"), jsonl.Appender(path) as appender:
        appender.append(fix(0))
        appender.append(Fix(id="bad", model="abc", error_m=float("nan")))
    assert jsonl.read_all(path, Fix) == [fix(0)]


def test_the_order_of_writes_and_not_their_sizes_makes_the_bytes(tmp_path: Path) -> None:
    for name, buffer_bytes in (("a", 0), ("b", 300), ("c", 1 << 20)):
        with jsonl.Appender(tmp_path / name, buffer_bytes=buffer_bytes) as appender:
            for row in FIVE:
                appender.append(row)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_write_all_replaces_in_one_step_or_not_at_all(five: Path) -> None:
    before = five.read_bytes()
    with pytest.raises(UserError, match="infinity"):
        jsonl.write_all(five, [fix(7), Fix(id="bad", model="abc", error_m=float("inf"))])
    assert five.read_bytes() == before
    assert [path.name for path in five.parent.iterdir()] == [five.name]  # nothing is left beside it
    assert jsonl.write_all(five, [fix(7)]) == 1
    assert jsonl.read_all(five, Fix) == [fix(7)]


# A full disk


def test_a_full_device_is_one_clear_error() -> None:
    with pytest.raises(UserError) as caught, jsonl.Appender("/dev/full", buffer_bytes=0) as appender:
        appender.append(fix(0))
    assert "disk is full" in caught.value.what and caught.value.where == "/dev/full"
    assert "run the same command again" in str(caught.value.remedy)


def test_a_disk_that_fills_up_keeps_whole_lines_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """The limit on the file's size stands for the disk: the system writes what fits, then refuses."""
    path = tmp_path / "rows.jsonl"
    many = [fix(index, note="x" * 50) for index in range(40)]
    limit = 2000
    pid = os.fork()
    if pid == 0:  # the limit would hold for this whole process
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with jsonl.Appender(path, buffer_bytes=700) as appender:
                for row in many:
                    appender.append(row)
        except UserError as error:
            status = 0 if "the disk takes no more" in error.what and str(path) in str(error.where) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    length = len(jsonl.encode(many[0]))
    kept = jsonl.scan(path, Fix)
    assert kept.torn is None and kept.rows == many[: len(kept.rows)]
    assert limit - 2 * length < kept.good_bytes <= limit  # all that fitted, to the line (lines differ by a byte)
    with jsonl.Appender(path, resume=True) as appender:
        for row in many[len(kept.rows) :]:
            appender.append(row)
    assert jsonl.read_all(path, Fix) == many


def test_write_all_on_a_full_disk_leaves_the_old_file(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = five.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # where a delayed allocation fails
    with pytest.raises(UserError, match="disk is full"):
        jsonl.write_all(five, [fix(7)])
    assert five.read_bytes() == before and len(list(five.parent.iterdir())) == 1


# kill -9

WRITER = """
    import sys
    from pipeline import files as jsonl
    resume = len(sys.argv) > 2
    done = len(jsonl.scan(sys.argv[1], dict).rows) if resume else 0
    with jsonl.Appender(sys.argv[1], resume=resume, buffer_bytes=1000) as appender:
        for index in range(done, 3000):
            appender.append({"schema": "toy_v1", "task": "toy", "id": str(index), "pad": "x" * (index % 97)})
            if index == done + 100:
                print("going", flush=True)
"""


@pytest.mark.parametrize("num_rows_seen", [1, 200, 900])
def test_a_killed_writer_resumes_to_the_same_bytes(tmp_path: Path, num_rows_seen: int) -> None:
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    assert run_python(WRITER, str(whole)).wait() == 0
    writer = run_python(WRITER, str(killed))
    assert writer.stdout is not None and writer.stdout.readline() == "going\n"
    while writer.poll() is None and len(jsonl.scan(killed, dict).rows) < num_rows_seen:
        pass
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    scan = jsonl.scan(killed, dict)
    assert whole.read_bytes().startswith(killed.read_bytes()[: scan.good_bytes])
    assert run_python(WRITER, str(killed), "resume").wait() == 0
    assert killed.read_bytes() == whole.read_bytes()
