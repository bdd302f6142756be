"""The screen of the live view belongs to no task; and its page in the documents says what it does."""

import re
from pathlib import Path

import pytest

from pipeline.files import encode
from pipeline.follow.feed import Feed
from pipeline.follow.playback import Playback
from pipeline.follow.scene import Moment
from pipeline.follow.terminal.app import FollowApp, Watch
from pipeline.follow.terminal.canvas import Canvas
from pipeline.follow.terminal.frame import KEYS
from pipeline.tasks.gridworld.follow import training as live
from tests.conftest import ROOT, Baton
from tests.follow import toy
from tests.tasks.gridworld.literal_rows import episode, step

PAGE = (ROOT / "docs/follow.md").read_text()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_task_brings_nothing_but_a_scene(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "episodes.jsonl"
    row = toy.Numbers(id="first", step=1, ended_unix_s=1.0, numbers=[7, 8, 9])
    path.write_bytes(encode(row))
    app = FollowApp(Watch(Feed(path, toy.PART.summary, toy.Numbers), toy.PART))
    async with app.run_test(size=size) as pilot:
        while app.playback.number is None:
            await pilot.pause(0.01)
        await pilot.press("G", "0")
        await pilot.pause()
        before = "\n".join(strip.text for strip in app.query_one(Canvas).strips)
        await pilot.press("1")
        await pilot.pause()
        after = "\n".join(strip.text for strip in app.query_one(Canvas).strips)
    for words in ("episode 1 of 1", "toy first", "now", "9.00", "last 1 ", "nothing happens here"):
        assert words in before
    assert "[7, 8, 9]" in after


def test_the_page_says_what_the_keys_of_the_browser_do() -> None:
    script = (ROOT / "pipeline/follow/browser/page.js").read_text()
    keys = re.findall(r'^  \[\[.*\], "(.+)", "\w+", "(.+)"\],$', script, re.MULTILINE)
    assert len(keys) > 10
    told = PAGE.split("## Saved to send")[1].split("\n## ")[0]
    assert [(key, what) for key, what in keys if f"`{key}` {what}" not in told] == []


def test_every_key_does_something_there_is() -> None:
    for key in KEYS:
        found = re.fullmatch(r"(\w+)(?:\('(\w+)'(?:, (-?\d+))?\))?", key.action)
        assert found is not None, key
        action, method, _ = found.groups()
        assert hasattr(FollowApp, f"action_{action}"), key
        assert method is None or callable(getattr(Playback, method)), key


def test_the_page_lists_every_key_panel_and_filter() -> None:
    rows = [(key.shown, key.help) for key in KEYS]
    rows += [(choice.key, f"only {choice.name}, and all again") for choice in live.FILTERS]
    panels = live.scene(Moment(episode(step()), 0)).all_panels
    rows += [(str(number), f"panel: {panel.title}") for number, panel in enumerate(panels, start=1)]
    terminal = PAGE[PAGE.index("\n## Keys\n") : PAGE.index("\n## Lines for logs\n")]
    assert re.findall(r"^\| `(.+)` \| (.+) \|$", terminal, re.MULTILINE) == rows


def test_the_page_names_only_options_there_are(baton: Baton) -> None:
    told = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--size", "--episode", "--step", "--panel", "--set"}
    known = baton("follow", "--help").out
    assert {option for option in told if option not in known} == set()


def test_the_page_agrees_with_the_numbers_in_the_code() -> None:
    from pipeline.follow.playback import CATCH_UP_S
    from pipeline.tasks.gridworld.follow.readings import RATE_STEPS

    assert CATCH_UP_S == 2.0 and "within two seconds" in PAGE
    assert RATE_STEPS == 10 and "over the last ten" in PAGE
