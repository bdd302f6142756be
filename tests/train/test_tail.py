"""The live tail: whole rows, never blocking, counting what it drops."""

import threading
from pathlib import Path

import msgspec

from pipeline.train.tail import Tail
from schemas.rows import Episode


def _row(number: int, num_dropped_before: int = 0) -> Episode:
    return Episode(task="t", id=str(number), step=number, ended_unix_s=0.0, num_dropped_before=num_dropped_before)


def _rows(path: Path) -> list[Episode]:
    return [msgspec.json.decode(line, type=Episode) for line in path.read_bytes().splitlines()]


def test_rows_arrive_in_order_and_whole(tmp_path: Path) -> None:
    with Tail(tmp_path / "episodes.jsonl") as tail:
        for number in range(3):
            assert tail.offer(lambda dropped, number=number: _row(number, dropped))
            tail.drain()
    assert [row.id for row in _rows(tmp_path / "episodes.jsonl")] == ["0", "1", "2"]


def test_a_full_queue_drops_whole_rows_without_waiting_and_the_next_row_counts_them(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow(dropped: int) -> Episode:
        gate.wait(30)
        return _row(0, dropped)

    with Tail(tmp_path / "episodes.jsonl", capacity=2) as tail:
        taken = [tail.offer(slow)]
        while tail._behind._queue.qsize():  # until the writer holds the first row, so that the queue is empty again
            pass
        taken += [tail.offer(lambda dropped, n=n: _row(n, dropped)) for n in range(1, 6)]
        assert taken == [True, True, True, False, False, False]
        gate.set()
        tail.drain()
        assert tail.offer(lambda dropped: _row(6, dropped))
    rows = _rows(tmp_path / "episodes.jsonl")
    assert [(row.id, row.num_dropped_before) for row in rows] == [("0", 0), ("1", 0), ("2", 0), ("6", 3)]
    assert (tail.num_written, tail.num_dropped) == (4, 3)


def test_a_writer_that_fails_stops_the_tail_and_not_the_training(tmp_path: Path) -> None:
    def broken(dropped: int) -> Episode:
        raise OSError("no space left")

    with Tail(tmp_path / "episodes.jsonl") as tail:
        assert tail.offer(broken)
        tail.drain()
        assert not tail.offer(lambda dropped: _row(1, dropped))
        assert isinstance(tail.error, OSError)
    assert (tmp_path / "episodes.jsonl").read_bytes() == b""


def test_resuming_cuts_the_tail_to_where_the_checkpoint_saw_it(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    with Tail(path) as tail:
        tail.offer(lambda dropped: _row(0, dropped))
        offset = tail.drain()
        tail.offer(lambda dropped: _row(1, dropped))
    with Tail(path, resume_at=offset) as tail:
        tail.offer(lambda dropped: _row(2, dropped))
    assert [row.id for row in _rows(path)] == ["0", "2"]
