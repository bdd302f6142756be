"""Episodes of a growing file: summaries as they arrive, whole rows when asked for, plain lines for logs."""

import io
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.follow.feed import KEPT_EPISODES, Feed
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.plain import PlainOptions, follow_plain
from pipeline.follow.scene import Filter
from schemas import rows


class Sample(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An episode of a toy task."""

    task: Literal["toy"] = "toy"
    died: bool = False
    trace: list[int]


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of it."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["toy"] = "toy"
    id: str
    ended_unix_s: float
    num_dropped_before: int = 0
    died: bool = False


class Toy:
    """The part of a live view that plain lines use."""

    @staticmethod
    def tell(summary: Brief) -> str:
        return f"{summary.id} {'died' if summary.died else 'lived'}"


def sample(name: str, *, ended_unix_s: float = 5.0, **more: Any) -> bytes:
    """One line of the file."""
    row = Sample(id=name, step=1, ended_unix_s=ended_unix_s, trace=[1, 2, 3], **more)
    return msgspec.json.encode(row) + b"\n"


def follow(path: Path) -> Feed:
    return Feed(path, Brief, Sample)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_summaries_arrive_as_the_file_grows_and_rows_load_from_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    index = EpisodeIndex()
    feed = follow(path)
    assert feed.poll().waiting == f"waiting for {path}: there is no such file yet"
    path.touch()
    assert feed.poll().waiting == f"waiting for the first episode in {path}"
    append(path, sample("a") + b"\n" + sample("b")[:20])  # a blank line, and a line that is not finished
    for arrival in feed.poll().arrivals:
        index.add(*arrival)
    append(path, sample("b")[20:] + sample("c"))
    for arrival in feed.poll().arrivals:
        index.add(*arrival)
    assert [index[number].summary.id for number in range(len(index))] == ["a", "b", "c"]
    assert [feed.load(index[number]).id for number in (2, 0, 1)] == ["c", "a", "b"]
    assert feed.load(index[1]).trace == [1, 2, 3]


def test_latency_is_told_for_what_ends_after_the_start_and_not_for_the_past(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("old", ended_unix_s=time.time() - 3600))
    feed = follow(path)
    assert [arrival.latency_s for arrival in feed.poll().arrivals] == [None]
    append(path, sample("new", ended_unix_s=time.time()))
    (arrival,) = feed.poll().arrivals
    assert arrival.latency_s is not None
    assert arrival.latency_s >= 0


def test_a_cut_file_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("a") + sample("b"))
    feed = follow(path)
    feed.poll()
    path.write_bytes(sample("c"))
    news = feed.poll()
    assert news.restart == "the file was cut"
    assert [(arrival.summary.id, arrival.offset) for arrival in news.arrivals] == [("c", 0)]
    index = EpisodeIndex()
    assert feed.load(index.add(*news.arrivals[0])).id == "c"


def test_a_replaced_file_starts_over(tmp_path: Path) -> None:
    path, other = tmp_path / "episodes.jsonl", tmp_path / "other.jsonl"
    append(path, sample("a"))
    append(other, sample("b") + sample("c"))
    feed = follow(path)
    feed.poll()
    other.rename(path)
    news = feed.poll()
    assert news.restart == "the file was replaced"
    assert [arrival.summary.id for arrival in news.arrivals] == ["b", "c"]


def test_a_line_that_cannot_be_read_is_skipped_and_told(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("a") + b"{broken\n" + sample("b").replace(b'"toy"', b'"other"') + sample("c"))
    feed = follow(path)
    news = feed.poll()
    assert [arrival.summary.id for arrival in news.arrivals] == ["a", "c"]
    assert len(news.skipped) == 2
    assert f"at byte {len(sample('a'))}: not JSON" in news.skipped[0]
    assert "task 'other'" in news.skipped[1]
    index = EpisodeIndex()
    assert feed.load(index.add(*news.arrivals[1])).id == "c"


def test_a_row_whose_hidden_part_is_wrong_is_an_error_only_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("a") + sample("b").replace(b"[1,2,3]", b'["x"]'))
    feed = follow(path)
    index = EpisodeIndex()
    for arrival in feed.poll().arrivals:
        index.add(*arrival)
    assert feed.load(index[0]).id == "a"
    with pytest.raises(UserError) as error:
        feed.load(index[1])
    assert error.value.where == f"{path}:2:trace[0]"


def test_a_row_of_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("a"))
    feed = follow(path)
    entry = EpisodeIndex().add(*feed.poll().arrivals[0])
    path.unlink()
    with pytest.raises(UserError):
        feed.load(entry)


def test_few_rows_stay_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, b"".join(sample(str(number)) for number in range(KEPT_EPISODES + 5)))
    feed = follow(path)
    index = EpisodeIndex()
    for arrival in feed.poll().arrivals:
        index.add(*arrival)
    first = feed.load(index[0])
    assert feed.load(index[0]) is first
    for number in range(1, KEPT_EPISODES + 1):
        feed.load(index[number])
    assert feed.load(index[0]) is not first


def plain_lines(path: Path, options: PlainOptions) -> tuple[list[str], list[str]]:
    out, notes = io.StringIO(), io.StringIO()
    follow_plain(follow(path), Toy, options, out, notes)  # type: ignore[arg-type]  # it uses tell alone
    return out.getvalue().splitlines(), notes.getvalue().splitlines()


def test_plain_is_one_line_an_episode(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("a") + sample("b", died=True, num_dropped_before=3) + sample("b\x1b[2J"))
    out, notes = plain_lines(path, PlainOptions(idle_exit_s=0))
    assert out == ["a lived", "b died  (3 dropped before it)", "b?[2J lived"]
    assert notes == []


def test_plain_tells_latency_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("old") + sample("new", ended_unix_s=time.time() + 1000))
    out, _ = plain_lines(path, PlainOptions(latency=True, idle_exit_s=0))
    assert out[0] == "old lived  latency_ms=-"
    assert out[1] == "new lived  clocks differ by 17 min  latency_ms=-"


def test_plain_keeps_to_a_filter_and_notes_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append(path, sample("a") + b"oops\n" + sample("b", died=True))
    deaths = Filter(key="d", name="deaths", start=lambda: lambda summary: summary.died)
    out, notes = plain_lines(path, PlainOptions(choice=deaths, idle_exit_s=0))
    assert out == ["b died"]
    assert len(notes) == 1
    assert "a line was skipped" in notes[0]


def test_plain_says_that_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "nothing.jsonl"
    out, notes = plain_lines(path, PlainOptions(idle_exit_s=0))
    assert (out, notes) == ([], [f"waiting for {path}: there is no such file yet"])
