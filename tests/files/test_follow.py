"""Following a growing file: rows arrive in order and once, whatever happens to the file."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import files as jsonl
from pipeline.errors import UserError
from pipeline.files import wake
from pipeline.files.follow import Follower, SkippedLine, StartedOver
from tests.support.toy_rows import FIVE, Fix, fix, run_python


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train" / "episodes.jsonl"


@pytest.fixture
def follower(path: Path) -> Iterator[Follower[Fix]]:
    with Follower(path, Fix) as follower:
        yield follower


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_nothing_comes_before_the_file_and_its_folder_exist(path: Path, follower: Follower[Fix]) -> None:
    assert follower.poll() == [] and follower.wait(0.01) is False
    path.parent.mkdir()
    assert follower.poll() == []
    jsonl.write_all(path, FIVE[:2])
    assert follower.wait(10) and follower.poll() == FIVE[:2]
    assert follower.poll() == [] and follower.wait(0.01) is False


def test_rows_come_once_and_in_order_as_the_file_grows(path: Path, follower: Follower[Fix]) -> None:
    got: list[Any] = []
    with jsonl.Appender(path, buffer_bytes=0) as appender:
        for row in FIVE:
            appender.append(row)
            got += follower.poll()
    assert got == FIVE and follower.offset == path.stat().st_size and follower.behind_bytes == 0


@given(st.data())
def test_a_partial_line_is_waited_for(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = b"".join(map(jsonl.encode, FIVE))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    path = tmp_path_factory.mktemp("partial") / "rows.jsonl"
    got: list[Any] = []
    with Follower(path, Fix) as follower:
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            append(path, whole[start:end])
            got += follower.poll()
            assert len(got) == whole[:end].count(b"\n")
    assert got == FIVE


def test_a_writer_that_resumes_further_back_starts_the_reader_over(path: Path, follower: Follower[Fix]) -> None:
    jsonl.write_all(path, FIVE)
    assert follower.poll() == FIVE
    with jsonl.Appender(path, at=len(jsonl.encode(FIVE[0]))) as appender:
        appender.append(fix(8))
    assert follower.poll() == [StartedOver("truncated"), FIVE[0], fix(8)]


def test_a_file_rewritten_beyond_where_the_reader_was_is_noticed(path: Path, follower: Follower[Fix]) -> None:
    jsonl.write_all(path, FIVE[:2])
    assert follower.poll() == FIVE[:2]
    with jsonl.Appender(path) as appender:  # in place: the same inode, and no moment at which the reader looks
        for index in range(10, 15):
            appender.append(fix(index, note="another run"))
    new = jsonl.read_all(path, Fix)
    assert follower.poll() == [StartedOver("rewritten"), *new]


def test_cutting_a_torn_tail_is_no_new_start(path: Path, follower: Follower[Fix]) -> None:
    jsonl.write_all(path, FIVE)
    append(path, b'{"task":"toy","id":"r5","sch')
    assert follower.poll() == FIVE
    with jsonl.Appender(path, resume=True) as appender:
        appender.append(fix(5))
    assert follower.poll() == [fix(5)]


def test_the_rest_of_a_replaced_file_comes_before_the_new_one(path: Path, follower: Follower[Fix]) -> None:
    jsonl.write_all(path, FIVE[:2])
    assert follower.poll() == FIVE[:2]
    append(path, jsonl.encode(FIVE[2]))
    jsonl.write_all(path, [fix(7)])
    assert follower.poll() == [FIVE[2]]
    assert follower.wait(10) and follower.poll() == [StartedOver("replaced"), fix(7)]


def test_a_deleted_folder_that_comes_back_is_followed_again(path: Path, follower: Follower[Fix]) -> None:
    jsonl.write_all(path, FIVE)
    assert follower.poll() == FIVE
    shutil.rmtree(path.parent)
    assert follower.poll() == [] and follower.wait(0.01) is False
    jsonl.write_all(path, [fix(7)])
    assert follower.wait(10) and follower.poll() == [StartedOver("replaced"), fix(7)]


def test_bad_lines_are_skipped_and_said(path: Path, follower: Follower[Fix]) -> None:
    first = jsonl.encode(FIVE[0])
    path.parent.mkdir()
    path.write_bytes(first + b"broken\n" + first.replace(b'"error_m":0.0', b'"error_m":"x"') + jsonl.encode(FIVE[1]))
    row, broken, invalid, last = follower.poll()
    assert (row, last) == (FIVE[0], FIVE[1])
    assert isinstance(broken, SkippedLine) and broken.offset == len(first) and "not JSON" in broken.reason
    assert invalid == SkippedLine(len(first) + 7, "error_m: Expected 'float', got 'str'")


def test_a_file_that_begins_with_a_row_of_another_task_is_refused(path: Path, follower: Follower[Fix]) -> None:
    path.parent.mkdir()
    path.write_bytes(jsonl.encode(FIVE[0]).replace(b'"task":"', b'"task":"other_'))
    with pytest.raises(UserError, match="of task 'other_"):
        follower.poll()


def test_the_lines_behind_rows_and_skipped_lines_are_told(path: Path, follower: Follower[Fix]) -> None:
    first = jsonl.encode(FIVE[0])
    path.parent.mkdir()
    path.write_bytes(first + b"broken\n \n" + jsonl.encode(FIVE[1]) + first[:10])
    assert len(follower.poll()) == 3
    whole = [path.read_bytes()[start : start + length] for start, length in follower.spans()]
    assert whole == [first, b"broken\n", jsonl.encode(FIVE[1])]
    assert follower.poll() == [] == follower.spans()


def test_lines_longer_than_one_read_come_whole(path: Path, follower: Follower[Fix]) -> None:
    long = fix(0, note="x" * (20 << 20))  # 20 MiB against 8 MiB a read
    jsonl.write_all(path, [long, fix(1)])
    got = follower.poll()
    while follower.wait(0):
        got += follower.poll()
    assert got == [long, fix(1)]


WRITER = """
    import sys, time
    from pipeline import files as jsonl
    time.sleep(0.2)
    with jsonl.Appender(sys.argv[1], buffer_bytes=0) as appender:
        for index in range(500):
            appender.append({"schema": "toy_v1", "task": "toy", "id": str(index), "pad": "x" * 5000})
