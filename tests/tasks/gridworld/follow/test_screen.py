"""The screen of the live view with textual's own pilot: what the keys do, and what a growing file does to it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from pipeline.errors import UserError
from pipeline.files import encode
from pipeline.follow.feed import Feed
from pipeline.follow.terminal.app import FollowApp, Watch
from pipeline.follow.terminal.canvas import Canvas
from pipeline.follow.terminal.text import Size
from pipeline.tasks.gridworld.follow import training as live
from pipeline.tasks.gridworld.rows import GridworldEpisode
from tests.follow.screenshot import Moment, take_screenshot
from tests.follow.test_training import finish
from tests.tasks.gridworld.literal_rows import episode, meters, step

SMALL = Size(80, 24)


def lives(name: str, steps: int = 5, **fields: Any) -> GridworldEpisode:
    return episode(*[step("right", (x % 8, 2)) for x in range(steps)], id=name, **fields)


def dies(name: str, steps: int = 5, **fields: Any) -> GridworldEpisode:
    end = {"died": True, "cause": "energy", "final_meters": meters(energy=0.0)}
    return lives(name, steps, **(end | fields))


def write(path: Path, *rows: GridworldEpisode) -> Path:
    with path.open("ab") as file:
        file.write(b"".join(encode(row) for row in rows))
    return path


def watch(path: Path, **options: Any) -> Watch:
    return Watch(Feed(path, live.Summary, GridworldEpisode), live.PART, **options)


@asynccontextmanager
async def running(watched: Watch, size: Size = SMALL) -> AsyncIterator[tuple[FollowApp, Pilot[int]]]:
    app = FollowApp(watched)
    async with app.run_test(size=size) as pilot:
        yield app, pilot


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never became so")


async def press(pilot: Pilot[int], *keys: str) -> str:
    """Press keys; returns the screen afterwards."""
    await pilot.press(*keys)
    await pilot.pause()
    return screen(pilot.app)


def screen(app: Any) -> str:
    """What is on screen, as text."""
    return "\n".join(strip.text.rstrip() for strip in app.query_one(Canvas).strips)


async def test_it_waits_for_a_file_that_does_not_exist_yet_and_then_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "there is no such file yet" in " ".join(screen(app).split()))
        write(path, lives("first", steps=400))
        await until(pilot, lambda: "episode 1 of 1" in screen(app))
        assert "● LIVE" in screen(app)
        assert "METERS" in screen(app)


async def test_keys_pause_step_and_go_to_the_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a", steps=40))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        assert "‖ PAUSED" in await press(pilot, "space")
        assert "step 0 of 500" in await press(pilot, "g")
        assert "step 2 of 500" in await press(pilot, "full_stop", "right")
        assert "step 1 of 500" in await press(pilot, "comma")
        assert "step 0 of 500" in await press(pilot, "left")
        assert "step 10 of 500" in await press(pilot, "greater_than_sign")
        assert "step 0 of 500" in await press(pilot, "less_than_sign")
        assert "step 40 of 500" in await press(pilot, "G")
        assert "step 0 of 500" in await press(pilot, "home")
        assert "▶ REPLAY" in await press(pilot, "space")
        await until(pilot, lambda: app.playback.frame > 0)


async def test_keys_go_through_the_episodes_and_back_to_live(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"), dies("b"), lives("c"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 2)
        assert "episode 2 of 3" in await press(pilot, "p")
        assert "episode 1 of 3" in await press(pilot, "p")
        assert "this is the first episode" in await press(pilot, "p")
        assert "episode 2 of 3" in await press(pilot, "n")
        text = await press(pilot, "N")
        assert "episode 3 of 3" in text
        assert "● LIVE" in text


async def test_keys_filter_episodes(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"), dies("b"), lives("c"), dies("d"), lives("e"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 4)
        text = await press(pilot, "d")
        assert "episode 4 of 5" in text
        assert "filter: deaths (2)" in text
        assert "episode 2 of 5" in await press(pilot, "p")
        assert "filter" not in (await press(pilot, "d")).splitlines()[-2]
        assert "filter: best so far" in await press(pilot, "b")
        assert "filter: stage changes" in await press(pilot, "f")
        assert "filter" not in (await press(pilot, "f")).splitlines()[-2]


async def test_numbers_open_panels_and_close_them(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a", steps=40))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        await press(pilot, "g")
        titles = ("EVENTS", "VISITS", "REWARDS", "CERTIFICATE", "FORECAST", "PLACES")
        for number, title in enumerate(titles, start=1):
            assert f"{number} {title} ──" in await press(pilot, str(number))
        assert "METERS" in await press(pilot, str(len(titles)))
        assert "1 EVENTS" in await press(pilot, "tab")
        assert "2 VISITS" in await press(pilot, "tab")
        assert "METERS" in await press(pilot, "escape")
        assert "METERS" in await press(pilot, "9")


async def test_a_panel_stands_below_the_readings_where_there_is_room(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a", steps=40))
    async with running(watch(path), Size(120, 40)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        text = await press(pilot, "g")
        assert "1 EVENTS" in text and "METERS" in text and "Q-VALUES" in text
        text = await press(pilot, "2")
        assert "2 VISITS" in text and "METERS" in text and "1 EVENTS" not in text


async def test_the_certificate_opens_at_the_end_and_closes(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", dies("a", steps=4))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "CERTIFICATE OF DEATH" in screen(app))
        assert "CERTIFICATE" not in await press(pilot, "escape")
        assert "CERTIFICATE" not in await press(pilot, "left")


async def test_help_opens_and_closes(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        assert "newest, and stay live" in await press(pilot, "question_mark")
        assert "METERS" in await press(pilot, "question_mark", "g")
        assert "METERS" in await press(pilot, "question_mark", "escape")


async def test_quitting_says_whether_it_was_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"))
    codes = []
    for key in ("q", "ctrl+c"):
        async with running(watch(path)) as (app, pilot):
            await pilot.press(key)
        codes.append(app.return_value)
    assert codes == [0, 2]


async def test_falling_behind_skips_to_the_newest_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a", steps=400))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        write(path, *(lives(f"b{number}", num_dropped_before=1) for number in range(5)))
        await until(pilot, lambda: "skipped 4 episodes to stay live" in screen(app))
        assert "episode 6 of 6" in screen(app)
        app.playback.advance(60)
        app.redraw()
        assert "trainer dropped 5" in screen(app)


async def test_a_replaced_file_starts_over_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"), lives("b"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "episode 2 of 2" in screen(app))
        write(tmp_path / "other.jsonl", lives("c")).rename(path)
        await until(pilot, lambda: "episode 1 of 1" in screen(app))
        assert "the file was replaced: starting over" in screen(app)


async def test_a_file_that_is_deleted_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "episode 1 of 1" in screen(app))
        path.unlink()
        await until(pilot, lambda: "the file was deleted" in screen(app))


async def test_a_training_that_ends_is_told_and_how_much_of_it_was_recorded(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"), lives("b"))
    (tmp_path / "progress.jsonl").write_bytes(b"{}\n" * 5000)
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "recorded 2 of 5,000 played" in screen(app))
        assert "ended" not in screen(app)
        finish(tmp_path, "ok")
        await until(pilot, lambda: "the training has ended" in screen(app))


async def test_a_clock_that_is_ahead_is_told_instead_of_a_latency(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "episode 1 of 1" in screen(app))
        write(path, lives("b", ended_unix_s=time.time() + 3600))
        await until(pilot, lambda: "clocks differ by 1 h" in screen(app))
        assert "newest arrived" not in screen(app)


async def test_a_line_that_cannot_be_shown_is_told_and_does_not_stop_the_view(tmp_path: Path) -> None:
    broken = encode(lives("b")).replace(b'"hour":12', b'"hour":"noon"')
    path = write(tmp_path / "episodes.jsonl", lives("a"))
    with path.open("ab") as file:
        file.write(b"not json\n" + broken)
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "episode 2 cannot be shown" in screen(app))
        assert "a line was skipped" in screen(app)
        assert "episode 1 of 2" in await press(pilot, "p")


async def test_a_folder_instead_of_a_file_ends_the_view_with_an_error(tmp_path: Path) -> None:
    app = FollowApp(watch(tmp_path))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.error is not None)
    assert "plain file" in str(app.error)


async def test_ascii_has_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", dies("ä\x1b[2J"))
    async with running(watch(path, ascii=True)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        for keys in (["g"], ["G"], ["question_mark"]):
            text = await press(pilot, *keys)
            assert text.isascii()
            assert "\x1b" not in text


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(120, 40), "1 EVENTS"),
        (Size(64, 20), "METERS"),
        (Size(30, 8), "too small"),
    ],
)
async def test_a_terminal_that_changes_its_size_is_filled(tmp_path: Path, size: Size, expected: str) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: app.playback.number == 0)
        before = await press(pilot, "g", *(["1"] if expected == "1 EVENTS" else []))
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: tuple(app.size) == tuple(size) and expected in screen(app))
        await pilot.resize_terminal(*SMALL)
        await until(pilot, lambda: screen(app) == before)


async def test_a_second_opinion_is_asked_once_an_episode_and_may_refuse(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"), lives("b", level="other"))
    asked = []

    def opinion(row: GridworldEpisode) -> list[list[float]]:
        asked.append(row.id)
        if row.level == "other":
            raise UserError("the model does not fit")
        return [[9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]] * len(row.trace)

    async with running(watch(path, opinion=opinion)) as (app, pilot):
        await until(pilot, lambda: "the model does not fit" in screen(app))
        await press(pilot, "p", "g", "right")
        await until(pilot, lambda: "recorded   model" in screen(app))
        assert "9.000 ◆" in screen(app)
    assert asked == ["b", "a"]


def test_a_screenshot_shows_the_moment_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "episodes.jsonl", lives("a"), lives("b", steps=30), lives("c"))
    svg = take_screenshot(watch(path), Moment(episode=2, step=17, panel=5), Size(110, 34))
    text = svg.replace("&#160;", " ")
    for words in ("episode 2 of 3", "step 17", "FORECAST", "baton follow"):
        assert words in text
    with pytest.raises(UserError, match="there is no episode 4"):
        take_screenshot(watch(path), Moment(episode=4), Size(80, 24))
