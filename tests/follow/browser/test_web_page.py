"""A training, its server and a browser, all real: the page shows what an episode says, whoever dies on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("websockets")

from pipeline.tasks.gridworld.town.rules import METERS
from tests.follow.browser.watcher import serving
from tests.support.browser import Page, find_browser, needs_browser, open_browser
from tests.support.zygote import Zygote

pytestmark = needs_browser


@pytest.fixture
def browser() -> Iterator[Page]:
    with open_browser(find_browser() or "") as page:
        page.size(1280, 900)
        yield page
        assert page.errors == []


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_training_is_watched_over_the_death_of_its_server(tmp_path: Path, zygote: Zygote, browser: Page) -> None:
    """The page is open before the first episode ends, and lists each once, although the server is killed between."""
    folder = tmp_path / "train"
    path = folder / "episodes.jsonl"
    with serving(zygote, path) as (url, server):
        browser.go(url)
        browser.wait("link.isOpen")
        training = zygote.start("train", "gridworld", "--recipe", "tiny", "--out", str(folder))
        browser.wait("at.id !== null")
        server.kill()
    browser.wait("!link.isOpen")
    with serving(zygote, path, "--port", str(urlsplit(url).port)):
        assert training.finish().code == 0
        told = rows(path)
        browser.wait(f"index.length === {len(told)} && link.ended !== null")
        assert browser.run("index.map((row) => row.id)") == [row["id"] for row in told]
        last = told[-1]
        browser.press("N")
        newest = f"plays.get({json.dumps(last['id'])})"
        browser.wait(f"at.id === {json.dumps(last['id'])} && {newest}.changes.length === {last['num_steps']}")
        browser.press("G")
        browser.press(",")  # from the end to the moment of the last action
        step = last["num_steps"] - 1
        browser.wait(f"document.getElementById('step').textContent === '{step} / {step + 1}'")
        shown = browser.run(
            "Object.fromEntries(['energy', 'mood'].map((name) => [name, "
            "document.querySelector(`tr[data-name=${name}] .value`).textContent]))"
        )
        meters = dict(zip(METERS, last["trace"][step]["meters"], strict=True))
        assert shown == {name: f"{meters[name]:.2f}" for name in ("energy", "mood")}
        browser.go("data:text/html,gone")