"""


@pytest.mark.parametrize("how", ["inotify", "poll"])
def test_another_process_is_followed_from_before_its_first_row(
    path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "poll":
        monkeypatch.setattr(wake, "_open_inotify", lambda: -1)
    writer = run_python(WRITER, str(path))
    follower: Follower[Any] = Follower(path, dict)
    with follower:
        got: list[Any] = []
        while len(got) < 500 and follower.wait(10):
            got += follower.poll()
    assert writer.wait() == 0
    writer.communicate()
    assert [row["id"] for row in got if isinstance(row, dict)] == [str(index) for index in range(500)]


def test_a_change_wakes_a_waiting_reader_and_other_files_do_not(path: Path) -> None:
    path.parent.mkdir()
    other = path.with_name("progress.jsonl")
    beat = threading.Event()

    def write_others_then_ours() -> None:
        for _ in range(20):
            append(other, b"x\n")
            time.sleep(0.002)
        beat.set()
        append(path, b"x\n")

    with Follower(path, Fix) as follower:
        thread = threading.Thread(target=write_others_then_ours)
        thread.start()
        assert follower.wait(30)  # returns for ours, at once, and long before its limit
        assert beat.is_set()
        thread.join()


@pytest.mark.parametrize("kind", ["folder", "fifo", "compressed"])
def test_what_cannot_be_followed_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("rows.jsonl.zst" if kind == "compressed" else "rows.jsonl")
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(UserError, match="followed"), Follower(path, Fix) as follower:
        follower.poll()


def test_no_descriptor_is_left_open(path: Path) -> None:
    jsonl.write_all(path, FIVE)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with Follower(path, Fix) as follower:
            follower.poll()
    assert len(os.listdir("/proc/self/fd")) == before
