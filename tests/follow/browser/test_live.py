"""What all who watch share: each episode is made once, and one that cannot be made is told."""

import asyncio
import dataclasses
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.follow.browser import reel as browser_reel
from pipeline.follow.browser.client import Client
from pipeline.follow.browser.live import Found, Live, index_row
from pipeline.follow.browser.reel import MAX_MESSAGE_BYTES, MAX_WORDS, NUM_KEPT, Reel, to_text
from pipeline.follow.feed import Feed, Opened
from pipeline.follow.scene import FollowPart, Moment, Scene, Words
from tests.follow import toy

LARGEST = 20_000  # bytes of a message, where a test says so
made: list[tuple[str, int]] = []
where: set[int] = set()


def scene(moment: Moment) -> Scene:
    """The toy's, noting which was made, and in which thread."""
    made.append((moment.episode.id, moment.frame))
    where.add(threading.get_ident())
    if moment.episode.id == "bad":
        raise IndexError("nobody thought of it")
    if moment.episode.id == "huge":
        return Scene(frame=moment.frame, notes=tuple(toy.prose(Words("x")) for _ in range(LARGEST // 20)))
    return toy.PART.scene(moment)


PART = FollowPart(scene=scene, num_frames=lambda summary: 3)


@pytest.fixture(autouse=True)
def forget() -> None:
    made.clear()
    where.clear()


def opened(path: Path, ids: Sequence[str]) -> Opened:
    """A file of toy episodes with these ids."""
    rows = [toy.Numbers(id=id, step=1, ended_unix_s=0.0, numbers=[1, 2, 3]) for id in ids]
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return Opened(Feed(path, PART.summary, toy.Numbers), PART)


def read(live: Live) -> None:
    """Take all that is in the file."""
    news = live.opened.feed.poll()
    live.take(Found(news, [index_row(live.opened, arrival.summary) for arrival in news.arrivals], "file"))


async def whole(reel: Reel) -> list[str | bytes]:
    """All parts of a reel."""
    grown = asyncio.Event()
    reel.listeners.add(grown)
    while not reel.is_whole:
        grown.clear()
        await grown.wait()
    return reel.parts


async def head(reel: Reel) -> Any:
    """The head of a reel, when all that was begun has been made."""
    while not reel.parts:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return msgspec.json.decode(reel.parts[0])


def reel(live: Live, number: int, *, whole: bool = True) -> Reel:
    entry = live.entry(number)
    assert entry is not None
    return live.reel(entry, whole=whole)


async def test_an_episode_is_made_once_for_all_and_never_in_the_event_loop(tmp_path: Path) -> None:
    live = Live(opened(tmp_path / "file", ["a"]))
    read(live)
    told = await asyncio.gather(*(whole(reel(live, 0)) for _ in range(5)))
    assert all(parts == told[0] for parts in told)
    assert made == [("a", 0), ("a", 1), ("a", 2)]
    assert threading.get_ident() not in where
    head, changes = msgspec.json.decode(told[0][0]), msgspec.json.decode(zlib.decompress(told[0][1]))
    assert (head["num_frames"], head["first"]["readings"][0]["values"][0]["value"]) == (3, 1)
    assert (changes["from"], len(changes["changes"])) == (1, 2)


async def test_the_frames_behind_the_first_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    live = Live(opened(tmp_path / "file", ["a"]))
    read(live)
    assert (await head(reel(live, 0, whole=False)))["id"] == "a"
    assert made == [("a", 0)]
    await whole(reel(live, 0))
    assert made == [("a", 0), ("a", 1), ("a", 2)]


async def test_a_long_episode_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_reel, "PIECE_BYTES", 1)
    live = Live(opened(tmp_path / "file", ["a"]))
    read(live)
    _, *pieces = await whole(reel(live, 0))
    changes = [msgspec.json.decode(zlib.decompress(piece)) for piece in pieces if isinstance(piece, bytes)]
    assert [(one["from"], len(one["changes"])) for one in changes] == [(1, 1), (2, 1)]


async def test_nothing_is_made_that_nobody_is_sent(tmp_path: Path) -> None:
    live = Live(opened(tmp_path / "file", ["a", "b"]))
    live.join(Client())
    read(live)
    assert made == []


async def test_the_last_20_are_kept(tmp_path: Path) -> None:
    live = Live(opened(tmp_path / "file", [str(number) for number in range(NUM_KEPT + 1)]))
    read(live)
    for number in (*range(NUM_KEPT), 0, NUM_KEPT):  # 0 is asked for again, so that 1 is the oldest
        await whole(reel(live, number))
    assert len(made) == 3 * (NUM_KEPT + 1)
    await whole(reel(live, 0))
    assert len(made) == 3 * (NUM_KEPT + 1)
    await whole(reel(live, 1))
    assert len(made) == 3 * (NUM_KEPT + 2)


async def test_an_episode_of_one_frame_is_whole_with_its_head(tmp_path: Path) -> None:
    file = opened(tmp_path / "file", ["a"])._replace(part=dataclasses.replace(PART, num_frames=lambda summary: 1))
    live = Live(file)
    read(live)
    assert len(await whole(reel(live, 0))) == 1


async def test_an_episode_that_cannot_be_made_is_told_and_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_reel, "MAX_MESSAGE_BYTES", LARGEST)
    live = Live(opened(tmp_path / "file", ["bad", "huge", "a"]))
    read(live)
    bad, huge, good = (reel(live, number) for number in range(3))
    assert [len(await whole(each)) for each in (bad, huge, good)] == [0, 0, 2]
    assert bad.problem == "episode bad cannot be shown: IndexError: nobody thought of it"
    assert huge.problem.startswith("episode huge cannot be shown: too large to be shown: ")
    assert (bad.is_broken, huge.is_broken, good.is_broken, good.problem) == (True, True, False, "")


async def test_a_second_opinion_is_asked_once_and_may_be_missing(tmp_path: Path) -> None:
    asked: list[str] = []

    def opinion(row: Any) -> list[int]:
        asked.append(row.id)
        if row.id == "b":
            raise UserError("the model does not fit")
        return [1, 2, 3]

    live = Live(opened(tmp_path / "file", ["a", "b"]), opinion)
    read(live)
    reels = [reel(live, number) for number in (0, 1, 0, 1)]
    assert [len(await whole(each)) for each in reels] == [2, 2, 2, 2]
    assert asked == ["a", "b"]
    assert (reels[0].problem, reels[1].problem) == ("", "no second opinion on episode b: the model does not fit")


async def test_a_line_that_is_another_one_now_is_not_shown_for_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    live = Live(opened(path, ["a", "b"]))
    read(live)
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"c"'))
    changed = reel(live, 1)
    assert await whole(changed) == []
    assert changed.problem == "episode b cannot be shown: the file has changed, and is being read again"


async def test_of_a_very_long_file_the_oldest_are_forgotten(tmp_path: Path) -> None:
    live = Live(opened(tmp_path / "file", [str(number) for number in range(20)]))
    live.index.capacity = 8
    client = Client(after="file:0:0")
    live.join(client)
    read(live)
    first, rows = live.rows_from(0)
    assert (first, len(rows), first + len(rows)) == (live.index.first, len(live.index) - first, 20)
    assert (live.entry(first - 1), live.ask(client, "0"), live.ask(client, "19")) == (None, False, True)


def test_a_message_that_is_too_long_loses_words_but_no_images() -> None:
    long = "é" * (MAX_MESSAGE_BYTES // 2)
    told = msgspec.json.decode(to_text({"words": ["short", long], "image": {"png": "x" * 10_000}}))
    assert told == {
        "words": ["short", f"{long[:MAX_WORDS]}… ({len(long):,} characters)"],
        "image": {"png": "x" * 10_000},
    }
    with pytest.raises(UserError, match="too large to be shown: 5 MB"):
        to_text({"png": "x" * 5_000_000})
